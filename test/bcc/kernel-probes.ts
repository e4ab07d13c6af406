/** What of `skep/bcc` needs functions of the kernel: run by `examples.vm.test.ts` in a VM, where there are kprobes and fentry. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { BPF } from "../../src/bcc/index.ts";

const own = [`-DOWN_PID=${process.pid}`];
const COUNT = `
BPF_ARRAY(counts, u64, 8);
static inline void seen(int index) {
  if (bpf_get_current_pid_tgid() >> 32 == OWN_PID) counts.atomic_increment(index);
}
`;

const ask = (count: number): void => {
  for (let i = 0; i < count; i++) getPriority(0);
};

const check = (name: string, body: () => void): void => {
  body();
  console.log(`ok ${name}`);
};

const countsOf = (b: BPF): bigint[] => b.table<number, bigint>("counts").values();
const probeEvents = (): string => readFileSync("/sys/kernel/tracing/kprobe_events", "utf8");

check("by names of functions, those of system calls among them", () => {
  using b = new BPF({
    text: `${COUNT}
      int kprobe__sys_getpriority(void *ctx) { seen(0); return 0; }
      int kretprobe____x64_sys_getpriority(struct pt_regs *ctx) { if (PT_REGS_RC(ctx) == 20) seen(1); return 0; }`,
    cflags: own,
  });
  assert.equal(b.numOpenKprobes(), 2);
  ask(3);
  assert.deepEqual(countsOf(b).slice(0, 2), [3n, 3n]);
});

check("arguments of system calls", () => {
  using b = new BPF({
    text: `BPF_HASH(asked, u32, u64);
      int syscall__getpriority(struct pt_regs *ctx, int which, int who) {
        u32 key = who;
        if (bpf_get_current_pid_tgid() >> 32 == OWN_PID) asked.increment(key);
        return 0;
      }`,
    cflags: own,
  });
  b.attachKprobe({ event: BPF.getSyscallFnname("getpriority"), fnName: "syscall__getpriority" });
  getPriority(process.pid);
  assert.deepEqual(b.table<number, bigint>("asked").items(), [[process.pid, 1n]]);
});

check("arguments of functions, read through pointers", () => {
  using b = new BPF({
    text: `
      struct open_t { char name[32]; };
      BPF_HASH(opened, struct open_t, u64);
      int kprobe__vfs_open(struct pt_regs *ctx, const struct path *path) {
        struct open_t key = {};
        if (bpf_get_current_pid_tgid() >> 32 != OWN_PID) return 0;
        bpf_probe_read_kernel_str(&key.name, sizeof(key.name), path->dentry->d_name.name);
        opened.increment(key);
        return 0;
      }`,
    cflags: own,
  });
  readFileSync("/etc/hostname");
  assert.ok(
    b
      .table<{ name: string }>("opened")
      .keys()
      .some(({ name }) => name === "hostname"),
  );
});

check("by hand, and off again", () => {
  using b = new BPF({
    text: `${COUNT}
      int on_entry(void *ctx) { seen(0); return 0; }
      int on_return(void *ctx) { seen(1); return 0; }
      int other(void *ctx) { seen(2); return 0; }`,
    cflags: own,
  });
  b.attachKprobe({ event: "sys_getpriority", fnName: "on_entry" });
  b.attachKprobe({ event: "sys_getpriority", fnName: "other" });
  b.attachKretprobe({ event: "__x64_sys_getpriority", fnName: "on_return", maxactive: 16 });
  assert.match(probeEvents(), /^r16:skep_\d+\/p0 /m);
  assert.equal(b.numOpenKprobes(), 2);
  ask(2);
  assert.deepEqual(countsOf(b).slice(0, 3), [2n, 2n, 2n]);
  b.detachKprobe({ event: "__x64_sys_getpriority", fnName: "on_entry" });
  b.detachKretprobe({ event: "sys_getpriority" });
  assert.equal(probeEvents(), "");
  ask(2);
  assert.deepEqual(countsOf(b).slice(0, 3), [2n, 2n, 4n]);
  assert.throws(
    () => b.detachKprobe({ event: "sys_getpriority", fnName: "on_entry" }),
    /on_entry is not attached there/,
  );
});

check("by pattern", () => {
  using b = new BPF({ text: `${COUNT} int on_any(void *ctx) { seen(0); return 0; }`, cflags: own });
  const found = BPF.getKprobeFunctions("vfs_(read|write|open)");
  assert.deepEqual([...found].toSorted(), ["vfs_open", "vfs_read", "vfs_write"]);
  b.attachKprobe({ eventRe: "vfs_(read|write|open)", fnName: "on_any" });
  assert.equal(b.numOpenKprobes(), 3);
  readFileSync("/etc/hostname");
  assert.ok(countsOf(b)[0]! >= 2n);
  process.env["BCC_PROBE_LIMIT"] = "4";
  assert.throws(() => b.attachKprobe({ eventRe: "vfs_.*", fnName: "on_any" }), /would exceed the limit of 4/);
  delete process.env["BCC_PROBE_LIMIT"];
});

check("offsets", () => {
  using b = new BPF({ text: `int on_any(void *ctx) { return 0; }` });
  b.attachKprobe({ event: "vfs_read+0x0", fnName: "on_any" });
  assert.throws(() => b.attachKprobe({ event: "vfs_read", eventOff: 1, fnName: "on_any" }));
});

check("names that there are not", () => {
  using b = new BPF({ text: `int on_any(void *ctx) { return 0; }` });
  assert.throws(() => b.attachKprobe({ event: "vfs_reat", fnName: "on_any" }), /did you mean .*vfs_/);
  assert.throws(() => b.attachKprobe({ event: "vfs_read", fnName: "on_and" }), /did you mean on_any/);
});

if (BPF.supportKfunc()) {
  check("kfuncs", () => {
    using b = new BPF({
      text: `${COUNT}
        KFUNC_PROBE(vfs_open, const struct path *path, struct file *file) { seen(0); return 0; }
        KRETFUNC_PROBE(vfs_open, const struct path *path, struct file *file, int ret) { if (ret == 0) seen(1); return 0; }`,
      cflags: own,
    });
    readFileSync("/etc/hostname");
    const [entries, returns] = countsOf(b);
    assert.ok(entries! >= 1n && returns === entries, `${entries} ${returns}`);
    b.detachKfunc({ fnName: "kfunc__vmlinux__vfs_open" });
    assert.throws(() => b.attachKretfunc({ fnName: "vmlinux__vfs_open" }), /is attached already/);
  });
}

check("functions of libraries", () => {
  using b = new BPF({ text: `${COUNT} int on_any(void *ctx) { seen(0); return 0; }`, cflags: own });
  b.attachUprobe({ name: "c", sym: "getpriority", fnName: "on_any", pid: process.pid });
  ask(2);
  assert.equal(countsOf(b)[0], 2n);
});

check("stacks of the kernel", () => {
  using b = new BPF({
    text: `
      BPF_STACK_TRACE(stacks, 64);
      BPF_ARRAY(id, int, 1);
      int kprobe__vfs_open(struct pt_regs *ctx) {
        int zero = 0, found;
        if (bpf_get_current_pid_tgid() >> 32 != OWN_PID) return 0;
        found = stacks.get_stackid(ctx, 0);
        id.update(&zero, &found);
        return 0;
      }`,
    cflags: own,
  });
  readFileSync("/etc/hostname");
  const names = b.table("stacks").walk(b.table<number, number>("id").get(0)!, (frame) => b.ksym(frame as bigint));
  assert.ok(
    names.some((name) => name.startsWith("do_sys_open")),
    names.join(" "),
  );
});

assert.equal(probeEvents(), "");
execFileSync("true");
console.log("all is well");
