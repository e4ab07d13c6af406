/** Queues and stacks of values. */
import type { Given, QueueMap } from "../../runtime/index.ts";
import { Table } from "./table.ts";

/** `flags` of {@link QueueTable.push}: the oldest value makes room. */
export const BPF_EXIST: number = 2;

/** A queue or a stack of values. */
export class QueueTable<V> extends Table<QueueMap<V>> {
  /** Adds a value. Throws RangeError when there is no room and `flags` is not `BPF_EXIST`. */
  push(value: Given<V>, flags: number = 0): void {
    if (!this.map.push(value, { replaceOldest: (flags & BPF_EXIST) !== 0 }))
      throw new RangeError(`table ${this.name}: it is full: ${this.maxEntries} values`);
  }

  /** Takes the next value out; undefined when there is none. */
  pop(): V | undefined {
    return this.map.pop();
  }

  /** The next value, which stays; undefined when there is none. */
  peek(): V | undefined {
    return this.map.peek();
  }

  /** Takes out all values that there are, at most as many as the table holds. */
  values(): V[] {
    return [...this.map.drain(this.maxEntries)];
  }

  [Symbol.iterator](): Iterator<V> {
    return this.map.drain(this.maxEntries);
  }
}
