/** BTF, read lazily: one pass finds where each type starts; everything else is decoded when asked for. */
import { NameIndex, type NameStems, ParseError } from "../base/index.ts";
import { decodeType } from "./decode.ts";
import { BTF_KIND_MAX, BTF_TYPE_WORDS, BtfInfo, BtfKind, btfKindNames, btfTrailingWords } from "./kinds.ts";
import { alignOfType, pointerSizeOf, sizeOfType, stripTypeModifiers } from "./layout.ts";
import { type BtfField, fieldByPath, listFields } from "./members.ts";
import { type BtfSections, readBtfSections } from "./sections.ts";
import { BtfStrings } from "./strings.ts";
import type { BtfComposite, BtfEnum, BtfFunc, BtfFuncProto, BtfMember, BtfType, BtfTypedef, BtfVoid } from "./types.ts";

const VOID: BtfVoid = { id: 0, kind: BtfKind.UNKN, name: "void" };

/** How to read BTF. */
export interface BtfParseOptions {
  /** The BTF that this one extends: that of vmlinux for a module's. */
  readonly base?: Btf;
  /** Named in errors: the file, or `BTF`. */
  readonly section?: string;
}

/** A constant of an enum, with the enum it belongs to. */
export interface BtfEnumConstant {
  readonly typeId: number;
  readonly value: bigint;
}

/**
 * All types of one BTF, the base's included when it is split. Holds the bytes it was given (do not change them) and,
 * a type, four bytes; names are hashed at the first lookup of a kind.
 *
 * Type ids that come from a caller and do not exist are a RangeError; ids in the data that do not are a ParseError.
 */
export class Btf {
  readonly base: Btf | undefined;
  /** Named in errors. */
  readonly section: string;
  /** Whether the data is big-endian; what is read is in numbers and does not show it. */
  readonly bigEndian: boolean;
  /** The strings, the base's included. */
  readonly strings: BtfStrings;
  /** The first id of this BTF's own types: 1, or the base's count in split BTF. */
  readonly firstId: number;
  /** One more than the largest type id, `void` and the base's included. */
  readonly typeCount: number;

  private readonly words: Uint32Array;
  private readonly typesOffset: number;
  /** Index of each own type's first word. */
  private readonly starts: Uint32Array;
  /** Kind of each own type, beside the words for searches that touch nothing else. */
  private readonly kinds: Uint8Array;
  /** Number of own types of each kind. */
  private readonly kindCounts = new Uint32Array(BtfInfo.KIND_MASK + 1);
  private readonly decoded = new Map<number, BtfType>();
  private readonly kindIds = new Map<number, Uint32Array>();
  private readonly kindNames = new Map<number, NameIndex>();
  private enumConstants:
    | { readonly index: NameIndex; readonly owners: Uint32Array; readonly places: Uint32Array }
    | undefined;
  private bytesOfPointer = 0;
  private readonly alignments = new Map<number, number>();

  private constructor(bytes: Uint8Array, options: BtfParseOptions) {
    this.base = options.base;
    this.section = options.section ?? "BTF";
    const sections = readBtfSections(bytes, this.section);
    this.bigEndian = sections.bigEndian;
    this.words = sections.words;
    this.typesOffset = sections.typesOffset;
    this.strings = new BtfStrings(sections.strings, `${this.section}: strings`, this.base?.strings);
    this.firstId = this.base === undefined ? 1 : this.base.typeCount;
    ({ starts: this.starts, kinds: this.kinds } = this.indexTypes(sections.layout));
    this.typeCount = this.firstId + this.starts.length;
  }

  /**
   * Indexes BTF of either byte order: `/sys/kernel/btf/vmlinux`, a module's beside it with `base`, or an ELF file's `.BTF`.
   * Throws {@link ParseError} when the header, the kinds or the extent of a type are wrong.
   */
  static parse(bytes: Uint8Array, options: BtfParseOptions = {}): Btf {
    return new Btf(bytes, options);
  }

  private indexTypes(layout: BtfSections["layout"]): { starts: Uint32Array; kinds: Uint8Array } {
    const { words, kindCounts } = this;
    const stringsEnd = this.strings.end;
    const starts = new Uint32Array(Math.floor(words.length / BTF_TYPE_WORDS));
    const kinds = new Uint8Array(starts.length);
    const fixed = Uint32Array.from(layout, (t) => t.fixed + BTF_TYPE_WORDS);
    const each = Uint32Array.from(layout, (t) => t.each);
    let count = 0;
    let at = 0;
    while (at < words.length) {
      if (at + BTF_TYPE_WORDS > words.length) throw this.damaged(at, "a type is cut short");
      const info = words[at + 1]!;
      const kind = (info >>> BtfInfo.KIND_SHIFT) & BtfInfo.KIND_MASK;
      if (kind === 0 || kind >= fixed.length)
        throw this.damaged(at, `type ${this.firstId + count} has unknown kind ${kind}`);
      if (words[at]! >= stringsEnd) throw this.damaged(at, `name at ${words[at]!}: the strings end at ${stringsEnd}`);
      kindCounts[kind]!++;
      kinds[count] = kind;
      starts[count++] = at;
      at += fixed[kind]! + each[kind]! * (info & BtfInfo.VLEN_MASK);
    }
    if (at > words.length) throw this.damaged(starts[count - 1]!, `type ${this.firstId + count - 1} is cut short`);
    // Not copied: memory behind the last type was never touched, so that it takes none.
    return { starts: starts.subarray(0, count), kinds: kinds.subarray(0, count) };
  }

  /** A ParseError at a word of the type section. */
  private damaged(word: number, what: string): ParseError {
    return new ParseError(this.section, this.typesOffset + word * 4, what);
  }

  /** The BTF, this or a base, that holds a type. */
  private owner(id: number): Btf {
    if (!Number.isInteger(id) || id < 0 || id >= this.typeCount) {
      throw new RangeError(`${this.section}: no type ${id}: ids run from 0 to ${this.typeCount - 1}`);
    }
    return id < this.firstId && this.base !== undefined ? this.base.owner(id) : this;
  }

  /** Kind of a type, without decoding it. */
  kindOf(id: number): BtfKind {
    if (id === 0) return BtfKind.UNKN;
    const owner = this.owner(id);
    return owner.kinds[id - owner.firstId] as BtfKind;
  }

  /** Name of a type, without decoding the rest; empty when anonymous, `void` for id 0. */
  nameOf(id: number): string {
    if (id === 0) return VOID.name;
    const owner = this.owner(id);
    return this.strings.get(owner.words[owner.starts[id - owner.firstId]!]!);
  }

  /** A type as plain data, kept for the next time. Throws {@link ParseError} when it refers to what does not exist. */
  typeById(id: number): BtfType {
    const known = this.decoded.get(id);
    if (known !== undefined) return known;
    const type = this.readType(id);
    this.decoded.set(id, type);
    return type;
  }

  /** A type as plain data, made anew each time: for walks over all types, which should not be held. */
  readType(id: number): BtfType {
    if (id === 0) return VOID;
    const owner = this.owner(id);
    if (owner !== this) return owner.readType(id);
    const start = this.starts[id - this.firstId]!;
    return decodeType(id, this.words, start, this.strings, this.typeCount, (word, what) => this.damaged(word, what));
  }

  /** Ids of all types of a kind, ascending, the base's first. */
  *idsByKind(kind: BtfKind): Generator<number, void, undefined> {
    if (this.base !== undefined) yield* this.base.idsByKind(kind);
    yield* this.ownIdsByKind(kind);
  }

  private ownIdsByKind(kind: BtfKind): Uint32Array {
    const known = this.kindIds.get(kind);
    if (known !== undefined) return known;
    const ids = new Uint32Array(this.kindCounts[kind]!);
    for (let n = 0, i = -1; n < ids.length; n++) {
      i = this.kinds.indexOf(kind, i + 1);
      ids[n] = this.firstId + i;
    }
    this.kindIds.set(kind, ids);
    return ids;
  }

  /** Names of all types of a kind that have one, in order of ids; a name may come twice. For listings, wildcards and suggestions. */
  *names(kind: BtfKind): Generator<string, void, undefined> {
    if (this.base !== undefined) yield* this.base.names(kind);
    const { words, starts, firstId } = this;
    for (const id of this.ownIdsByKind(kind)) {
      const name = words[starts[id - firstId]!]!;
      if (name !== 0) yield this.strings.get(name);
    }
  }

  /** Id of the first type of this name, of any kind or of one; the base's come first. Undefined when there is none. */
  findByName(name: string, kind?: BtfKind): number | undefined {
    return this.base?.findByName(name, kind) ?? this.findOwnByName(name, kind);
  }

  /** As {@link findByName}, among the types that are not the base's: a module's own. */
  findOwnByName(name: string, kind?: BtfKind): number | undefined {
    if (kind !== undefined) return this.findAllOwn(name, kind, true)[0];
    let first: number | undefined;
    for (let k = 1; k <= BTF_KIND_MAX; k++) {
      const id = this.findAllOwn(name, k as BtfKind, true)[0];
      if (id !== undefined && (first === undefined || id < first)) first = id;
    }
    return first;
  }

  /** Ids of all types of this name and kind, ascending: static functions and private structs of different files share names. */
  findAllByName(name: string, kind: BtfKind): number[] {
    return [...(this.base?.findAllByName(name, kind) ?? []), ...this.findAllOwn(name, kind, false)];
  }

  /** Own types of a kind, not the base's, whose names have one of some stems; ascending. One pass over the names, whatever the number of stems. */
  findOwnByStems(stems: NameStems, kind: BtfKind): number[] {
    const ids = this.ownIdsByKind(kind);
    return this.strings.selectByStems(this.nameOffsetsOf(ids), stems).map((i) => ids[i]!);
  }

  private nameOffsetsOf(ids: Uint32Array): Uint32Array {
    const { words, starts, firstId } = this;
    const offsets = new Uint32Array(ids.length);
    for (let i = 0; i < ids.length; i++) offsets[i] = words[starts[ids[i]! - firstId]!]!;
    return offsets;
  }

  private findAllOwn(name: string, kind: BtfKind, onlyFirst: boolean): number[] {
    const ids = this.ownIdsByKind(kind);
    if (ids.length === 0) return [];
    let index = this.kindNames.get(kind);
    if (index === undefined) {
      index = new NameIndex(this.strings, this.nameOffsetsOf(ids));
      this.kindNames.set(kind, index);
    }
    const found: number[] = [];
    for (let i = index.find(name); i !== -1; i = index.find(name, i + 1)) {
      found.push(ids[i]!);
      if (onlyFirst) break;
    }
    return found;
  }

  /** The first struct of this name that has a body. */
  structByName(name: string): BtfComposite | undefined {
    return this.typeByName(name, BtfKind.STRUCT) as BtfComposite | undefined;
  }

  /** The first union of this name that has a body. */
  unionByName(name: string): BtfComposite | undefined {
    return this.typeByName(name, BtfKind.UNION) as BtfComposite | undefined;
  }

  /** The first enum of this name, of either width. */
  enumByName(name: string): BtfEnum | undefined {
    return (this.typeByName(name, BtfKind.ENUM) ?? this.typeByName(name, BtfKind.ENUM64)) as BtfEnum | undefined;
  }

  /** The first typedef of this name. */
  typedefByName(name: string): BtfTypedef | undefined {
    return this.typeByName(name, BtfKind.TYPEDEF) as BtfTypedef | undefined;
  }

  /** The first function of this name. */
  funcByName(name: string): BtfFunc | undefined {
    return this.typeByName(name, BtfKind.FUNC) as BtfFunc | undefined;
  }

  private typeByName(name: string, kind: BtfKind): BtfType | undefined {
    const id = this.findByName(name, kind);
    return id === undefined ? undefined : this.typeById(id);
  }

  /** The prototype of a function, given the id of the function or of the prototype. Undefined for another kind of type. */
  funcProto(id: number): BtfFuncProto | undefined {
    const type = this.typeById(id);
    const proto = type.kind === BtfKind.FUNC ? this.typeById(type.typeId) : type;
    return proto.kind === BtfKind.FUNC_PROTO ? proto : undefined;
  }

  /** The type under typedefs, `const`, `volatile`, `restrict` and type tags. Throws {@link ParseError} when they run in a circle. */
  stripModifiers(id: number): number {
    return stripTypeModifiers(this, id);
  }

  /** Bytes of a type, typedefs and qualifiers looked through. Undefined for what has no size: void, functions, forward declarations. */
  sizeOf(id: number): number | undefined {
    return sizeOfType(this, id);
  }

  /** Alignment in bytes as the compiler chose it: 1 for packed structs. Undefined for what has no size. */
  alignOf(id: number): number | undefined {
    return alignOfType(this, id, this.alignments);
  }

  /** Bytes of a pointer, 4 or 8, told by the size of `long`. */
  get pointerSize(): number {
    if (this.bytesOfPointer === 0) this.bytesOfPointer = this.base?.pointerSize ?? pointerSizeOf(this);
    return this.bytesOfPointer;
  }

  /** Members of a struct or union, typedefs and qualifiers looked through; anonymous ones are one member. Empty for other types. */
  members(id: number): readonly BtfMember[] {
    const type = this.typeById(this.stripModifiers(id));
    return type.kind === BtfKind.STRUCT || type.kind === BtfKind.UNION ? type.members : [];
  }

  /** All fields that can be named directly: those of anonymous structs and unions with their offsets from the outer start. */
  fields(id: number): BtfField[] {
    return listFields(this, id);
  }

  /**
   * Finds a field by a path such as `se.avg.load_avg` or `comm[2]`, through anonymous structs and unions, typedefs and
   * qualifiers, but never through a pointer. Undefined when there is no such field.
   */
  memberPath(id: number, path: string): BtfField | undefined {
    return fieldByPath(this, id, path);
  }

  /** The first enum constant of this name. Undefined when there is none. */
  enumValue(name: string): BtfEnumConstant | undefined {
    const fromBase = this.base?.enumValue(name);
    if (fromBase !== undefined) return fromBase;
    const { index, owners, places } = (this.enumConstants ??= this.indexEnumConstants());
    const found = index.find(name);
    if (found === -1) return undefined;
    const typeId = owners[found]!;
    const type = this.typeById(typeId) as BtfEnum;
    return { typeId, value: type.values[places[found]!]!.value };
  }

  /** Names of all enum constants, in order of ids. */
  *enumValueNames(): Generator<string, void, undefined> {
    if (this.base !== undefined) yield* this.base.enumValueNames();
    for (const kind of [BtfKind.ENUM, BtfKind.ENUM64]) {
      for (const id of this.ownIdsByKind(kind)) yield* (this.readType(id) as BtfEnum).values.map((v) => v.name);
    }
  }

  private indexEnumConstants(): NonNullable<typeof this.enumConstants> {
    const { words, starts, firstId } = this;
    const names: number[] = [];
    const owners: number[] = [];
    const places: number[] = [];
    for (const kind of [BtfKind.ENUM, BtfKind.ENUM64]) {
      const step = btfTrailingWords[kind]!.each;
      for (const id of this.ownIdsByKind(kind)) {
        const start = starts[id - firstId]!;
        const count = words[start + 1]! & BtfInfo.VLEN_MASK;
        for (let i = 0; i < count; i++) {
          const word = start + BTF_TYPE_WORDS + i * step;
          const name = words[word]!;
          if (name >= this.strings.end)
            throw this.damaged(word, `name at ${name}: the strings end at ${this.strings.end}`);
          names.push(name);
          owners.push(id);
          places.push(i);
        }
      }
    }
    return {
      index: new NameIndex(this.strings, Uint32Array.from(names)),
      owners: Uint32Array.from(owners),
      places: Uint32Array.from(places),
    };
  }

  /** A ParseError about a type, at its first byte. */
  damagedType(id: number, what: string): ParseError {
    const owner = this.owner(id);
    const word = id === 0 ? 0 : owner.starts[id - owner.firstId]!;
    return owner.damaged(word, `type ${id} (${btfKindNames[this.kindOf(id)] ?? this.kindOf(id)}): ${what}`);
  }
}
