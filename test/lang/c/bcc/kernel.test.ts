/** Programs of the dialect in the kernel: methods by what they leave in maps, reads of foreign memory against the host's plain ones. */
import { readFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { kernelBtf } from "../../../../src/kernel/linux/index.ts";
import { LinuxKernel } from "../../../../src/kernel/linux/linux.ts";
import { describeWith } from "../../../support/needs.ts";
import { parts } from "../lower/program.ts";
import { INPUTS, casesOf, onHost } from "../lower/run.ts";
import { compile } from "./support.ts";

/** Runs a program that puts its answer into `result`. */
function run(kernel: LinuxKernel, text: string, inputs: readonly (readonly [bigint, bigint])[]): bigint[] {
  const { object } = compile(text, { kernelTypes: kernelBtf(), sameKernel: true });
  const loaded = kernel.load(object);
  try {
    const bss = object.maps.find(({ name }) => name.endsWith(".bss"))!.name;
    const offset = object.variables?.find(({ name }) => name === "result")?.offset ?? 0;
    return inputs.map(([a, b]) => {
      loaded.program("prog").testRun(new Uint8Array(BigInt64Array.of(a, b).buffer));
      const data = loaded.map(bss).lookup(new Uint8Array(4))!;
      return new DataView(data.buffer, data.byteOffset).getBigInt64(offset, true);
    });
  } finally {
    loaded.close();
  }
}

/** A pointer as if the kernel had given it: a helper has copied it, so nothing is known of it but that. */
const FOREIGN = `#define FOREIGN(p) ({ u64 at_ = (u64)(p), got_; bpf_probe_read_kernel(&got_, sizeof(got_), &at_); (typeof(p))got_; })
`;

function foreignProgram(text: string): string {
  const [outside, inside] = parts(text);
  return `${FOREIGN}${outside}
long long result;
static long long compute(long long a, long long b) {
${inside}
}
int prog(struct bpf_raw_tracepoint_args *ctx) { result = compute(ctx->args[0], ctx->args[1]); return 0; }
`;
}

const NODE = `
struct leaf { char name[8]; short tag; unsigned flag : 3; signed small : 5; unsigned long long wide : 40; };
struct node { int id; struct node *next; struct leaf leaf; struct leaf *other; int table[4]; union { unsigned u; unsigned char bytes[4]; }; };
static struct leaf leaves = { "outer", 77, 5, -9, 0x123456789aull };
static struct node second = { 22, 0, { "second", -3, 1, 7, 3 }, 0, { 5, 6, 7, 8 }, { 0x04030201 } };
static struct node first = { 11, 0, { "first", 9, 2, -1, 99 }, 0, { 1, 2, 3, 4 }, { 0xddccbbaa } };
#define SET first.next = &second; first.other = &leaves; second.other = &leaves; second.next = &first
#define NEXT_ID(x) ((x)->next->id)
static long long sum(struct node *n) { long long s = 0; for (int i = 0; i < 4; i++) s += n->table[i]; return s; }
static struct node *after(struct node *n) { return n->next; }
---
SET; struct node *p = FOREIGN(&first);
`;

/** What follows a foreign pointer, in all spellings. */
const reads = casesOf(
  [
    "return p->id;",
    "return (*p).id;",
    "return p[0].id;",
    "return p->next->id;",
    "return p->next->next->next->id;",
    "return NEXT_ID(p) + NEXT_ID(p->next);",
    "return p->table[2];",
    "return p->table[a & 3];",
    "int i = b & 3; return p->next->table[i] * 10 + p->table[3 - i];",
    "return *(p->table + 1);",
    "return p->leaf.name[1];",
    "return p->next->other->name[4];",
    "return p->leaf.tag + p->next->leaf.tag;",
    "return p->leaf.flag * 100 + p->leaf.small;",
    "return p->other->wide + p->other->small;",
    "return p->next->leaf.wide;",
    "return p->u;",
    "return p->bytes[3] + p->next->bytes[1];",
    "struct leaf copy = p->leaf; return copy.tag * 1000 + copy.name[0] + copy.small;",
    "struct leaf copy; copy = *p->other; return copy.tag + copy.flag;",
    "struct node whole = *p; return whole.next->id + whole.leaf.tag;",
    "struct leaf *l = &p->next->leaf; return l->tag + l->name[2];",
    "int *t = p->table; return t[0] + t[3];",
    "int *t = &p->table[1]; t++; return *t;",
    "char text[8] = {}; __builtin_memcpy(text, p->other->name, 8); return text[0] + text[4] * 3 + text[5];",
    "return sum(p) + sum(p->next);",
    "return after(after(p))->id + after(p)->leaf.tag;",
    "struct node *q = a > 0 ? p : p->next; return q->id;",
    "struct node *q = p->next ?: p; return q->id;",
    "u64 number = (u64)p->next; return ((struct node *)number)->id;",
    "struct { struct node *held; int x; } s = { p, 4 }; return s.held->next->id + s.x;",
    "struct node *both[2] = { p, 0 }; both[1] = p->next; return both[0]->id * 100 + both[1]->id;",
    "struct node **pp = &p; return (*pp)->id;",
    "long long total = 0; struct node *n = p; for (int i = 0; i < 5; i++) { total = total * 3 + n->id; n = n->next; } return total;",
    "switch (p->next->id) { case 22: return 1; default: return 2; }",
    "if (p->id == 11 && p->next->id > p->id) return p->other->tag; return 0;",
    "return p->next == 0 ? 1 : p->next->other != 0;",
    "return sizeof(p->leaf.name) + sizeof(*p->next);",
    "unsigned char c = p->next->u >> 8; return c;",
    "return -p->next->leaf.tag + ~p->leaf.tag + !p->id;",
  ].map((inside) => `${NODE}${inside}`),
).map((c, i) => ({ ...c, name: `${i} ${c.text.trim().split("\n").at(-1)}` }));

describeWith(["linux", "root", "bpf", "vmlinuxBtf", "clang"], "reads of foreign memory", () => {
  const kernel = new LinuxKernel();
  afterAll(() => kernel.close());
  const expected = onHost(reads.map(({ name, text }) => ({ name, text: `#define FOREIGN(p) (p)\n${text}` })));
  test.each(reads.map(({ name, text }, i) => [name, text, expected[i]!] as const))("%s", (_, text, want) => {
    expect(run(kernel, foreignProgram(text), INPUTS)).toEqual(want);
  });
});

/** Bodies with what they return. */
const methods: readonly (readonly [string, string, bigint])[] = [
  ["BPF_HASH(t);", "u64 k = 1, v = 7; t.update(&k, &v); u64 *p = t.lookup(&k); return p ? *p : -1;", 7n],
  [
    "BPF_HASH(t);",
    "u64 k = 1, v = 7; t.insert(&k, &v); v = 8; t.insert(&k, &v); u64 *p = t.lookup(&k); return p ? *p : -1;",
    7n,
  ],
  ["BPF_HASH(t);", "u64 k = 1, v = 7; t.update(&k, &v); t.delete(&k); return t.lookup(&k) == 0;", 1n],
  [
    "BPF_HASH(t);",
    "u64 k = 5, z = 40; u64 *p = t.lookup_or_try_init(&k, &z); if (!p) return -1; *p += 2; p = t.lookup_or_try_init(&k, &z); return p ? *p : -1;",
    42n,
  ],
  ["BPF_HASH(t);", "u64 k = 5, z = 40; (*t.lookup_or_init(&k, &z))++; return *t.lookup_or_init(&k, &z);", 41n],
  ["BPF_HASH(t, u64, u64, 1);", "u64 k = 5, z = 40; t.update(&k, &z); k = 6; t.lookup_or_init(&k, &z); return 9;", 0n],
  [
    "BPF_HASH(t, u32);",
    "t.increment(3); t.increment(3); t.increment(3, 10); u32 k = 3; u64 *p = t.lookup(&k); return p ? *p : -1;",
    12n,
  ],
  [
    "BPF_HASH(t, u32, u32);",
    "t.atomic_increment(3); t.atomic_increment(3, 5); u32 k = 3; u32 *p = t.lookup(&k); return p ? *p : -1;",
    6n,
  ],
  [
    "BPF_HISTOGRAM(t);",
    "t.increment(bpf_log2l(1000)); t.increment(bpf_log2l(1023)); int k = 10; u64 *p = t.lookup(&k); return p ? *p : -1;",
    2n,
  ],
  [
    "BPF_HISTOGRAM(t, u64);",
    "t.atomic_increment(bpf_log2l(1ull << 40)); u64 k = 41; u64 *p = t.lookup(&k); return p ? *p : -1;",
    1n,
  ],
  [
    "struct k { u32 a; char c[12]; }; BPF_HASH(t, struct k);",
    'struct k k = { 1, "x" }; t.increment(k); t.increment(k, 4); u64 *p = t.lookup(&k); return p ? *p : -1;',
    5n,
  ],
  [
    "BPF_ARRAY(t, u64, 4);",
    "t.increment(2); t.atomic_increment(2, 2); t.increment(9); int k = 2; u64 *p = t.lookup(&k); return p ? *p : -1;",
    3n,
  ],
  ["BPF_PERCPU_ARRAY(t, u64, 4);", "t.increment(1, 5); int k = 1; u64 *p = t.lookup(&k); return p ? *p : -1;", 5n],
  [
    "#define COUNT(table, key) table.increment(key)\nBPF_HASH(t, u32);",
    "COUNT(t, 3); COUNT(t, 3); u32 k = 3; u64 *p = t.lookup(&k); return p ? *p : -1;",
    2n,
  ],
  [
    "BPF_QUEUE(q, u64, 4);",
    "u64 v = 1, w = 0; q.push(&v, 0); v = 2; q.push(&v, 0); q.pop(&w); u64 x = 0; q.peek(&x); return w * 10 + x;",
    12n,
  ],
  ["BPF_STACK(s, u64, 4);", "u64 v = 1, w = 0; s.push(&v, 0); v = 2; s.push(&v, 0); s.pop(&w); return w;", 2n],
  [
    "BPF_RINGBUF_OUTPUT(r, 1);",
    "u64 *p = r.ringbuf_reserve(8); if (!p) return -1; *p = 1; r.ringbuf_submit(p, 0); u64 v = 2; r.ringbuf_output(&v, 8, 0); return r.ringbuf_query(0);",
    32n,
  ],
  ["BPF_STACK_TRACE(s, 64);", "int id = s.get_stackid(ctx, 0); return id >= 0 || id == -14;", 1n],
  ["BPF_PERF_OUTPUT(e);", "u64 v = 1; return e.perf_submit(ctx, &v, sizeof(v)) == -2;", 1n],
  [
    "BPF_HASH(t, u32, struct task_struct *);",
    "u32 k = 1; struct task_struct *task = (void *)bpf_get_current_task(); t.update(&k, &task); struct task_struct **found = t.lookup(&k); return found ? (*found)->tgid == task->tgid : -1;",
    1n,
  ],
  ["", "return bpf_num_cpus();", 4n],
  ["", "return bpf_log2(0) * 1000 + bpf_log2(1) + bpf_log2(0x80000000) * 10 + bpf_log2l(0);", 311n],
  ["", "return bpf_ntohs(0x1234) + bpf_htonl(0x01020304);", 0x3412n + 0x04030201n],
  ["", "u64 x = 5; lock_xadd(&x, 4); return x;", 9n],
  ["", 'bpf_trace_printk("%d %s\\n", 1, "x"); char m[] = "raw"; return bpf_trace_printk(m, sizeof(m)) > 0;', 1n],
];

describeWith(["linux", "root", "bpf", "vmlinuxBtf"], "methods and functions", () => {
  const kernel = new LinuxKernel();
  afterAll(() => kernel.close());
  test.each(methods)("%s %s", (outside, inside, expected) => {
    const text = `${outside}\nlong long result;\nstatic long long body(struct bpf_raw_tracepoint_args *ctx) { ${inside} }
int prog(struct bpf_raw_tracepoint_args *ctx) { result = body(ctx); return 0; }`;
    expect(run(kernel, text, [[0n, 0n]])).toEqual([expected]);
  });
});

/** Expressions over the running task. */
const status = (field: string): number =>
  Number(new RegExp(`^${field}:\\s*(\\d+)`, "m").exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

describeWith(["linux", "root", "bpf", "vmlinuxBtf"], "the kernel's own structs", () => {
  const kernel = new LinuxKernel();
  afterAll(() => kernel.close());
  const comm = readFileSync("/proc/self/comm", "latin1").trim();
  test.each([
    ["task->tgid", process.pid],
    ["task->group_leader->tgid", process.pid],
    ["task->real_parent->tgid", process.ppid],
    ["task->group_leader->real_parent->group_leader->tgid", process.ppid],
    ["task->signal->nr_threads", status("Threads")],
    ["task->group_leader->comm[1]", comm.charCodeAt(1)],
    ["task->group_leader->comm[0] * 2", comm.charCodeAt(0) * 2],
    ["*(int *)&task->tgid", process.pid],
    ["({ struct task_struct *t = task->group_leader; t->tgid; })", process.pid],
    ["container_of(&task->tgid, struct task_struct, tgid)->tgid", process.pid],
  ])("%s", (expression, expected) => {
    const text = `#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define offsetof(type, member) __builtin_offsetof(type, member)
long long result;
int prog(struct bpf_raw_tracepoint_args *ctx) {
  struct task_struct *task = (struct task_struct *)bpf_get_current_task();
  result = ${expression};
  return 0;
}`;
    expect(run(kernel, text, [[0n, 0n]])).toEqual([BigInt(expected)]);
  });
});
