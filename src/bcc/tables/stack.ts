/** Tables of stacks. */
import type { BuildIdFrame, StackTraceMap } from "../../runtime/index.ts";
import { Table } from "./table.ts";

/** A frame: an address, or with `BPF_STACK_TRACE_BUILDID` a place in a file. */
export type StackFrame = bigint | BuildIdFrame;

/** Stacks, by the numbers that `get_stackid` gave out. */
export class StackTable extends Table<StackTraceMap<StackFrame>> {
  /**
   * Frames of a stack, innermost first; with `resolve` what that makes of each. Empty for an id that is not there, and for the negative
   * ones that tell of an error (-14 of no stack, -17 of one that found its place taken).
   */
  walk(stackId: number): StackFrame[];
  walk<T>(stackId: number, resolve: (frame: StackFrame) => T): T[];
  walk<T>(stackId: number, resolve?: (frame: StackFrame) => T): (StackFrame | T)[] {
    const frames = stackId < 0 || stackId >= this.maxEntries ? [] : (this.map.get(stackId) ?? []);
    return resolve === undefined ? frames : frames.map((frame) => resolve(frame));
  }

  /** Whether a stack is there. */
  has(stackId: number): boolean {
    return stackId >= 0 && stackId < this.maxEntries && this.map.has(stackId);
  }

  /** Ids of the stacks that are there. */
  keys(): number[] {
    return [...this.map.keys()];
  }

  /** Number of stacks, counted now. */
  get length(): number {
    return this.map.size;
  }

  /** Removes a stack; false when it was not there. */
  delete(stackId: number): boolean {
    return this.map.delete(stackId);
  }

  /** Removes all stacks. BCC's does nothing, so that its tables fill up. */
  clear(): void {
    this.map.clear();
  }
}
