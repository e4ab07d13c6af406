import { describe, expect, it } from "vitest";
import { Alu, Atomic, InsnWriter, Jmp, PseudoImm64, Size, decode, disassemble } from "../../src/isa/index.ts";

function written(write: (w: InsnWriter) => void, initialSlots?: number): string {
  const writer = new InsnWriter(initialSlots);
  write(writer);
  return disassemble(writer.finish(), { strict: true }).trimEnd().replaceAll("\n", "|");
}

/** What is written, and the kernel's text of it. */
const cases: readonly (readonly [text: string, write: (w: InsnWriter) => void])[] = [
  [
    "r1 += 5|r1 -= r2|w3 *= -1|w4 ^= w5",
    (w) => {
      w.alu64Imm(Alu.ADD, 1, 5);
      w.alu64Reg(Alu.SUB, 1, 2);
      w.alu32Imm(Alu.MUL, 3, 0xffff_ffff);
      w.alu32Reg(Alu.XOR, 4, 5);
    },
  ],
  [
    "r1 s/= r2|r3 = -r3|w4 = -w4",
    (w) => {
      w.alu64Reg(Alu.DIV, 1, 2, 1);
      w.neg64(3);
      w.neg32(4);
    },
  ],
  [
    "r1 = -2|r1 = r2|w1 = 7|w1 = w2|r1 = (s16)r2|r1 = be32 r1|r1 = le16 r1|r1 = bswap64 r1",
    (w) => {
      w.mov64Imm(1, -2);
      w.mov64Reg(1, 2);
      w.mov32Imm(1, 7);
      w.mov32Reg(1, 2);
      w.movsx64(1, 2, 16);
      w.endian("be", 1, 32);
      w.endian("le", 1, 16);
      w.bswap(1, 64);
    },
  ],
  [
    "r1 = *(u32 *)(r10 -8)|r1 = *(s8 *)(r2 +1)|*(u64 *)(r10 -8) = r3|*(u16 *)(r10 -8) = 9|r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)",
    (w) => {
      w.load(Size.W, 1, 10, -8);
      w.loadSx(Size.B, 1, 2, 1);
      w.store(Size.DW, 10, -8, 3);
      w.storeImm(Size.H, 10, -8, 9);
      w.atomic(Size.DW, Atomic.ADD | Atomic.FETCH, 1, 0, 2);
    },
  ],
  [
    "r1 = 0x200000001|r1 = map[id:7][0]+16|call bpf_ktime_get_ns#5|call kernel-function#9@1|exit",
    (w) => {
      w.ldImm64(1, 1, 2);
      w.ldImm64Pseudo(1, PseudoImm64.MAP_VALUE, 7, 16);
      w.call(5);
      w.callKfunc(9, 1);
      w.exit();
    },
  ],
  [
    "if r1 == 0x0 goto pc+3|r1 = 0x5|goto pc-4|if w1 s> w2 goto pc-5|exit",
    (w) => {
      const [start, end] = [w.label(), w.label()];
      w.place(start);
      w.link(w.jumpImm(Jmp.JEQ, 1, 0), end);
      w.ldImm64(1, 5, 0);
      w.link(w.jump(), start);
      w.place(end);
      w.link(w.jump32Reg(Jmp.JSGT, 1, 2), start);
      w.exit();
    },
  ],
  [
    "call pc+2|r2 = subprog[+1]|gotol pc+0|may_goto pc-1|exit",
    (w) => {
      const f = w.label();
      w.link(w.callLocal(), f);
      const load = w.ldImm64Pseudo(2, PseudoImm64.FUNC, 0, 0);
      w.place(f);
      const here = w.label();
      w.link(w.jumpLong(), here);
      w.place(here);
      w.mayGoto(-1);
      w.exit();
      w.patchImm(load, 1);
    },
  ],
];

describe("InsnWriter", () => {
  it.each(cases)("%s", (text, write) => {
    expect(written(write)).toBe(text);
    expect(written(write, 0), "from an empty buffer").toBe(text);
  });

  it("tells where labels are, and patches", () => {
    const w = new InsnWriter();
    const label = w.label();
    expect(w.slotOf(label)).toBeUndefined();
    const jump = w.jump();
    w.place(label);
    expect([jump, w.slotOf(label), w.slots, w.opcodeAt(0)]).toEqual([0, 1, 1, 0x05]);
    w.patchOff(jump, -1);
    expect(decode(w.finish())[0]!.off).toBe(-1);
  });

  it("grows over any number of instructions", () => {
    const w = new InsnWriter(1);
    for (let i = 0; i < 10_000; i++) w.mov64Imm(0, i);
    const insns = decode(w.finish());
    expect(insns).toHaveLength(10_000);
    expect(insns.every((insn, i) => insn.imm === i)).toBe(true);
  });

  it.each<[string, (w: InsnWriter) => unknown]>([
    ["offset 32768 does not fit", (w) => w.load(Size.W, 1, 10, 0x8000)],
    ["immediate 4294967296 does not fit", (w) => w.mov64Imm(1, 2 ** 32)],
    [
      "has a place already",
      (w) => {
        const label = w.label();
        w.place(label);
        w.place(label);
      },
    ],
    [
      "label 0 has no place, instruction 0 goes there",
      (w) => {
        w.link(w.jump(), w.label());
        w.finish();
      },
    ],
    ["slot 3 of 0", (w) => w.patchImm(3, 0)],
    [
      "offset 40000 does not fit",
      (w) => {
        const end = w.label();
        w.link(w.jump(), end);
        for (let i = 0; i < 40_000; i++) w.mov64Imm(0, 0);
        w.place(end);
        w.finish();
      },
    ],
  ])("throws: %s", (message, use) => {
    expect(() => use(new InsnWriter())).toThrow(message);
  });
});
