/** Instructions to bytes. */
import { INSN_SIZE, LD_IMM64 } from "./opcodes.ts";
import type { Insn } from "./instruction.ts";
import { slotsOf } from "./instruction.ts";

/** Byte order of instructions: the machine's. */
export type ByteOrder = "little" | "big";

function whole(value: number, low: number, high: number): boolean {
  return Number.isInteger(value) && value >= low && value <= high;
}

function checkFields(i: Insn, index: number): void {
  const wrong = (field: string, value: number, range: string): never => {
    throw new RangeError(`instruction ${index}: ${field} ${value} does not fit, ${range} wanted`);
  };
  if (!whole(i.opcode, 0, 255)) wrong("opcode", i.opcode, "0 to 255");
  if (!whole(i.dst, 0, 15)) wrong("destination register", i.dst, "0 to 15");
  if (!whole(i.src, 0, 15)) wrong("source register", i.src, "0 to 15");
  if (!whole(i.off, -0x8000, 0x7fff)) wrong("offset", i.off, "-32768 to 32767");
  if (!whole(i.imm, -0x8000_0000, 0x7fff_ffff)) wrong("immediate", i.imm, "-2147483648 to 2147483647");
  if ((i.opcode === LD_IMM64) !== (i.imm64 !== undefined)) {
    throw new TypeError(`instruction ${index}: imm64 belongs to 64-bit immediate loads, and to them always`);
  }
}

/**
 * Bytes of instructions, eight a slot.
 * Throws RangeError when a field does not fit, TypeError when `imm64` is missing or out of place.
 */
export function encode(insns: readonly Insn[], order: ByteOrder = "little"): Uint8Array {
  let slots = 0;
  for (const i of insns) slots += slotsOf(i);
  const bytes = new Uint8Array(slots * INSN_SIZE);
  const view = new DataView(bytes.buffer);
  const little = order === "little";
  let at = 0;
  for (const [index, i] of insns.entries()) {
    checkFields(i, index);
    bytes[at] = i.opcode;
    bytes[at + 1] = little ? (i.src << 4) | i.dst : (i.dst << 4) | i.src;
    view.setInt16(at + 2, i.off, little);
    if (i.imm64 === undefined) {
      view.setInt32(at + 4, i.imm, little);
    } else {
      view.setInt32(at + 4, Number(BigInt.asIntN(32, i.imm64)), little);
      view.setInt32(at + 12, Number(BigInt.asIntN(32, i.imm64 >> 32n)), little);
      at += INSN_SIZE;
    }
    at += INSN_SIZE;
  }
  return bytes;
}
