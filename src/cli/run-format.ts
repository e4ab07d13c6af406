/** What `skep run` prints of records, maps and variables: lines of text, or JSON objects. */
import type { Btf } from "../btf/index.ts";
import { MapType } from "../isa/index.ts";
import type { KernelMap } from "../kernel/index.ts";
import type { MapSpec } from "../object/index.ts";
import type { EventType, MapEvents } from "../runtime/records/event-types.ts";
import { decodeBySize } from "../runtime/collection/maps.ts";
import type { Decode } from "../runtime/readers/batch.ts";
import { formatValue, type ValueStyle } from "../runtime/values/format.ts";

/** Bytes in hexadecimal, as a line or as a JSON string. */
function hex(view: DataView, offset: number, end: number): string {
  return Buffer.from(view.buffer, view.byteOffset + offset, end - offset).toString("hex");
}

const spaced = (digits: string): string => digits.replace(/..(?=.)/g, "$& ");

/** Bytes of a line. */
const DUMP_BYTES = 64;

/** The first bytes in hexadecimal, and as text. */
function dump(view: DataView, offset: number, end: number): string {
  const shown = Math.min(end, offset + DUMP_BYTES);
  const text = Buffer.from(view.buffer, view.byteOffset + offset, shown - offset)
    .toString("latin1")
    .replace(/[^ -~]/g, ".");
  const rest = shown < end ? " ..." : "";
  return `${end - offset} bytes: ${spaced(hex(view, offset, shown))}${rest} |${text}|`;
}

/** A value of a type, or its bytes where there is none. */
function valueText(btf: Btf | undefined, typeId: number | undefined, style: ValueStyle): Decode<string> {
  if (btf !== undefined && typeId && btf.sizeOf(typeId) !== undefined) {
    return (view, offset, end) => formatValue(btf, typeId, view, offset, { style, end });
  }
  return (view, offset, end) =>
    style === "json" ? JSON.stringify(hex(view, offset, end)) : spaced(hex(view, offset, end));
}

/** Lines for the records of a map, without newline. */
export function recordLines(events: MapEvents, json: boolean): Decode<string> {
  const style = json ? "json" : "c";
  const line = (text: string, type: EventType | undefined): string => {
    if (!json) return `${events.map} ${text}`;
    const name = type === undefined ? "" : `,"name":${JSON.stringify(type.typeName)}`;
    return `{"type":"event","map":${JSON.stringify(events.map)}${name},"data":${text}}`;
  };
  const bytes = valueText(undefined, undefined, style);
  return decodeBySize(
    events.types.map((type) => {
      const text = valueText(type.btf, type.typeId, style);
      return { size: type.size, decode: (view, offset, end) => line(text(view, offset, end), type) };
    }),
    (view, offset, end) => line(json ? bytes(view, offset, end) : dump(view, offset, end), undefined),
  );
}

const perCpuTypes: ReadonlySet<number> = new Set([
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.LRU_PERCPU_HASH,
  MapType.PERCPU_CGROUP_STORAGE,
]);
const arrayTypes: ReadonlySet<number> = new Set([MapType.ARRAY, MapType.PERCPU_ARRAY]);

/** Maps whose keys can be listed and whose values are data. */
const shownTypes: ReadonlySet<number> = new Set([
  MapType.HASH,
  MapType.ARRAY,
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.LRU_HASH,
  MapType.LRU_PERCPU_HASH,
  MapType.LPM_TRIE,
  MapType.CGROUP_STORAGE,
  MapType.PERCPU_CGROUP_STORAGE,
]);

/** Whether {@link mapText} can show a map. */
export function isShown(spec: MapSpec): boolean {
  return shownTypes.has(spec.type) && !spec.name.startsWith(".");
}

/** Everything in a map: a heading and a line an entry; or one JSON object. Of arrays, entries of zeros are left out of the text. */
export function mapText(map: KernelMap, btf: Btf | undefined, json: boolean): string {
  const { spec } = map;
  const style = json ? "json" : "c";
  const keyText = valueText(btf, spec.keyTypeId, style);
  const oneText = valueText(btf, spec.valueTypeId, style);
  const slot = (spec.valueSize + 7) & ~7;
  const perCpu = perCpuTypes.has(spec.type);
  const entries: string[] = [];
  let zeros = 0;
  for (const { count, keys, values } of map.scan()) {
    const keyView = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
    const valueView = new DataView(values.buffer, values.byteOffset, values.byteLength);
    for (let i = 0; i < count; i++) {
      const from = i * map.userValueSize;
      if (!json && arrayTypes.has(spec.type) && isZero(values, from, map.userValueSize)) {
        zeros++;
        continue;
      }
      const key = keyText(keyView, i * spec.keySize, (i + 1) * spec.keySize);
      if (!perCpu) {
        const value = oneText(valueView, from, from + spec.valueSize);
        entries.push(json ? `{"key":${key},"value":${value}}` : `  [${key}] = ${value}`);
        continue;
      }
      const cpus = Array.from({ length: map.userValueSize / slot }, (_, cpu) =>
        oneText(valueView, from + cpu * slot, from + cpu * slot + spec.valueSize),
      );
      entries.push(
        json
          ? `{"key":${key},"values":[${cpus.join(",")}]}`
          : `  [${key}] = ${cpus.map((text, cpu) => `cpu ${cpu}: ${text}`).join(", ")}`,
      );
    }
  }
  if (json) return `{"type":"map","map":${JSON.stringify(spec.name)},"data":[${entries.join(",")}]}\n`;
  const left = zeros > 0 && entries.length > 0 ? ` (and ${zeros} of zeros)` : "";
  const head =
    entries.length === 0
      ? `${spec.name}: ${zeros > 0 ? `${zeros} ${zeros === 1 ? "entry" : "entries"} of zeros` : "empty"}`
      : `${spec.name}: ${entries.length} ${entries.length === 1 ? "entry" : "entries"}${left}`;
  return `${[head, ...entries].join("\n")}\n`;
}

function isZero(bytes: Uint8Array, from: number, size: number): boolean {
  for (let at = from; at < from + size; at++) if (bytes[at] !== 0) return false;
  return true;
}
