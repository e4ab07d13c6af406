/** Reads `.debug_info`: the entries that describe types, functions and variables, with the few attributes that those need. */
import { ParseError } from "../../base/index.ts";
import {
  DWARF_64_BIT,
  DWARF_PLUS_CONSTANT,
  DWARF_SPLIT_UNITS,
  DWARF_TYPE_UNITS,
  DwarfAttribute,
  DwarfForm,
  DwarfTag,
} from "./format.ts";

/** Sections of debug information as they are in an object file. */
export interface DwarfSections {
  /** Named in errors. */
  readonly file: string;
  readonly bigEndian: boolean;
  /** `.debug_info` */
  readonly info: Uint8Array;
  /** `.debug_abbrev` */
  readonly abbrev: Uint8Array;
  /** `.debug_str` */
  readonly str?: Uint8Array;
  /** `.debug_line_str` */
  readonly lineStr?: Uint8Array;
  /** `.debug_str_offsets` */
  readonly strOffsets?: Uint8Array;
}

/** An entry of `.debug_info`. */
export interface DwarfEntry {
  /** Bytes from the start of the section: what other entries refer to. */
  readonly offset: number;
  /** `DwarfTag.*` */
  readonly tag: number;
  readonly name: string;
  /** Offset of its type's entry. */
  readonly type: number | undefined;
  /** By `DwarfAttribute.*`: constants and flags. */
  readonly numbers: ReadonlyMap<number, number>;
  /** `DW_AT_const_value`, which may need 64 bits. */
  readonly value: bigint | undefined;
  readonly children: readonly DwarfEntry[];
}

/** How an attribute's value is written; IMPLICIT_CONST has it in the abbreviation. */
interface AttributeSpec {
  readonly attribute: number;
  readonly form: number;
  readonly implicit: number;
}

interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly AttributeSpec[];
}

/** Attributes that are kept as numbers. */
const kept: ReadonlySet<number> = new Set([
  DwarfAttribute.BYTE_SIZE,
  DwarfAttribute.BIT_OFFSET,
  DwarfAttribute.BIT_SIZE,
  DwarfAttribute.UPPER_BOUND,
  DwarfAttribute.COUNT,
  DwarfAttribute.DATA_MEMBER_LOCATION,
  DwarfAttribute.DECLARATION,
  DwarfAttribute.ENCODING,
  DwarfAttribute.DATA_BIT_OFFSET,
  DwarfAttribute.STR_OFFSETS_BASE,
]);

/** Scopes inside scopes; compilers make a few dozen, hostile files as many as they have bytes. */
const DEPTH_LIMIT = 1000;

const utf8 = new TextDecoder();

/** A place in a section that moves on with each value. */
class Cursor {
  readonly bytes: Uint8Array;
  at: number;
  private readonly view: DataView;
  private readonly section: string;
  private readonly little: boolean;

  constructor(bytes: Uint8Array, section: string, bigEndian: boolean, at = 0) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.section = section;
    this.little = !bigEndian;
    this.at = at;
  }

  fail(what: string): never {
    throw new ParseError(this.section, this.at, what);
  }

  /** Moves on; returns where it was. */
  skip(size: number): number {
    const from = this.at;
    if (!(size >= 0) || from + size > this.bytes.length || from < 0) {
      this.fail(`${size} byte(s) wanted, the section ends at ${this.bytes.length}`);
    }
    this.at = from + size;
    return from;
  }

  /** An unsigned number of 1, 2, 3, 4 or 8 bytes; those beyond 2^53 are rounded. */
  uint(size: number): number {
    const from = this.skip(size);
    switch (size) {
      case 1:
        return this.view.getUint8(from);
      case 2:
        return this.view.getUint16(from, this.little);
      case 3: {
        const [a, b, c] = [this.bytes[from]!, this.bytes[from + 1]!, this.bytes[from + 2]!];
        return this.little ? a | (b << 8) | (c << 16) : (a << 16) | (b << 8) | c;
      }
      case 4:
        return this.view.getUint32(from, this.little);
      default:
        return Number(this.view.getBigUint64(from, this.little));
    }
  }

  /** A number in LEB128. */
  leb(signed: boolean): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.bytes[this.skip(1)]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return signed && (byte & 0x40) !== 0 ? value - (1n << (shift + 7n)) : value;
    }
    return this.fail("a number of more than 64 bits");
  }

  /** As {@link leb}, unsigned, without BigInt: there is one before every entry. */
  count(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 49; scale *= 128) {
      const byte = this.bytes[this.skip(1)]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return this.fail("a number of more than 49 bits");
  }

  text(): string {
    const from = this.at;
    const end = this.bytes.indexOf(0, from);
    if (end === -1) this.fail("a text without end");
    this.at = end + 1;
    return utf8.decode(this.bytes.subarray(from, end));
  }
}

/** Bytes of what a form writes, for forms of constant size that nothing here reads. */
const skipped: Readonly<Record<number, number>> = {
  [DwarfForm.REF_SUP4]: 4,
  [DwarfForm.DATA16]: 16,
  [DwarfForm.REF_SIG8]: 8,
  [DwarfForm.REF_SUP8]: 8,
};

/** Bytes of unsigned numbers and references by form. */
const widths: Readonly<Record<number, number>> = {
  [DwarfForm.DATA1]: 1,
  [DwarfForm.DATA2]: 2,
  [DwarfForm.DATA4]: 4,
  [DwarfForm.DATA8]: 8,
  [DwarfForm.FLAG]: 1,
  [DwarfForm.REF1]: 1,
  [DwarfForm.REF2]: 2,
  [DwarfForm.REF4]: 4,
  [DwarfForm.REF8]: 8,
  [DwarfForm.STRX1]: 1,
  [DwarfForm.STRX2]: 2,
  [DwarfForm.STRX3]: 3,
  [DwarfForm.STRX4]: 4,
  [DwarfForm.ADDRX1]: 1,
  [DwarfForm.ADDRX2]: 2,
  [DwarfForm.ADDRX3]: 3,
  [DwarfForm.ADDRX4]: 4,
};

const indexedTexts: ReadonlySet<number> = new Set([
  DwarfForm.STRX,
  DwarfForm.STRX1,
  DwarfForm.STRX2,
  DwarfForm.STRX3,
  DwarfForm.STRX4,
]);
const unitReferences: ReadonlySet<number> = new Set([
  DwarfForm.REF1,
  DwarfForm.REF2,
  DwarfForm.REF4,
  DwarfForm.REF8,
  DwarfForm.REF_UDATA,
]);

/** The value of an attribute: a number, a text, the index of a text; undefined for what nothing here reads. */
type Value = number | bigint | { readonly text: string } | { readonly index: number } | undefined;

/** What is the same for all entries of a unit. */
interface Unit {
  readonly start: number;
  readonly end: number;
  readonly version: number;
  readonly addressSize: number;
  /** 4, or 8 in the 64-bit format. */
  readonly offsetSize: number;
  readonly abbreviations: ReadonlyMap<number, Abbreviation>;
  /** Where its part of `.debug_str_offsets` begins, behind the header. */
  strings: number;
}

/**
 * The entries of units of C, each unit as a tree. Relocations of an object file that was not linked add nothing: what they refer to starts
 * at 0. Throws ParseError with section and offset when the sections are damaged.
 */
export function readDwarf(sections: DwarfSections): DwarfEntry[] {
  return new DwarfReader(sections).units();
}

class DwarfReader {
  private readonly sections: DwarfSections;
  private readonly info: Cursor;
  private readonly tables = new Map<number, ReadonlyMap<number, Abbreviation>>();
  private readonly texts = new Map<number, string>();

  constructor(sections: DwarfSections) {
    this.sections = sections;
    this.info = this.cursor(sections.info, ".debug_info");
  }

  private cursor(bytes: Uint8Array, section: string, at = 0): Cursor {
    return new Cursor(bytes, `${this.sections.file}: ${section}`, this.sections.bigEndian, at);
  }

  units(): DwarfEntry[] {
    const { info } = this;
    const out: DwarfEntry[] = [];
    while (info.at < info.bytes.length) {
      const unit = this.unitHeader();
      const root = this.tree(unit);
      if (root !== undefined) out.push(root);
      info.at = unit.end;
    }
    return out;
  }

  private unitHeader(): Unit {
    const { info } = this;
    const start = info.at;
    let length = info.uint(4);
    const offsetSize = length === DWARF_64_BIT ? 8 : 4;
    if (offsetSize === 8) length = info.uint(8);
    const end = info.at + length;
    if (end > info.bytes.length) info.fail(`a unit of ${length} bytes, the section ends at ${info.bytes.length}`);
    const version = info.uint(2);
    if (version < 2 || version > 5) info.fail(`DWARF version ${version}, not 2 to 5`);
    let addressSize: number;
    let abbrev: number;
    if (version === 5) {
      const type = info.uint(1);
      addressSize = info.uint(1);
      abbrev = info.uint(offsetSize);
      if (DWARF_TYPE_UNITS.has(type)) info.skip(8 + offsetSize);
      else if (DWARF_SPLIT_UNITS.has(type)) info.skip(8);
    } else {
      abbrev = info.uint(offsetSize);
      addressSize = info.uint(1);
    }
    const strings = offsetSize === 8 ? 16 : 8;
    return { start, end, version, addressSize, offsetSize, abbreviations: this.abbreviations(abbrev), strings };
  }

  private abbreviations(offset: number): ReadonlyMap<number, Abbreviation> {
    const known = this.tables.get(offset);
    if (known !== undefined) return known;
    const table = new Map<number, Abbreviation>();
    const at = this.cursor(this.sections.abbrev, ".debug_abbrev", offset);
    for (let code = at.count(); code !== 0; code = at.count()) {
      const tag = at.count();
      const hasChildren = at.uint(1) !== 0;
      const attributes: AttributeSpec[] = [];
      for (;;) {
        const attribute = at.count();
        const form = at.count();
        const implicit = form === DwarfForm.IMPLICIT_CONST ? Number(at.leb(true)) : 0;
        if (attribute === 0 && form === 0) break;
        attributes.push({ attribute, form, implicit });
      }
      table.set(code, { tag, hasChildren, attributes });
    }
    this.tables.set(offset, table);
    return table;
  }

  /** The root of a unit, with all below it. */
  private tree(unit: Unit): DwarfEntry | undefined {
    const { info } = this;
    let root: DwarfEntry | undefined;
    const open: DwarfEntry[][] = [];
    while (info.at < unit.end) {
      const offset = info.at;
      const code = info.count();
      if (code === 0) {
        open.pop();
        if (open.length === 0) break;
        continue;
      }
      const abbreviation = unit.abbreviations.get(code);
      if (abbreviation === undefined) return info.fail(`abbreviation ${code}, which there is not`);
      const entry = this.entry(unit, offset, abbreviation);
      if (root === undefined) root = entry;
      else open.at(-1)?.push(entry);
      if (abbreviation.hasChildren) {
        if (open.length === DEPTH_LIMIT) info.fail(`entries in ${DEPTH_LIMIT} others`);
        open.push(entry.children as DwarfEntry[]);
      } else if (open.length === 0) break;
    }
    return root;
  }

  private entry(unit: Unit, offset: number, { tag, attributes }: Abbreviation): DwarfEntry {
    let name = "";
    let type: number | undefined;
    let value: bigint | undefined;
    const numbers = new Map<number, number>();
    let nameIndex: number | undefined;
    for (const { attribute, form, implicit } of attributes) {
      const got = this.value(unit, form, implicit);
      if (got === undefined) continue;
      if (typeof got === "object") {
        if (attribute !== DwarfAttribute.NAME) continue;
        if ("text" in got) name = got.text;
        else nameIndex = got.index;
        continue;
      }
      if (attribute === DwarfAttribute.TYPE) type = Number(got);
      else if (attribute === DwarfAttribute.CONST_VALUE) value = BigInt(got);
      else if (kept.has(attribute)) numbers.set(attribute, Number(got));
    }
    if (tag === DwarfTag.COMPILE_UNIT) unit.strings = numbers.get(DwarfAttribute.STR_OFFSETS_BASE) ?? unit.strings;
    // Behind the loop: the root says itself where its texts are.
    if (nameIndex !== undefined) name = this.indexedText(unit, nameIndex);
    return { offset, tag, name, type, numbers, value, children: [] };
  }

  private value(unit: Unit, form: number, implicit: number): Value {
    const { info } = this;
    const width = widths[form];
    if (width !== undefined) {
      const number = info.uint(width);
      if (unitReferences.has(form)) return unit.start + number;
      return indexedTexts.has(form) ? { index: number } : number;
    }
    switch (form) {
      case DwarfForm.ADDR:
        info.skip(unit.addressSize);
        return undefined;
      case DwarfForm.BLOCK1:
        return this.expression(info.uint(1));
      case DwarfForm.BLOCK2:
        return this.expression(info.uint(2));
      case DwarfForm.BLOCK4:
        return this.expression(info.uint(4));
      case DwarfForm.BLOCK:
      case DwarfForm.EXPRLOC:
        return this.expression(info.count());
      case DwarfForm.STRING:
        return { text: info.text() };
      case DwarfForm.SDATA:
        return info.leb(true);
      case DwarfForm.UDATA:
        return info.leb(false);
      case DwarfForm.REF_UDATA:
        return unit.start + info.count();
      case DwarfForm.REF_ADDR:
        return info.uint(unit.version === 2 ? unit.addressSize : unit.offsetSize);
      case DwarfForm.STRX:
        return { index: info.count() };
      case DwarfForm.ADDRX:
      case DwarfForm.LOCLISTX:
      case DwarfForm.RNGLISTX:
        info.count();
        return undefined;
      case DwarfForm.STRP:
        return { text: this.text(".debug_str", this.sections.str, info.uint(unit.offsetSize)) };
      case DwarfForm.LINE_STRP:
        return { text: this.text(".debug_line_str", this.sections.lineStr, info.uint(unit.offsetSize)) };
      case DwarfForm.SEC_OFFSET:
        return info.uint(unit.offsetSize);
      case DwarfForm.STRP_SUP:
        info.skip(unit.offsetSize);
        return undefined;
      case DwarfForm.FLAG_PRESENT:
        return 1;
      case DwarfForm.IMPLICIT_CONST:
        return implicit;
      case DwarfForm.INDIRECT:
        return this.value(unit, this.directForm(), 0);
      default: {
        const size = skipped[form];
        if (size === undefined) info.fail(`attribute of form ${form}, which is not known`);
        info.skip(size!);
        return undefined;
      }
    }
  }

  /** The distance of a member, which DWARF 2 writes as an expression; undefined for other expressions. */
  private expression(size: number): number | undefined {
    const { info } = this;
    const end = info.skip(size) + size;
    info.at = end - size;
    const distance = size > 1 && info.uint(1) === DWARF_PLUS_CONSTANT ? info.count() : undefined;
    const isWhole = info.at === end;
    info.at = end;
    return isWhole ? distance : undefined;
  }

  private directForm(): number {
    const form = this.info.count();
    return form === DwarfForm.INDIRECT ? this.info.fail("a form that is told indirectly, indirectly") : form;
  }

  private text(section: string, bytes: Uint8Array | undefined, offset: number): string {
    if (bytes === undefined) return this.info.fail(`a name in ${section}, which the file does not have`);
    const isMain = section === ".debug_str";
    const known = isMain ? this.texts.get(offset) : undefined;
    if (known !== undefined) return known;
    const at = this.cursor(bytes, section, offset);
    if (offset >= bytes.length) at.fail(`a name here, the section ends at ${bytes.length}`);
    const text = at.text();
    if (isMain) this.texts.set(offset, text);
    return text;
  }

  private indexedText(unit: Unit, index: number): string {
    const { strOffsets, str } = this.sections;
    if (strOffsets === undefined) return this.info.fail("a name by number without .debug_str_offsets");
    const at = this.cursor(strOffsets, ".debug_str_offsets", unit.strings + index * unit.offsetSize);
    return this.text(".debug_str", str, at.uint(unit.offsetSize));
  }
}
