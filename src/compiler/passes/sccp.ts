/** Sparse conditional constant propagation (Wegman and Zadeck, 1991): constants through phis and branches that cannot go both ways. */
import { removeIncoming, substitute, usersOf } from "../analysis.ts";
import type { Block, Const, Func, Inst, Value } from "../ir.ts";
import { PURE_OPS, successors } from "../ir.ts";
import { evaluate } from "./evaluate.ts";

/** Not known yet (absent), a constant, or varying. */
type Lattice = Const | "varying";

/** Finds what is always one constant and replaces it; branches on constants become jumps. Returns true when anything changed. */
export function propagateConstants(func: Func): boolean {
  const users = usersOf(func);
  const state = new Map<Inst, Lattice>();
  const reached = new Set<Block>();
  const edges = new Set<number>();
  const edgeKey = (from: Block, to: Block): number => from.id * func.nextBlock + to.id;
  const blockWork: Block[] = [];
  const instWork: Inst[] = [];

  const valueOf = (v: Value): Lattice | undefined => {
    if (v.kind === "const") return v;
    return v.kind === "param" ? "varying" : state.get(v);
  };
  const set = (inst: Inst, value: Lattice): void => {
    const old = state.get(inst);
    if (old === "varying") return;
    if (old && value !== "varying" && old.value === value.value) return;
    state.set(inst, old && value !== "varying" ? "varying" : value);
    instWork.push(inst);
  };
  const visit = (inst: Inst): void => {
    if (inst.op === "phi") {
      let met: Lattice | undefined;
      inst.args.forEach((arg, i) => {
        if (!edges.has(edgeKey(inst.incoming![i]!, inst.block!))) return;
        const v = valueOf(arg);
        if (v === undefined) return;
        if (met === undefined) met = v;
        else if (met !== "varying" && (v === "varying" || v.value !== met.value)) met = "varying";
      });
      if (met !== undefined) set(inst, met);
      return;
    }
    if (!PURE_OPS.has(inst.op) || inst.args.length === 0 || inst.op === "ptradd") return set(inst, "varying");
    const values = inst.args.map(valueOf);
    if (values.some((v) => v === "varying")) return set(inst, "varying");
    if (values.some((v) => v === undefined)) return;
    set(inst, evaluate(inst, values as Const[]) ?? "varying");
  };
  const visitEnd = (block: Block): void => {
    const t = block.terminator;
    let go = successors(t);
    if (t?.kind === "branch") {
      const c = valueOf(t.condition);
      if (c === undefined) return;
      if (c !== "varying") go = [c.value !== 0n ? t.then : t.else];
    }
    for (const next of go) {
      const key = edgeKey(block, next);
      if (edges.has(key)) continue;
      edges.add(key);
      if (reached.has(next)) {
        for (const phi of next.insts) {
          if (phi.op !== "phi") break;
          visit(phi);
        }
      } else {
        reached.add(next);
        blockWork.push(next);
      }
    }
  };

  reached.add(func.blocks[0]!);
  blockWork.push(func.blocks[0]!);
  while (blockWork.length > 0 || instWork.length > 0) {
    const block = blockWork.pop();
    if (block) {
      for (const inst of block.insts) visit(inst);
      visitEnd(block);
      continue;
    }
    const inst = instWork.pop()!;
    const u = users.get(inst);
    if (!u) continue;
    for (const user of u.insts) if (reached.has(user.block!)) visit(user);
    for (const b of u.terminators) if (reached.has(b)) visitEnd(b);
  }

  const replaced = new Map<Inst, Value>();
  for (const block of func.blocks) {
    if (!reached.has(block)) continue;
    block.insts = block.insts.filter((inst) => {
      const value = state.get(inst);
      if (!value || value === "varying" || value.type !== inst.type) return true;
      replaced.set(inst, value);
      inst.block = null;
      return false;
    });
  }
  substitute(func, replaced);
  let changed = replaced.size > 0;
  for (const block of func.blocks) {
    const t = block.terminator;
    if (t?.kind !== "branch" || t.condition.kind !== "const") continue;
    const [taken, other] = t.condition.value !== 0n ? [t.then, t.else] : [t.else, t.then];
    block.terminator = { kind: "jump", target: taken, position: t.position };
    if (other !== taken) removeIncoming(other, block);
    changed = true;
  }
  return changed;
}
