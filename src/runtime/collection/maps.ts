/** From a loaded map to what its user holds, with the types of the object. */
import type { Btf } from "../../btf/index.ts";
import type { KernelMap } from "../../kernel/index.ts";
import type { MapSpec } from "../../object/index.ts";
import { type AnyMap, typedMap } from "../maps/factory.ts";
import type { Decode } from "../readers/batch.ts";
import { codecFor } from "../values/codec-for.ts";
import type { MapEvents } from "../records/event-types.ts";

/** Perf buffers fill records up to a multiple of 8 bytes. */
const PADDING = 8;

/** How values of one type are made from a record. */
interface RecordDecoder<T> {
  readonly size: number;
  readonly decode: Decode<T>;
}

/**
 * Decodes records of several types, told apart by their sizes. A record that is shorter than its only type is read as if zeros followed;
 * one that fits none of several is given to `otherwise`.
 */
export function decodeBySize<T>(decoders: readonly RecordDecoder<T>[], otherwise: Decode<T>): Decode<T> {
  const [only] = decoders;
  if (only === undefined) return otherwise;
  const whole = (decoder: RecordDecoder<T>): Decode<T> => {
    const padded = new Uint8Array(decoder.size);
    const paddedView = new DataView(padded.buffer);
    return (view, offset, end) => {
      if (end - offset >= decoder.size) return decoder.decode(view, offset, end);
      padded.fill(0);
      padded.set(new Uint8Array(view.buffer, view.byteOffset + offset, end - offset));
      return decoder.decode(paddedView, 0, decoder.size);
    };
  };
  if (decoders.length === 1) return whole(only);
  return (view, offset, end) => {
    const size = end - offset;
    const found =
      decoders.find((decoder) => decoder.size === size) ??
      decoders.find((decoder) => decoder.size < size && size < decoder.size + PADDING);
    return (found?.decode ?? otherwise)(view, offset, end);
  };
}

const copyBytes: Decode<unknown> = (view, offset, end) =>
  new Uint8Array(view.buffer, view.byteOffset + offset, end - offset).slice();

/** The class for a map's type, with codecs for its keys and values. `events` are the types of its records. */
export function openMap(map: KernelMap, spec: MapSpec, btf: Btf | undefined, events: MapEvents | undefined): AnyMap {
  if (btf === undefined || events === undefined) return typedMap(map, spec, btf);
  const decoders = events.types.map(({ btf: types, typeId, size }) => {
    const codec = codecFor(types, typeId);
    return { size, decode: (view: DataView, offset: number, end: number) => codec.read(view, offset, end) };
  });
  return typedMap(map, spec, btf, { event: decodeBySize(decoders, copyBytes) });
}
