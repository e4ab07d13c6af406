/** Selection of comparisons: fused into branches and selections where nothing else asks for their value. */
import type { Block, Inst, Predicate, Value } from "../ir.ts";
import { INVERSE, isBinary, MIRROR } from "../ops.ts";
import { Alu, Bpf, Jump } from "./machine.ts";
import type { Reg } from "./machine.ts";
import { maxBits } from "../passes/fold.ts";
import { fits32, JUMP_OF, registerValue, type Condition } from "./select-tables.ts";
import { MemorySelector } from "./select-memory.ts";

/** Comparisons and what hangs on them. */
export abstract class ConditionSelector extends MemorySelector {
  /** A comparison needs a register only when something other than a branch or a selection asks for its value. */
  protected needsValue(icmp: Inst): boolean {
    const users = this.users.get(icmp);
    if (!users) return false;
    if (users.terminators.some((b) => b.terminator?.kind === "return")) return true;
    return users.insts.some((user) => user.op !== "select" || user.args[1] === icmp || user.args[2] === icmp);
  }

  protected materialise(icmp: Inst): void {
    const dst = this.regFor(icmp);
    const { condition, inverted } = this.condition(icmp);
    this.loadConstant(dst, inverted ? 0n : 1n);
    this.diamond(condition, () => this.loadConstant(dst, inverted ? 1n : 0n));
  }

  protected selectSelect(inst: Inst): void {
    const dst = this.regFor(inst);
    const [test, a, b] = inst.args as [Value, Value, Value];
    const cond = this.testOf(test);
    if (cond === true || cond === false) return this.moveInto(dst, cond ? a : b);
    // What is computed for one side alone is computed there.
    const late = this.late.has(a as Inst) ? a : b;
    const kept = late === a ? b : a;
    this.moveInto(dst, kept);
    this.diamond(
      cond.condition,
      () => {
        this.emitLate(late);
        this.moveInto(dst, late);
      },
      (late === a) !== cond.inverted,
    );
  }

  /** Instructions that wait for the selection whose side they compute. */
  private readonly late = new Set<Inst>();

  protected isLate(inst: Inst): boolean {
    return this.late.has(inst);
  }

  protected abstract select(inst: Inst): void;

  /** Finds what the selections of a block may compute late: pure, used by one side alone, and not before. */
  protected findLate(block: Block): void {
    for (const inst of block.insts) {
      if (inst.op !== "select" || this.canonical(inst) !== inst) continue;
      const [test, a, b] = inst.args as [Value, Value, Value];
      if (test.kind === "const") continue;
      const side = [a, b].find((v) => this.mayWait(v, block));
      if (side) this.delay(side as Inst, block, 0);
    }
  }

  private mayWait(value: Value, block: Block): value is Inst {
    if (value.kind !== "inst" || value.block !== block || this.useCount(value) !== 1) return false;
    if (this.canonical(value) !== value) return false;
    return isBinary(value.op) || value.op === "zext" || value.op === "sext" || value.op === "bswap";
  }

  private delay(inst: Inst, block: Block, depth: number): void {
    this.late.add(inst);
    if (depth < 3) for (const arg of inst.args) if (this.mayWait(arg, block)) this.delay(arg, block, depth + 1);
  }

  private emitLate(value: Value): void {
    if (value.kind !== "inst" || !this.late.delete(value)) return;
    for (const arg of value.args) this.emitLate(arg);
    this.select(value);
  }

  /** Runs `work` when the condition is as said, and goes on in a new block. */
  protected diamond(condition: Condition, work: () => void, when: boolean = false): void {
    const arm = this.newBlock();
    const after = this.newBlock();
    this.endBlock({ kind: "cond", ...condition, then: when ? arm : after, else: when ? after : arm });
    this.startBlock(arm);
    work();
    this.endBlock({ kind: "jump", target: after });
    this.startBlock(after);
  }

  /** What to compare for an i1: a fused comparison, or the register against zero. */
  protected testOf(value: Value): boolean | { condition: Condition; inverted: boolean } {
    let v = this.canonical(value);
    let flip = false;
    // `(c != 0)` and `(c == 0)` of a truth value are the value and its opposite.
    while (v.kind === "inst" && v.op === "icmp" && (v.predicate === "eq" || v.predicate === "ne")) {
      const right = this.canonical(v.args[1]!);
      const left = this.canonical(v.args[0]!);
      if (right.kind !== "const" || right.value !== 0n || left.type !== "i1") break;
      if (v.predicate === "eq") flip = !flip;
      v = left;
    }
    if (v.kind === "const") return (v.value !== 0n) !== flip;
    if (v.kind === "inst" && v.op === "icmp") {
      const { condition, inverted } = this.condition(v);
      return { condition, inverted: inverted !== flip };
    }
    return { condition: { code: Bpf.JMP | Jump.NE, dst: this.use(v), src: 0, imm: 0 }, inverted: flip };
  }

  protected condition(icmp: Inst): { condition: Condition; inverted: boolean } {
    let predicate = icmp.predicate!;
    let a = this.canonical(icmp.args[0]!);
    let b = this.canonical(icmp.args[1]!);
    const type = icmp.args[0]!.type;
    if (a.kind === "const" && b.kind !== "const") {
      [a, b] = [b, a];
      predicate = MIRROR[predicate];
    }
    const masked = this.bitTest(a, b, predicate, type === "i32");
    if (masked) return masked;
    // Whole registers hold what was not cut to 32 bits for this comparison's sake, and cannot be compared with high constants.
    const halves = [a, b].some((v) =>
      v.kind === "const" ? !fits32(registerValue(v)) : v.type === "i64" && maxBits(v) > 32,
    );
    const equality = predicate === "eq" || predicate === "ne";
    const narrow = type === "i32" && (predicate.startsWith("s") || (equality && halves && this.narrowJumps));
    if (narrow && !this.narrowJumps) {
      const [x, y] = [a, b].map((v) => {
        const reg = this.newReg();
        this.moveInto(reg, v);
        this.push(Bpf.ALU64 | Alu.LSH, reg, 0, 0, 32);
        return reg;
      }) as [Reg, Reg];
      return this.jump(predicate, Bpf.JMP | Bpf.X, x, y, 0);
    }
    const cls = narrow ? Bpf.JMP32 : Bpf.JMP;
    if (b.kind === "const") {
      const value = narrow ? BigInt.asIntN(32, b.value) : registerValue(b);
      if (fits32(value)) return this.jump(predicate, cls, this.use(a), 0, Number(value));
    }
    return this.jump(predicate, cls | Bpf.X, this.use(a), this.use(b), 0);
  }

  protected jump(
    predicate: Predicate,
    cls: number,
    dst: Reg,
    src: Reg,
    imm: number,
  ): { condition: Condition; inverted: boolean } {
    // The first instruction set has no "less" forms; their opposites serve with exchanged targets.
    const missing = this.target.cpu === "v1" && /l[te]$/.test(predicate);
    const code = cls | JUMP_OF[missing ? INVERSE[predicate] : predicate];
    return { condition: { code, dst, src, imm }, inverted: missing };
  }

  /** `(x & mask) != 0` as one jump, when the conjunction has no other use. */
  protected bitTest(
    a: Value,
    b: Value,
    predicate: Predicate,
    narrow: boolean,
  ): { condition: Condition; inverted: boolean } | null {
    if (predicate !== "eq" && predicate !== "ne") return null;
    if (b.kind !== "const" || b.value !== 0n || a.kind !== "inst" || a.op !== "and" || this.useCount(a) !== 1)
      return null;
    const [x, y] = [this.canonical(a.args[0]!), this.canonical(a.args[1]!)];
    if (y.kind !== "const" || x.kind === "const") return null;
    const mask = narrow ? y.value : registerValue(y);
    if (!fits32(mask) || (narrow && mask < 0n)) return null;
    return {
      condition: { code: Bpf.JMP | Jump.SET, dst: this.use(x), src: 0, imm: Number(mask) },
      inverted: predicate === "eq",
    };
  }
}
