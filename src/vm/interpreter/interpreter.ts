/**
 * Runs a program one instruction after the other: any number of them at a time, with all registers in sight in between. Every access to
 * memory is checked. Registers are pairs of 32-bit halves in one array, constants behind them.
 */
import { Atomic, SIZE_BYTES } from "../../isa/index.ts";
import { VmFault } from "../fault.ts";
import {
  FRAME_BYTES,
  FUNCTION_BASE,
  MAX_FRAMES,
  MAX_LOOPS,
  type Machine,
  TAIL_CALL,
  type VmHost,
  emptyHost,
} from "../machine.ts";
import { ADDRESS_HIGH, ARGUMENT_WORD, RESULT_WORD, SHADOW_OFFSET, Shadow, type VmMemory } from "../memory.ts";
import type { VmProgram } from "../program.ts";
import { runAtomic } from "./atomics.ts";
import { clearAbove, divide, divide32, divideSigned, multiply, swapBytes } from "./arithmetic.ts";
import { Op, type Operations, operationsOf } from "./operations.ts";

const TWO32 = 4_294_967_296;
const R10 = 20;

/** Why the interpreter stopped: the program ended, the number of instructions is reached, or a breakpoint is next. */
export type Stop = "exit" | "limit" | "breakpoint";

interface Frame {
  readonly returnTo: number;
  /** r1 to r10 of the caller. */
  readonly saved: Int32Array;
  readonly loops: number;
}

/** A program being run. One at a time; `start` begins anew. */
export class Interpreter implements Machine {
  readonly program: VmProgram;
  readonly memory: VmMemory;
  /** Slots before which `run` stops. */
  readonly breakpoints: Set<number> = new Set();
  private readonly host: VmHost;
  private readonly code: Operations;
  private readonly registers: Int32Array;
  private readonly stack: number;
  private frames: Frame[] = [];
  private pc = 0;
  private loops = MAX_LOOPS;
  private executed = 0;
  /** Instructions that may still be run. */
  private left = 0;

  constructor(program: VmProgram, memory: VmMemory, host: VmHost = emptyHost) {
    this.program = program;
    this.memory = memory;
    this.host = host;
    this.code = operationsOf(program);
    this.registers = this.code.registers.slice();
    this.stack = memory.allocate(MAX_FRAMES * FRAME_BYTES);
  }

  /** Gives the stack back. */
  close(): void {
    this.memory.release(this.stack, MAX_FRAMES * FRAME_BYTES);
  }

  /** The next instruction's slot, or of the call while a helper runs. */
  get slot(): number {
    return this.pc;
  }

  /** Instructions run since `start`. */
  get instructions(): number {
    return this.executed;
  }

  /** Calls of the program's functions that have not returned. */
  get depth(): number {
    return this.frames.length;
  }

  /** r0 to r10. */
  register(index: number): bigint {
    const at = index * 2;
    return (BigInt(this.registers[at + 1]! >>> 0) << 32n) | BigInt(this.registers[at]! >>> 0);
  }

  /** Sets a register. */
  setRegister(index: number, value: bigint): void {
    this.registers[index * 2] = Number(BigInt.asIntN(32, value));
    this.registers[index * 2 + 1] = Number(BigInt.asIntN(32, value >> 32n));
  }

  /** Puts the program at its start, with r1 and the following as given, all other registers zero and a stack of zeros. */
  start(args: readonly bigint[] = []): void {
    this.registers.fill(0, 0, 22);
    for (const [i, value] of args.entries()) this.setRegister(1 + i, value);
    this.memory.bytes.fill(0, this.stack, this.stack + MAX_FRAMES * FRAME_BYTES);
    this.frames = [];
    this.pc = 0;
    this.loops = MAX_LOOPS;
    this.executed = 0;
    this.setRegister(10, BigInt(this.stack + MAX_FRAMES * FRAME_BYTES));
  }

  /** Runs from the start to the end and returns r0. Throws {@link VmFault}; kind `fuel` when `limit` instructions are not enough. */
  execute(args: readonly bigint[] = [], limit: number = Number.MAX_SAFE_INTEGER): bigint {
    this.start(args);
    if (this.run(limit) !== "exit") throw new VmFault("fuel", this.pc, { detail: `${limit} instructions` });
    return this.register(0);
  }

  /** Runs one of the program's functions to its end, in a frame below the current one. */
  callback(address: bigint, args: readonly bigint[]): bigint {
    const func = this.program.functions[Number(BigInt.asUintN(64, address - FUNCTION_BASE))];
    if (func === undefined) throw new VmFault("unknown function", this.pc, { address });
    const back = this.pc;
    const depth = this.frames.length;
    const scratch = this.registers.slice(0, 12);
    this.enter(func.start, -1);
    for (const [i, value] of args.entries()) this.setRegister(1 + i, value);
    while (this.frames.length > depth) {
      if (this.loop(depth) === "limit") throw new VmFault("fuel", this.pc);
    }
    const result = this.register(0);
    this.registers.set(scratch, 0);
    this.pc = back;
    return result;
  }

  /** Runs at most `limit` instructions. The instruction at a breakpoint is run when `run` begins there. */
  run(limit: number = Number.MAX_SAFE_INTEGER): Stop {
    this.left = limit;
    return this.loop(-1);
  }

  private enter(target: number, returnTo: number): void {
    if (this.frames.length + 1 >= MAX_FRAMES) throw new VmFault("call depth", this.pc);
    this.frames.push({ returnTo, saved: this.registers.slice(2, 22), loops: this.loops });
    this.registers.fill(0, 12, R10);
    this.registers[0] = this.registers[1] = 0;
    this.registers[R10]! -= FRAME_BYTES;
    this.loops = MAX_LOOPS;
    this.pc = target;
  }

  private leave(): void {
    const frame = this.frames.pop()!;
    this.registers.set(frame.saved, 2);
    this.loops = frame.loops;
    this.pc = frame.returnTo;
  }

  /** True when the function ends with what was called. */
  private call(pc: number, op: number): boolean {
    const { registers: r, memory } = this;
    memory.words.set(r.subarray(2, 12), ARGUMENT_WORD);
    this.pc = pc;
    const insn = this.program.insns[pc]!;
    const id = op === Op.CALLX ? r[insn.dst * 2]! : insn.imm;
    let ends = false;
    if (op !== Op.CALL_KFUNC && id === TAIL_CALL && this.host.tailCall !== undefined) ends = this.host.tailCall(this);
    else {
      const known = op === Op.CALL_KFUNC ? this.host.kfunc?.(id, insn.off, this) === true : this.host.helper(id, this);
      if (!known) throw new VmFault("unknown helper", pc, { detail: String(id) });
    }
    r[0] = memory.words[RESULT_WORD]!;
    r[1] = memory.words[RESULT_WORD + 1]!;
    return ends;
  }

  /** Offset of an access; throws when it is not allowed. */
  private locate(pc: number, base: number, off: number, size: number, write: boolean): number {
    const { registers: r, memory } = this;
    let low = (r[base]! >>> 0) + off;
    let high = r[base + 1]!;
    if (low < 0) {
      low += TWO32;
      high = (high - 1) | 0;
    } else if (low >= TWO32) {
      low -= TWO32;
      high = (high + 1) | 0;
    }
    if (high === ADDRESS_HIGH && memory.allows(low, size, write)) return low;
    const address = (BigInt(high >>> 0) << 32n) | BigInt(low);
    throw new VmFault("memory access", pc, { address, detail: `${write ? "writes" : "reads"} ${size} bytes` });
  }

  /** Runs until the program ends, none may be run any more, or the frame at `depth` is current again (-1: none). */
  private loop(depth: number): Stop {
    const { registers: r, memory, breakpoints } = this;
    const { op: ops, dst, src, extra } = this.code;
    const stops = breakpoints.size > 0;
    const { view, bytes } = memory;
    let pc = this.pc;
    let left = this.left;
    // Instructions run by callbacks are counted by the loop that ran them.
    let begin = left;
    let first = true;
    try {
      for (;;) {
        if (left <= 0) return "limit";
        if (stops && !first && breakpoints.has(pc)) return "breakpoint";
        first = false;
        left--;
        const op = ops[pc]!;
        const d = dst[pc]!;
        const s = src[pc]!;
        switch (op) {
          case Op.ADD64: {
            const sum = (r[d]! >>> 0) + (r[s]! >>> 0);
            r[d + 1] = r[d + 1]! + r[s + 1]! + (sum >= TWO32 ? 1 : 0);
            r[d] = sum;
            break;
          }
          case Op.SUB64: {
            const difference = (r[d]! >>> 0) - (r[s]! >>> 0);
            r[d + 1] = r[d + 1]! - r[s + 1]! - (difference < 0 ? 1 : 0);
            r[d] = difference;
            break;
          }
          case Op.MUL64:
            multiply(r, d, r[s]!, r[s + 1]!);
            break;
          case Op.DIV64:
            divide(r, d, r[s]!, r[s + 1]!, false);
            break;
          case Op.SDIV64:
            divideSigned(r, d, r[s]!, r[s + 1]!, false);
            break;
          case Op.MOD64:
            divide(r, d, r[s]!, r[s + 1]!, true);
            break;
          case Op.SMOD64:
            divideSigned(r, d, r[s]!, r[s + 1]!, true);
            break;
          case Op.OR64:
            r[d]! |= r[s]!;
            r[d + 1]! |= r[s + 1]!;
            break;
          case Op.AND64:
            r[d]! &= r[s]!;
            r[d + 1]! &= r[s + 1]!;
            break;
          case Op.XOR64:
            r[d]! ^= r[s]!;
            r[d + 1]! ^= r[s + 1]!;
            break;
          case Op.LSH64: {
            const by = r[s]! & 63;
            if (by >= 32) {
              r[d + 1] = r[d]! << (by - 32);
              r[d] = 0;
            } else if (by > 0) {
              r[d + 1] = (r[d + 1]! << by) | (r[d]! >>> (32 - by));
              r[d]! <<= by;
            }
            break;
          }
          case Op.RSH64: {
            const by = r[s]! & 63;
            if (by >= 32) {
              r[d] = r[d + 1]! >>> (by - 32);
              r[d + 1] = 0;
            } else if (by > 0) {
              r[d] = (r[d]! >>> by) | (r[d + 1]! << (32 - by));
              r[d + 1] = r[d + 1]! >>> by;
            }
            break;
          }
          case Op.ARSH64: {
            const by = r[s]! & 63;
            if (by >= 32) {
              r[d] = r[d + 1]! >> (by - 32);
              r[d + 1]! >>= 31;
            } else if (by > 0) {
              r[d] = (r[d]! >>> by) | (r[d + 1]! << (32 - by));
              r[d + 1]! >>= by;
            }
            break;
          }
          case Op.MOV64:
            r[d] = r[s]!;
            r[d + 1] = r[s + 1]!;
            break;
          case Op.LD_IMM64:
            r[d] = r[s]!;
            r[d + 1] = r[s + 1]!;
            pc += 2;
            continue;
          case Op.NEG64:
            r[d + 1] = (r[d] === 0 ? 0 : -1) - r[d + 1]!;
            r[d] = -r[d]!;
            break;
          case Op.MOVSX8_64:
            r[d] = (r[s]! << 24) >> 24;
            r[d + 1] = r[d]! >> 31;
            break;
          case Op.MOVSX16_64:
            r[d] = (r[s]! << 16) >> 16;
            r[d + 1] = r[d]! >> 31;
            break;
          case Op.MOVSX32_64:
            r[d] = r[s]!;
            r[d + 1] = r[d]! >> 31;
            break;
          case Op.ADD32:
            r[d]! += r[s]!;
            r[d + 1] = 0;
            break;
          case Op.SUB32:
            r[d]! -= r[s]!;
            r[d + 1] = 0;
            break;
          case Op.MUL32:
            r[d] = Math.imul(r[d]!, r[s]!);
            r[d + 1] = 0;
            break;
          case Op.DIV32:
            r[d] = divide32(r[d]!, r[s]!, false, false);
            r[d + 1] = 0;
            break;
          case Op.SDIV32:
            r[d] = divide32(r[d]!, r[s]!, true, false);
            r[d + 1] = 0;
            break;
          case Op.MOD32:
            r[d] = divide32(r[d]!, r[s]!, false, true);
            r[d + 1] = 0;
            break;
          case Op.SMOD32:
            r[d] = divide32(r[d]!, r[s]!, true, true);
            r[d + 1] = 0;
            break;
          case Op.OR32:
            r[d]! |= r[s]!;
            r[d + 1] = 0;
            break;
          case Op.AND32:
            r[d]! &= r[s]!;
            r[d + 1] = 0;
            break;
          case Op.XOR32:
            r[d]! ^= r[s]!;
            r[d + 1] = 0;
            break;
          case Op.LSH32:
            r[d]! <<= r[s]!;
            r[d + 1] = 0;
            break;
          case Op.RSH32:
            r[d] = r[d]! >>> r[s]!;
            r[d + 1] = 0;
            break;
          case Op.ARSH32:
            r[d]! >>= r[s]!;
            r[d + 1] = 0;
            break;
          case Op.MOV32:
            r[d] = r[s]!;
            r[d + 1] = 0;
            break;
          case Op.NEG32:
            r[d] = -r[d]!;
            r[d + 1] = 0;
            break;
          case Op.MOVSX8_32:
            r[d] = (r[s]! << 24) >> 24;
            r[d + 1] = 0;
            break;
          case Op.MOVSX16_32:
            r[d] = (r[s]! << 16) >> 16;
            r[d + 1] = 0;
            break;
          case Op.SWAP:
            swapBytes(r, d, extra[pc]!);
            break;
          case Op.CLEAR:
            clearAbove(r, d, extra[pc]!);
            break;
          case Op.LDX8:
          case Op.LDX16:
          case Op.LDX32:
          case Op.LDX64:
          case Op.LDXS8:
          case Op.LDXS16:
          case Op.LDXS32: {
            const size = 1 << (op >= Op.LDXS8 ? op - Op.LDXS8 : op - Op.LDX8);
            let at = (r[s]! >>> 0) + extra[pc]!;
            const note = bytes[SHADOW_OFFSET + (at >>> 3)]!;
            // What the fast way cannot decide is decided by the slow one.
            if (
              r[s + 1] !== ADDRESS_HIGH ||
              at < 0 ||
              at >= bytes.length ||
              (note & Shadow.READ) === 0 ||
              (at & 7) + size > (note & Shadow.COUNT)
            )
              at = this.locate(pc, s, extra[pc]!, size, false);
            switch (op) {
              case Op.LDX8:
                r[d] = bytes[at]!;
                r[d + 1] = 0;
                break;
              case Op.LDX16:
                r[d] = view.getUint16(at, true);
                r[d + 1] = 0;
                break;
              case Op.LDX32:
                r[d] = view.getInt32(at, true);
                r[d + 1] = 0;
                break;
              case Op.LDX64:
                r[d] = view.getInt32(at, true);
                r[d + 1] = view.getInt32(at + 4, true);
                break;
              case Op.LDXS8:
                r[d] = (bytes[at]! << 24) >> 24;
                r[d + 1] = r[d]! >> 31;
                break;
              case Op.LDXS16:
                r[d] = view.getInt16(at, true);
                r[d + 1] = r[d]! >> 31;
                break;
              default:
                r[d] = view.getInt32(at, true);
                r[d + 1] = r[d]! >> 31;
            }
            break;
          }
          case Op.STX8:
          case Op.STX16:
          case Op.STX32:
          case Op.STX64: {
            const size = 1 << (op - Op.STX8);
            let at = (r[d]! >>> 0) + extra[pc]!;
            const note = bytes[SHADOW_OFFSET + (at >>> 3)]!;
            if (
              r[d + 1] !== ADDRESS_HIGH ||
              at < 0 ||
              at >= bytes.length ||
              (note & Shadow.WRITE) === 0 ||
              (at & 7) + size > (note & Shadow.COUNT)
            )
              at = this.locate(pc, d, extra[pc]!, size, true);
            switch (op) {
              case Op.STX8:
                bytes[at] = r[s]!;
                break;
              case Op.STX16:
                view.setUint16(at, r[s]! & 0xffff, true);
                break;
              case Op.STX32:
                view.setInt32(at, r[s]!, true);
                break;
              default:
                view.setInt32(at, r[s]!, true);
                view.setInt32(at + 4, r[s + 1]!, true);
            }
            break;
          }
          case Op.ATOMIC:
            this.atomic(pc);
            break;
          case Op.PACKET:
            if (!this.packet(pc)) {
              r[0] = r[1] = 0;
              pc = this.code.op.length - 1;
              this.frames = [];
              return "exit";
            }
            break;
          case Op.JA:
            pc = extra[pc]!;
            continue;
          case Op.JEQ64:
            if (r[d] === r[s] && r[d + 1] === r[s + 1]) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JNE64:
            if (r[d] !== r[s] || r[d + 1] !== r[s + 1]) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JGT64:
            if (r[d + 1] === r[s + 1] ? r[d]! >>> 0 > r[s]! >>> 0 : r[d + 1]! >>> 0 > r[s + 1]! >>> 0) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JGE64:
            if (r[d + 1] === r[s + 1] ? r[d]! >>> 0 >= r[s]! >>> 0 : r[d + 1]! >>> 0 > r[s + 1]! >>> 0) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JLT64:
            if (r[d + 1] === r[s + 1] ? r[d]! >>> 0 < r[s]! >>> 0 : r[d + 1]! >>> 0 < r[s + 1]! >>> 0) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JLE64:
            if (r[d + 1] === r[s + 1] ? r[d]! >>> 0 <= r[s]! >>> 0 : r[d + 1]! >>> 0 < r[s + 1]! >>> 0) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JSGT64:
            if (r[d + 1] === r[s + 1] ? r[d]! >>> 0 > r[s]! >>> 0 : r[d + 1]! > r[s + 1]!) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JSGE64:
            if (r[d + 1] === r[s + 1] ? r[d]! >>> 0 >= r[s]! >>> 0 : r[d + 1]! > r[s + 1]!) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JSLT64:
            if (r[d + 1] === r[s + 1] ? r[d]! >>> 0 < r[s]! >>> 0 : r[d + 1]! < r[s + 1]!) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JSLE64:
            if (r[d + 1] === r[s + 1] ? r[d]! >>> 0 <= r[s]! >>> 0 : r[d + 1]! < r[s + 1]!) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JSET64:
            if ((r[d]! & r[s]!) !== 0 || (r[d + 1]! & r[s + 1]!) !== 0) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JEQ32:
            if (r[d] === r[s]) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JNE32:
            if (r[d] !== r[s]) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JGT32:
            if (r[d]! >>> 0 > r[s]! >>> 0) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JGE32:
            if (r[d]! >>> 0 >= r[s]! >>> 0) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JLT32:
            if (r[d]! >>> 0 < r[s]! >>> 0) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JLE32:
            if (r[d]! >>> 0 <= r[s]! >>> 0) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JSGT32:
            if (r[d]! > r[s]!) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JSGE32:
            if (r[d]! >= r[s]!) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JSLT32:
            if (r[d]! < r[s]!) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JSLE32:
            if (r[d]! <= r[s]!) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.JSET32:
            if ((r[d]! & r[s]!) !== 0) {
              pc = extra[pc]!;
              continue;
            }
            break;
          case Op.MAY_GOTO:
            if (this.loops === 0) {
              pc = extra[pc]!;
              continue;
            }
            this.loops--;
            break;
          case Op.CALL_LOCAL:
            this.pc = pc;
            this.enter(extra[pc]!, pc + 1);
            pc = this.pc;
            continue;
          case Op.CALLX:
          case Op.CALL_HELPER:
          case Op.CALL_KFUNC:
            if (op === Op.CALLX && this.callFunction(pc, d)) {
              pc = this.pc;
              continue;
            }
            this.left = left;
            if (this.call(pc, op)) {
              // Another program has run in this function's place.
              left = this.left;
              if (this.frames.length === 0) return "exit";
              this.leave();
              pc = this.pc;
              if (this.frames.length === depth) return "exit";
              continue;
            }
            begin -= left - this.left;
            left = this.left;
            break;
          case Op.EXIT:
            if (this.frames.length === 0) return "exit";
            this.leave();
            pc = this.pc;
            if (this.frames.length === depth) return "exit";
            continue;
          default:
            throw new VmFault("unreachable code", pc);
        }
        pc++;
      }
    } finally {
      this.pc = pc;
      this.left = left;
      this.executed += begin - left;
    }
  }

  /** Calls a function of the program by its address; false when the register holds none. */
  private callFunction(pc: number, register: number): boolean {
    const address = this.register(register / 2);
    const func = this.program.functions[Number(BigInt.asUintN(64, address - FUNCTION_BASE))];
    if (func === undefined) return false;
    this.pc = pc;
    this.enter(func.start, pc + 1);
    return true;
  }

  private atomic(pc: number): void {
    const insn = this.program.insns[pc]!;
    const isLoad = insn.imm === Atomic.LOAD_ACQ;
    const size = SIZE_BYTES[(insn.opcode & 0x18) >> 3]!;
    const at = this.locate(pc, (isLoad ? insn.src : insn.dst) * 2, insn.off, size, !isLoad);
    runAtomic(insn, this.registers, this.memory.view, at, size);
  }

  private packet(pc: number): boolean {
    const { registers: r } = this;
    const insn = this.program.insns[pc]!;
    const size = SIZE_BYTES[(insn.opcode & 0x18) >> 3] as 1 | 2 | 4;
    const offset = insn.imm + r[this.code.src[pc]!]!;
    const value = this.host.packet?.(this.register(6), offset, size);
    if (value === undefined) return false;
    r[0] = value | 0;
    r[1] = 0;
    return true;
  }
}
