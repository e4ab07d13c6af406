/** What is known of an object when TypeScript is compiled: `skep gen types` writes it for one object, the default here is for any. */
import type { MapHandle } from "../maps/base.ts";
import type { Program } from "./program.ts";

/** The shape of what `skep gen types` writes. */
export interface ObjectTypes {
  /** Programs by name. */
  programs: object;
  /** Maps by name, those of sections left out. */
  maps: object;
  /** Variables by section (`rodata`, `data`, `bss`) and name. */
  globals: object;
}

/**
 * A map of which only the running program knows the type. Which of these methods it has depends on that: those of a ring buffer are not
 * those of a hash.
 */
export interface UntypedMap extends MapHandle, Iterable<[unknown, unknown]>, AsyncIterable<unknown> {
  get(key: unknown): unknown;
  set(key: unknown, value: unknown, mode?: "any" | "noexist" | "exist"): boolean;
  has(key: unknown): boolean;
  delete(key: unknown): boolean;
  take(key: unknown): unknown;
  entries(): IterableIterator<[unknown, unknown]>;
  keys(): IterableIterator<unknown>;
  values(): IterableIterator<unknown>;
  toArray(): [unknown, unknown][];
  clear(): void;
  readonly size: number;
}

/** Variables of one section. */
export type UntypedVariables = Record<string, unknown>;

/** Any object. */
export interface AnyObject extends ObjectTypes {
  programs: Readonly<Record<string, Program>>;
  maps: Readonly<Record<string, UntypedMap>>;
  globals: {
    readonly rodata: UntypedVariables;
    readonly data: UntypedVariables;
    readonly bss: UntypedVariables;
    readonly [section: string]: UntypedVariables;
  };
}
