/** Puts what relocations came to into instructions. Pairs with libbpf's `bpf_core_patch_insn`. */
import { Class, INSN_SIZE, LD_IMM64, SIZE_BYTES, Size, Source } from "../../isa/index.ts";
import type { LineInfo } from "../program-info.ts";
import { CoreError } from "./error.ts";
import { CoreFailure, lineAt, lineText } from "./failure.ts";
import { coreKindPhrases } from "./kinds.ts";
import type { CoreResolver, CoreResult } from "./resolver.ts";
import { type CoreRecord, specText } from "./spec.ts";

/** A CO-RE record with the instruction that it is about. */
export interface CoreInsnRecord extends CoreRecord {
  /** Index of the instruction in the program. */
  readonly insnIndex: number;
}

/** A relocated program. */
export interface CoreRelocated {
  /** A copy, except when there was nothing to relocate. */
  readonly code: Uint8Array;
  /** Those that found nothing, whose instructions must not be reached; ascending by instruction as the records were. */
  readonly unresolved: readonly CoreFailure[];
}

/** What makes messages better. */
export interface CoreRelocateOptions {
  /** Line records of the program, asked for when there is something to say. */
  readonly lines?: () => readonly LineInfo[];
  /** Name of the program, in errors. */
  readonly program?: string;
}

/** Number of the helper that poisoned instructions call: `0xbad2310`, "bad relo". Verifiers quote it as `unknown#195896080`. */
export const CORE_POISON_HELPER = 195_896_080;

const CALL = 0x85;
const MAX_OFFSET = 0x7fff;

const sizeOfBytes: Readonly<Record<number, number>> = { 1: Size.B, 2: Size.H, 4: Size.W, 8: Size.DW };

/** Bits of an opcode of loads and stores. */
const CLASS_BITS = 0x07;
const SIZE_BITS = 0x18;

/**
 * Relocates a program (`code`: 8 bytes an instruction, little-endian) by its records. Throws {@link CoreError}, naming instruction and
 * source line, for what libbpf refuses too: malformed records, ambiguous types, instructions that do not hold what they should.
 */
export function relocateCore(
  code: Uint8Array,
  records: readonly CoreInsnRecord[],
  resolver: CoreResolver,
  options: CoreRelocateOptions = {},
): CoreRelocated {
  if (records.length === 0) return { code, unresolved: [] };
  const lines = options.lines ?? ((): readonly LineInfo[] => []);
  const patched = new Uint8Array(code);
  const view = new DataView(patched.buffer);
  const unresolved: CoreFailure[] = [];
  for (const record of records) {
    const { insnIndex } = record;
    try {
      const result = resolver.resolve(record);
      if (patch(view, insnIndex, result)) continue;
      unresolved.push(new CoreFailure(insnIndex, record, resolver, result, lines));
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      const line = lineAt(lines(), insnIndex);
      const program = options.program === undefined ? "" : `program ${options.program}: `;
      const place = line === undefined ? "" : ` (${lineText(line)})`;
      throw new CoreError(`${program}instruction ${insnIndex}${place}: CO-RE relocation: ${error.message}`, {
        cause: error,
      });
    }
  }
  return { code: patched, unresolved };
}

/** Changes one instruction; false when it was poisoned. */
function patch(view: DataView, insnIndex: number, result: CoreResult): boolean {
  const at = insnIndex * INSN_SIZE;
  const opcode = at + INSN_SIZE <= view.byteLength ? view.getUint8(at) : undefined;
  if (opcode === undefined || (opcode === LD_IMM64 && at + 2 * INSN_SIZE > view.byteLength)) {
    throw new CoreError(`the program ends at instruction ${view.byteLength / INSN_SIZE}`);
  }
  if (result.unresolved) {
    poison(view, at, opcode);
    return false;
  }
  switch (opcode & CLASS_BITS) {
    case Class.ALU:
    case Class.ALU64:
      if ((opcode & Source.X) !== Source.K) throw unexpectedInsn(result, opcode);
      checkPresent(result, BigInt(view.getInt32(at + 4, true)), "immediate");
      view.setInt32(at + 4, low32(result.value), true);
      return true;
    case Class.LDX:
    case Class.ST:
    case Class.STX:
      return patchAccess(view, at, opcode, result);
    case Class.LD:
      patchImm64(view, at, opcode, result);
      return true;
    default:
      throw unexpectedInsn(result, opcode);
  }
}

function low32(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}

function poison(view: DataView, at: number, opcode: number): void {
  // Both slots of a 64-bit constant, or the verifier would speak of an unknown opcode instead.
  const slots = opcode === LD_IMM64 ? 2 : 1;
  for (let slot = 0; slot < slots; slot++) {
    view.setUint32(at + slot * INSN_SIZE, CALL, true);
    view.setInt32(at + slot * INSN_SIZE + 4, CORE_POISON_HELPER, true);
  }
}

function patchAccess(view: DataView, at: number, opcode: number, result: CoreResult): boolean {
  checkPresent(result, BigInt(view.getInt16(at + 2, true)), "offset");
  const offset = BigInt.asUintN(64, result.value);
  if (offset > MAX_OFFSET) {
    throw new CoreError(
      `${subject(result)} is ${offset} in the kernel, and an instruction's offset holds at most ${MAX_OFFSET}`,
    );
  }
  if (result.sizeMismatch) {
    poison(view, at, opcode);
    return false;
  }
  view.setInt16(at + 2, Number(offset), true);
  if (result.size === result.localSize) return true;
  const present = SIZE_BYTES[(opcode & SIZE_BITS) >> 3];
  if (present !== result.localSize) {
    throw new CoreError(
      `${subject(result)}: the instruction accesses ${present} bytes of a field of ${result.localSize}`,
    );
  }
  const size = sizeOfBytes[result.size];
  if (size === undefined)
    throw new CoreError(`${subject(result)}: no instruction accesses ${result.size} bytes, the kernel's size`);
  view.setUint8(at, (opcode & ~SIZE_BITS) | size);
  return true;
}

function patchImm64(view: DataView, at: number, opcode: number, result: CoreResult): void {
  const next = at + INSN_SIZE;
  // Source register and offset of both slots, and the second's opcode: a map or a function has them, a number has none.
  const isNumber =
    opcode === LD_IMM64 &&
    view.getUint8(at + 1) >> 4 === 0 &&
    view.getInt16(at + 2, true) === 0 &&
    view.getUint32(next, true) === 0;
  if (!isNumber) throw unexpectedInsn(result, opcode);
  const present = BigInt(view.getUint32(at + 4, true)) | (BigInt(view.getUint32(next + 4, true)) << 32n);
  let { value } = result;
  if (present === result.unsigned?.localValue && present !== BigInt.asUintN(64, result.localValue))
    ({ value } = result.unsigned);
  else checkPresent(result, BigInt.asIntN(64, present), "constant");
  view.setInt32(at + 4, low32(value), true);
  view.setInt32(next + 4, low32(value >> 32n), true);
}

function subject({ local }: CoreResult): string {
  return `${coreKindPhrases[local.kind]} ${specText(local)}`;
}

function checkPresent(result: CoreResult, present: bigint, what: string): void {
  const expected = BigInt.asIntN(64, result.localValue);
  if (!result.exact || present === expected) return;
  throw new CoreError(
    `${subject(result)} is ${expected} in the object's own types, and the instruction's ${what} is ${present}: ` +
      "they were not compiled together, or the code was changed",
  );
}

function unexpectedInsn(result: CoreResult, opcode: number): CoreError {
  return new CoreError(
    `${subject(result)}: an instruction with opcode 0x${opcode.toString(16).padStart(2, "0")} has no number to relocate`,
  );
}
