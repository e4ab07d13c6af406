/** From an object file to what loaders take. */
import { Btf, BtfEditor } from "../../btf/index.ts";
import { ParseError } from "../../base/index.ts";
import { MapType } from "../../isa/index.ts";
import { ElfSectionType } from "../elf-format.ts";
import type { BpfObject, MapSpec } from "../spec.ts";
import { readFunctions } from "./code.ts";
import type { MeantBySymbol } from "./code.ts";
import { ARENA_DATA, dataKind, dataMap, readVariables } from "./data-maps.ts";
import { KCONFIG, readExterns } from "./externs.ts";
import type { Externs } from "./externs.ts";
import { damagedAt, isExtern, readImage, sectionNamed } from "./image.ts";
import type { ImageSection, ImageSymbol, ObjectImage } from "./image.ts";
import { LEGACY_MAPS, readLegacyMaps } from "./legacy-maps.ts";
import { MAPS, readMapDefinitions } from "./map-definitions.ts";
import { assemblePrograms } from "./programs.ts";
import { STRUCT_OPS, readStructOps } from "./struct-ops.ts";
import { fixDataSections, hideFunctions } from "./types.ts";

/** What {@link readObject} may be told. */
export interface ReadObjectOptions {
  /** Name or path of the file: shown in errors, and without directory and `.o` part of the names of maps. Default `object`. */
  readonly name?: string;
}

/** The kernel's name of a license is at most this long. */
const LICENSE_LENGTH = 63;

/**
 * Reads an ELF object file as clang, GCC, rustc and {@link writeElf} make it, of either byte order: what libbpf reads, and maps of
 * section `maps` from before BTF. Programs are put together from their functions as libbpf does it, instruction by instruction.
 *
 * Throws ParseError with section and offset for a file that is damaged or contradicts itself, UnsupportedError for one that says what
 * no loader here can do.
 */
export function readObject(bytes: Uint8Array, options: ReadObjectOptions = {}): BpfObject {
  const file = options.name ?? "object";
  return readObjectImage(readImage(bytes, file), objectName(file));
}

/** The object's name that libbpf makes of a path: the file's name up to the first dot, of characters that maps may have. */
export function objectName(path: string): string {
  const file = path.slice(path.lastIndexOf("/") + 1);
  return file.replace(/\..*$/s, "").slice(0, 63) || "object";
}

/** As {@link readObject}, of a file that was taken apart already. */
export function readObjectImage(image: ObjectImage, name: string): BpfObject {
  const { btf: bytes, ext } = image;
  const original = bytes === undefined ? undefined : Btf.parse(bytes, { section: `${image.file}: .BTF` });
  const editor = bytes === undefined ? undefined : new BtfEditor(bytes, `${image.file}: .BTF`);
  const externs = readExterns(image, original, editor);
  if (original !== undefined && editor !== undefined) fixDataSections(image, original, editor);
  const fixed = editor === undefined ? undefined : Btf.parse(editor.finish(), { section: `${image.file}: .BTF` });

  const places = new MapPlaces(image, fixed, name, externs);
  const functions = readFunctions(image, original, ext, (symbol) => places.meaning(symbol));
  const structOps = image.sections
    .filter((s) => s.type === ElfSectionType.PROGBITS && s.size > 0 && STRUCT_OPS.test(s.name))
    .flatMap((section) => readStructOps(image, section, fixed, functions));
  if (original !== undefined && editor !== undefined) hideFunctions(functions, original, editor);
  const programs = assemblePrograms(image, functions, original, ext);
  const maps = [...places.maps, ...structOps];
  checkNames(image, maps, new Set(programs.map((p) => p.name)));
  const version = kernelVersion(image);
  return {
    license: license(image),
    programs,
    maps,
    ...(editor === undefined ? {} : { btf: editor.finish() }),
    name,
    byteOrder: image.byteOrder,
    variables: readVariables(image, fixed, places.data),
    externs: externs.specs,
    ...(version === undefined ? {} : { kernelVersion: version }),
    ...(image.dwarf.length === 0 ? {} : { dwarf: image.dwarf }),
  };
}

/** The maps of a file, and what symbols in their sections mean. */
class MapPlaces {
  readonly maps: readonly MapSpec[];
  /** Maps of sections of data by the section's name. */
  readonly data = new Map<string, { readonly map: string; readonly section: ImageSection }>();
  private readonly image: ObjectImage;
  private readonly externs: Externs;
  /** Names of defined maps by section and offset. */
  private readonly definitions = new Map<number, Map<number, string>>();
  private readonly dataBySection = new Map<number, string>();

  constructor(image: ObjectImage, btf: Btf | undefined, object: string, externs: Externs) {
    this.image = image;
    this.externs = externs;
    const maps: MapSpec[] = [];
    for (const section of image.sections) {
      const isContents = section.type === ElfSectionType.PROGBITS && section.size > 0 && !section.isCode;
      const definitions =
        isContents && section.name === MAPS
          ? readMapDefinitions(image, section, btf)
          : isContents && LEGACY_MAPS.test(section.name)
            ? readLegacyMaps(image, section)
            : [];
      if (definitions.length === 0) continue;
      maps.push(...definitions.map(({ spec }) => spec));
      this.definitions.set(section.index, new Map(definitions.map(({ spec, offset }) => [offset, spec.name])));
    }
    const arena = this.placeArena(maps);
    for (const section of image.sections) {
      const kind = dataKind(section);
      if (kind === undefined) continue;
      if (this.data.has(section.name)) throw damagedAt(image, section, 0, "two sections of this name");
      const { name, size, data } = section;
      maps.push(
        dataMap(image, btf, object, { name, size, ...(kind === "zero" ? {} : { data }) }, kind === "read-only"),
      );
      this.data.set(name, { map: name, section });
      this.dataBySection.set(section.index, name);
    }
    if (externs.kconfigSize > 0) {
      maps.push(dataMap(image, btf, object, { name: KCONFIG, size: externs.kconfigSize }, true));
    }
    this.maps = arena === undefined ? maps : maps.map((map) => (map.name === arena.name ? arena : map));
  }

  /** Gives the file's arena the variables that are in one. */
  private placeArena(maps: readonly MapSpec[]): MapSpec | undefined {
    const section = sectionNamed(this.image, ARENA_DATA);
    if (section === undefined || section.size === 0) return undefined;
    const arenas = maps.filter((map) => map.type === MapType.ARENA);
    const [arena, second] = arenas;
    if (arena === undefined) throw damagedAt(this.image, section, 0, "variables of an arena, and no map is one");
    if (second !== undefined)
      throw damagedAt(this.image, section, 0, `two arenas, ${arena.name} and ${second.name}: an object can have one`);
    this.data.set(ARENA_DATA, { map: arena.name, section });
    this.dataBySection.set(section.index, arena.name);
    return { ...arena, initialValue: new Uint8Array(section.data) };
  }

  /** What an instruction that names a symbol refers to; undefined for nothing that an object can have. */
  meaning(symbol: ImageSymbol): MeantBySymbol | undefined {
    if (isExtern(symbol)) {
      const extern = this.externs.bySymbol.get(symbol.index);
      if (extern === undefined) return undefined;
      if (extern.kind !== "kconfig") return { kind: "ksym", name: extern.name };
      return { kind: "map-value", map: KCONFIG, offset: extern.offset };
    }
    const definitions = this.definitions.get(symbol.section);
    if (definitions !== undefined) {
      const map = definitions.get(symbol.value);
      if (map !== undefined) return { kind: "map", map };
      throw damagedAt(
        this.image,
        this.image.sections[symbol.section]!,
        symbol.value,
        `${symbol.name || "a reference"} is here, where no map starts`,
      );
    }
    const data = this.dataBySection.get(symbol.section);
    return data === undefined ? undefined : { kind: "map-value", map: data, offset: symbol.value };
  }
}

function checkNames(image: ObjectImage, maps: readonly MapSpec[], programs: ReadonlySet<string>): void {
  const names = new Set<string>();
  for (const { name, slots = [] } of maps) {
    if (names.has(name)) throw new ParseError(image.file, 0, `two maps of the name ${name}`);
    names.add(name);
    for (const slot of slots) {
      if ("program" in slot && !programs.has(slot.program)) {
        throw new ParseError(image.file, 0, `map ${name}: entry ${slot.index} is ${slot.program}, which is no program`);
      }
    }
  }
}

function license(image: ObjectImage): string {
  const data = sectionNamed(image, "license")?.data ?? new Uint8Array(0);
  const end = data.indexOf(0);
  return new TextDecoder().decode(data.subarray(0, Math.min(end === -1 ? data.length : end, LICENSE_LENGTH)));
}

/** What programs from before kernel 5.0 say that they were compiled for. */
function kernelVersion(image: ObjectImage): number | undefined {
  const section = sectionNamed(image, "version");
  if (section === undefined) return undefined;
  const { data } = section;
  if (data.length !== 4) throw damagedAt(image, section, 0, `${data.length} bytes, a version has 4`);
  return new DataView(data.buffer, data.byteOffset, 4).getUint32(0, image.byteOrder === "little");
}
