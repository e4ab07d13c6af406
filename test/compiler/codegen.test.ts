import { describe, expect, it } from "vitest";
import { compileModule, emitStage, kernelTarget, parseModule } from "../../src/compiler/index.ts";
import type { KernelTarget } from "../../src/compiler/index.ts";
import { Btf, decodeLineInfo } from "../../src/btf/index.ts";
import { LinuxKernel } from "../../src/kernel/linux/linux.ts";
import { describeWith, missing } from "../support/needs.ts";

const HEAD = `module test license "GPL"
source "t.bt" "first line\\nsecond line"
map m type 1 key 8 value 8 entries 16 flags 0
map a type 2 key 4 value 64 entries 1 flags 0
`;
const NEW = kernelTarget([6, 18]);
const OLD = kernelTarget([5, 10]);

function asm(body: string, target: KernelTarget = NEW): string[] {
  const module = parseModule(`${HEAD}entry @f(%ctx: ptr) -> i64 type 17 attach 0 {\n${body}\n}\n`);
  return emitStage(module, "asm", { target, check: true })
    .split("\n")
    .slice(1, -1)
    .filter((l) => !l.startsWith(";"))
    .map((l) => l.trim().replace(/^\d+: /, ""));
}

type Case = readonly [name: string, body: string, expected: string, target?: KernelTarget];

const CASES: readonly Case[] = [
  ["a constant", "e:\nreturn -1", "r0 = -1\nexit"],
  ["a constant of 33 bits takes two slots", "e:\nreturn 4294967296", "r0 = 0x100000000\nexit"],
  ["a constant of 32 unsigned bits takes one", "e:\nreturn 4294967295", "w0 = -1\nexit"],
  [
    "context offsets stay in the load",
    "e:\n%p = ptradd %ctx, 16\n%x = load i64 [%p + 8] bits 64\nreturn %x",
    "r0 = *(u64 *)(r1 +24)\nexit",
  ],
  [
    "null is compared on the whole register",
    `e:
     %k = alloca 8 align 8
     store [%k] 1 bits 64
     %m = mapref @m
     %v = helper ptr map_lookup_elem(%m, %k)
     %c = icmp eq ptr %v, null
     branch %c, none, some
     some:
     atomic add [%v] 1 bits 64
     return 0
     none:
     return 0`,
    `*(u64 *)(r10 -8) = 1
     r1 = map[m]
     r2 = r10
     r2 += -8
     call bpf_map_lookup_elem#1
     if r0 == 0x0 goto pc+2
     r1 = 1
     lock *(u64 *)(r0 +0) += r1
     r0 = 0
     exit`,
  ],
  [
    "unsigned 32-bit division runs on the whole register",
    "e:\n%x = load i32 [%ctx] bits 32\n%y = udiv i32 %x, 10\n%r = zext i64 %y bits 32\nreturn %r",
    "r0 = *(u32 *)(r1 +0)\nr0 /= 10\nexit",
  ],
  [
    "a bit test is one jump",
    "e:\n%x = load i64 [%ctx] bits 64\n%y = and i64 %x, 4\n%c = icmp ne i64 %y, 0\n%r = select i64 %c, 7, 9\nreturn %r",
    "r1 = *(u64 *)(r1 +0)\nr0 = 7\nif r1 & 0x4 goto pc+1\nr0 = 9\nexit",
  ],
  [
    "signed 32-bit comparison has its own class",
    "e:\n%x = load i32 [%ctx] bits 32\n%c = icmp slt i32 %x, -3\n%r = zext i64 %c bits 1\nreturn %r",
    "r1 = *(u32 *)(r1 +0)\nr0 = 1\nif w1 s< 0xfffffffd goto pc+1\nr0 = 0\nexit",
  ],
  [
    "neighbouring constants are one store",
    `e:
     %k = alloca 16 align 8
     store [%k] 7 bits 32
     store [%k + 4] 0 bits 32
     store [%k + 8] 1 bits 8
     store [%k + 9] 2 bits 8
     store [%k + 10] 0 bits 16
     store [%k + 12] 0 bits 32
     %m = mapref @m
     %d = ptradd %k, 8
     %v = helper i64 map_update_elem(%m, %k, %d, 0)
     return 0`,
    `*(u64 *)(r10 -16) = 7
     *(u64 *)(r10 -8) = 513
     r1 = map[m]
     r2 = r10
     r2 += -16
     r3 = r10
     r3 += -8
     r4 = 0
     call bpf_map_update_elem#2
     r0 = 0
     exit`,
  ],
  [
    "a number that was asked for its sign divides without",
    `e:
     %x = load i64 [%ctx] bits 64
     %c = icmp slt i64 %x, 0
     branch %c, no, yes
     yes:
     %y = sdiv i64 %x, 1000
     return %y
     no:
     return 0`,
    "r0 = *(u64 *)(r1 +0)\nif r0 s< 0x0 goto pc+2\nr0 /= 1000\nexit\nr0 = 0\nexit",
    OLD,
  ],
  [
    "one side's computation is done on that side",
    `e:
     %x = load i64 [%ctx] bits 64
     %c = icmp ugt i64 %x, 65535
     %y = lshr i64 %x, 16
     %r = select i64 %c, %y, %x
     return %r`,
    "r0 = *(u64 *)(r1 +0)\nif r0 <= 0xffff goto pc+1\nr0 >>= 16\nexit",
  ],
  [
    "32 bits compare in place where nothing else asks",
    "e:\n%x = load i64 [%ctx] bits 64\n%n = trunc %x\n%c = icmp eq i32 %n, -17\n%r = zext i64 %c bits 1\nreturn %r",
    "r1 = *(u64 *)(r1 +0)\nr0 = 1\nif w1 == 0xffffffef goto pc+1\nr0 = 0\nexit",
  ],
  ["v4 loads extend", "e:\n%x = load i64 [%ctx] bits 32 signed\nreturn %x", "r0 = *(s32 *)(r1 +0)\nexit"],
  [
    "older kernels extend by shifts",
    "e:\n%x = load i64 [%ctx] bits 32 signed\nreturn %x",
    "r0 = *(u32 *)(r1 +0)\nr0 <<= 32\nr0 s>>= 32\nexit",
    OLD,
  ],
  [
    "an address as a number passes the verifier's barrier",
    "e:\n%x = ptrtoint %ctx\n%y = and i64 %x, 255\nreturn %y",
    "r0 = r1\nr0 = le64 r0\nr0 &= 255\nexit",
  ],
  [
    "the context survives a call in a kept register",
    "e:\n%t = helper i64 ktime_get_ns()\n%x = load i64 [%ctx] bits 64\n%r = sub i64 %t, %x\nreturn %r",
    "r6 = r1\ncall bpf_ktime_get_ns#5\nr1 = *(u64 *)(r6 +0)\nr0 -= r1\nexit",
  ],
  [
    "variables that never live together share the stack",
    `e:
     %a = alloca 8 align 8
     %b = alloca 8 align 8
     %m = mapref @m
     store [%a] 1 bits 64
     %x = helper i64 map_delete_elem(%m, %a)
     store [%b] 2 bits 64
     %y = helper i64 map_delete_elem(%m, %b)
     return 0`,
    `*(u64 *)(r10 -8) = 1
     r1 = map[m]
     r2 = r10
     r2 += -8
     call bpf_map_delete_elem#3
     *(u64 *)(r10 -8) = 2
     r1 = map[m]
     r2 = r10
     r2 += -8
     call bpf_map_delete_elem#3
     r0 = 0
     exit`,
  ],
];

describe("code generation", () => {
  it.each(CASES.map(([name, body, expected, target]) => ({ name, body, expected, target })))("$name", (c) => {
    const lines = c.expected.split("\n").map((l) => l.trim());
    expect(asm(c.body, c.target)).toEqual(lines);
  });

  it("drops the old value of an atomic that nobody asks for", () => {
    const body = "e:\n%v = mapvalue @a + 0\n%o = atomic add [%v] 1 bits 64 fetch\nreturn 0";
    expect(asm(body, OLD)).toContain("lock *(u64 *)(r2 +0) += r1");
  });

  it.each([
    ["%o = atomic add [%v] 1 bits 64 fetch\nreturn %o", "an atomic addition whose old value is used"],
    ["%o = atomic xchg [%v] 1 bits 64\nreturn 0", "an atomic xchg"],
    ["atomic or [%v] 1 bits 64\nreturn 0", "an atomic or"],
  ])("refuses what kernels before 5.12 lack: %s", (body, what) => {
    expect(() => asm(`e:\n%v = mapvalue @a + 0\n${body}`, OLD)).toThrow(`${what} needs Linux 5.12, the kernel is 5.10`);
  });

  it("says which variables take the stack", () => {
    const module = parseModule(`${HEAD}entry @f(%ctx: ptr) -> i64 type 17 attach 0 {
      e:
      %a = alloca 400 align 8 "path"
      %b = alloca 200 align 8 "name"
      %x = helper i64 get_current_comm(%a, 400)
      %y = helper i64 get_current_comm(%b, 200)
      %u = load i64 [%a] bits 64
      %v = load i64 [%b] bits 64
      %r = add i64 %u, %v
      return %r
      }
      `);
    expect(() => compileModule(module, { target: NEW })).toThrow(
      "function f uses 600 bytes of stack, the kernel gives a program 512: the largest are path (400 bytes), name (200 bytes)",
    );
    const object = compileModule(module, { target: NEW, scratch: true });
    expect(object.maps.at(-1)).toMatchObject({ name: "skep_scratch", valueSize: 400, maxEntries: 1 });
    expect(module.maps.map((m) => m.name)).toEqual(["m", "a"]);
    if (!missing("linux", "root", "bpf")) new LinuxKernel().load(object).close();
  });

  it("writes ascending line records with the source's text", () => {
    const module = parseModule(`${HEAD}entry @f(%ctx: ptr) -> i64 type 17 attach 0 !0:1:1 {
      e:
      %x = load i64 [%ctx] bits 64 !0:1:7
      %t = helper i64 ktime_get_ns() !0:2:3
      %r = sub i64 %t, %x !0:2:1
      return %r !0:2:1
      }
      `);
    const object = compileModule(module, { target: NEW });
    const records = decodeLineInfo(object.programs[0]!.lineInfo, Btf.parse(object.btf!).strings);
    expect(records.map((r) => `${r.insnIndex} ${r.file}:${r.line}:${r.column} ${r.source}`)).toEqual([
      "0 t.bt:1:7 first line",
      "1 t.bt:2:3 second line",
      "2 t.bt:2:1 second line",
    ]);
  });
});

it("locals of calls that follow each other share their place, wherever their addresses go", () => {
  const module = parseModule(`${HEAD}
    callback @each(%map: ptr, %key: ptr, %value: ptr, %ctx: ptr) -> i64 {
    e:
    return 0
    }
    static @work(%x: i64) -> i64 inline always {
    e:
    %big = alloca 400 align 8 "big"
    %holder = alloca 8 align 8 "holder"
    store [%big] %x bits 64
    store [%holder] %big bits 64
    %m = mapref @m
    %f = funcref @each
    %r = helper i64 for_each_map_elem(%m, %f, %holder, 0)
    %y = load i64 [%big] bits 64
    %z = add i64 %y, %r
    return %z
    }
    entry @f(%ctx: ptr) -> i64 type 17 attach 0 {
    e:
    %a = call i64 @work(1)
    %b = call i64 @work(2)
    %s = add i64 %a, %b
    return %s
    }
    `);
  const object = compileModule(module, { target: NEW, check: true });
  expect(object.programs).toHaveLength(1);
  if (missing("linux", "root", "bpf") !== undefined) return;
  using kernel = new LinuxKernel();
  const loaded = kernel.load(object);
  expect(loaded.program("f").testRun(new Uint8Array(64))).toBe(3);
  loaded.close();
});

describeWith(["linux", "root", "bpf"], "on the running kernel", () => {
  it("loads subprograms, callbacks and open loops", () => {
    const module = parseModule(`${HEAD}
      callback @each(%map: ptr, %key: ptr, %value: ptr, %ctx: ptr) -> i64 {
      e:
      %x = load i64 [%value] bits 64
      %s = load i64 [%ctx] bits 64
      %n = add i64 %s, %x
      store [%ctx] %n bits 64
      return 0
      }
      static @twice(%x: i64) -> i64 inline never {
      e:
      %r = mul i64 %x, 2
      return %r
      }
      entry @f(%ctx: ptr) -> i64 type 17 attach 0 {
      e:
      %sum = alloca 8 align 8 "sum"
      %i = alloca 8 align 8 "i"
      %key = alloca 8 align 8 "key"
      store [%sum] 0 bits 64
      %m = mapref @m
      store [%key] 1 bits 64
      store [%i] 21 bits 64
      %u = helper i64 map_update_elem(%m, %key, %i, 0)
      %f = funcref @each
      %e = helper i64 for_each_map_elem(%m, %f, %sum, 0)
      %s = load i64 [%sum] bits 64
      %t = call i64 @twice(%s)
      store [%i] 0 bits 64
      jump head
      head:
      %j = load i64 [%i] bits 64
      %limit = load i64 [%ctx] bits 64
      %c = icmp ult i64 %j, %limit
      branch %c, body, out
      body:
      %k = add i64 %j, 1
      store [%i] %k bits 64
      maygoto head, out
      out:
      %l = load i64 [%i] bits 64
      %r = add i64 %t, %l
      return %r
      }
      `);
    using kernel = new LinuxKernel();
    for (const optimize of [0, 1, 2] as const) {
      for (const target of [NEW, OLD]) {
        const loaded = kernel.load(compileModule(module, { optimize, target, check: true }));
        const context = new Uint8Array(64);
        context[0] = 200;
        expect(loaded.program("f").testRun(context)).toBe(42 + 200);
        loaded.close();
      }
    }
  });
});
