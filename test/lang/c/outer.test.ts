import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Btf } from "../../../src/btf/index.ts";
import { allHelpers } from "../../../src/isa/index.ts";
import { helperDeclaration } from "../../../src/lang/c/helper-declarations.ts";
import { KernelDeclarations } from "../../../src/lang/c/outer.ts";
import { KernelTypes } from "../../../src/lang/c/types/kernel-types.ts";
import { RecordType, typeText } from "../../../src/lang/c/types/types.ts";
import { describeWith } from "../../support/needs.ts";
import { parse } from "./support.ts";

describe("helpers by name", () => {
  test.each([
    ["bpf_map_lookup_elem", "void *(void *, const void *)"],
    ["bpf_map_update_elem", "long (void *, const void *, const void *, u64)"],
    ["bpf_trace_printk", "long (const char *, u32, ...)"],
    ["bpf_get_current_pid_tgid", "u64 (void)"],
    ["bpf_get_current_comm", "long (void *, u32)"],
    ["bpf_sk_lookup_tcp", "struct bpf_sock *(void *, void *, u32, u64, u64)"],
  ])("%s", (name, type) => {
    const func = helperDeclaration(name, (tag) => new RecordType(false, tag));
    expect(typeText(func!.type)).toBe(type);
  });

  test("all have a type", () => {
    for (const { name, args, variadic } of allHelpers()) {
      const func = helperDeclaration(name, () => undefined)!;
      expect([name, func.type.variadic]).toEqual([name, variadic]);
      // Prototypes also have flags that must be zero.
      expect(func.type.params.length, name).toBeGreaterThanOrEqual(args.length);
    }
  });

  test("what is no helper is none", () => {
    expect(helperDeclaration("bpf_no_such_thing", () => undefined)).toBeUndefined();
    expect(helperDeclaration("memcpy", () => undefined)).toBeUndefined();
  });

  test("calls are checked against the kernel's prototype", () => {
    const { diagnostics } = parse(
      "long f(void *m, void *k) { return bpf_map_update_elem(m, k, k); }",
      new KernelDeclarations(),
    );
    expect(diagnostics.format()).toContain("bpf_map_update_elem takes 4 arguments, here are 3");
  });
});

describeWith(["vmlinuxBtf"], "programs without headers", () => {
  const outer = (): KernelDeclarations =>
    new KernelDeclarations(
      new KernelTypes(Btf.parse(readFileSync("/sys/kernel/btf/vmlinux")), { preserveAccessIndex: true }),
    );

  test("types, constants and helpers of the kernel are there", () => {
    const { unit, diagnostics } = parse(
      `
int handle(struct pt_regs *ctx) {
  struct task_struct *task = (struct task_struct *)bpf_get_current_task();
  pid_t tgid = task->tgid;
  u64 start = task->start_time;
  struct key { u32 pid; char comm[TASK_COMM_LEN]; } key = { .pid = bpf_get_current_pid_tgid() >> 32 };
  bpf_get_current_comm(&key.comm, sizeof(key.comm));
  return task->mm && tgid > 1 && start ? BPF_MAP_TYPE_HASH : BPF_ANY;
}`.replace("TASK_COMM_LEN", "16"),
      outer(),
    );
    expect(diagnostics.format()).toBe("");
    expect(unit!.functions).toHaveLength(1);
  });

  test("what the kernel does not have is named, with what comes near", () => {
    expect(parse("struct task_struct *t; int f(void) { return t->tgdi; }", outer()).diagnostics.format()).toContain(
      "did you mean tgid?",
    );
    expect(parse("int f(void) { return BPF_MAP_TYPE_HAHS; }", outer()).diagnostics.format()).toContain(
      "did you mean BPF_MAP_TYPE_HASH?",
    );
  });

  test("a program's own definitions come before the kernel's", () => {
    const { diagnostics } = parse(
      'struct task_struct { int mine; }; typedef char u64; int f(struct task_struct *t) { _Static_assert(sizeof(u64) == 1, ""); return t->mine; }',
      outer(),
    );
    expect(diagnostics.format()).toBe("");
  });
});
