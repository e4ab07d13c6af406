/** CO-RE records, kernel symbols, packet loads and inline assembly: where they end in the code, and what loaders and the kernel make of them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { BtfBuilder, CoreKind } from "../../src/btf/index.ts";
import { compileModule, kernelTarget, objectText, parseModule } from "../../src/compiler/index.ts";
import { LinuxKernel } from "../../src/kernel/linux/linux.ts";
import { writeElf } from "../../src/object/index.ts";
import type { BpfObject } from "../../src/object/index.ts";
import { describeWith } from "../support/needs.ts";

const HEAD = 'module test license "GPL"\nsource "t.c" "line"\nmap m type 2 key 4 value 64 entries 1 flags 0\n';
const INT_SIGNED = 1;

function compiled(functions: string, optimize: 0 | 1 | 2 = 2): BpfObject {
  const btf = new BtfBuilder();
  const int = btf.int("int", 4, INT_SIGNED);
  // Members lie elsewhere than the kernel's, so that nothing works by accident.
  const task = btf.struct("task_struct___test", 24, [
    { name: "tgid", typeId: int, bitOffset: 64 },
    { name: "pid", typeId: int, bitOffset: 96 },
    { name: "no_such_member", typeId: int, bitOffset: 128 },
  ]);
  const text = functions.replaceAll("TASK", String(task)).replace(/CORE\((\w+)\)/g, (_, kind: string) => {
    return `core ${CoreKind[kind as keyof typeof CoreKind]}`;
  });
  return compileModule(parseModule(HEAD + text), { btf, target: kernelTarget([6, 1]), check: true, optimize });
}

const entry = (body: string, type = 17): string =>
  `entry @f(%ctx: ptr) -> i64 type ${type} attach 0 section "raw_tp/sys_enter" {\n${body}\n}\n`;

/** Instructions, those with a record marked by `@` and the record's kind. */
function listing(object: BpfObject): string[] {
  const [program] = object.programs;
  const records = new Map((program!.coreRelocations ?? []).map((r) => [r.insnIndex, r.kind]));
  return objectText(object)
    .split("\n")
    .slice(1, -1)
    .filter((line) => !line.startsWith(";"))
    .map((line) => {
      const [, slot, text] = /^ *(\d+): (.*)$/.exec(line)!;
      const kind = records.get(Number(slot));
      return kind === undefined ? text! : `${text} @${kind}`;
    });
}

const CASES: readonly (readonly [name: string, body: string, expected: string])[] = [
  [
    "an offset sits in the access",
    `e:
     %o = CORE(FIELD_BYTE_OFFSET) type TASK "0:1" value 12
     %p = ptradd %ctx, %o
     %x = load i64 [%p] bits 32
     return %x`,
    "r0 = *(u32 *)(r1 +12) @0\nexit",
  ],
  [
    "an offset of an address sits in the addition",
    `e:
     %b = alloca 8 align 8
     %t = helper ptr get_current_task()
     %o = CORE(FIELD_BYTE_OFFSET) type TASK "0:1" value 12
     %p = ptradd %t, %o
     %r = helper i64 probe_read_kernel(%b, 4, %p)
     %x = load i64 [%b] bits 32
     return %x`,
    `call bpf_get_current_task#35
     r3 = r0
     r3 += 12 @0
     r1 = r10
     r1 += -8
     r2 = 4
     call bpf_probe_read_kernel#113
     r0 = *(u32 *)(r10 -8)
     exit`,
  ],
  [
    "an amount of a shift is its immediate, also as a number of 32 bits",
    `e:
     %x = load i64 [%ctx] bits 64
     %s = CORE(FIELD_LSHIFT_U64) type TASK "0:1" value 32
     %n = trunc %s
     %w = zext i64 %n bits 32
     %y = shl i64 %x, %w
     return %y`,
    "r0 = *(u64 *)(r1 +0)\nr0 <<= 32 @4\nexit",
  ],
  [
    "an answer decides a branch that stays",
    `e:
     %s = CORE(FIELD_EXISTS) type TASK "0:2" value 1
     %c = icmp ne i64 %s, 0
     branch %c, yes, no
     yes:
     %x = load i64 [%ctx] bits 64
     return %x
     no:
     return 7`,
    "r2 = 1 @2\nif r2 != 0x0 goto pc+2\nr0 = 7\nexit\nr0 = *(u64 *)(r1 +0)\nexit",
  ],
  [
    "ids of types take 64 bits",
    `e:
     %s = CORE(TYPE_ID_TARGET) type TASK "0" value 5
     return %s`,
    "r0 = 0x5 @7\nexit",
  ],
  [
    "an unused record is gone",
    `e:
     %s = CORE(FIELD_EXISTS) type TASK "0:2" value 1
     return 0`,
    "r0 = 0\nexit",
  ],
  [
    "assembly names its operands' registers",
    `e:
     %x = load i64 [%ctx] bits 64
     %k = mapvalue @m
     %a = asm "$0 = $1; $0 <<= $2\\n*(u64 *)($3) = \${0}" out(i64 early) in(register %x, immediate 3, memory %k) clobber() memory volatile
     %r = asmresult i64 %a 0
     return %r`,
    "r2 = *(u64 *)(r1 +0)\nr1 = map[m][0]+0\nr0 = r2\nr0 <<= 3\n*(u64 *)(r1 +0) = r0\nexit",
  ],
  [
    "empty assembly hides a value and costs nothing",
    `e:
     %a = asm "" out(i64 tied 0) in(register 5) clobber() volatile
     %r = asmresult i64 %a 0
     %s = add i64 %r, 1
     return %s`,
    "r0 = 5\nr0 += 1\nexit",
  ],
  [
    "a function of nothing but assembly ends in it",
    `e:
     %a = asm "r0 = 0; exit" out() in() clobber(0) volatile
     unreachable`,
    "r0 = 0\nexit",
  ],
  [
    "a raw pointer is the pointer's register",
    `e:
     %p = load ptr [%ctx] bits 64
     %q = load ptr [%ctx + 8] bits 64
     %n = ptrtoint %p raw
     %m = ptrtoint %q raw
     %e = add i64 %n, 14
     %c = icmp ugt i64 %e, %m
     branch %c, no, yes
     yes:
     %x = load i64 [%p + 12] bits 16
     return %x
     no:
     return 0`,
    "r2 = *(u64 *)(r1 +0)\nr3 = *(u64 *)(r1 +8)\nr1 = r2\nr1 += 14\nif r1 > r3 goto pc+2\nr0 = *(u16 *)(r2 +12)\nexit\nr0 = 0\nexit",
  ],
];

describe("records and assembly in the code", () => {
  it.each(CASES)("%s", (_, body, expected) => {
    expect(listing(compiled(entry(body)))).toEqual(expected.split("\n").map((line) => line.trim()));
  });

  it("symbols of the kernel are relocations", () => {
    const object = compiled(entry("e:\n%k = ksym @bpf_prog_active\n%n = ptrtoint %k\nreturn %n"));
    expect(object.programs[0]!.relocations).toEqual([{ kind: "ksym", insnIndex: 0, name: "bpf_prog_active" }]);
  });

  it("assembly that is wrong is told at its line", () => {
    const body = 'e:\n%a = asm "r1 ++ 5" out() in() clobber() volatile !0:1:1\nreturn 0';
    expect(() => compiled(entry(body))).toThrow(/^t\.c:1:1: ERROR: inline assembly: /);
  });

  it("calls with more arguments than registers hold are inlined, or refused at their place", () => {
    const wide = (inline: string): string =>
      `static @sum(%a: i64, %b: i64, %c: i64, %d: i64, %e: i64, %f: i64) -> i64${inline} {
       e:
       %x = add i64 %a, %f
       return %x
       }\n`;
    const body = "e:\n%r = call i64 @sum(1, 2, 3, 4, 5, 6) !0:1:1\nreturn %r";
    expect(listing(compiled(wide("") + entry(body)))).toEqual(["r0 = 7", "exit"]);
    expect(() => compiled(wide(" inline never") + entry(body))).toThrow(/^t\.c:1:1: ERROR: sum is called with 6 arg/);
  });
});

/** 1 when the task's number is what the helper says it is, with a guarded member that the kernel lacks. */
const TASK = entry(`e:
  %b = alloca 8 align 8
  %id = helper i64 get_current_pid_tgid()
  %low = and i64 %id, 4294967295
  %high = lshr i64 %id, 32
  %t = helper ptr get_current_task()
  %o = CORE(FIELD_BYTE_OFFSET) type TASK "0:1" value 12
  %p = ptradd %t, %o
  %r = helper i64 probe_read_kernel(%b, 4, %p)
  %pid = load i64 [%b] bits 32
  %same = icmp eq i64 %pid, %low
  %o2 = CORE(FIELD_BYTE_OFFSET) type TASK "0:0" value 8
  %p2 = ptradd %t, %o2
  %size = CORE(FIELD_BYTE_SIZE) type TASK "0:0" value 4
  %r2 = helper i64 probe_read_kernel(%b, %size, %p2)
  %tgid = load i64 [%b] bits 32
  %same2 = icmp eq i64 %tgid, %high
  %s1 = zext i64 %same bits 1
  %s2 = zext i64 %same2 bits 1
  %both = and i64 %s1, %s2
  %has = CORE(FIELD_EXISTS) type TASK "0:2" value 1
  %c = icmp ne i64 %has, 0
  branch %c, yes, no
  yes:
  %o3 = CORE(FIELD_BYTE_OFFSET) type TASK "0:2" value 16
  %p3 = ptradd %t, %o3
  %r3 = helper i64 probe_read_kernel(%b, 4, %p3)
  return 99
  no:
  return %both`);

describeWith(["linux", "root", "bpf", "vmlinuxBtf"], "records on the running kernel", () => {
  it("are corrected by our loader", () => {
    using kernel = new LinuxKernel();
    for (const optimize of [0, 1, 2] as const) {
      const loaded = kernel.load(compiled(TASK, optimize));
      expect(loaded.program("f").testRun(new Uint8Array(64))).toBe(1);
      loaded.close();
    }
  });
});

describeWith(["linux", "root", "bpf", "vmlinuxBtf", "bpftool"], "records in libbpf", () => {
  it("are corrected by libbpf", () => {
    const dir = mkdtempSync(join(tmpdir(), "skep-core-"));
    const pin = `/sys/fs/bpf/skep_core_${process.pid}`;
    try {
      const file = join(dir, "core.bpf.o");
      writeFileSync(file, writeElf(compiled(TASK)));
      execFileSync("bpftool", ["prog", "load", file, pin], { stdio: "pipe" });
      const code = execFileSync("bpftool", ["prog", "dump", "xlated", "pinned", pin], { encoding: "utf8" });
      // The guard is decided, and what it guards is gone.
      expect(code).not.toContain("r0 = 99");
    } finally {
      rmSync(pin, { force: true });
      rmSync(dir, { recursive: true });
    }
  });
});
