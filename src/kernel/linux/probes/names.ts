/** Names of the UAPI's numbers, as the tools of the field write them: `sched_cls`, `lru_hash`. */
import { AttachType, LinkType, MapType, ProgType } from "../../../isa/index.ts";

function namesOf(numbers: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(numbers).map(([name, value]) => [value, name.toLowerCase()]));
}

const progTypes = namesOf(ProgType);
const mapTypes = namesOf(MapType);
const attachTypes = namesOf(AttachType);
const linkTypes = namesOf(LinkType);

/** `sched_cls`; the number itself for a type that is not in the table. */
export function typeName(progType: number): string {
  return progTypes.get(progType) ?? String(progType);
}

/** `lru_hash`; the number itself for a type that is not in the table. */
export function mapTypeName(mapType: number): string {
  return mapTypes.get(mapType) ?? String(mapType);
}

/** `trace_fentry`; the number itself for a type that is not in the table. */
export function attachTypeName(attachType: number): string {
  return attachTypes.get(attachType) ?? String(attachType);
}

/** `perf_event`; the number itself for a type that is not in the table. */
export function linkTypeName(linkType: number): string {
  return linkTypes.get(linkType) ?? String(linkType);
}

/** The constant's name in the kernel: of `numbers`, the one of this value, in capitals; undefined for a number that is not there. */
export function constantOf(numbers: Readonly<Record<string, number>>, value: number): string | undefined {
  return Object.keys(numbers).find((name) => numbers[name] === value);
}
