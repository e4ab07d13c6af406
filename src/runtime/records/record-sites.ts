/** Which sizes of records the code of an object writes to its ring buffers and perf buffers, as far as they are constants. */
import { Btf, decodeLineInfo } from "../../btf/index.ts";
import { helperByName } from "../../isa/index.ts";
import type { BpfObject, ProgramSpec } from "../../object/index.ts";
import { helperCalls } from "./call-arguments.ts";

/** One place in a program that writes a record. */
export interface RecordSite {
  readonly program: string;
  readonly insnIndex: number;
  /** Name of the map that the record goes to. */
  readonly map: string;
  /** Bytes; undefined when only the running program knows. */
  readonly size: number | undefined;
  /** The map whose value is written, when it is one that was looked up in a map. */
  readonly valueOf?: string;
  /** Text of the C line, when the object tells. */
  readonly source?: string;
  /** `file.c:12`. */
  readonly place?: string;
}

/** Registers of the map, of the size and of the record, by the helper that writes. */
const writers: ReadonlyMap<number, { readonly map: number; readonly size: number; readonly data?: number }> = new Map(
  (
    [
      ["ringbuf_reserve", { map: 1, size: 2 }],
      ["ringbuf_output", { map: 1, size: 3, data: 2 }],
      ["ringbuf_reserve_dynptr", { map: 1, size: 2 }],
      ["perf_event_output", { map: 2, size: 5, data: 4 }],
      ["skb_output", { map: 2, size: 5, data: 4 }],
      ["xdp_output", { map: 2, size: 5, data: 4 }],
    ] as const
  ).flatMap(([name, registers]) => {
    const helper = helperByName(name);
    return helper === undefined ? [] : [[helper.id, registers] as const];
  }),
);

/** All places of an object's programs that write records. Code that cannot be read has none. */
export function recordSites(object: BpfObject): RecordSite[] {
  const btf = object.btf === undefined ? undefined : Btf.parse(object.btf);
  return object.programs.flatMap((program) => sitesOf(program, btf));
}

function sitesOf(program: ProgramSpec, btf: Btf | undefined): RecordSite[] {
  const calls = helperCalls(program, writers);
  if (calls.length === 0) return [];
  const lines = btf === undefined ? [] : decodeLineInfo(program.lineInfo, btf.strings);
  return calls.flatMap(({ insnIndex, helper, registers }) => {
    const at = writers.get(helper)!;
    const map = registers[at.map];
    if (typeof map !== "object" || map.offset !== undefined || map.isValue === true) return [];
    const size = registers[at.size];
    const data = at.data === undefined ? undefined : registers[at.data];
    const line = lines.findLast((record) => record.insnIndex <= insnIndex);
    return {
      program: program.name,
      insnIndex,
      map: map.map,
      size: typeof size === "number" ? size : undefined,
      ...(typeof data === "object" && data.isValue === true ? { valueOf: data.map } : {}),
      ...(line === undefined
        ? {}
        : { source: line.source.trim(), place: `${line.file.slice(line.file.lastIndexOf("/") + 1)}:${line.line}` }),
    };
  });
}
