import { describe, expect, it } from "vitest";
import { ScriptError } from "../../src/base/index.ts";
import { assemble, disassemble, encode } from "../../src/isa/index.ts";
import { toHex } from "./table.ts";

/** Text that is read, and what it means in the kernel's text. */
const read: readonly (readonly [name: string, text: string, meaning: string])[] = [
  [
    "labels forward and back",
    "start:\nr0 += 1\nif r0 < 5 goto start\ngoto end\nr0 = 0\nend: exit",
    "r0 += 1|if r0 < 0x5 goto pc-2|goto pc+1|r0 = 0|exit",
  ],
  ["labels past two-slot loads", "goto end\nr1 = 5 ll\nr1 = 6 ll\nend: exit", "goto pc+4|r1 = 0x5|r1 = 0x6|exit"],
  ["a label at the end", "if r1 == 0 goto out\nr0 = 1\nout:", "if r1 == 0x0 goto pc+1|r0 = 1"],
  ["gotol and may_goto to labels", "a: may_goto b\ngotol a\nb: exit", "may_goto pc+1|gotol pc-2|exit"],
  ["a call of a label", "call f\nexit\nf: r0 = 0\nexit", "call pc+1|exit|r0 = 0|exit"],
  ["the address of a subprogram", "r2 = subprog[f]\nexit\nf: exit", "r2 = subprog[+2]|exit|exit"],
  ["comments", "r0 = 0 ; zero\n# all of this\nr1 = 1 // one\n/* r2 = 2\nr3 = 3 */ exit", "r0 = 0|r1 = 1|exit"],
  ["a verifier log's instructions", "0: (b7) r0 = 0\n1: (18) r1 = 0x5\n3: (95) exit", "r0 = 0|r1 = 0x5|exit"],
  [
    "bpftool's names of functions",
    "call pc+3#bpf_prog_1234_f\ncall bpf_ktime_get_ns#5",
    "call pc+3|call bpf_ktime_get_ns#5",
  ],
  [
    "llvm-objdump with raw bytes",
    "0000000000000000 <f>:\n       0:\t79 10 08 00 00 00 00 00\tr0 = *(u64 *)(r1 + 8)\n       1:\t18 01 00 00 05 00 00 00 00 00 00 00 00 00 00 00\tr1 = 5 ll\n       3:\t15 01 01 00 00 00 00 00\tif r1 == 0 goto +1 <LBB0_2>\n       4:\t85 00 00 00 05 00 00 00\tcall 5\n\n0000000000000028 <LBB0_2>:\n       5:\t95 00 00 00 00 00 00 00\texit",
    "r0 = *(u64 *)(r1 +8)|r1 = 0x5|if r1 == 0x0 goto pc+1|call bpf_ktime_get_ns#5|exit",
  ],
  [
    "newer llvm's hexadecimal",
    "r1 = *(u64 *)(r10 - 0x10)\nif w1 s> -0x1 goto +0x2\nr2 &= 0xff",
    "r1 = *(u64 *)(r10 -16)|if w1 s> 0xffffffff goto pc+2|r2 &= 255",
  ],
  [
    "half registers of clang",
    "w0 = *(u8 *)(r1 + 0)\n*(u32 *)(r1 + 4) = w2\nw3 = xchg32_32(r1 + 8, w3)",
    "r0 = *(u8 *)(r1 +0)|*(u32 *)(r1 +4) = r2|r3 = atomic_xchg((u32 *)(r1 +8), r3)",
  ],
  [
    "unsigned immediates of 32 bits",
    "w1 = 4294967295\nif r1 == 0xffffffff goto +0\n*(u32 *)(r10 -4) = 0xffffffff",
    "w1 = -1|if r1 == 0xffffffff goto pc+0|*(u32 *)(r10 -4) = -1",
  ],
  [
    "tight and loose spacing",
    "r1+=2\nr2 = * ( u32 * ) ( r1+8 )\nif r1==r2 goto pc +1\nr1=-r1",
    "r1 += 2|r2 = *(u32 *)(r1 +8)|if r1 == r2 goto pc+1|r1 = -r1",
  ],
  ["addresses without an offset", "r0 = *(u64 *)(r1)", "r0 = *(u64 *)(r1 +0)"],
  ["helpers by name", "call bpf_get_current_pid_tgid", "call bpf_get_current_pid_tgid#14"],
  ["Windows line ends", "r0 = 0\r\nexit\r\n", "r0 = 0|exit"],
  ["nothing", "\n\n; nothing\n", ""],
];

describe("assemble reads", () => {
  it.each(read)("%s", (_, text, meaning) => {
    const lines = disassemble(assemble(text)).trim().split("\n").join("|");
    expect(lines).toBe(meaning);
  });

  it("hexadecimal constants as the dialect prints them", () => {
    const bytes = (text: string, dialect: "kernel" | "llvm"): string => toHex(encode(assemble(text, { dialect })));
    expect(bytes("r1 = 0x5", "kernel")).toBe("18 01 00 00 05 00 00 00 00 00 00 00 00 00 00 00");
    expect(bytes("r1 = 0x5", "llvm")).toBe("b7 01 00 00 05 00 00 00");
    expect(bytes("(b7) r1 = 0x5", "kernel")).toBe("b7 01 00 00 05 00 00 00");
    expect(bytes("(18) r1 = 5", "llvm")).toBe("18 01 00 00 05 00 00 00 00 00 00 00 00 00 00 00");
  });
});

/** Text, and where and how it is refused: `line:column-column: message`, then the hint. */
const refused: readonly [text: string, where: string, message: string, hint?: string][] = [
  ["r0 = 0\nfrob r1", "2:1-5", '"frob" starts no instruction', "Instructions look like"],
  ["r11 = 0", "1:1-4", '"r11" starts no instruction'],
  ["r1 = w2", "1:6-8", "both registers must be r, for 64 bits, or both w, for 32"],
  ["r1 ~= 2", "1:4-5", 'operator expected, found "~"', "Operators are"],
  ["r1 += 4294967295", "1:7-17", "4294967295 does not fit", "sign-extended"],
  ["r1 = *(u63 *)(r2 + 0)", "1:8-11", 'size expected, found "u63"', "Sizes are"],
  ["r1 = *(u64 *)(r2 + 40000)", "1:18-25", "40000 does not fit, -32768 to 32767"],
  ["r1 = *(u64 *)(w2 + 0)", "1:15-17", "addresses are in 64-bit registers"],
  ["w1 = *(u64 *)(r2 + 0)", "1:1-3", "w1 has 32 bits, the memory 64"],
  ["*(s32 *)(r1 + 0) = r2", "1:2-17", "only loads extend a sign"],
  ["lock *(u8 *)(r1 + 0) += r2", "1:22-24", "atomics work on u32 and u64"],
  ["r1 = atomic64_fetch_add((u64 *)(r2 +0), r3)", "1:1-3", "the old value goes to the operand's register, r3"],
  ["r1 = atomic64_cmpxchg((u64 *)(r2 +0), r0, r3)", "1:1-3", "goes to r0"],
  ["if r1 = 0 goto +1", "1:7-8", 'comparison expected, found "="', "Comparisons are"],
  ["if r1 == 0 go +1", "1:12-14", '"goto" expected, found "go"'],
  ["goto nowhere", "1:6-13", "label nowhere does not exist"],
  ["loop:\ngoto lop", "2:6-9", "label lop does not exist", "Did you mean loop?"],
  ["a: exit\na: exit", "2:1-2", "label a is defined twice"],
  ["call bpf_map_lookup_elm", "1:6-24", "helper or label bpf_map_lookup_elm does not exist", "bpf_map_lookup_elem"],
  ["call bpf_ktime_get_ns#6", "1:23-24", "bpf_ktime_get_ns is number 5, not 6"],
  ["exit now", "1:6-9", 'end of the statement expected, found "now"'],
  ["(bf) r1 = 5", "1:1-5", "opcode bf stands before text that is opcode b7"],
  ["r1 = be16 r2", "1:11-13", "byte order is changed in place"],
  ["w1 = (s32)w2", "1:7-10", "signed size expected", "s8 and s16"],
  ["r1 = ", "1:6-7", "register expected, at the end of the statement"],
  ["goto +40000", "1:6-12", "40000 does not fit"],
];

describe("assemble refuses", () => {
  it.each(refused)("%j at %s: %s", (text, where, message, hint) => {
    try {
      assemble(text, { name: "t.s" });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ScriptError);
      const { message: shown, exitStatus } = error as ScriptError;
      expect(shown).toContain(`t.s:${where}: ERROR: `);
      expect(shown).toContain(message);
      if (hint !== undefined) expect(shown).toMatch(new RegExp(`HINT: .*${hint}`));
      expect(exitStatus).toBe(2);
    }
  });

  it("labels too far for 16 bits, and says what goes further", () => {
    const far = `goto end\n${"r0 = 0\n".repeat(40_000)}end: exit`;
    expect(() => assemble(far)).toThrow(/label end is 40000 slots away[^]*gotol/);
  });

  it("everything that is wrong at once, in order", () => {
    try {
      assemble("frob\nr0 = 0\ngoto x\nblob");
      expect.unreachable();
    } catch (error) {
      expect((error as ScriptError).diagnostics.map((d) => d.message)).toEqual([
        '"frob" starts no instruction',
        "label x does not exist",
        '"blob" starts no instruction',
      ]);
    }
  });
});
