/** Writes an object as an ELF file that libbpf loads: bpftool, systemd, cilium/ebpf and all others that read clang's output. */
import { ByteWriter, UnsupportedError } from "../base/index.ts";
import {
  Btf,
  BtfBuilder,
  BtfFuncLinkage,
  BtfKind,
  FUNC_INFO_SIZE,
  LINE_INFO_SIZE,
  encodeBtfExt,
} from "../btf/index.ts";
import type { BtfExtSection, BtfFunc } from "../btf/index.ts";
import { INSN_SIZE, PseudoCall } from "../isa/index.ts";
import type { AttachSpec } from "./attach.ts";
import { ElfFile } from "./elf-file.ts";
import type { ElfRelocationSpec } from "./elf-file.ts";
import { ElfBpfRelocation, ElfSectionFlag, ElfSectionType, ElfSymbolBinding, ElfSymbolType } from "./elf-format.ts";
import { ExternWriter } from "./elf-externs.ts";
import { MapTypes, placeMaps } from "./elf-maps.ts";
import type { DataVariable, PlacedMap } from "./elf-maps.ts";
import { findCycle, splitFunctions } from "./functions.ts";
import type { FunctionReference, FunctionSpec } from "./functions.ts";
import { ARENA_DATA } from "./read/data-maps.ts";
import { EXCEPTION_CALLBACK } from "./read/programs.ts";
import { secName } from "./sec-names.ts";
import type { BpfObject, ProgramSpec } from "./spec.ts";

/** What {@link writeElf} may be told. */
export interface WriteElfOptions {
  /**
   * Where programs attach, by name. A program with exactly one place has it in its section's name, so that loaders attach it by
   * themselves; the others are attached by whoever loads the file.
   */
  readonly attach?: ReadonlyMap<string, readonly AttachSpec[]>;
  /** The oldest libbpf that shall load the file, as the minor version behind `1.`; default 1, that of Debian 12. */
  readonly libbpfMinor?: number;
}

const DEFAULT_LIBBPF_MINOR = 1;

/** Where libbpf looks for functions that programs call. */
const TEXT = ".text";

/**
 * Writes an object as a relocatable ELF file (64 bits, little-endian), as clang does and libbpf 1.1 and later load it:
 *
 * - programs in sections whose names say their types (several of one kind in one section), with global symbols; programs that were read
 *   from a file stay in their sections;
 * - functions that programs call, once each, in `.text`; libbpf appends them in the order of calls, depth first;
 * - maps as variables of `.maps`, described by BTF, with inner maps and first entries; arrays of one entry that have a first value, are
 *   frozen or are addressed directly as sections `.rodata.NAME` or `.data.NAME`: maps of these names; structs of functions in `.struct_ops`;
 * - what the kernel gives as externs of `.ksyms` and `.kconfig`;
 * - the object's BTF with the types of maps behind its own, and BTF.ext with CO-RE relocations.
 *
 * Characters of names other than letters, digits and `_` become `_`; names that then are taken get a number.
 *
 * Throws {@link UnsupportedError} for what such a file cannot say, TypeError and RangeError for an object that contradicts itself.
 */
export function writeElf(object: BpfObject, options: WriteElfOptions = {}): Uint8Array {
  return new ObjectWriter(object, options).write();
}

/** A function with its place. */
interface PlacedFunction {
  readonly program: ProgramSpec;
  readonly spec: FunctionSpec;
  readonly symbol: string;
  readonly isGlobal: boolean;
  /** Bytes from the start of its section. */
  readonly offset: number;
  /** What each of its references means. */
  readonly callees: { readonly reference: FunctionReference; readonly callee: PlacedFunction }[];
}

/** A section of code in the making. */
interface CodeSection {
  readonly name: string;
  readonly functions: PlacedFunction[];
  size: number;
}

class ObjectWriter {
  private readonly object: BpfObject;
  private readonly options: WriteElfOptions;
  private readonly file = new ElfFile();
  private readonly known: Btf | undefined;
  private readonly builder: BtfBuilder;
  private readonly types: MapTypes;
  private readonly takenNames = new Set<string>();
  /** Sections of code, that of called functions first. */
  private readonly code = new Map<string, CodeSection>([[TEXT, { name: TEXT, functions: [], size: 0 }]]);
  /** Called functions by their contents, which equal functions of several programs share. */
  private readonly shared = new Map<string, PlacedFunction>();
  private readonly sharedKeys = new Map<PlacedFunction, number>();
  /** Symbols that relocations name: of maps' definitions. */
  private readonly mapSymbols = new Map<string, number>();
  /** Symbols of sections whose addresses relocations name, by map. */
  private readonly valueSymbols = new Map<string, number>();
  private readonly programSymbols = new Map<string, number>();
  private readonly externs: ExternWriter;
  private textSymbol = -1;
  private hasTypes: boolean;

  constructor(object: BpfObject, options: WriteElfOptions) {
    this.object = object;
    this.options = options;
    this.hasTypes = object.btf !== undefined;
    this.known = object.btf === undefined ? undefined : Btf.parse(object.btf);
    this.builder = object.btf === undefined ? new BtfBuilder() : BtfBuilder.extending(object.btf);
    this.types = new MapTypes(this.builder, this.known);
    this.externs = new ExternWriter(object, this.known);
  }

  write(): Uint8Array {
    const { object, file } = this;
    if (object.byteOrder === "big") {
      throw new UnsupportedError(
        "a big-endian object file",
        "the object's first values are big-endian, files are written little-endian",
      );
    }
    if (object.license.includes("\0")) throw new RangeError("license: a NUL would end it");
    for (const name of this.externs.names()) this.takenNames.add(name);
    const programNames = new Map<ProgramSpec, string>();
    for (const program of object.programs) programNames.set(program, this.uniqueName(program.name));
    const maps = placeMaps(object, (name) => this.uniqueName(name));
    for (const program of object.programs) this.placeProgram(program, programNames.get(program)!);
    this.externs.declare(this.builder, this.known, this.types);

    const sections = [...this.code.values()].filter((s) => s.size > 0);
    const indexes = sections.map((s) => this.codeSection(s));
    file.section({
      name: "license",
      type: ElfSectionType.PROGBITS,
      flags: ElfSectionFlag.ALLOC | ElfSectionFlag.WRITE,
      alignment: 1,
      data: new TextEncoder().encode(`${object.license}\0`),
    });
    if (object.kernelVersion !== undefined) {
      const version = new Uint8Array(4);
      new DataView(version.buffer).setUint32(0, object.kernelVersion, true);
      this.dataSection("version", ElfSectionFlag.WRITE, version);
    }
    this.writeMaps([...maps.values()]);
    for (const [i, section] of sections.entries()) this.finishCode(section, indexes[i]!);
    this.writeTypes(sections);
    return file.finish();
  }

  /** An identifier that no other symbol has. */
  private uniqueName(name: string): string {
    // The kernel's limit of names in BTF is 511; some room is left for the number.
    const base = name
      .replace(/\W/g, "_")
      .slice(0, 500)
      .replace(/^(?=\d|$)/, "_");
    let unique = base;
    for (let n = 2; this.takenNames.has(unique); n++) unique = `${base}_${n}`;
    this.takenNames.add(unique);
    return unique;
  }

  private placeProgram(program: ProgramSpec, symbol: string): void {
    if (this.known === undefined && program.funcInfo.length + program.lineInfo.length > 0) {
      throw new RangeError(`program ${program.name}: has func_info or line_info, the object has no BTF`);
    }
    const places = this.options.attach?.get(program.name);
    const attach = places?.length === 1 ? places[0] : undefined;
    const name = secName(program, attach, this.options.libbpfMinor ?? DEFAULT_LIBBPF_MINOR);
    const section = this.code.get(name) ?? { name, functions: [], size: 0 };
    this.code.set(name, section);

    const specs = splitFunctions(program, this.exceptionCallbacks(program));
    const byStart = new Map(specs.map((spec) => [spec.start, spec]));
    const cycle = findCycle(specs, (reference) => reference.kind === "call");
    if (cycle !== undefined) {
      throw new RangeError(`program ${program.name}: the function at instruction ${cycle} calls itself`);
    }
    const called = new Map<number, PlacedFunction>();
    // A callback may hand itself on; what refers to itself is told from others by its place only.
    const isShared = findCycle(specs, () => true) === undefined;
    const calleesOf = (spec: FunctionSpec): PlacedFunction["callees"] =>
      spec.references.map((reference) => ({ reference, callee: call(reference.target) }));
    const call = (start: number): PlacedFunction => {
      const known = called.get(start);
      if (known !== undefined) return known;
      const spec = byStart.get(start)!;
      const fallbackName = `${symbol}_${start}`;
      const placed = isShared
        ? this.share(program, spec, calleesOf(spec), fallbackName)
        : this.placeCalled(program, spec, [], fallbackName);
      called.set(start, placed);
      if (!isShared) placed.callees.push(...calleesOf(spec));
      return placed;
    };
    const main = byStart.get(0)!;
    this.place(section, { program, spec: main, symbol, isGlobal: true, callees: calleesOf(main) });
    // Nothing calls a function for exceptions.
    for (const { start } of specs) if (start !== 0) call(start);
  }

  /** Types of functions that only a tag names: loaders append them to the program. */
  private exceptionCallbacks(program: ProgramSpec): ReadonlySet<number> {
    const { known } = this;
    const out = new Set<number>();
    if (known === undefined || program.funcInfo.length < FUNC_INFO_SIZE) return out;
    const main = new DataView(program.funcInfo.buffer, program.funcInfo.byteOffset).getUint32(4, true);
    for (const id of known.idsByKind(BtfKind.DECL_TAG)) {
      const tag = known.typeById(id);
      if (tag.kind !== BtfKind.DECL_TAG || tag.typeId !== main || !tag.name.startsWith(EXCEPTION_CALLBACK)) continue;
      for (const func of known.findAllByName(tag.name.slice(EXCEPTION_CALLBACK.length), BtfKind.FUNC)) out.add(func);
    }
    return out;
  }

  private place(section: CodeSection, unplaced: Omit<PlacedFunction, "offset">): PlacedFunction {
    const placed = { ...unplaced, offset: section.size };
    section.functions.push(placed);
    section.size += placed.spec.code.length;
    return placed;
  }

  /** The one function of `.text` with these contents. */
  private share(
    program: ProgramSpec,
    spec: FunctionSpec,
    callees: PlacedFunction["callees"],
    fallbackName: string,
  ): PlacedFunction {
    const neutral = spec.code.slice();
    for (const { insnIndex } of spec.references) neutral.fill(0, insnIndex * INSN_SIZE + 4, insnIndex * INSN_SIZE + 8);
    const key = JSON.stringify([
      spec.typeId,
      neutral.join(),
      spec.lineInfo.join(),
      spec.relocations,
      spec.coreRelocations,
      callees.map(({ reference, callee }) => [reference.insnIndex, this.sharedKeys.get(callee)]),
    ]);
    const known = this.shared.get(key);
    if (known !== undefined) return known;
    const placed = this.placeCalled(program, spec, callees, fallbackName);
    this.sharedKeys.set(placed, this.shared.size);
    this.shared.set(key, placed);
    return placed;
  }

  private placeCalled(
    program: ProgramSpec,
    spec: FunctionSpec,
    callees: PlacedFunction["callees"],
    fallbackName: string,
  ): PlacedFunction {
    const type = spec.typeId === 0 ? undefined : this.functionType(program, spec.typeId);
    return this.place(this.code.get(TEXT)!, {
      program,
      spec,
      symbol: this.uniqueName(type?.name ?? fallbackName),
      isGlobal: type?.linkage === BtfFuncLinkage.GLOBAL,
      callees,
    });
  }

  private functionType(program: ProgramSpec, id: number): BtfFunc {
    const known = this.known!;
    const type = id < known.typeCount ? known.typeById(id) : undefined;
    if (type?.kind === BtfKind.FUNC) return type;
    throw new RangeError(`program ${program.name}: func_info of type ${id}, which is no function`);
  }

  /** Adds the section and the symbols of its functions; contents follow when all symbols are known. */
  private codeSection(section: CodeSection): number {
    const { file } = this;
    const index = file.section({
      name: section.name,
      type: ElfSectionType.PROGBITS,
      flags: ElfSectionFlag.ALLOC | ElfSectionFlag.EXECINSTR,
      alignment: INSN_SIZE,
      data: new Uint8Array(section.size),
    });
    if (section.name === TEXT) this.textSymbol = this.sectionSymbol(index);
    for (const { symbol, isGlobal, offset, spec, program } of section.functions) {
      const number = file.symbol({
        name: symbol,
        type: ElfSymbolType.FUNC,
        binding: isGlobal ? ElfSymbolBinding.GLOBAL : ElfSymbolBinding.LOCAL,
        section: index,
        value: offset,
        size: spec.code.length,
      });
      if (section.name !== TEXT) this.programSymbols.set(program.name, number);
    }
    return index;
  }

  private sectionSymbol(section: number): number {
    return this.file.symbol({
      name: "",
      type: ElfSymbolType.SECTION,
      binding: ElfSymbolBinding.LOCAL,
      section,
      value: 0,
      size: 0,
    });
  }

  private writeMaps(maps: readonly PlacedMap[]): void {
    const { object, file, types } = this;
    const written = new Set<string>(this.externs.sections());
    this.externs.write(file);
    const definitions = maps.filter((m) => m.kind === "definition");
    if (definitions.length > 0) {
      written.add(".maps");
      if (definitions.some(({ spec }) => spec.initialValue !== undefined)) written.add(ARENA_DATA);
      this.writeDefinitions(definitions);
    }
    for (const map of maps) {
      if (map.kind !== "data") continue;
      if (written.has(map.section)) throw new RangeError(`map ${map.spec.name}: two maps are section ${map.section}`);
      written.add(map.section);
      const { initialValue, valueSize, frozen } = map.spec;
      const data = initialValue ?? (map.section.startsWith(".bss") ? valueSize : new Uint8Array(valueSize));
      const section = this.dataSection(map.section, frozen === true ? 0 : ElfSectionFlag.WRITE, data);
      this.valueSymbols.set(map.spec.name, this.sectionSymbol(section));
      const isDescribed = object.variables === undefined || object.variables.some((v) => v.map === map.spec.name);
      for (const v of types.data(map, isDescribed)) this.variableSymbol(map.spec.name, section, v);
    }
    const structs = maps.filter((m) => m.kind === "struct-ops");
    for (const section of new Set(structs.map((m) => m.section))) {
      written.add(section);
      this.writeStructOps(
        section,
        structs.filter((m) => m.section === section),
      );
    }
    this.hasTypes ||= maps.length > 0 || written.size > 0;
    types.hideOthers(written);
  }

  private writeDefinitions(maps: readonly PlacedMap[]): void {
    const { object, file, types } = this;
    const places = types.definitions(maps);
    const end = places.at(-1)!;
    const section = this.dataSection(".maps", ElfSectionFlag.WRITE, new Uint8Array(end.offset + end.size));
    for (const [i, { spec, symbol }] of maps.entries()) {
      const { offset, size } = places[i]!;
      this.mapSymbols.set(spec.name, this.objectSymbol(symbol, section, offset, size, true));
      if (spec.initialValue === undefined) continue;
      // The variables of an arena.
      const data = this.dataSection(ARENA_DATA, ElfSectionFlag.WRITE, spec.initialValue);
      this.valueSymbols.set(spec.name, this.sectionSymbol(data));
      const variables = (object.variables ?? []).filter((v) => v.map === spec.name);
      types.arena(spec, variables);
      for (const v of variables) this.variableSymbol(spec.name, data, { ...v, isGlobal: v.linkage !== "static" });
    }
    const records = maps.flatMap(({ spec }, i) =>
      (spec.slots ?? []).map((slot): ElfRelocationSpec => {
        const [what, symbol] =
          "map" in slot
            ? [`map ${slot.map}`, this.mapSymbols.get(slot.map)]
            : [`program ${slot.program}`, this.programSymbols.get(slot.program)];
        if (symbol === undefined)
          throw new RangeError(`map ${spec.name}: entry ${slot.index}: the object has no ${what}`);
        return { offset: places[i]!.slotsAt + slot.index * 8, symbol, type: ElfBpfRelocation.R_BPF_64_ABS64 };
      }),
    );
    file.relocate(section, records);
  }

  private writeStructOps(name: string, maps: readonly PlacedMap[]): void {
    const offsets = this.types.structOps(name, maps);
    const data = new Uint8Array(offsets.at(-1)! + maps.at(-1)!.spec.valueSize);
    const section = this.dataSection(name, ElfSectionFlag.WRITE, data);
    const records: ElfRelocationSpec[] = [];
    for (const [i, { spec, symbol }] of maps.entries()) {
      const at = offsets[i]!;
      data.set(spec.initialValue!, at);
      this.objectSymbol(symbol, section, at, spec.valueSize, true);
      for (const { offset, member, program } of spec.structOps!.functions) {
        const target = this.programSymbols.get(program);
        if (target === undefined)
          throw new RangeError(`map ${spec.name}: member ${member}: the object has no program ${program}`);
        records.push({ offset: at + offset, symbol: target, type: ElfBpfRelocation.R_BPF_64_ABS64 });
      }
    }
    this.file.relocate(section, records);
  }

  private variableSymbol(map: string, section: number, variable: DataVariable): void {
    const { name, offset, size, isGlobal } = variable;
    const isWeak = this.object.variables?.some((v) => v.map === map && v.name === name && v.linkage === "weak");
    if (isGlobal && isWeak === true) {
      const { OBJECT: type } = ElfSymbolType;
      this.file.symbol({ name, type, binding: ElfSymbolBinding.WEAK, section, value: offset, size });
    } else this.objectSymbol(name, section, offset, size, isGlobal);
  }

  private dataSection(name: string, flags: number, data: Uint8Array | number): number {
    const type = typeof data === "number" ? ElfSectionType.NOBITS : ElfSectionType.PROGBITS;
    return this.file.section({ name, type, flags: ElfSectionFlag.ALLOC | flags, alignment: 8, data });
  }

  private objectSymbol(name: string, section: number, value: number, size: number, isGlobal: boolean): number {
    const binding = isGlobal ? ElfSymbolBinding.GLOBAL : ElfSymbolBinding.LOCAL;
    return this.file.symbol({ name, type: ElfSymbolType.OBJECT, binding, section, value, size });
  }

  /** Fills a section's code and says what a loader has to put into it. */
  private finishCode(section: CodeSection, index: number): void {
    const out = this.file.dataOf(index);
    const records: ElfRelocationSpec[] = [];
    for (const placed of section.functions) {
      out.set(placed.spec.code, placed.offset);
      const code = out.subarray(placed.offset, placed.offset + placed.spec.code.length);
      const view = new DataView(code.buffer, code.byteOffset, code.length);
      const relocate = (insnIndex: number, symbol: number, type: number): void => {
        records.push({ offset: placed.offset + insnIndex * INSN_SIZE, symbol, type });
      };
      for (const r of placed.spec.relocations) {
        const at = r.insnIndex * INSN_SIZE;
        if (r.kind === "kfunc") {
          // As clang leaves it: a call of a subprogram that is not known yet.
          setSource(code, at, PseudoCall.LOCAL);
          view.setInt16(at + 2, 0, true);
          view.setInt32(at + 4, -1, true);
          relocate(r.insnIndex, this.externs.symbolOf(r.name), ElfBpfRelocation.R_BPF_64_32);
        } else if (r.kind === "ksym") {
          setSource(code, at, 0);
          view.setInt32(at + 4, 0, true);
          view.setInt32(at + 12, 0, true);
          relocate(r.insnIndex, this.externs.symbolOf(r.name), ElfBpfRelocation.R_BPF_64_64);
        } else {
          const value = r.kind === "map-value" ? this.valueSymbols.get(r.map) : undefined;
          setSource(code, at, 0);
          view.setInt32(at + 4, r.kind === "map-value" && value !== undefined ? r.offset : 0, true);
          view.setInt32(at + 12, 0, true);
          const symbol =
            r.kind === "map"
              ? this.mapSymbols.get(r.map)!
              : (value ?? this.externs.optionAt(placed.program.name, r.offset));
          relocate(r.insnIndex, symbol, ElfBpfRelocation.R_BPF_64_64);
        }
      }
      for (const { reference, callee } of placed.callees) {
        const { insnIndex, kind } = reference;
        const at = insnIndex * INSN_SIZE + 4;
        if (kind === "address") {
          view.setInt32(at, callee.offset, true);
          relocate(insnIndex, this.textSymbol, ElfBpfRelocation.R_BPF_64_64);
        } else if (section.name === TEXT) {
          view.setInt32(at, (callee.offset - placed.offset) / INSN_SIZE - insnIndex - 1, true);
        } else {
          view.setInt32(at, callee.offset / INSN_SIZE - 1, true);
          relocate(insnIndex, this.textSymbol, ElfBpfRelocation.R_BPF_64_32);
        }
      }
    }
    this.file.relocate(index, records);
  }

  private writeTypes(sections: readonly CodeSection[]): void {
    if (!this.hasTypes) return;
    const ext = encodeBtfExt(
      this.builder,
      sections.map((s) => sectionRecords(this.builder, s)),
    );
    const plain = { type: ElfSectionType.PROGBITS, flags: 0, alignment: 4 };
    this.file.section({ name: ".BTF", ...plain, data: this.builder.finish() });
    if (ext !== undefined) this.file.section({ name: ".BTF.ext", ...plain, data: ext });
  }
}

function setSource(code: Uint8Array, at: number, source: number): void {
  code[at + 1] = (code[at + 1]! & 0x0f) | (source << 4);
}

/** The records of all functions of a section, with offsets in bytes. */
function sectionRecords(builder: BtfBuilder, section: CodeSection): BtfExtSection {
  const typed = section.functions.filter((f) => f.spec.typeId !== 0);
  const funcInfo = new Uint8Array(typed.length * FUNC_INFO_SIZE);
  const funcs = new DataView(funcInfo.buffer);
  for (const [i, { offset, spec }] of typed.entries()) {
    funcs.setUint32(i * FUNC_INFO_SIZE, offset, true);
    funcs.setUint32(i * FUNC_INFO_SIZE + 4, spec.typeId, true);
  }
  const lineInfo = new Uint8Array(section.functions.reduce((sum, f) => sum + f.spec.lineInfo.length, 0));
  const lines = new DataView(lineInfo.buffer);
  let at = 0;
  for (const { offset, spec } of section.functions) {
    lineInfo.set(spec.lineInfo, at);
    for (const end = at + spec.lineInfo.length; at < end; at += LINE_INFO_SIZE) {
      lines.setUint32(at, offset + lines.getUint32(at, true) * INSN_SIZE, true);
    }
  }
  const core = new ByteWriter();
  for (const { offset, spec } of section.functions) {
    for (const { insnIndex, typeId, access, kind } of spec.coreRelocations) {
      for (const word of [offset + insnIndex * INSN_SIZE, typeId, builder.string(access), kind]) core.u32le(word);
    }
  }
  return { name: section.name, funcInfo, lineInfo, coreRelocations: core.finish() };
}
