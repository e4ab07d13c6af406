/** Bytes to instructions. */
import { ParseError } from "../base/index.ts";
import type { ByteOrder } from "./encode.ts";
import type { Insn } from "./instruction.ts";
import { invalidReason } from "./instruction.ts";
import { INSN_SIZE, LD_IMM64 } from "./opcodes.ts";

/** How to decode. */
export interface DecodeOptions {
  /** Default little. */
  readonly order?: ByteOrder;
  /** Names the bytes in errors, such as an ELF section. Default `instructions`. */
  readonly section?: string;
  /**
   * Also refuse what is no instruction of Linux 6.18: unknown opcodes, reserved fields that are not zero, registers past r10.
   * Without it only what has no instruction boundaries is refused, so that odd programs can still be shown.
   */
  readonly strict?: boolean;
}

/**
 * Instructions of a program's bytes. Throws ParseError with the byte offset: a length that is no multiple of eight, a 64-bit
 * immediate load whose second slot is missing or not blank, and in strict mode anything that is not an instruction.
 */
export function decode(bytes: Uint8Array, options: DecodeOptions = {}): Insn[] {
  const section = options.section ?? "instructions";
  const little = (options.order ?? "little") === "little";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length % INSN_SIZE !== 0) {
    throw new ParseError(
      section,
      bytes.length - (bytes.length % INSN_SIZE),
      "instruction cut short, eight bytes a slot wanted",
    );
  }
  const insns: Insn[] = [];
  for (let at = 0; at < bytes.length; at += INSN_SIZE) {
    const start = at;
    const opcode = view.getUint8(at);
    const registers = view.getUint8(at + 1);
    const dst = little ? registers & 15 : registers >> 4;
    const src = little ? registers >> 4 : registers & 15;
    const off = view.getInt16(at + 2, little);
    const imm = view.getInt32(at + 4, little);
    let insn: Insn = { opcode, dst, src, off, imm };
    if (opcode === LD_IMM64) {
      at += INSN_SIZE;
      if (at >= bytes.length) throw new ParseError(section, start, "64-bit immediate load without its second slot");
      if (view.getUint32(at, little) !== 0) {
        throw new ParseError(
          section,
          at,
          "second slot of a 64-bit immediate load has an opcode, registers or an offset",
        );
      }
      const imm64 = (BigInt(view.getUint32(at + 4, little)) << 32n) | BigInt(imm >>> 0);
      insn = { opcode, dst, src, off, imm, imm64 };
    }
    if (options.strict) {
      const reason = invalidReason(insn);
      if (reason !== undefined) throw new ParseError(section, start, reason);
    }
    insns.push(insn);
  }
  return insns;
}
