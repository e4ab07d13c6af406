/** Functions that are programs: their types and places by name and context. */
import { describe, expect, test } from "vitest";
import { AttachType, ProgType } from "../../../../src/isa/index.ts";
import { looksLikeBcc } from "../../../../src/lang/c/bcc/recognize.ts";
import { REGISTERS, compile } from "./support.ts";

const CONTEXTS = `${REGISTERS}struct bpf_raw_tracepoint_args { u64 args[1]; };
struct __sk_buff { u32 len; }; struct xdp_md { u32 data; }; struct bpf_perf_event_data { struct pt_regs regs; };
struct bpf_iter__task { u64 x; };
struct own { u64 common; int pid; };
`;

type Row = readonly [
  text: string,
  name: string,
  kind: string,
  target: string,
  type: number,
  expected: {
    readonly autoAttach?: boolean;
    readonly attachType?: number;
    readonly attachTo?: string;
    readonly attach?: object;
    readonly module?: string;
  },
];

const rows: readonly Row[] = [
  [
    "int kprobe__do_exit(struct pt_regs *ctx) {",
    "kprobe__do_exit",
    "kprobe",
    "do_exit",
    ProgType.KPROBE,
    { autoAttach: true, attach: { kind: "kprobe", func: "do_exit", isReturn: false } },
  ],
  [
    "int kretprobe__vfs_read(struct pt_regs *ctx) {",
    "kretprobe__vfs_read",
    "kretprobe",
    "vfs_read",
    ProgType.KPROBE,
    { autoAttach: true, attach: { kind: "kprobe", func: "vfs_read", isReturn: true } },
  ],
  [
    "TRACEPOINT_PROBE(sched, sched_process_exec) {",
    "tracepoint__sched__sched_process_exec",
    "tracepoint",
    "sched:sched_process_exec",
    ProgType.TRACEPOINT,
    { autoAttach: true, attach: { kind: "tracepoint", category: "sched", name: "sched_process_exec" } },
  ],
  [
    "RAW_TRACEPOINT_PROBE(sched_switch) {",
    "raw_tracepoint__sched_switch",
    "raw_tracepoint",
    "sched_switch",
    ProgType.RAW_TRACEPOINT,
    { autoAttach: true, attach: { kind: "raw-tracepoint", name: "sched_switch" } },
  ],
  [
    "KFUNC_PROBE(vfs_open, void *path, void *file) {",
    "kfunc__vmlinux__vfs_open",
    "kfunc",
    "vfs_open",
    ProgType.TRACING,
    { autoAttach: true, attachType: AttachType.TRACE_FENTRY, attachTo: "vfs_open" },
  ],
  [
    "KRETFUNC_PROBE(vfs_open, void *path, void *file, int ret) {",
    "kretfunc__vmlinux__vfs_open",
    "kretfunc",
    "vfs_open",
    ProgType.TRACING,
    { autoAttach: true, attachType: AttachType.TRACE_FEXIT, attachTo: "vfs_open" },
  ],
  [
    "MODULE_KFUNC_PROBE(nf_nat, nf_nat_packet, void *ct) {",
    "kfunc__nf_nat__nf_nat_packet",
    "kfunc",
    "nf_nat_packet",
    ProgType.TRACING,
    { autoAttach: true, attachTo: "nf_nat:nf_nat_packet", module: "nf_nat" },
  ],
  [
    "KMOD_RET(do_unlinkat, int dfd) {",
    "kmod_ret__do_unlinkat",
    "kmod_ret",
    "do_unlinkat",
    ProgType.TRACING,
    { attachType: AttachType.MODIFY_RETURN, attachTo: "do_unlinkat" },
  ],
  [
    "LSM_PROBE(bpf, int cmd, void *attr, unsigned int size) {",
    "lsm__bpf",
    "lsm",
    "bpf",
    ProgType.LSM,
    { autoAttach: true, attachType: AttachType.LSM_MAC, attachTo: "bpf" },
  ],
  [
    "BPF_ITER(task) {",
    "bpf_iter__task",
    "iter",
    "task",
    ProgType.TRACING,
    { attachType: AttachType.TRACE_ITER, attachTo: "task" },
  ],
  [
    "int syscall__execve(struct pt_regs *ctx, const char *name) {",
    "syscall__execve",
    "syscall",
    "execve",
    ProgType.KPROBE,
    {},
  ],
  ["int any(struct pt_regs *ctx) {", "any", "any", "", ProgType.KPROBE, {}],
  ["int any(void *ctx) {", "any", "any", "", ProgType.KPROBE, {}],
  ["int any(struct __sk_buff *skb) {", "any", "any", "", ProgType.SOCKET_FILTER, {}],
  ["int any(struct xdp_md *ctx) {", "any", "any", "", ProgType.XDP, {}],
  ["int any(struct bpf_perf_event_data *ctx) {", "any", "any", "", ProgType.PERF_EVENT, {}],
  ["int any(struct bpf_raw_tracepoint_args *ctx) {", "any", "any", "", ProgType.RAW_TRACEPOINT, {}],
  ["int any(struct own *args) {", "any", "any", "", ProgType.TRACEPOINT, {}],
  ["int any(struct tracepoint__sched__sched_process_exec *args) {", "any", "any", "", ProgType.TRACEPOINT, {}],
];

describe("programs", () => {
  test.each(rows)(
    "%s",
    (head, name, kind, target, type, { autoAttach = false, attachType = 0, attachTo, attach, module }) => {
      const { object, bcc } = compile(`${CONTEXTS}${head} return 0; }`);
      expect(bcc!.programs).toMatchObject([{ name, kind, target, autoAttach, typeIsGuess: kind === "any" }]);
      expect(bcc!.programs[0]!.module).toBe(module);
      const [program] = object.programs;
      expect(program).toMatchObject({ name, type, ...(attach === undefined ? {} : { attach }) });
      if (attachType !== 0) expect(program!.expectedAttachType).toBe(attachType);
      expect(program!.attachTo).toBe(attachTo);
    },
  );

  test("static and inline functions are parts of programs", () => {
    const { object } = compile(
      "static int a(int x) { return x + 1; } inline int b(int x) { return a(x) * 2; }\nint f(void *ctx) { return b(3); }",
    );
    expect(object.programs.map(({ name, code }) => [name, code.length / 8])).toEqual([["f", 2]]);
  });

  test("BPF_LICENSE", () => {
    expect(compile("#define BPF_LICENSE Dual MIT/GPL\nint f(void *ctx) { return 0; }").object.license).toBe(
      "Dual MIT/GPL",
    );
  });

  test.each([
    ['int hello(void *ctx) { bpf_trace_printk("hi"); return 0; }', true],
    ["BPF_HASH(counts);", true],
    ["#include <linux/bpf.h>\nTRACEPOINT_PROBE(a, b) { return 0; }", true],
    ["int kprobe__x(void *ctx) { return 0; }", true],
    ['SEC("kprobe/x") int kprobe__x(void *ctx) { return 0; }', false],
    ['#include "vmlinux.h"\nint f(void) { return 0; }', false],
    ["// BPF_HASH(x)\nint x;", false],
    ['/* SEC("xdp") */ BPF_ARRAY(a);', true],
    ["static int f(void) { return 0; }", false],
    ['__attribute__((section("xdp"))) int f(void *c) { return 0; }', false],
  ])("recognised by its use: %s", (text, expected) => {
    expect(looksLikeBcc(text)).toBe(expected);
  });
});
