/** Programs in C on the software kernel, and the same on the running one: results, maps and records are equal. */
import { describe, expect, it } from "vitest";
import type { Kernel } from "../../../src/kernel/kernel.ts";
import { LinuxKernel } from "../../../src/kernel/linux/linux.ts";
import { Environment, type ExecutionMode, SoftKernel } from "../../../src/kernel/soft/index.ts";
import { compileC } from "../../../src/lang/c/index.ts";
import type { BpfObject } from "../../../src/object/index.ts";
import { kernelTarget } from "../../../src/compiler/index.ts";
import { describeWith } from "../../support/needs.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const prelude = `
#include <bpf/bpf_helpers.h>
typedef unsigned char u8; typedef unsigned int u32; typedef unsigned long long u64; typedef long long s64;
char license[] SEC("license") = "GPL";
struct args { u64 a; u64 b; };
u64 out[16];
`;

function compile(body: string): BpfObject {
  return compileC({ name: "test.bpf.c", text: prelude + body }, { target: kernelTarget([6, 18]) }).object;
}

/** Programs named \`main\` that get two numbers, and leave results in \`out\`. */
const programs: readonly (readonly [name: string, body: string])[] = [
  [
    "hash maps",
    `struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, u32); __type(value, u64); } m SEC(".maps");
     SEC("syscall") int main(struct args *c) {
       for (u32 i = 0; i < 6; i++) { u32 key = i; u64 v = i * c->a; out[i] = bpf_map_update_elem(&m, &key, &v, BPF_ANY); }
       u32 k = 2, gone = 9; u64 *p = bpf_map_lookup_elem(&m, &k); if (p) { out[6] = *p; *p += 5; }
       u64 w = 1; out[7] = bpf_map_update_elem(&m, &k, &w, BPF_NOEXIST); out[8] = bpf_map_update_elem(&m, &gone, &w, BPF_EXIST);
       out[9] = bpf_map_delete_elem(&m, &k); out[10] = bpf_map_delete_elem(&m, &k); out[11] = !bpf_map_lookup_elem(&m, &k);
       return 3; }`,
  ],
  [
    "arrays, and data of all kinds",
    `struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, struct args); } m SEC(".maps");
     const volatile u64 factor = 7; static u64 calls; u32 table[4] = { 1, 20, 300, 4000 };
     SEC("syscall") int main(struct args *c) {
       u32 k = c->b & 3; struct args *p = bpf_map_lookup_elem(&m, &k); if (!p) return 1; p->a += factor; p->b = table[k]; out[0] = ++calls;
       u32 beyond = 4; struct args v = { 1, 2 }; out[1] = bpf_map_update_elem(&m, &beyond, &v, 0); out[2] = bpf_map_delete_elem(&m, &k); out[3] = !!bpf_map_lookup_elem(&m, &beyond);
       return 0; }`,
  ],
  [
    "queues and stacks",
    `struct { __uint(type, BPF_MAP_TYPE_QUEUE); __uint(max_entries, 3); __type(value, u64); } q SEC(".maps");
     struct { __uint(type, BPF_MAP_TYPE_STACK); __uint(max_entries, 3); __type(value, u64); } s SEC(".maps");
     SEC("syscall") int main(struct args *c) {
       for (int i = 0; i < 5; i++) { u64 v = c->a + i; out[i] = bpf_map_push_elem(&q, &v, i == 4 ? BPF_EXIST : 0); bpf_map_push_elem(&s, &v, 0); }
       u64 v = 0; out[5] = bpf_map_pop_elem(&q, &v); out[6] = v; out[7] = bpf_map_peek_elem(&s, &v); out[8] = v; bpf_map_pop_elem(&s, &v);
       bpf_map_pop_elem(&s, &v); out[9] = v; bpf_map_pop_elem(&s, &v); out[10] = bpf_map_pop_elem(&s, &v); return 0; }`,
  ],
  [
    "callbacks",
    `struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 5); __type(key, u32); __type(value, u64); } m SEC(".maps");
     static long each(void *map, u32 *key, u64 *value, u64 *sum) { *value += *key; *sum += *value; return *key == 3; }
     static int step(u32 i, u64 *sum) { *sum = *sum * 3 + i; return i >= 10; }
     SEC("syscall") int main(struct args *c) {
       u64 sum = c->a; out[0] = bpf_for_each_map_elem(&m, each, &sum, 0); out[1] = sum;
       out[2] = bpf_loop(100, step, &sum, 0); out[3] = sum; out[4] = bpf_loop(5, step, &sum, 0); out[5] = sum; return 0; }`,
  ],
  [
    "functions of its own",
    `static __noinline u64 mix(u64 a, u64 b, u64 *where) { u64 local[8] = {}; for (int i = 0; i < 8; i++) local[(a + i) & 7] += b * i; *where += local[b & 7]; return a ^ local[3]; }
     SEC("syscall") int main(struct args *c) { u64 at = 1; out[0] = mix(c->a, c->b, &at); out[1] = mix(c->b, c->a, &at); out[2] = at; return out[0]; }`,
  ],
  [
    "texts",
    `SEC("syscall") int main(struct args *c) {
       char text[32] = "  -42 rest"; long n = 0; unsigned long un = 0;
       out[0] = bpf_strtol(text, sizeof(text), 0, &n); out[1] = n; char hexa[] = "0x1fg"; out[2] = bpf_strtoul(hexa, sizeof(hexa), 0, &un); out[3] = un;
       static const char abc[] = "abd"; char abcd[8] = "abc"; out[4] = bpf_strncmp(abcd, sizeof(abcd), abc) < 0;
       static const char fmt[] = "%d %5u|%-6x|%08llx %s"; u64 args[] = { -5, 77, 255, c->a, (u64)(long)abc };
       out[5] = BPF_SNPRINTF_OF; __builtin_memcpy(&out[6], buf, 64); return 0; }`
      .replace("BPF_SNPRINTF_OF", "bpf_snprintf(buf, sizeof(buf), fmt, args, sizeof(args))")
      .replace("SEC(", "static char buf[64]; SEC("),
  ],
  [
    "maps of maps",
    `struct inner { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u32); __type(value, u64); } one SEC(".maps"), two SEC(".maps");
     struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4); __type(key, u32); __array(values, struct inner); } outer SEC(".maps") = { .values = { [0] = &one, [2] = &two } };
     SEC("syscall") int main(struct args *c) {
       for (u32 i = 0; i < 4; i++) { u32 key = i; void *m = bpf_map_lookup_elem(&outer, &key); out[i] = !!m; if (!m) continue;
         u64 v = c->a + i; u32 k = c->b; out[4 + i] = bpf_map_update_elem(m, &k, &v, BPF_NOEXIST); u64 *p = bpf_map_lookup_elem(m, &k); if (p) out[8 + i] = *p; }
       return 0; }`,
  ],
  [
    "atomics",
    `static u64 x = 10; static u32 y = 7;
     SEC("syscall") int main(struct args *c) {
       out[0] = __sync_fetch_and_add(&x, c->a); out[1] = __sync_fetch_and_or(&y, 0x100); out[2] = __sync_val_compare_and_swap(&x, 10 + c->a, 99);
       out[3] = __sync_lock_test_and_set(&y, 5); out[4] = __sync_fetch_and_xor(&x, c->b); out[5] = x; out[6] = y; return 0; }`,
  ],
];

function runOn(kernel: Kernel, object: BpfObject): string {
  const loaded = kernel.load(object);
  try {
    const lines: string[] = [];
    for (const [a, b] of [
      [3n, 5n],
      [0xffff_ffff_ffff_fff0n, 2n],
      [0n, 0x1234_5678_9abc_def0n],
    ]) {
      lines.push(`result ${loaded.program("main").testRun(new Uint8Array(new BigUint64Array([a!, b!]).buffer)) | 0}`);
      for (const map of object.maps) {
        if (map.keySize === 0 || map.name === ".rodata" || map.name === "outer") continue;
        const entries = loaded.map(map.name).entries();
        lines.push(...entries.map(({ key, value }) => `${map.name} ${hex(key)} ${hex(value)}`).toSorted());
      }
    }
    return lines.join("\n");
  } finally {
    loaded.close();
  }
}

const modes: readonly ExecutionMode[] = ["compiled", "interpreted"];

describeWith(["linux", "root", "bpf"], "programs in C beside the running kernel", () => {
  it.each(programs)("%s", (_, body) => {
    const object = compile(body);
    using linux = new LinuxKernel();
    const theirs = runOn(linux, object);
    for (const mode of modes) {
      using soft = new SoftKernel({ mode, environment: new Environment({ seed: 1 }) });
      expect(runOn(soft, object)).toBe(theirs);
    }
  });
});

describe.each(modes)("the software kernel, %s", (mode) => {
  it("gives records of ring buffers to readers", () => {
    const object = compile(`
      struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
      struct event { u64 n; u8 tail[100]; };
      SEC("syscall") int main(struct args *c) {
        struct event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0); if (!e) return 1; e->n = c->a;
        if (c->a % 3 == 0) bpf_ringbuf_discard(e, 0); else bpf_ringbuf_submit(e, 0); return 0; }`);
    using kernel = new SoftKernel({ mode });
    using loaded = kernel.load(object);
    using reader = kernel.ringReader(loaded.map("ring"));
    let woken = 0;
    reader.onReadable(() => woken++);
    const seen: number[] = [];
    let full = 0;
    for (let n = 1; n <= 500; n++) {
      full += loaded.program("main").testRun(new Uint8Array(new BigUint64Array([BigInt(n), 0n]).buffer));
      if (n % 20 === 0)
        reader.drain((_, view, at, size) => seen.push(size === 112 ? Number(view.getBigUint64(at, true)) : -1));
    }
    expect(full).toBe(0);
    expect(seen).toEqual(Array.from({ length: 500 }, (_, i) => i + 1).filter((n) => n % 3 !== 0));
    expect(woken).toBeGreaterThan(0);
    for (let n = 0; n < 60; n++)
      full += loaded.program("main").testRun(new Uint8Array(new BigUint64Array([1n, 0n]).buffer));
    // 4,096 bytes hold 34 records of 112 and 8 bytes, one byte must stay free.
    expect(full).toBe(60 - 34);
  });

  it("goes on in another program by tail calls", () => {
    const object = compile(`
      struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, u32); } jumps SEC(".maps");
      SEC("socket") int next(struct __sk_buff *c) { out[0]++; bpf_tail_call(c, &jumps, 1); return 7; }
      SEC("socket") int main(struct __sk_buff *c) { out[1]++; bpf_tail_call(c, &jumps, 2); bpf_tail_call(c, &jumps, 1); return 9; }`);
    using kernel = new SoftKernel({ mode });
    using loaded = kernel.load(object);
    const set = (index: number, name: string): void => {
      const { id } = loaded.program(name).info();
      loaded
        .map("jumps")
        .update(new Uint8Array(new Uint32Array([index]).buffer), new Uint8Array(new Uint32Array([id]).buffer));
    };
    expect(loaded.program("main").testRun(new Uint8Array(64))).toBe(9);
    set(1, "next");
    expect(loaded.program("main").testRun(new Uint8Array(64))).toBe(7);
    const out = new BigUint64Array(loaded.map(".bss").lookup(new Uint8Array(4))!.buffer);
    // The program calls itself until the 33rd time.
    expect([out[0], out[1]]).toEqual([33n, 2n]);
  });

  it("tells programs of time, task and CPU, and prints", () => {
    const object = compile(`
      SEC("tracepoint/sched/sched_switch") int main(void *c) {
        char comm[16]; bpf_get_current_comm(comm, sizeof(comm)); out[0] = bpf_ktime_get_ns(); out[1] = bpf_get_current_pid_tgid();
        out[2] = bpf_get_smp_processor_id(); out[3] = bpf_get_current_uid_gid(); bpf_printk("%s on %d", comm, (int)out[2]); return 0; }`);
    const lines: string[] = [];
    const environment = new Environment({ seed: 1, now: 12_345n });
    using kernel = new SoftKernel({ mode, environment, trace: (text) => lines.push(text) });
    using loaded = kernel.load(object);
    const link = kernel.attach(loaded.program("main"), { kind: "tracepoint", category: "sched", name: "sched_switch" });
    environment.cpu = 3;
    environment.task = { pid: 7, tgid: 5, uid: 1000, gid: 100, comm: "a program" };
    expect(kernel.fire("tracepoint:sched:sched_switch", new Uint8Array(64))).toEqual([0n]);
    link.close();
    expect(kernel.fire("tracepoint:sched:sched_switch", new Uint8Array(64))).toEqual([]);
    const out = new BigUint64Array(loaded.map(".bss").lookup(new Uint8Array(4))!.buffer);
    expect(Array.from(out.slice(0, 4))).toEqual([12_345n, (5n << 32n) | 7n, 3n, (100n << 32n) | 1000n]);
    expect(lines).toEqual(["a program on 3"]);
  });

  it("stops a program that no verifier would pass, and says where", () => {
    const object = compile(`
      struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u64); } m SEC(".maps");
      SEC("syscall") int main(struct args *c) { u32 k = 0; u64 *p = bpf_map_lookup_elem(&m, &k); return p[c->a]; }`);
    using kernel = new SoftKernel({ mode });
    using loaded = kernel.load(object);
    const run = (index: bigint): number =>
      loaded.program("main").testRun(new Uint8Array(new BigUint64Array([index, 0n]).buffer));
    expect(run(0n)).toBe(0);
    expect(() => run(1n)).toThrow("touches memory that is not its own");
    expect(() => run(1n << 40n)).toThrow("reads 8 bytes");
  });
});
