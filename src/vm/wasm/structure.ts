/**
 * Control flow as WebAssembly has it: blocks and loops that nest, made of any reducible flow by its tree of dominators (N. Ramsey, Beyond
 * Relooper, ICFP 2022). A flow that is not reducible runs as one loop around a table of its blocks.
 */
import { OPCODE_FORMS } from "../../isa/index.ts";
import type { VmFunction, VmProgram } from "../program.ts";
import type { FunctionEmitter } from "./emit.ts";
import type { Flow, FlowBlock } from "./flow.ts";
import { EMPTY_BLOCK, ValueType, W } from "./writer.ts";

/** How often the body of a loop of one block is written, so that fuel is paid once for so many rounds. */
const UNROLL = 4;
/** Longer bodies gain nothing by it. */
const UNROLL_SLOTS = 24;
/** Each access that needs a check has the rest of the round behind the loop once more. */
const UNROLL_SITES = 6;

/** Writes a function's code. */
export function emitStructured(program: VmProgram, func: VmFunction, flow: Flow, emitter: FunctionEmitter): void {
  const once = flow.blocks.reduce((sum, b) => sum + (b.depth === 0 ? b.slots.length : 0), 0);
  emitter.begin(once, func.start);
  const writer = new StructureWriter(program, flow, emitter);
  if (flow.reducible) writer.tree(0);
  else writer.dispatch();
  emitter.code.byte(W.unreachable);
}

interface Label {
  /** Block that a branch to the label continues at; -1 for an `if`. */
  readonly block: number;
  readonly loop: boolean;
}

class StructureWriter {
  private readonly program: VmProgram;
  private readonly flow: Flow;
  private readonly emitter: FunctionEmitter;
  private readonly labels: Label[] = [];
  private readonly sizes: readonly number[];

  constructor(program: VmProgram, flow: Flow, emitter: FunctionEmitter) {
    this.program = program;
    this.flow = flow;
    this.emitter = emitter;
    // How many blocks each dominates, itself included.
    const sizes = flow.blocks.map(() => 1);
    for (let i = flow.blocks.length - 1; i > 0; i--) sizes[flow.blocks[i]!.dominator]! += sizes[i]!;
    this.sizes = sizes;
  }

  /** The block and all that it dominates. What is written never runs past its own end. */
  tree(root: number): void {
    const { code } = this.emitter;
    const outer = this.labels.length;
    let next: number | undefined = root;
    // The last subtree of each block follows without nesting deeper in here, so that long chains need no stack.
    while (next !== undefined) next = this.subtree(this.flow.blocks[next]!);
    while (this.labels.length > outer) {
      this.labels.pop();
      code.byte(W.end);
    }
  }

  /** Writes a block and its subtrees but one, which it returns. */
  private subtree(block: FlowBlock): number | undefined {
    const { code } = this.emitter;
    const self = block.isLoop && block.successors.includes(block.index);
    if (block.isLoop) {
      this.emitter.openWindows(block.loop.flatMap((i) => this.flow.blocks[i]!.slots));
      if (self && block.slots.length <= UNROLL_SLOTS && this.selfLoop(block)) {
        const exit = block.successors.find((s) => s !== block.index)!;
        return this.goTo(block, exit);
      }
      code.byte(W.loop, EMPTY_BLOCK);
      this.labels.push({ block: block.index, loop: true });
    }
    const joins = block.children.filter((c) => this.flow.blocks[c]!.isJoin);
    // Outermost the one that comes last.
    for (const join of joins.toReversed()) {
      code.byte(W.block, EMPTY_BLOCK);
      this.labels.push({ block: join, loop: false });
    }
    this.body(block);
    const rest = this.terminator(block);
    if (rest !== undefined) {
      if (joins.length === 0) return rest;
      this.tree(rest);
    }
    for (const [i, join] of joins.entries()) {
      this.labels.pop();
      code.byte(W.end);
      if (i === joins.length - 1) return join;
      this.tree(join);
    }
    return undefined;
  }

  private body(block: FlowBlock): void {
    this.emitter.enterBlock();
    for (const slot of block.slots) {
      const form = OPCODE_FORMS[this.program.insns[slot]!.opcode];
      const isJump =
        form === "goto" || form === "gotol" || form === "may-goto" || form === "jump-imm" || form === "jump-reg";
      if (!isJump && form !== "exit") this.emitter.instruction(slot, block.depth > 0);
    }
  }

  /** Writes how a block ends; returns the subtree that is to follow right behind, when there is one. */
  private terminator(block: FlowBlock): number | undefined {
    const { code } = this.emitter;
    const last = block.slots.at(-1)!;
    const form = OPCODE_FORMS[this.program.insns[last]!.opcode];
    if (form === "exit") {
      this.emitter.leave();
      return undefined;
    }
    const [first, second] = block.successors as [number, number | undefined];
    if (second === undefined) return this.goTo(block, first);
    if (second === first) return this.goTo(block, first);
    // Inside of the `if` goes what has to be nested; what costs nothing to branch to is branched to.
    const [inner, outer, negate] =
      this.nests(block, second) && (!this.nests(block, first) || this.sizes[first]! < this.sizes[second]!)
        ? [first, second, true]
        : [second, first, false];
    this.emitter.condition(last);
    if (negate) code.byte(W.i32Eqz);
    if (this.isPlain(block, inner)) code.brIf(this.depthOf(inner));
    else {
      code.byte(W.if, EMPTY_BLOCK);
      this.labels.push({ block: -1, loop: false });
      const follows = this.goTo(block, inner);
      if (follows !== undefined) this.tree(follows);
      this.labels.pop();
      code.byte(W.end);
    }
    return this.goTo(block, outer);
  }

  /** Whether a jump there continues with a subtree of its own. */
  private nests(from: FlowBlock, to: number): boolean {
    return to >= 0 && to > from.index && !this.flow.blocks[to]!.isJoin;
  }

  /** Whether a jump there is a branch and nothing more. */
  private isPlain(from: FlowBlock, to: number): boolean {
    return to > from.index && this.flow.blocks[to]!.isJoin;
  }

  private depthOf(block: number): number {
    const at = this.labels.findLastIndex((label) => label.block === block);
    return this.labels.length - 1 - at;
  }

  /** Writes a jump, or returns the subtree that follows instead of one. */
  private goTo(from: FlowBlock, to: number): number | undefined {
    const last = from.slots.at(-1)!;
    if (to < 0) {
      this.emitter.fault(3, last);
      return undefined;
    }
    if (to <= from.index) {
      // Backwards: the loop pays for its next round.
      this.emitter.pay(this.loopCost(to, from.index), last);
      this.emitter.code.br(this.depthOf(to));
      return undefined;
    }
    if (!this.flow.blocks[to]!.isJoin) return to;
    this.emitter.code.br(this.depthOf(to));
    return undefined;
  }

  /** Instructions that a round of a loop may take: those between its head and the jump back, inner loops counted once. */
  private loopCost(head: number, tail: number): number {
    let cost = 0;
    for (let i = head; i <= tail; i++) cost += this.flow.blocks[i]!.slots.length;
    return cost;
  }

  /**
   * A loop of one block: several rounds for one payment. An access outside of the memory that was found before the loop leaves it, is checked
   * behind it, where the round is finished, and the loop begins anew. False when its flow is another.
   */
  private selfLoop(block: FlowBlock): boolean {
    const { code } = this.emitter;
    const [first, second] = block.successors;
    if (second === undefined || first === second) return false;
    const sites = this.emitter.windowed(block.slots);
    if (sites === undefined || sites.length > UNROLL_SITES) return false;
    const last = block.slots.at(-1)!;
    // The jump is taken to stay, or to leave.
    const staysWhenTaken = second === block.index;
    const leave = (depth: number): void => {
      this.emitter.condition(last);
      if (staysWhenTaken) code.byte(W.i32Eqz);
      code.brIf(depth);
    };
    code.byte(W.block, EMPTY_BLOCK, W.loop, EMPTY_BLOCK);
    this.emitter.openWindows(block.slots);
    for (let i = 0; i < sites.length; i++) code.byte(W.block, EMPTY_BLOCK);
    code.byte(W.loop, EMPTY_BLOCK);
    this.emitter.pay(block.slots.length * UNROLL, last);
    this.emitter.onMiss = (slot) => 1 + sites.indexOf(slot);
    for (let round = 1; round <= UNROLL; round++) {
      this.body(block);
      leave(sites.length + 2);
    }
    this.emitter.onMiss = undefined;
    code.br(0).byte(W.end, W.unreachable);
    for (const [i, site] of sites.entries()) {
      code.byte(W.end);
      this.emitter.enterBlock();
      for (const slot of block.slots.slice(block.slots.indexOf(site))) {
        if (slot !== last) this.emitter.instruction(slot, false);
      }
      const inner = sites.length - 1 - i;
      leave(inner + 1);
      this.emitter.pay(block.slots.length, last);
      code.br(inner);
    }
    if (sites.length === 0) code.byte(W.unreachable);
    code.byte(W.end, W.end);
    return true;
  }

  /** Every block in one loop, chosen by a number. */
  dispatch(): void {
    const { code } = this.emitter;
    const { blocks } = this.flow;
    const chosen = code.local(ValueType.I32);
    code.byte(W.loop, EMPTY_BLOCK);
    for (let i = 0; i < blocks.length; i++) code.byte(W.block, EMPTY_BLOCK);
    code
      .get(chosen)
      .byte(W.brTable)
      .unsigned(blocks.length - 1);
    for (let i = 0; i < blocks.length; i++) code.unsigned(i);
    for (const [i, block] of blocks.entries()) {
      code.byte(W.end);
      // Labels around: the remaining blocks, then the loop.
      const loop = blocks.length - 1 - i;
      const go = (to: number, depth: number): void => {
        if (to < 0) this.emitter.fault(3, block.slots.at(-1)!);
        else code.i32(to).set(chosen).br(depth);
      };
      this.emitter.pay(block.slots.length, block.slots[0]!);
      this.body(block);
      const last = block.slots.at(-1)!;
      if (OPCODE_FORMS[this.program.insns[last]!.opcode] === "exit") {
        this.emitter.leave();
        continue;
      }
      const [first, second] = block.successors as [number, number | undefined];
      if (second !== undefined) {
        this.emitter.condition(last);
        code.byte(W.if, EMPTY_BLOCK);
        go(second, loop + 1);
        code.byte(W.end);
      }
      go(first, loop);
    }
    code.byte(W.end);
  }
}
