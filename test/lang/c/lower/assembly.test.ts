/** Inline assembly: operands of every kind reach the code and come back. */
import { afterAll, expect, test } from "vitest";
import { LinuxKernel } from "../../../../src/kernel/linux/linux.ts";
import { describeWith } from "../../../support/needs.ts";
import { INPUTS, VARIANTS, onKernel } from "./run.ts";

const int = (v: bigint): bigint => BigInt.asIntN(32, v);
const long = (v: bigint): bigint => BigInt.asIntN(64, v);

/** Statements that see `a` and `b`, and what they return. */
const cases: readonly (readonly [string, (a: bigint, b: bigint) => bigint])[] = [
  ['long x = a; asm volatile("%0 += 5" : "+r"(x)); return x;', (a) => long(a + 5n)],
  ['long x; asm("%0 = %1; %0 += %2" : "=&r"(x) : "r"(a), "r"(b)); return x;', (a, b) => long(a + b)],
  [
    'long x; asm volatile("%[out] = %[in]\\n\\t%[out] <<= 3" : [out] "=&r"(x) : [in] "r"(a)); return x;',
    (a) => long(a << 3n),
  ],
  ['long x = a; asm volatile("%0 += %1" : "+r"(x) : "i"(77)); return x;', (a) => long(a + 77n)],
  ['long x = a; asm volatile("%0 += %1" : "+r"(x) : "ri"(b)); return x;', (a, b) => long(a + b)],
  ['long x = a; asm volatile("%0 += %1" : "+r"(x) : "ri"(9)); return x;', (a) => long(a + 9n)],
  ['long x; asm volatile("%0 = %1" : "=r"(x) : "0"(a)); return x;', (a) => a],
  ['int x = a; asm volatile("%w0 += 1" : "+r"(x)); return x;', (a) => int(a + 1n)],
  [
    'long x = a, y = b; asm volatile("r1 = %0; %0 = %1; %1 = r1" : "+r"(x), "+r"(y) :: "r1"); return x * 3 + y;',
    (a, b) => long(b * 3n + a),
  ],
  ['long x = a; asm volatile("*(u64 *)(%0) = %1" : "=m"(x) : "r"(b)); return x;', (_, b) => b],
  ['long x = a, y; asm volatile("%0 = *(u64 *)%1" : "=r"(y) : "m"(x)); return y;', (a) => a],
  [
    'long x = a; asm volatile("if %0 > 10 goto +1; %0 = 3" : "+r"(x)); return x;',
    (a) => (BigInt.asUintN(64, a) > 10n ? a : 3n),
  ],
  [
    'long x = a; asm volatile("r0 = %0; r0 *= 2; %0 = r0" : "+r"(x) : : "r0", "memory"); return x;',
    (a) => long(a * 2n),
  ],
  ['int i = a & 7; asm volatile("" : "+r"(i)); asm volatile("" ::: "memory"); return i;', (a) => a & 7n],
  [
    'struct { int k; long v; } s = { 1, a }; long x; asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(x) : "r"(&s), "i"(__builtin_offsetof(typeof(s), v)) : "memory"); return x;',
    (a) => a,
  ],
  ['long x = a; asm volatile("%0 &= 0xFFFF1234" : "+r"(x)); return x;', (a) => long(a & -60_876n)],
  ['long x = a; asm volatile("" : "+g"(x) : "p"(&x)); return x;', (a) => a],
  [
    'long x = a; asm volatile("call %1; %0 = r0" : "=r"(x) : "i"(bpf_get_smp_processor_id) : "r0", "r1", "r2", "r3", "r4", "r5"); return x < 4096;',
    () => 1n,
  ],
  ['int r = 0; for (int i = 0; i < 5; i++) { asm volatile("%0 += 2" : "+r"(r)); } return r;', () => 10n],
  ['u8 x = a; asm("" : "+r"(x)); return x;', (a) => a & 255n],
];

describeWith(["linux", "root", "bpf"], "inline assembly in the kernel", () => {
  const kernel = new LinuxKernel();
  afterAll(() => kernel.close());
  test.each(cases)("%s", (text, want) => {
    for (const [optimize, target] of VARIANTS)
      expect(onKernel(kernel, text, optimize, target)).toEqual(INPUTS.map(([a, b]) => want(a, b)));
  });
});
