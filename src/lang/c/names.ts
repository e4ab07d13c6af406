/** Identifiers of a compilation, each held once: what tokens, macros and scopes refer to. */
import type { Macro } from "./preprocessor/macro.ts";

/** An identifier. Two tokens spell the same identifier exactly when they hold the same `Name`. */
export class Name {
  readonly text: string;
  readonly hash: number;
  /** Its definition at this point of preprocessing. */
  macro: Macro | undefined = undefined;
  /** Whether the parser has a meaning for it as a word; undefined until it is asked. */
  isWord: boolean | undefined = undefined;
  /** Next name in the same bucket of its table. */
  next: Name | undefined;

  constructor(text: string, hash: number, next: Name | undefined) {
    this.text = text;
    this.hash = hash;
    this.next = next;
  }
}

const FIRST_BUCKETS = 1 << 12;

/**
 * All names of a compilation. A real vmlinux.h has half a million identifiers of which one in ten is new, so looking one up makes
 * no string.
 */
export class NameTable {
  private buckets: (Name | undefined)[] = new Array<Name | undefined>(FIRST_BUCKETS).fill(undefined);
  private count = 0;

  /** The name of a string. */
  intern(text: string): Name {
    return this.internRange(text, 0, text.length);
  }

  /** The name that `source` holds from `start` to `end`. */
  internRange(source: string, start: number, end: number): Name {
    let hash = end - start;
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + source.charCodeAt(i)) | 0;
    const length = end - start;
    const bucket = this.bucketOf(hash);
    for (let name = this.buckets[bucket]; name !== undefined; name = name.next) {
      if (name.hash === hash && name.text.length === length && source.startsWith(name.text, start)) return name;
    }
    const name = new Name(source.slice(start, end), hash, this.buckets[bucket]);
    this.buckets[bucket] = name;
    if (++this.count > this.buckets.length) this.grow();
    return name;
  }

  /** The name that `source` holds from `start` to `end`, when it is one already. */
  find(source: string, start: number, end: number): Name | undefined {
    let hash = end - start;
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + source.charCodeAt(i)) | 0;
    const length = end - start;
    for (let name = this.buckets[this.bucketOf(hash)]; name !== undefined; name = name.next) {
      if (name.hash === hash && name.text.length === length && source.startsWith(name.text, start)) return name;
    }
    return undefined;
  }

  private bucketOf(hash: number): number {
    return (hash ^ (hash >>> 15)) & (this.buckets.length - 1);
  }

  private grow(): void {
    const names = [...this.all()];
    this.buckets = new Array<Name | undefined>(this.buckets.length * 4).fill(undefined);
    for (const name of names) {
      const bucket = this.bucketOf(name.hash);
      name.next = this.buckets[bucket];
      this.buckets[bucket] = name;
    }
  }

  /** All names, in no order. */
  *all(): Generator<Name> {
    for (const first of this.buckets) for (let name = first; name !== undefined; name = name.next) yield name;
  }
}
