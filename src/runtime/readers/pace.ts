/** When a reader should nap instead of being woken for each record: many records a millisecond, and a ring that holds them with ease. */
import type { RecordSource } from "../../kernel/index.ts";

/** Length of a nap: what timers can do. */
const NAP_MS = 1;
/** Waits that end sooner than this in a row, before the first nap. */
const SHORT_WAIT_MS = 0.5;
const SHORT_WAITS = 8;
/** The ring must have room for this many naps' worth of records: scheduling may make a nap much longer. */
const SPARE_NAPS = 32;

/**
 * Being woken costs a reader more than reading ten records. When records come faster than it sleeps, reading what gathers in a
 * millisecond takes a fraction of the time, for both sides: programs whose records find others waiting wake nobody.
 */
export class Pace {
  private readonly source: RecordSource;
  private lastWaitAt = 0;
  private lastBytes = 0;
  private shortWaits = 0;
  private isNapping = false;

  constructor(source: RecordSource) {
    this.source = source;
  }

  /** Asked before each wait: how long to nap, or undefined to wait for the next record. */
  nap(): number | undefined {
    const now = performance.now();
    const bytes = this.source.releasedBytes;
    const ran = now - this.lastWaitAt;
    const read = bytes - this.lastBytes;
    this.lastWaitAt = now;
    this.lastBytes = bytes;
    this.shortWaits = read > 0 && ran < SHORT_WAIT_MS ? this.shortWaits + 1 : 0;
    if (read === 0) this.isNapping = false;
    else if (this.shortWaits >= SHORT_WAITS) this.isNapping = true;
    if (!this.isNapping) return undefined;
    const expected = (read / Math.max(ran, 0.05)) * NAP_MS;
    return expected * SPARE_NAPS <= this.source.ringBytes ? NAP_MS : undefined;
  }
}
