/** Events of a ring as an async iterable, one by one or in batches, at the user's pace. */
import { SkepError } from "../../base/index.ts";
import { type Owner, type RecordSource, RecordWindow } from "../../kernel/index.ts";
import { type Decode, EventBatch } from "./batch.ts";
import { Pace } from "./pace.ts";

/** Options of readers. */
export interface ReaderOptions {
  /** Ends the iteration and closes the reader; the iteration then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** Most records of a batch. Default 4096. */
  readonly batchSize?: number;
  /** Leave the reader open when a loop over it is left; the next loop goes on where it was. */
  readonly keepOpen?: boolean;
  /** Wake for each record, also when there are thousands a second, which are otherwise read every millisecond at a fraction of the cost. */
  readonly lowLatency?: boolean;
  /** Number of records that did not fit, counted by the program: a ring buffer itself keeps no such count. */
  readonly lost?: () => number | bigint;
}

/** Most records between looks at the clock, and how long a reader may run before timers and signals have their turn. */
const RECORDS_A_LOOK = 256;
const TURN_MS = 8;

/** Part of the ring that is worked off before its room is given back: a store that programs see costs as much as reading a small record. */
const RELEASE_SHIFT = 7;

/** Lets timers, signals and other input have their turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The reason of a signal as it is thrown. */
function reasonOf(signal: AbortSignal): unknown {
  return signal.reason ?? new SkepError("aborted", "reading was aborted");
}

/**
 * Reads a ring: `for await (const event of reader)`, or `reader.batches()`. Nothing is taken from the ring before it is asked for, so a slow
 * loop fills the ring, not the memory: what does not fit then is dropped by the kernel or the program. Leaving a loop closes the reader.
 */
export class EventReader<T> implements AsyncIterable<T>, Owner {
  /** Name of the map. */
  readonly name: string;
  private readonly source: RecordSource;
  private readonly decode: Decode<T>;
  private readonly options: ReaderOptions;
  private readonly window: RecordWindow;
  private readonly pace: Pace;
  /** Next record of the window that the one-by-one iteration gives out. */
  private next = 0;
  private batch: EventBatch<T> | undefined;
  private isAsked = false;
  private isClosed = false;
  private wakeWaiting: (() => void) | undefined;
  private turnStarted = 0;
  private readonly onAbort = (): void => this.close();

  constructor(
    name: string,
    source: RecordSource,
    decode: Decode<T>,
    options: ReaderOptions = {},
    withTimes: boolean = false,
  ) {
    this.name = name;
    this.source = source;
    this.decode = decode;
    this.options = options;
    this.pace = new Pace(source);
    this.window = new RecordWindow(options.batchSize ?? 4096, withTimes);
    const { signal } = options;
    if (signal?.aborted === true) this.close();
    else signal?.addEventListener("abort", this.onAbort, { once: true });
  }

  /** Whether the reader was closed, or its loop left. */
  get closed(): boolean {
    return this.isClosed;
  }

  /** Bytes that wait in the ring, headers included. */
  get pendingBytes(): number {
    return this.source.pendingBytes;
  }

  /** Bytes of the ring, of one CPU's for perf buffers. */
  get ringBytes(): number {
    return this.source.ringBytes;
  }

  /**
   * Records that were dropped. Perf buffers: as the kernel counted, up to what was read. Ring buffers: as the program counts (`lost` of the
   * options), else undefined, since nobody knows.
   */
  get lost(): number | undefined {
    const { lost } = this.options;
    return lost === undefined ? this.source.lost : Number(lost());
  }

  /** What is in the ring now, decoded, at most `limit` events, without waiting. */
  read(limit: number = Infinity): T[] {
    const events: T[] = [];
    for (;;) {
      const event = events.length < limit ? this.tryNext() : undefined;
      if (event === undefined) {
        this.releaseGiven();
        return events;
      }
      events.push(event.value);
    }
  }

  /** Gives what was given out back to the kernel. */
  private releaseGiven(): void {
    this.batch?.release();
    if (this.batch !== undefined) this.source.release(this.window);
    else if (this.next > 0) this.source.release(this.window, this.next);
    this.batch = undefined;
    this.window.count = 0;
    this.next = 0;
  }

  /**
   * The next event if there is one now, without waiting. The record of the one before is released with it, at the latest when the ring was
   * read to its end.
   */
  tryNext(): { readonly value: T } | undefined {
    const { window } = this;
    this.requireOpen();
    if (this.batch !== undefined) this.releaseGiven();
    if (this.next >= window.count) {
      if (window.count > 0) this.source.release(window);
      this.next = 0;
      if (this.source.fill(window) === 0) return undefined;
    }
    const index = this.next++;
    const offset = window.offsets[index]!;
    try {
      return { value: this.decode(window.view, offset, offset + window.sizes[index]!) };
    } catch (error) {
      throw this.describe(error);
    }
  }

  /** Calls back once, when there may be an event; at once when there is one. Returns what cancels it. */
  whenReadable(callback: () => void): () => void {
    this.requireOpen();
    return this.source.whenReadable(callback);
  }

  private describe(error: unknown): unknown {
    if (error instanceof RangeError) error.message = `events of map ${this.name}: ${error.message}`;
    return error;
  }

  /** Waits until `look` finds something; undefined when the reader is closed. Only one loop may ask at a time. */
  private async ask<R>(look: () => R | undefined): Promise<R | undefined> {
    if (this.isAsked) {
      throw new SkepError("busy", `events of map ${this.name}: two loops read the same reader: make a reader for each`);
    }
    this.isAsked = true;
    try {
      if (this.isTurnOver()) await turn();
      for (;;) {
        this.options.signal?.throwIfAborted();
        if (this.isClosed) return undefined;
        const found = look();
        if (found !== undefined) return found;
        await this.wait();
      }
    } finally {
      this.isAsked = false;
    }
  }

  private wait(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.wakeWaiting = undefined;
        this.turnStarted = performance.now();
        resolve();
      };
      const nap = this.options.lowLatency === true ? undefined : this.pace.nap();
      let cancel: () => void;
      if (nap === undefined) {
        cancel = this.source.whenReadable(wake);
      } else {
        const timer = setTimeout(wake, nap);
        cancel = () => clearTimeout(timer);
      }
      this.wakeWaiting = () => {
        cancel();
        wake();
      };
    });
  }

  private isTurnOver(): boolean {
    const now = performance.now();
    if (now - this.turnStarted < TURN_MS) return false;
    this.turnStarted = now;
    return true;
  }

  /** Events one by one. The record of an event is released when the next one is asked for, or soon after in a large ring. */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    const { window, source } = this;
    const step = source.ringBytes >> RELEASE_SHIFT;
    let released = 0;
    return this.iterator(() => {
      const { next } = this;
      if (this.batch === undefined && next > 0 && next < window.count) {
        // Room in the ring for what was worked off, while programs may be waiting for it.
        const end = window.ends[next - 1]!;
        if (next === 1 || end - released >= step) {
          source.release(window, next);
          released = end;
        }
      }
      return this.tryNext();
    }, RECORDS_A_LOOK);
  }

  /** Records in batches of those that wait. A batch is released, and its methods throw, when the next one is asked for. */
  batches(): AsyncIterableIterator<EventBatch<T>> {
    return this.iterator(() => {
      this.releaseGiven();
      if (this.source.fill(this.window) === 0) return undefined;
      this.batch = new EventBatch(this.window, this.decode);
      return { value: this.batch };
    }, 1);
  }

  /** An iterator over what `look` finds, which looks at the clock after `most` times at the latest. */
  private iterator<R>(look: () => { readonly value: R } | undefined, most: number): AsyncIterableIterator<R> {
    let sinceLook = 0;
    // Few where the loop is slow, so that its turns end when they should; a look costs as much as an event.
    let perLook = 1;
    let lastLook = 0;
    const end = (): void => {
      this.releaseGiven();
      if (this.options.keepOpen !== true) this.close();
    };
    const askFor = async (): Promise<IteratorResult<R, undefined>> => {
      try {
        const found = await this.ask(look);
        return found === undefined ? { done: true, value: undefined } : { done: false, value: found.value };
      } catch (error) {
        end();
        throw error;
      }
    };
    return {
      next: (): Promise<IteratorResult<R, undefined>> => {
        if (this.isAsked || this.isClosed) return askFor();
        if (++sinceLook >= perLook) {
          sinceLook = 0;
          const now = performance.now();
          perLook = now - lastLook < TURN_MS / 8 ? Math.min(most, perLook * 2) : Math.max(1, perLook >> 2);
          lastLook = now;
          if (now - this.turnStarted >= TURN_MS) return askFor();
        }
        // What is there is given at once: an async function of our own would cost more than the rest.
        try {
          const found = look();
          return found === undefined ? askFor() : Promise.resolve({ done: false, value: found.value });
        } catch (error) {
          end();
          return Promise.reject(error);
        }
      },
      return: (): Promise<IteratorResult<R, undefined>> => {
        end();
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator](): AsyncIterableIterator<R> {
        return this;
      },
    };
  }

  private requireOpen(): void {
    if (!this.isClosed) return;
    if (this.options.signal?.aborted === true) throw reasonOf(this.options.signal);
    throw new SkepError("closed", `events of map ${this.name}: read after the reader was closed`);
  }

  /** Ends loops that wait, and gives the memory back. The map stays open. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.options.signal?.removeEventListener("abort", this.onAbort);
    this.batch?.release();
    this.batch = undefined;
    this.source.close();
    this.wakeWaiting?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
