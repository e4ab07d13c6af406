/**
 * What lowering hands to the runtime beside the module: where each program attaches, what each map of the script means, and what to
 * do with each record of the event ring. Plain data: with the compiled object it is all that a run needs, so a script can be compiled
 * in one process and run in another.
 */
import type { AttachSpec } from "../../object/index.ts";
import type { FormatPiece } from "./printf.ts";
import type { ScriptConfig } from "./checked.ts";
import type { Type } from "./types.ts";

/** Names of the maps that lowering adds for its own use. */
export const EVENT_RING = "skep_events";
/** Array of one value, a u64 for each probe (index into `TracePlan.probes`): records that found the ring full. */
export const LOST_EVENTS = "skep_lost";

/** When a program runs: once before everything else, once after, or at an attach point. */
export type ProbeRun =
  | { readonly when: "begin" | "end" }
  | { readonly when: "signal"; readonly signal: string }
  /** `optional`: one of the many that a pattern found; the run goes on without those that the kernel refuses. */
  | { readonly when: "attached"; readonly attach: AttachSpec; readonly optional?: true };

/** A program and its place. One program may be attached at many places and stand for many probes of the script. */
export interface PlannedProbe {
  /** Name of the program in the object. */
  readonly program: string;
  readonly run: ProbeRun;
  /** Probes of the script that this attachment serves (a dispatching program serves many): what `Attached N probes` counts. */
  readonly names: readonly string[];
}

/** How the entries of a script's map lie in its kernel map. */
export interface PlannedMap {
  /** With `@`, as printed. */
  readonly name: string;
  readonly kernelMap: string;
  /** Null for a scalar. */
  readonly key: Type | null;
  readonly value: Type;
  readonly perCpu: boolean;
  /**
   * - `keyed`: a hash from key to value;
   * - `scalar`: an array of one value, where `presentOffset` is the offset of a byte that is 1 once it was assigned (null: any nonzero bytes mean present);
   * - `bucketed`: hist and lhist with keys: a hash from (key padded to 8 bytes, u64 bucket) to u64;
   * - `buckets`: hist and lhist without key: an array of one value holding u64 buckets.
   */
  readonly layout: "keyed" | "scalar" | "bucketed" | "buckets";
  readonly presentOffset: number | null;
}

/** A call's place in the script; lines and columns from 1, `endColumn` behind the last character. */
export interface ScriptPlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly endColumn: number;
}

/** A value inside an event record. */
export interface RecordField {
  /** Bytes from the start of the record. */
  readonly offset: number;
  readonly type: Type;
}

/** What to do when a record with this id arrives. Records start with u32 id (index into `TracePlan.events`), u32 index of the probe's name. */
export type EventAction =
  | {
      readonly kind: "printf" | "errorf" | "warnf" | "debugf";
      readonly format: readonly FormatPiece[];
      readonly fields: readonly RecordField[];
      /** errorf and warnf: where the call is in the script, shown before the message. */
      readonly place?: ScriptPlace;
    }
  | {
      readonly kind: "system" | "cat";
      readonly format: readonly FormatPiece[];
      readonly fields: readonly RecordField[];
    }
  /** `print(value)`. */
  | { readonly kind: "print-value"; readonly field: RecordField }
  /** `print(@map, top, div)`; 0 means not given. `top` and `div` may be values of the record. */
  | { readonly kind: "print-map"; readonly map: string; readonly top: number; readonly div: number }
  /** `print(@map[key])`: one entry of a per-CPU aggregation, looked up in user space by the key in the record (null key: scalar). */
  | { readonly kind: "print-map-entry"; readonly map: string; readonly key: RecordField | null }
  | { readonly kind: "clear" | "zero"; readonly map: string }
  | { readonly kind: "time"; readonly format: string }
  /** `count` is a u64 at `countOffset`; items are strings of `itemSize` bytes from `itemsOffset`. */
  | {
      readonly kind: "join";
      readonly separator: string;
      readonly countOffset: number;
      readonly itemsOffset: number;
      readonly itemSize: number;
    }
  /** Exit code as u64 at `codeOffset`; null: 0. */
  | { readonly kind: "exit"; readonly codeOffset: number | null };

/** Offset of the first field of a record. */
export const RECORD_HEADER_SIZE = 8;

/** A stack trace map: key u32 id, value `limit` u64 addresses (zero-filled). */
export interface PlannedStackMap {
  readonly of: "kernel" | "user";
  readonly limit: number;
  readonly kernelMap: string;
}

/** All that a run needs beside the compiled object. */
export interface TracePlan {
  readonly config: ScriptConfig;
  readonly probes: readonly PlannedProbe[];
  /** Sorted by name. */
  readonly maps: readonly PlannedMap[];
  readonly events: readonly EventAction[];
  readonly stackMaps: readonly PlannedStackMap[];
  /** What values of type `probe-name` index. */
  readonly probeNames: readonly string[];
  /** True when some record is ever written: else no ring exists. */
  readonly usesRing: boolean;
  /** Probes of the script, all targets counted: what is announced. */
  readonly probeCount: number;
}
