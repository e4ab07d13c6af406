/** Maps of section `maps`, as programs before BTF define them: structs of numbers, one a symbol. */
import { MapType } from "../../isa/index.ts";
import type { MapSpec } from "../spec.ts";
import { damagedAt } from "./image.ts";
import type { ImageSection, ImageSymbol, ObjectImage } from "./image.ts";
import type { PlacedDefinition } from "./map-definitions.ts";

/** Sections of such maps. */
export const LEGACY_MAPS: RegExp = /^maps($|\/)/;

/** Bytes of `struct bpf_map_def`: type, key size, value size, entries, flags. */
const DEFINITION_SIZE = 20;
/** Bytes of iproute2's `struct bpf_elf_map`, which has behind them: id, pinning, id of the inner map, place in that; the last two can be missing. */
const IPROUTE2_SIZE = 36;
const IPROUTE2_SHORT_SIZE = 28;
const PIN_NONE = 0;

const mapsOfMaps: ReadonlySet<number> = new Set([MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS]);

type DefinitionSymbol = Pick<ImageSymbol, "name" | "section" | "value" | "size">;

/** What is read of a file: a front end that has no file gives only this. */
export interface LegacyImage extends Pick<ObjectImage, "file" | "byteOrder"> {
  readonly symbols: readonly DefinitionSymbol[];
}

/** What is read of a section. */
export type LegacySection = Pick<ImageSection, "index" | "name" | "data">;

/** The maps of the section, in the order of their places. Throws ParseError for a definition that says more than is known. */
export function readLegacyMaps(image: LegacyImage, section: LegacySection): PlacedDefinition[] {
  const symbols = image.symbols
    .filter((s) => s.section === section.index && s.name !== "")
    .toSorted((a, b) => a.value - b.value);
  const view = new DataView(section.data.buffer, section.data.byteOffset, section.data.length);
  const isLittle = image.byteOrder === "little";
  const read = symbols.map((symbol, i) => {
    const end = symbols[i + 1]?.value ?? section.data.length;
    return readDefinition(image, section, symbol, end, (at) => view.getUint32(at, isLittle));
  });
  const byId = new Map(read.filter((r) => r.id !== 0).map((r) => [r.id, r.spec]));
  return read.map(({ spec, innerId, offset }) => {
    const inner = innerId === 0 ? undefined : byId.get(innerId);
    if (inner !== undefined && mapsOfMaps.has(spec.type))
      return { spec: { ...spec, inner: { ...inner, name: `${spec.name}.inner` } }, offset };
    return { spec, offset };
  });
}

interface ReadDefinition extends PlacedDefinition {
  readonly id: number;
  readonly innerId: number;
}

function readDefinition(
  image: LegacyImage,
  section: LegacySection,
  symbol: DefinitionSymbol,
  end: number,
  u32: (offset: number) => number,
): ReadDefinition {
  const { name, value: offset } = symbol;
  const size = symbol.size === 0 ? end - offset : symbol.size;
  if (size < DEFINITION_SIZE || offset + size > end) {
    throw damagedAt(
      image,
      section,
      offset,
      `map ${name} of ${size} bytes, at least ${DEFINITION_SIZE} before ${end} wanted`,
    );
  }
  const [type, keySize, valueSize, maxEntries, flags] = [0, 4, 8, 12, 16].map((at) => u32(offset + at)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const spec: MapSpec = { name, type, keySize, valueSize, maxEntries, flags };
  if (size === IPROUTE2_SIZE || size === IPROUTE2_SHORT_SIZE) {
    const [id, pinning] = [u32(offset + 20), u32(offset + 24)];
    const innerId = size === IPROUTE2_SIZE ? u32(offset + 28) : 0;
    return { spec: pinning === PIN_NONE ? spec : { ...spec, pinning: "by-name" }, offset, id, innerId };
  }
  for (let at = offset + DEFINITION_SIZE; at < offset + size; at++) {
    if (section.data[at] !== 0) {
      throw damagedAt(
        image,
        section,
        at,
        `map ${name}: a definition of ${size} bytes, of which only ${DEFINITION_SIZE} are known and the others must be 0`,
      );
    }
  }
  return { spec, offset, id: 0, innerId: 0 };
}
