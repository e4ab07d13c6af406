/** Machine code to bytes of one function: jumps resolved, calls and symbols left for the linker in compile.ts. */
import { ByteWriter } from "../../base/index.ts";
import type { CoreAccess, Position } from "../ir.ts";
import type { KernelTarget } from "../target.ts";
import { LimitError } from "../limits.ts";
import { assembleInline } from "./inline-assembly.ts";
import type { AssembledInline } from "./inline-assembly.ts";
import { weightOf } from "./layout.ts";
import { Bpf, Jump } from "./machine.ts";
import type { MBlock, MFunc, MInst, MTerm, Symbol } from "./machine.ts";

/** A function as bytes. */
export interface EmittedFunction {
  readonly name: string;
  readonly code: Uint8Array;
  /** Slots whose immediate the linker fills. */
  readonly symbols: readonly { readonly insnIndex: number; readonly symbol: Symbol }[];
  /** Instructions whose immediate or offset a loader corrects, ascending. */
  readonly cores: readonly { readonly insnIndex: number; readonly core: CoreAccess }[];
  /** Instructions at which the source position changes, ascending. */
  readonly positions: readonly { readonly insnIndex: number; readonly position: Position }[];
}

const OPPOSITE: Record<number, number> = {
  [Jump.EQ]: Jump.NE,
  [Jump.NE]: Jump.EQ,
  [Jump.GT]: Jump.LE,
  [Jump.LE]: Jump.GT,
  [Jump.GE]: Jump.LT,
  [Jump.LT]: Jump.GE,
  [Jump.SGT]: Jump.SLE,
  [Jump.SLE]: Jump.SGT,
  [Jump.SGE]: Jump.SLT,
  [Jump.SLT]: Jump.SGE,
};

/** How far a jump with an offset of 16 bits goes. */
const REACH = 0x7fff;

/** One piece of a block's end. */
interface JumpInst {
  code: number;
  dst: number;
  src: number;
  imm: number;
  target: MBlock | null;
  /** A conditional jump out of reach: turned round over a long jump. */
  far: boolean;
}

/** Emits a function whose blocks are in layout order and whose frame has its offsets. */
export function emitFunction(func: MFunc, target: KernelTarget): EmittedFunction {
  const assembled = assembleInline(func);
  const plans = func.blocks.map((b, i) => ({ block: b, jumps: planEnd(b.term, func.blocks[i + 1] ?? null, target) }));
  lengthenJumps(plans, target);
  const start = new Map<MBlock, number>();
  let at = 0;
  for (const { block, jumps } of plans) {
    start.set(block, at);
    for (const inst of block.insts) {
      at += inst.asm ? assembled.get(inst)!.code.length / 8 : inst.code === Bpf.LD_IMM64 ? 2 : 1;
    }
    for (const j of jumps) at += lengthOf(j);
  }
  return write(func, plans, start, assembled);
}

/** Finds jumps that would not reach once the kernel has put its own instructions in, and makes them long. */
function lengthenJumps(plans: readonly { block: MBlock; jumps: JumpInst[] }[], target: KernelTarget): void {
  const start = new Map<MBlock, number>();
  const ends: number[] = [];
  let at = 0;
  for (const { block, jumps } of plans) {
    start.set(block, at);
    at += weightOf(block);
    for (const j of jumps) at += j.code === Bpf.MAY_GOTO ? 12 : 3;
    ends.push(at);
  }
  if (at <= REACH) return;
  plans.forEach(({ block, jumps }, i) => {
    for (const j of jumps) {
      if (!j.target || Math.abs(start.get(j.target)! - ends[i]!) <= REACH) continue;
      if (target.cpu !== "v4") {
        throw new LimitError(
          block.position,
          "this is too long for one jump: kernels before Linux 6.6 jump over at most 32,767 instructions; split the block, or the probe, in two",
        );
      }
      j.far = true;
    }
  });
}

/** Instructions that a jump takes; a long one counts room for its detour. */
function lengthOf(j: JumpInst): number {
  if (!j.far || j.code === Bpf.JA) return 1;
  return j.code === Bpf.MAY_GOTO || OPPOSITE[j.code & 0xf0] === undefined ? 3 : 2;
}

function planEnd(term: MTerm, next: MBlock | null, target: KernelTarget): JumpInst[] {
  const go = (to: MBlock): JumpInst[] =>
    to === next ? [] : [{ code: Bpf.JA, dst: 0, src: 0, imm: 0, target: to, far: false }];
  switch (term.kind) {
    case "jump":
      return go(term.target);
    case "none":
      return [];
    case "exit":
      return [{ code: Bpf.EXIT, dst: 0, src: 0, imm: 0, target: null, far: false }];
    case "maygoto":
      return [{ code: Bpf.MAY_GOTO, dst: 0, src: 0, imm: 0, target: term.exit, far: false }, ...go(term.body)];
    default: {
      const jump = (code: number, to: MBlock): JumpInst => ({
        code,
        dst: term.dst,
        src: term.src,
        imm: term.imm,
        target: to,
        far: false,
      });
      const opposite = OPPOSITE[term.code & 0xf0];
      const exists = opposite !== undefined && (target.cpu !== "v1" || opposite < Jump.LT);
      if (term.then === next && exists) return [jump((term.code & 0x0f) | opposite, term.else)];
      return [jump(term.code, term.then), ...go(term.else)];
    }
  }
}

function write(
  func: MFunc,
  plans: readonly { block: MBlock; jumps: JumpInst[] }[],
  start: ReadonlyMap<MBlock, number>,
  assembled: ReadonlyMap<MInst, AssembledInline>,
): EmittedFunction {
  const out = new ByteWriter(1024);
  const symbols: { insnIndex: number; symbol: Symbol }[] = [];
  const cores: { insnIndex: number; core: CoreAccess }[] = [];
  const positions: { insnIndex: number; position: Position }[] = [];
  let last: Position | null = null;
  const mark = (position: Position | null): void => {
    if (!position) return;
    const same =
      last !== null &&
      last.source === position.source &&
      last.line === position.line &&
      last.column === position.column;
    if (!same) {
      // An inline assembly without instructions leaves its place to what follows.
      if (positions.at(-1)?.insnIndex === out.length / 8) positions.pop();
      positions.push({ insnIndex: out.length / 8, position });
    }
    last = position;
  };
  const slot = (code: number, dst: number, src: number, off: number, imm: number): void => {
    out.u8(code);
    out.u8((src << 4) | dst);
    out.u16le(off);
    out.i32le(imm);
  };
  const instruction = (inst: MInst): void => {
    const inline = assembled.get(inst);
    if (inline) {
      for (const s of inline.symbols) symbols.push({ insnIndex: out.length / 8 + s.insnIndex, symbol: s.symbol });
      out.bytes(inline.code);
      return;
    }
    const memory = (inst.code & 7) <= Bpf.STX && (inst.code & 7) !== Bpf.LD;
    const shift = inst.frame?.offset ?? 0;
    if (inst.core) cores.push({ insnIndex: out.length / 8, core: inst.core });
    if (inst.symbol) symbols.push({ insnIndex: out.length / 8, symbol: inst.symbol });
    if (inst.code === Bpf.LD_IMM64) {
      const value = BigInt.asUintN(64, inst.imm64 ?? 0n);
      slot(inst.code, inst.dst, inst.src, 0, Number(BigInt.asIntN(32, value)));
      slot(0, 0, 0, 0, Number(BigInt.asIntN(32, value >> 32n)));
    } else if (memory) slot(inst.code, inst.dst, inst.src, inst.off + shift, inst.imm);
    else slot(inst.code, inst.dst, inst.src, inst.off, inst.imm + shift);
  };
  for (const { block, jumps } of plans) {
    for (const inst of block.insts) {
      mark(inst.position);
      instruction(inst);
    }
    if (jumps.length > 0) mark(block.position);
    for (const j of jumps) {
      const here = out.length / 8;
      if (!j.target) slot(j.code, 0, 0, 0, 0);
      else if (!j.far) slot(j.code, j.dst, j.src, start.get(j.target)! - here - 1, j.imm);
      else if (j.code === Bpf.JA) slot(Bpf.JA32, 0, 0, 0, start.get(j.target)! - here - 1);
      else {
        const opposite = OPPOSITE[j.code & 0xf0];
        if (j.code !== Bpf.MAY_GOTO && opposite !== undefined) slot((j.code & 0x0f) | opposite, j.dst, j.src, 1, j.imm);
        else {
          // What has no opposite jumps to the long jump, and the other way goes round it.
          slot(j.code, j.dst, j.src, 1, j.imm);
          slot(Bpf.JA, 0, 0, 1, 0);
        }
        slot(Bpf.JA32, 0, 0, 0, start.get(j.target)! - out.length / 8 - 1);
      }
    }
  }
  return { name: func.name, code: out.finish(), symbols, cores, positions };
}
