/** A program as the virtual machine takes it: decoded, its jumps and calls checked, its constants filled in. */
import { ParseError } from "../base/index.ts";
import {
  Class,
  INSN_SIZE,
  type Insn,
  Jmp,
  LD_IMM64,
  OPCODE_FORMS,
  PseudoCall,
  PseudoImm64,
  Source,
  decode,
  invalidReason,
  isAtomicOp,
  slotsOf,
} from "../isa/index.ts";

/** A function of a program: its own code from `start` to `end`, in slots. */
export interface VmFunction {
  readonly start: number;
  readonly end: number;
}

/** What the 64-bit immediate loads of a program stand for, besides numbers and its own functions. */
export type ResolveImmediate = (insn: Insn, slot: number) => bigint | undefined;

/** A program that can be run. */
export class VmProgram {
  readonly name: string;
  /** By slot; undefined in the second slot of a 64-bit immediate load. */
  readonly insns: readonly (Insn | undefined)[];
  /** In the order of their places; the first is the program's own. */
  readonly functions: readonly VmFunction[];
  /** Values of 64-bit immediate loads by slot, those of functions as their first slot. */
  readonly immediates: ReadonlyMap<number, { readonly value: bigint; readonly isFunction: boolean }>;

  /**
   * Reads a program. Throws ParseError for what is no program: bytes that are no instructions, jumps and calls that lead nowhere,
   * immediate loads that `resolve` does not know.
   */
  constructor(code: Uint8Array, options: { readonly name?: string; readonly resolve?: ResolveImmediate } = {}) {
    this.name = options.name ?? "program";
    const insns: (Insn | undefined)[] = [];
    for (const insn of decode(code, { section: this.name })) {
      insns.push(insn);
      if (slotsOf(insn) === 2) insns.push(undefined);
    }
    this.insns = insns;
    if (insns.length === 0) this.refuse(0, "no instructions");
    const starts = new Set([0]);
    const immediates = new Map<number, { value: bigint; isFunction: boolean }>();
    for (const [slot, insn] of insns.entries()) {
      if (insn === undefined) continue;
      this.check(insn, slot);
      if (insn.opcode === (Class.JMP | Jmp.CALL) && insn.src === PseudoCall.LOCAL) {
        starts.add(this.target(slot, insn.imm, "call"));
      } else if (insn.opcode === LD_IMM64) {
        if (insn.src === PseudoImm64.NONE) immediates.set(slot, { value: insn.imm64!, isFunction: false });
        else if (insn.src === PseudoImm64.FUNC) {
          const target = this.target(slot, insn.imm, "function address");
          starts.add(target);
          immediates.set(slot, { value: BigInt(target), isFunction: true });
        } else {
          const value = options.resolve?.(insn, slot);
          if (value === undefined) this.refuse(slot, `immediate load of kind ${insn.src}, which is not resolved here`);
          immediates.set(slot, { value: BigInt.asUintN(64, value), isFunction: false });
        }
      }
    }
    this.immediates = immediates;
    const ordered = [...starts].toSorted((a, b) => a - b);
    this.functions = ordered.map((start, i) => ({ start, end: ordered[i + 1] ?? insns.length }));
    for (const func of this.functions) this.checkFunction(func);
  }

  /** The function that holds a slot. */
  functionAt(slot: number): VmFunction {
    return this.functions.findLast((f) => f.start <= slot)!;
  }

  /** Slots that may run after the one at `slot`, in its function: the jump's target last. */
  successors(slot: number): readonly number[] {
    const insn = this.insns[slot]!;
    const next = slot + slotsOf(insn);
    switch (OPCODE_FORMS[insn.opcode]) {
      case "exit":
        return [];
      case "goto":
        return [slot + 1 + insn.off];
      case "gotol":
        return [slot + 1 + insn.imm];
      case "may-goto":
      case "jump-imm":
      case "jump-reg":
        return [next, slot + 1 + insn.off];
      default:
        return [next];
    }
  }

  private refuse(slot: number, why: string): never {
    throw new ParseError(this.name, slot * INSN_SIZE, `instruction ${slot}: ${why}`);
  }

  private check(insn: Insn, slot: number): void {
    const form = OPCODE_FORMS[insn.opcode];
    if (form === undefined || form === "gotox" || form === "nospec")
      this.refuse(slot, `opcode 0x${insn.opcode.toString(16)} is not executable here`);
    if (insn.dst > 10) this.refuse(slot, `there is no register r${insn.dst}`);
    const isRegister =
      form === "load" ||
      form === "load-sx" ||
      form === "store-reg" ||
      form === "atomic" ||
      form === "ld-ind" ||
      ((form === "alu-reg" || form === "jump-reg") && (insn.opcode & Source.X) !== 0);
    if (isRegister && insn.src > 10) this.refuse(slot, `there is no register r${insn.src}`);
    if (form === "atomic" && !isAtomicOp(insn.opcode & 0x18, insn.imm))
      this.refuse(slot, `there is no atomic operation 0x${insn.imm.toString(16)} of this size`);
    // Shifts beyond the width are defined: the amount counts modulo the width.
    const reason = invalidReason(insn);
    if (reason !== undefined && !/shift/.test(reason)) this.refuse(slot, reason);
  }

  private target(slot: number, distance: number, what: string): number {
    const target = slot + 1 + distance;
    if (target < 0 || target >= this.insns.length || this.insns[target] === undefined)
      this.refuse(slot, `${what} leads to slot ${target}, where no instruction begins`);
    return target;
  }

  private checkFunction(func: VmFunction): void {
    for (let slot = func.start; slot < func.end; slot++) {
      if (this.insns[slot] === undefined) continue;
      for (const next of this.successors(slot)) {
        // Running off the program's end is a fault of the run: such code may be unreachable. Running into another function never is right.
        if (next === func.end && next === slot + slotsOf(this.insns[slot]!)) {
          if (next === this.insns.length) continue;
          this.refuse(slot, "the function does not end here, another begins behind it");
        }
        if (next < func.start || next >= func.end || this.insns[next] === undefined)
          this.refuse(slot, `jump to slot ${next}, which is no instruction of this function`);
      }
    }
  }
}
