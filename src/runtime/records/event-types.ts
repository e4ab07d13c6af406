/**
 * Which types the records of ring buffers and perf buffers have. C does not say it: a program writes bytes. In this order: what the caller
 * names, the map's own value type, what the code that writes them tells.
 */
import { nearestNames, SkepError } from "../../base/index.ts";
import { Btf, BtfBuilder, BtfKind } from "../../btf/index.ts";
import { MapType } from "../../isa/index.ts";
import type { BpfObject, MapSpec } from "../../object/index.ts";
import { DebugRecords } from "./debug-records.ts";
import { cNameOf, typeByCName } from "./c-names.ts";
import { type FoundType, RecordInference } from "./inference.ts";

/** A type of records. */
export interface EventType {
  /** Types that {@link typeId} is one of: the object's own, or those with others behind them that its debug information tells. */
  readonly btf: Btf;
  readonly typeId: number;
  /** Such as `struct event`. */
  readonly typeName: string;
  /** Bytes. */
  readonly size: number;
}

/** What the records of one map are. */
export interface MapEvents {
  readonly map: string;
  /** Empty when nothing says what they are: then records are bytes. Of several, a record is of the one that has its size. */
  readonly types: readonly EventType[];
  /** How that is known, or why it is not, as a phrase: `its value type`, `the only struct of 24 bytes`. */
  readonly why: string;
}

/** Map types whose entries are a stream of records. */
const streams: ReadonlySet<number> = new Set([MapType.RINGBUF, MapType.PERF_EVENT_ARRAY]);

/** Whether records are read from maps like this one. */
export function isEventMap(map: MapSpec): boolean {
  return streams.has(map.type);
}

/**
 * The types of all event maps of an object. `named` says them by map and C name, several joined by commas. Throws SkepError with the nearest
 * name for maps and types that do not exist.
 */
export function eventTypes(
  object: BpfObject,
  btf: Btf | undefined,
  named: Readonly<Record<string, string>> = {},
): MapEvents[] {
  const maps = object.maps.filter(isEventMap);
  for (const map of Object.keys(named)) {
    if (maps.some(({ name }) => name === map)) continue;
    const other = object.maps.some(({ name }) => name === map);
    const near = nearestNames(
      map,
      maps.map(({ name }) => name),
      1,
    );
    const why = other
      ? "is no ring buffer or perf buffer"
      : near.length > 0
        ? `no such map (did you mean ${near[0]}?)`
        : "no such map";
    throw new SkepError("no-map", `events of map ${map}: ${why}`, { exitStatus: 2 });
  }
  if (maps.length === 0) return [];
  const records = new DebugRecords(object);
  let inference: RecordInference | undefined;
  const drafts = maps.map(({ name: map, ...spec }): Draft => {
    const names = named[map];
    if (names !== undefined) return { map, types: typesNamed(btf, records, map, names), why: "as asked for" };
    if (btf === undefined) return { map, types: [], why: "the object has no BTF" };
    const value = declaredType(btf, { name: map, ...spec });
    if (value !== undefined) return { map, types: [value], why: "its value type" };
    inference ??= new RecordInference(object, btf, records);
    return { map, ...inference.typesOf(map) };
  });
  return withBtf(object, btf, records, drafts);
}

interface Draft {
  readonly map: string;
  readonly types: readonly FoundType[];
  readonly why: string;
}

/** Puts what debug information tells behind the object's own types. */
function withBtf(
  object: BpfObject,
  btf: Btf | undefined,
  records: DebugRecords,
  drafts: readonly Draft[],
): MapEvents[] {
  if (btf === undefined) return drafts.map(({ map, why }) => ({ map, types: [], why }));
  const isExtended = drafts.some(({ types }) => types.some((type) => "record" in type));
  if (!isExtended) {
    return drafts.map(({ types, ...draft }) => ({
      ...draft,
      types: types.flatMap((type) => ("record" in type ? [] : [{ btf, ...type }])),
    }));
  }
  const builder = BtfBuilder.extending(object.btf!);
  const placed = drafts.map(({ types, ...draft }) => ({
    ...draft,
    types: types.map((type) => {
      if (!("record" in type)) return type;
      const { typeName, size } = type;
      return { typeName, size, typeId: records.addTo(builder, type.record) };
    }),
  }));
  const extended = Btf.parse(builder.finish());
  return placed.map((draft) => ({ ...draft, types: draft.types.map((type) => ({ btf: extended, ...type })) }));
}

function typesNamed(btf: Btf | undefined, records: DebugRecords, map: string, names: string): FoundType[] {
  return names.split(",").map((name) => {
    const id = btf === undefined ? undefined : typeByCName(btf, name);
    const size = id === undefined ? undefined : btf!.sizeOf(id);
    if (id !== undefined && size !== undefined) return { typeId: id, typeName: cNameOf(btf!, id), size };
    const [record] = records.named(name.trim().replace(/^(struct|union)\s+/, ""));
    if (record !== undefined && btf !== undefined) return record;
    const known =
      btf === undefined ? [] : [...btf.names(BtfKind.STRUCT), ...btf.names(BtfKind.TYPEDEF), ...records.names()];
    const near = nearestNames(name.trim().replace(/^(struct|union|enum)\s+/, ""), known, 1);
    const why =
      btf === undefined
        ? "the object has no BTF"
        : `the object has no type ${name.trim()}${near.length > 0 ? ` (did you mean ${near[0]}?)` : ""}`;
    throw new SkepError("no-type", `events of map ${map}: ${why}`, { exitStatus: 2 });
  });
}

/** The value type of the map itself. Perf event arrays often declare the `int` or `u32` that their slots are: that is no record. */
function declaredType(btf: Btf, map: MapSpec): FoundType | undefined {
  if (!map.valueTypeId) return undefined;
  const kind = btf.kindOf(btf.stripModifiers(map.valueTypeId));
  if (map.type === MapType.PERF_EVENT_ARRAY && kind === BtfKind.INT) return undefined;
  const size = btf.sizeOf(map.valueTypeId);
  return size === undefined
    ? undefined
    : { typeId: map.valueTypeId, typeName: cNameOf(btf, btf.stripModifiers(map.valueTypeId)), size };
}
