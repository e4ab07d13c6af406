/** Writes an object as an ELF file that libbpf loads: bpftool, systemd, cilium/ebpf and all others that read clang's output. */
import { UnsupportedError } from "../base/index.ts";
import {
  Btf,
  BtfBuilder,
  BtfFuncLinkage,
  BtfKind,
  FUNC_INFO_SIZE,
  LINE_INFO_SIZE,
  encodeBtfExt,
} from "../btf/index.ts";
import type { BtfExtSection, BtfFunc, BtfSectionEntry } from "../btf/index.ts";
import { INSN_SIZE, PseudoCall } from "../isa/index.ts";
import type { AttachSpec } from "./attach.ts";
import { ElfFile } from "./elf-file.ts";
import type { ElfRelocationSpec } from "./elf-file.ts";
import {
  ElfBpfRelocation,
  ElfSectionFlag,
  ElfSectionIndex,
  ElfSectionType,
  ElfSymbolBinding,
  ElfSymbolType,
} from "./elf-format.ts";
import { MapTypes, placeMaps } from "./elf-maps.ts";
import type { PlacedMap } from "./elf-maps.ts";
import { splitFunctions } from "./functions.ts";
import type { FunctionReference, FunctionSpec } from "./functions.ts";
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
const KSYMS = ".ksyms";

/**
 * Writes an object as a relocatable ELF file (64 bits, little-endian), as clang does and libbpf 1.1 and later load it:
 *
 * - programs in sections whose names say their types (several of one kind in one section), with global symbols;
 * - functions that programs call, once each, in `.text`; libbpf appends them in the order of calls, depth first;
 * - maps as variables of `.maps`, described by BTF; arrays of one entry that have a first value, are frozen or are addressed directly as
 *   sections `.rodata.NAME` or `.data.NAME`: maps of these names;
 * - the object's BTF with the types of maps behind its own, and BTF.ext.
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
  readonly callees: readonly { readonly reference: FunctionReference; readonly callee: PlacedFunction }[];
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
  /** Symbols that relocations name: of maps' definitions and data by map, of kernel functions by name. */
  private readonly mapSymbols = new Map<string, number>();
  private readonly kernelSymbols = new Map<string, number>();
  private textSymbol = -1;
  private hasTypes: boolean;

  constructor(object: BpfObject, options: WriteElfOptions) {
    this.object = object;
    this.options = options;
    this.hasTypes = object.btf !== undefined;
    this.known = object.btf === undefined ? undefined : Btf.parse(object.btf);
    this.builder = object.btf === undefined ? new BtfBuilder() : BtfBuilder.extending(object.btf);
    this.types = new MapTypes(this.builder, this.known);
  }

  write(): Uint8Array {
    const { object, file } = this;
    if (object.license.includes("\0")) throw new RangeError("license: a NUL would end it");
    for (const { relocations } of object.programs) {
      // These names are not ours to change.
      for (const r of relocations) if (r.kind === "kfunc") this.takenNames.add(r.name);
    }
    const programNames = new Map<ProgramSpec, string>();
    for (const program of object.programs) programNames.set(program, this.uniqueName(program.name));
    const maps = placeMaps(object, (name) => this.uniqueName(name));
    for (const program of object.programs) this.placeProgram(program, programNames.get(program)!);
    this.declareKernelFunctions();

    const sections = [...this.code.values()].filter((s) => s.size > 0);
    const indexes = sections.map((s) => this.codeSection(s));
    file.section({
      name: "license",
      type: ElfSectionType.PROGBITS,
      flags: ElfSectionFlag.ALLOC | ElfSectionFlag.WRITE,
      alignment: 1,
      data: new TextEncoder().encode(`${object.license}\0`),
    });
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

    const byStart = new Map(splitFunctions(program).map((spec) => [spec.start, spec]));
    const called = new Map<number, PlacedFunction>();
    const open = new Set<number>();
    const calleesOf = (spec: FunctionSpec): PlacedFunction["callees"] =>
      spec.references.map((reference) => ({ reference, callee: call(reference.target) }));
    const call = (start: number): PlacedFunction => {
      const known = called.get(start);
      if (known !== undefined) return known;
      if (open.has(start)) {
        throw new RangeError(`program ${program.name}: the function at instruction ${start} calls itself`);
      }
      open.add(start);
      const spec = byStart.get(start)!;
      const placed = this.share(program, spec, calleesOf(spec), `${symbol}_${start}`);
      called.set(start, placed);
      return placed;
    };
    const main = byStart.get(0)!;
    this.place(section, { program, spec: main, symbol, isGlobal: true, callees: calleesOf(main) });
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
      callees.map(({ reference, callee }) => [reference.insnIndex, this.sharedKeys.get(callee)]),
    ]);
    const known = this.shared.get(key);
    if (known !== undefined) return known;
    const type = spec.typeId === 0 ? undefined : this.functionType(program, spec.typeId);
    const placed = this.place(this.code.get(TEXT)!, {
      program,
      spec,
      symbol: this.uniqueName(type?.name ?? fallbackName),
      isGlobal: type?.linkage === BtfFuncLinkage.GLOBAL,
      callees,
    });
    this.sharedKeys.set(placed, this.shared.size);
    this.shared.set(key, placed);
    return placed;
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
    for (const { symbol, isGlobal, offset, spec } of section.functions) {
      file.symbol({
        name: symbol,
        type: ElfSymbolType.FUNC,
        binding: isGlobal ? ElfSymbolBinding.GLOBAL : ElfSymbolBinding.LOCAL,
        section: index,
        value: offset,
        size: spec.code.length,
      });
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
    const { file, types } = this;
    const definitions = maps.filter((m) => m.kind === "definition");
    const written = new Set<string>();
    if (definitions.length > 0) {
      const sizes = types.definitions(definitions);
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const section = this.dataSection(".maps", ElfSectionFlag.WRITE, new Uint8Array(total));
      written.add(".maps");
      let offset = 0;
      for (const [i, { spec, symbol }] of definitions.entries()) {
        const size = sizes[i]!;
        this.mapSymbols.set(spec.name, this.objectSymbol(symbol, section, offset, size, true));
        offset += size;
      }
    }
    for (const map of maps) {
      if (map.kind !== "data") continue;
      if (written.has(map.section)) throw new RangeError(`map ${map.spec.name}: two maps are section ${map.section}`);
      written.add(map.section);
      const { initialValue, valueSize, frozen } = map.spec;
      const data = initialValue ?? (map.section === ".bss" ? valueSize : new Uint8Array(valueSize));
      const section = this.dataSection(map.section, frozen === true ? 0 : ElfSectionFlag.WRITE, data);
      this.mapSymbols.set(map.spec.name, this.sectionSymbol(section));
      for (const v of types.data(map)) this.objectSymbol(v.name, section, v.offset, v.size, v.isGlobal);
    }
    this.hasTypes ||= maps.length > 0;
    types.hideOthers(written.add(KSYMS));
    for (const name of this.kernelSymbols.keys()) {
      const symbol = { name, type: ElfSymbolType.NOTYPE, binding: ElfSymbolBinding.GLOBAL };
      this.kernelSymbols.set(name, file.symbol({ ...symbol, section: ElfSectionIndex.UNDEF, value: 0, size: 0 }));
    }
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
          relocate(r.insnIndex, this.kernelSymbols.get(r.name)!, ElfBpfRelocation.R_BPF_64_32);
        } else if (r.kind === "ksym") {
          setSource(code, at, 0);
          view.setInt32(at + 4, 0, true);
          view.setInt32(at + 12, 0, true);
          relocate(r.insnIndex, this.kernelSymbols.get(r.name)!, ElfBpfRelocation.R_BPF_64_64);
        } else {
          setSource(code, at, 0);
          view.setInt32(at + 4, r.kind === "map-value" ? r.offset : 0, true);
          view.setInt32(at + 12, 0, true);
          relocate(r.insnIndex, this.mapSymbols.get(r.map)!, ElfBpfRelocation.R_BPF_64_64);
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

  /** Kernel functions stand as externals in section `.ksyms` of the BTF; libbpf compares their prototypes with the kernel's. */
  private declareKernelFunctions(): void {
    const { builder, known } = this;
    const entries: BtfSectionEntry[] = [];
    for (const program of this.object.programs) {
      for (const r of program.relocations) {
        if (r.kind !== "kfunc" || this.kernelSymbols.has(r.name)) continue;
        const id = known?.findByName(r.name, BtfKind.FUNC);
        if (id === undefined) {
          throw new UnsupportedError(
            `program ${program.name} in an object file`,
            `calls kernel function ${r.name}, of which the object's BTF has no prototype to compare with the kernel's`,
          );
        }
        builder.setLinkage(id, BtfFuncLinkage.EXTERN);
        entries.push({ typeId: id, offset: 0, size: 0 });
        // Numbered when symbols are written.
        this.kernelSymbols.set(r.name, -1);
      }
    }
    if (entries.length > 0) this.types.section(KSYMS, 0, entries);
  }

  private writeTypes(sections: readonly CodeSection[]): void {
    if (!this.hasTypes) return;
    const ext = encodeBtfExt(
      this.builder,
      sections.map((s) => sectionRecords(s)),
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
function sectionRecords(section: CodeSection): BtfExtSection {
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
  return { name: section.name, funcInfo, lineInfo };
}
