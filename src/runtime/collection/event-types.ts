/**
 * Which types the records of ring buffers and perf buffers have. C does not say it: a program writes bytes. In this order: what the caller
 * names, the map's own value type, what the code writes (constant sizes) against the structs of the object's BTF.
 */
import { nearestNames, SkepError } from "../../base/index.ts";
import { type Btf, BtfKind, decodeFuncInfo } from "../../btf/index.ts";
import { MapType } from "../../isa/index.ts";
import type { BpfObject, MapSpec, ProgramSpec } from "../../object/index.ts";
import { type RecordSite, recordSites } from "./record-sizes.ts";

/** A type of records. */
export interface EventType {
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

/** A type by the name that C gives it: `struct event`, `union u`, `enum e`, a typedef, or a bare tag. Undefined when there is none. */
export function typeByCName(btf: Btf, name: string): number | undefined {
  const [, keyword, tag] = /^(?:(struct|union|enum)\s+)?(\w+)$/.exec(name.trim()) ?? [];
  if (tag === undefined) return undefined;
  switch (keyword) {
    case "struct":
      return btf.structByName(tag)?.id;
    case "union":
      return btf.unionByName(tag)?.id;
    case "enum":
      return btf.enumByName(tag)?.id;
    default:
      return (
        btf.structByName(tag)?.id ??
        btf.typedefByName(tag)?.id ??
        btf.unionByName(tag)?.id ??
        btf.enumByName(tag)?.id ??
        btf.findByName(tag, BtfKind.INT)
      );
  }
}

/** Name of a type as C says it. */
export function cNameOf(btf: Btf, typeId: number): string {
  const type = btf.typeById(typeId);
  const keyword =
    type.kind === BtfKind.STRUCT
      ? "struct "
      : type.kind === BtfKind.UNION
        ? "union "
        : type.kind === BtfKind.ENUM || type.kind === BtfKind.ENUM64
          ? "enum "
          : "";
  return `${keyword}${type.name === "" ? "(anonymous)" : type.name}`;
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
  let sites: RecordSite[] | undefined;
  return maps.map((map) => {
    const names = named[map.name];
    if (names !== undefined) return { map: map.name, types: typesNamed(btf, map.name, names), why: "as asked for" };
    if (btf === undefined) return { map: map.name, types: [], why: "the object has no BTF" };
    const value = declaredType(btf, map);
    if (value !== undefined) return { map: map.name, types: [value], why: "its value type" };
    sites ??= recordSites(object);
    return inferred(object, btf, map, sites);
  });
}

function typesNamed(btf: Btf | undefined, map: string, names: string): EventType[] {
  return names.split(",").map((name) => {
    const id = btf === undefined ? undefined : typeByCName(btf, name);
    const size = id === undefined ? undefined : btf!.sizeOf(id);
    if (id !== undefined && size !== undefined) return { typeId: id, typeName: cNameOf(btf!, id), size };
    const known = btf === undefined ? [] : [...btf.names(BtfKind.STRUCT), ...btf.names(BtfKind.TYPEDEF)];
    const near = nearestNames(name.trim().replace(/^(struct|union|enum)\s+/, ""), known, 1);
    const why =
      btf === undefined
        ? "the object has no BTF"
        : `the object has no type ${name.trim()}${near.length > 0 ? ` (did you mean ${near[0]}?)` : ""}`;
    throw new SkepError("no-type", `events of map ${map}: ${why}`, { exitStatus: 2 });
  });
}

/** The value type of the map itself. Perf event arrays often declare the `int` or `u32` that their slots are: that is no record. */
function declaredType(btf: Btf, map: MapSpec): EventType | undefined {
  if (!map.valueTypeId) return undefined;
  const kind = btf.kindOf(btf.stripModifiers(map.valueTypeId));
  if (map.type === MapType.PERF_EVENT_ARRAY && kind === BtfKind.INT) return undefined;
  const size = btf.sizeOf(map.valueTypeId);
  return size === undefined
    ? undefined
    : { typeId: map.valueTypeId, typeName: cNameOf(btf, btf.stripModifiers(map.valueTypeId)), size };
}

function inferred(object: BpfObject, btf: Btf, map: MapSpec, all: readonly RecordSite[]): MapEvents {
  const none = (why: string): MapEvents => ({ map: map.name, types: [], why });
  const sites = all.filter((site) => site.map === map.name);
  if (sites.length === 0) return none("no program writes to it");
  const roots = kernelTypes(object, btf);
  const structs = [...btf.idsByKind(BtfKind.STRUCT), ...btf.idsByKind(BtfKind.UNION)];
  const found = new Map<number, EventType>();
  const reasons = new Set<string>();
  for (const site of sites) {
    const named = namedOnLine(btf, site);
    const candidates =
      named !== undefined
        ? [named]
        : site.size === undefined
          ? []
          : plausible(
              btf,
              structs.filter((id) => btf.sizeOf(id) === site.size),
              roots,
            );
    if (candidates.length === 1) {
      const typeId = candidates[0]!;
      const size = btf.sizeOf(typeId)!;
      found.set(typeId, { typeId, typeName: cNameOf(btf, typeId), size });
      reasons.add(named === undefined ? `the only struct of ${size} bytes` : `named at ${site.place}`);
      continue;
    }
    const where = site.place ?? `program ${site.program}, instruction ${site.insnIndex}`;
    if (site.size === undefined) return none(`the size of records is not constant at ${where}`);
    return none(
      candidates.length === 0
        ? `no struct has the ${site.size} bytes written at ${where}`
        : `several structs have the ${site.size} bytes written at ${where}: ${candidates.map((id) => cNameOf(btf, id)).join(", ")}`,
    );
  }
  const sizes = new Set([...found.values()].map(({ size }) => size));
  if (sizes.size < found.size) return none("several structs of one size are written to it");
  return { map: map.name, types: [...found.values()], why: [...reasons].join(", ") };
}

/**
 * Types of the kernel that the object only looks into: those that CO-RE records start from and contexts of programs, with all that they
 * contain and point at.
 */
function kernelTypes(object: BpfObject, btf: Btf): Set<number> {
  const found = new Set<number>();
  const waiting = object.programs.flatMap((program) => [
    ...(program.coreRelocations ?? []).map(({ typeId }) => typeId),
    ...contextTypes(program, btf),
  ]);
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (found.has(id)) continue;
    found.add(id);
    const type = btf.typeById(id);
    switch (type.kind) {
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        waiting.push(...type.members.map(({ typeId }) => typeId));
        break;
      case BtfKind.ARRAY:
        waiting.push(type.elementTypeId);
        break;
      case BtfKind.PTR:
      case BtfKind.TYPEDEF:
      case BtfKind.CONST:
      case BtfKind.VOLATILE:
      case BtfKind.RESTRICT:
      case BtfKind.TYPE_TAG:
        waiting.push(type.typeId);
        break;
      default:
    }
  }
  return found;
}

/** Parameters of a program's main function. */
function contextTypes(program: ProgramSpec, btf: Btf): number[] {
  const [main] = decodeFuncInfo(program.funcInfo);
  const proto = main === undefined ? undefined : btf.funcProto(main.typeId);
  return (proto?.parameters ?? []).map(({ typeId }) => typeId);
}

/** A type that the C line names in its `sizeof`, if that has the size which is written. */
function namedOnLine(btf: Btf, site: RecordSite): number | undefined {
  const [, name] = /sizeof\s*\(\s*((?:struct\s+|union\s+)?\w+)\s*\)/.exec(site.source ?? "") ?? [];
  const id = name === undefined ? undefined : typeByCName(btf, name);
  const size = id === undefined ? undefined : btf.sizeOf(id);
  return size !== undefined && (site.size === undefined || size === site.size) ? id : undefined;
}

/** Contexts of programs and types of the kernel, by their names. */
const KERNEL_NAMES =
  /^(?:trace_event_|trace_entry$|bpf_|pt_regs$|user_pt_regs$|__sk_buff$|xdp_md$|sk_msg_md$|sk_reuseport_md$)/;

/**
 * Of structs of the right size those that a program could mean, its own ones. A struct that is only used inside functions is not in BTF
 * at all, so that one of the kernel's with its size must not be taken for it.
 */
function plausible(btf: Btf, ids: readonly number[], kernel: ReadonlySet<number>): number[] {
  let left = ids.filter((id) => !kernel.has(id) && !KERNEL_NAMES.test(btf.nameOf(id)));
  const tests: readonly ((id: number) => boolean)[] = [
    (id) => btf.nameOf(id) !== "",
    (id) => /event|record|sample|msg|data/i.test(btf.nameOf(id)),
  ];
  for (const test of tests) {
    if (left.length < 2) break;
    const passed = left.filter(test);
    if (passed.length > 0) left = passed;
  }
  return left;
}
