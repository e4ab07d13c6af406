/** Writes BTF of our own programs: types, strings, and the records that tie instructions to source lines. */
import { ByteWriter } from "../base/index.ts";
import { Btf } from "./btf.ts";
import {
  BTF_HEADER_SIZE,
  BTF_MAGIC,
  BTF_MAX_NAME_LENGTH,
  BTF_MAX_VLEN,
  BTF_TYPE_WORDS,
  BTF_VERSION,
  BtfFuncLinkage,
  BtfInfo,
  BtfIntEncoding,
  BtfKind,
  BtfVarLinkage,
} from "./kinds.ts";
import { readBtfSections } from "./sections.ts";
import type { BtfEnumValue, BtfMember, BtfParameter, BtfSectionEntry } from "./types.ts";

/** A member to be written: as {@link BtfMember}, with no bitfield size when it is no bitfield. */
export type BtfMemberSpec = Omit<BtfMember, "bitfieldSize"> & { readonly bitfieldSize?: number };

const IDENTIFIER = /^[A-Za-z_.][\w.]*$/;

/**
 * Makes a name that the kernel accepts for types, members, functions and variables out of any text: characters other than letters,
 * digits, `_` and `.` become `_`, and what is too long is cut. Empty text gives `_`.
 */
export function btfIdentifier(text: string): string {
  const name = text.replace(/[^\w.]/g, "_").slice(0, BTF_MAX_NAME_LENGTH);
  return /^[A-Za-z_.]/.test(name) ? name : `_${name}`.slice(0, BTF_MAX_NAME_LENGTH);
}

/**
 * Collects types and strings and writes them little-endian, as `BPF_BTF_LOAD` takes them. A type equal to one added before gets its id;
 * a string added twice is stored once. Arguments that the kernel would refuse are a RangeError with the values.
 */
export class BtfBuilder {
  private readonly types: number[][] = [];
  private readonly idByKey = new Map<string, number>();
  private readonly stringOffsets = new Map<string, number>([["", 0]]);
  private readonly strings = new ByteWriter(1024);

  constructor() {
    this.strings.u8(0);
  }

  /**
   * A builder that goes on where other BTF ends: its type ids and string offsets stay what they are, so that records that refer to them
   * hold. `section` is named in errors. Throws {@link ParseError} when the BTF is damaged.
   */
  static extending(btf: Uint8Array, section: string = "BTF"): BtfBuilder {
    // Checks the header, the strings and the extent of every type.
    const parsed = Btf.parse(btf, { section });
    const { words, strings, layout } = readBtfSections(btf, section);
    const builder = new BtfBuilder();
    builder.strings.bytes(strings.subarray(1));
    for (let offset = 1; offset < strings.length; offset = strings.indexOf(0, offset) + 1) {
      const text = parsed.strings.get(offset);
      if (!builder.stringOffsets.has(text)) builder.stringOffsets.set(text, offset);
    }
    for (let at = 0; at < words.length;) {
      const info = words[at + 1]!;
      const { fixed, each } = layout[(info >>> BtfInfo.KIND_SHIFT) & BtfInfo.KIND_MASK]!;
      const end = at + BTF_TYPE_WORDS + fixed + each * (info & BtfInfo.VLEN_MASK);
      const id = builder.append(Array.from(words.subarray(at, end)));
      const key = builder.types[id - 1]!.join();
      if (!builder.idByKey.has(key)) builder.idByKey.set(key, id);
      at = end;
    }
    return builder;
  }

  /** Number of types added, `void` not counted. */
  get typeCount(): number {
    return this.types.length;
  }

  /** Offset of a string in the string section, added when it is new. Throws RangeError for text with a NUL. */
  string(text: string): number {
    const known = this.stringOffsets.get(text);
    if (known !== undefined) return known;
    if (text.includes("\0")) throw new RangeError(`BTF string: a NUL at ${text.indexOf("\0")} would end it`);
    const offset = this.strings.length;
    this.strings.cstring(text);
    this.stringOffsets.set(text, offset);
    return offset;
  }

  /** An integer, character or boolean of `size` bytes (1, 2, 4, 8 or 16); `encoding` is `BtfIntEncoding.*` or 0 for unsigned. */
  int(name: string, size: number, encoding: number = 0): number {
    if (![1, 2, 4, 8, 16].includes(size)) throw new RangeError(`BTF int ${name}: size ${size}, not 1, 2, 4, 8 or 16`);
    const encodings: number[] = [0, ...Object.values(BtfIntEncoding)];
    if (!encodings.includes(encoding)) throw new RangeError(`BTF int ${name}: encoding ${encoding}`);
    return this.add(BtfKind.INT, this.identifier(name, "int"), size, [(encoding << 24) | (size * 8)]);
  }

  /** A floating-point number of `size` bytes. Kernel 5.13. */
  float(name: string, size: number): number {
    if (![2, 4, 8, 12, 16].includes(size))
      throw new RangeError(`BTF float ${name}: size ${size}, not 2, 4, 8, 12 or 16`);
    return this.add(BtfKind.FLOAT, this.identifier(name, "float"), size);
  }

  /** A pointer; to `void` by default. */
  pointer(typeId: number = 0): number {
    return this.add(BtfKind.PTR, 0, this.known(typeId));
  }

  /** A type with `const`. */
  constant(typeId: number): number {
    return this.add(BtfKind.CONST, 0, this.known(typeId));
  }

  /** A type with `volatile`. */
  volatile(typeId: number): number {
    return this.add(BtfKind.VOLATILE, 0, this.known(typeId));
  }

  /** A type with `restrict`. */
  restrict(typeId: number): number {
    return this.add(BtfKind.RESTRICT, 0, this.known(typeId));
  }

  /** An array; its index is counted in the 32-bit integer that clang names `__ARRAY_SIZE_TYPE__`. */
  array(elementTypeId: number, count: number): number {
    if (!Number.isInteger(count) || count < 0 || count > 0xffff_ffff) throw new RangeError(`BTF array: count ${count}`);
    const index = this.int("__ARRAY_SIZE_TYPE__", 4);
    return this.add(BtfKind.ARRAY, 0, 0, [this.known(elementTypeId), index, count]);
  }

  /** A struct of `size` bytes; anonymous when `name` is empty. Offsets count in bits. */
  struct(name: string, size: number, members: readonly BtfMemberSpec[]): number {
    return this.composite(BtfKind.STRUCT, name, size, members);
  }

  /** A union of `size` bytes; anonymous when `name` is empty. */
  union(name: string, size: number, members: readonly BtfMemberSpec[]): number {
    return this.composite(BtfKind.UNION, name, size, members);
  }

  /**
   * Promises a struct (or union) that {@link defineStruct} will give its members, so that it may hold pointers to itself.
   * Left undefined, it is written as a forward declaration.
   */
  declareStruct(name: string, union: boolean = false): number {
    return this.append(this.encode(BtfKind.FWD, this.identifier(name, "struct"), 0, [], 0, union));
  }

  /** Gives a declared struct or union its body. Throws RangeError when `id` is none or has a body. */
  defineStruct(id: number, size: number, members: readonly BtfMemberSpec[]): void {
    const declared = this.types[id - 1];
    if (declared === undefined || ((declared[1]! >>> BtfInfo.KIND_SHIFT) & BtfInfo.KIND_MASK) !== BtfKind.FWD) {
      throw new RangeError(`BTF: type ${id} is no declared struct without members`);
    }
    const kind = (declared[1]! & BtfInfo.KIND_FLAG) === 0 ? BtfKind.STRUCT : BtfKind.UNION;
    const { rest, flag } = this.encodeMembers("struct", size, members);
    this.types[id - 1] = this.encode(kind, declared[0]!, size, rest, members.length, flag);
  }

  /** A struct or union whose body is elsewhere. */
  forward(name: string, union: boolean = false): number {
    return this.add(BtfKind.FWD, this.identifier(name, "forward"), 0, [], 0, union);
  }

  /**
   * An enum of `size` bytes: 8 writes 64-bit values (kernel 6.0), less 32-bit ones. Throws RangeError when a value does not fit.
   */
  enum(name: string, size: number, signed: boolean, values: readonly BtfEnumValue[]): number {
    if (![1, 2, 4, 8].includes(size)) throw new RangeError(`BTF enum ${name}: size ${size}, not 1, 2, 4 or 8`);
    this.checkCount("enum", values.length);
    const wide = size === 8;
    const width = wide ? 64 : 32;
    const rest: number[] = [];
    for (const { name: valueName, value } of values) {
      if ((signed ? BigInt.asIntN(width, value) : BigInt.asUintN(width, value)) !== value) {
        throw new RangeError(
          `BTF enum ${name}: ${valueName} = ${value} does not fit ${width} bits, ${signed ? "" : "un"}signed`,
        );
      }
      rest.push(this.identifier(valueName, "enum value"), Number(BigInt.asUintN(32, value)));
      if (wide) rest.push(Number(BigInt.asUintN(32, value >> 32n)));
    }
    const nameOffset = name === "" ? 0 : this.identifier(name, "enum");
    return this.add(wide ? BtfKind.ENUM64 : BtfKind.ENUM, nameOffset, size, rest, values.length, signed);
  }

  /** Another name for a type. */
  typedef(name: string, typeId: number): number {
    return this.add(BtfKind.TYPEDEF, this.identifier(name, "typedef"), this.known(typeId));
  }

  /** What a function takes and returns; parameters of a function that has BTF need names. */
  funcProto(returnTypeId: number, parameters: readonly BtfParameter[], variadic: boolean = false): number {
    this.checkCount("prototype", parameters.length + 1);
    const rest: number[] = [];
    for (const { name, typeId } of parameters) {
      rest.push(name === "" ? 0 : this.identifier(name, "parameter"), this.known(typeId));
    }
    if (variadic) rest.push(0, 0);
    return this.add(BtfKind.FUNC_PROTO, 0, this.known(returnTypeId), rest, rest.length / 2);
  }

  /** A function of a given prototype; `linkage` is `BtfFuncLinkage.*`. */
  func(name: string, protoId: number, linkage: number = BtfFuncLinkage.STATIC): number {
    const linkages: number[] = Object.values(BtfFuncLinkage);
    if (!linkages.includes(linkage)) throw new RangeError(`BTF function ${name}: linkage ${linkage}`);
    return this.add(BtfKind.FUNC, this.identifier(name, "function"), this.known(protoId), [], linkage);
  }

  /** A global variable; `linkage` is `BtfVarLinkage.*`. */
  variable(name: string, typeId: number, linkage: number = BtfVarLinkage.GLOBAL_ALLOCATED): number {
    const linkages: number[] = Object.values(BtfVarLinkage);
    if (!linkages.includes(linkage)) throw new RangeError(`BTF variable ${name}: linkage ${linkage}`);
    return this.add(BtfKind.VAR, this.identifier(name, "variable"), this.known(typeId), [linkage]);
  }

  /**
   * Changes who sees a function (`BtfFuncLinkage.*`) or a variable (`BtfVarLinkage.*`) that was added before. Throws RangeError when `id`
   * is neither.
   */
  setLinkage(id: number, linkage: number): void {
    const kind = this.kindOf(id);
    const linkages: Record<number, readonly number[]> = {
      [BtfKind.FUNC]: Object.values(BtfFuncLinkage),
      [BtfKind.VAR]: Object.values(BtfVarLinkage),
    };
    if (!linkages[kind]?.includes(linkage)) throw new RangeError(`BTF: type ${id} cannot have linkage ${linkage}`);
    const words = this.types[id - 1]!;
    if (kind === BtfKind.VAR) this.replace(id, [...words.slice(0, BTF_TYPE_WORDS), linkage]);
    else this.replace(id, this.encode(kind, words[0]!, words[2]!, [], linkage));
  }

  /** Changes the type of a variable that was added before. Throws RangeError when `id` is none. */
  setVariableType(id: number, typeId: number): void {
    if (this.kindOf(id) !== BtfKind.VAR) throw new RangeError(`BTF: type ${id} is no variable`);
    const words = [...this.types[id - 1]!];
    words[2] = this.known(typeId);
    this.replace(id, words);
  }

  /** A section of variables, `.rodata` or `.maps`, its entries in ascending order of offsets. */
  dataSection(name: string, size: number, entries: readonly BtfSectionEntry[]): number {
    return this.unique(this.encodeDataSection(name, size, entries));
  }

  /** Gives a section of variables that was added before other contents. Throws RangeError when `id` is none. */
  redefineDataSection(id: number, name: string, size: number, entries: readonly BtfSectionEntry[]): void {
    if (this.kindOf(id) !== BtfKind.DATASEC) throw new RangeError(`BTF: type ${id} is no section of variables`);
    this.replace(id, this.encodeDataSection(name, size, entries));
  }

  private encodeDataSection(name: string, size: number, entries: readonly BtfSectionEntry[]): number[] {
    this.checkCount("section", entries.length);
    let end = 0;
    const rest: number[] = [];
    for (const entry of entries) {
      if (entry.offset < end || entry.offset + entry.size > size) {
        throw new RangeError(
          `BTF section ${name}: entry at ${entry.offset}+${entry.size} of ${size} bytes, the one before ends at ${end}`,
        );
      }
      end = entry.offset + entry.size;
      rest.push(this.known(entry.typeId), entry.offset, entry.size);
    }
    if (!/^[!-~]{1,511}$/.test(name)) throw new RangeError(`BTF section name ${JSON.stringify(name)}`);
    return this.encode(BtfKind.DATASEC, this.string(name), size, rest, entries.length);
  }

  /** A tag on a declaration, or on its member or parameter `componentIndex`. Kernel 5.16. */
  declTag(tag: string, typeId: number, componentIndex: number = -1): number {
    if (tag === "") throw new RangeError("BTF declaration tag: empty");
    return this.add(BtfKind.DECL_TAG, this.string(tag), this.known(typeId), [componentIndex >>> 0]);
  }

  /** A tag on a type. Kernel 5.17. */
  typeTag(tag: string, typeId: number): number {
    if (tag === "") throw new RangeError("BTF type tag: empty");
    return this.add(BtfKind.TYPE_TAG, this.string(tag), this.known(typeId));
  }

  /** All that was added, as one BTF. The builder may go on afterwards. */
  finish(): Uint8Array {
    const typeBytes = this.types.reduce((sum, words) => sum + words.length * 4, 0);
    const out = new ByteWriter(BTF_HEADER_SIZE + typeBytes + this.strings.length);
    out.u16le(BTF_MAGIC);
    out.u8(BTF_VERSION);
    out.u8(0);
    for (const word of [BTF_HEADER_SIZE, 0, typeBytes, typeBytes, this.strings.length]) out.u32le(word);
    for (const words of this.types) for (const word of words) out.u32le(word);
    out.bytes(this.strings.finish());
    return out.finish();
  }

  private composite(kind: BtfKind, name: string, size: number, members: readonly BtfMemberSpec[]): number {
    const { rest, flag } = this.encodeMembers(name, size, members);
    const nameOffset = name === "" ? 0 : this.identifier(name, "struct");
    return this.add(kind, nameOffset, size, rest, members.length, flag);
  }

  private encodeMembers(
    owner: string,
    size: number,
    members: readonly BtfMemberSpec[],
  ): { rest: number[]; flag: boolean } {
    this.checkCount("struct", members.length);
    const flag = members.some((m) => (m.bitfieldSize ?? 0) !== 0);
    const rest: number[] = [];
    for (const { name, typeId, bitOffset, bitfieldSize = 0 } of members) {
      const limit = flag ? 0xff_ffff : 0xffff_ffff;
      if (!Number.isInteger(bitOffset) || bitOffset < 0 || bitOffset > limit || bitOffset > size * 8) {
        throw new RangeError(`BTF struct ${owner}: member ${name} at bit ${bitOffset} of ${size} bytes`);
      }
      if (bitfieldSize < 0 || bitfieldSize > 128)
        throw new RangeError(`BTF struct ${owner}: bitfield ${name} of ${bitfieldSize} bits`);
      if (bitfieldSize === 0 && bitOffset % 8 !== 0)
        throw new RangeError(`BTF struct ${owner}: member ${name} at bit ${bitOffset}`);
      const nameOffset = name === "" ? 0 : this.identifier(name, "member");
      rest.push(nameOffset, this.known(typeId), flag ? ((bitfieldSize << 24) | bitOffset) >>> 0 : bitOffset);
    }
    return { rest, flag };
  }

  private identifier(name: string, what: string): number {
    // clang's names of integers have spaces; the kernel asks for identifiers only elsewhere.
    const text = what === "int" || what === "float" ? name.replaceAll(" ", "_") : name;
    if (!IDENTIFIER.test(text) || name.length > BTF_MAX_NAME_LENGTH) {
      throw new RangeError(`BTF ${what}: the kernel refuses the name ${JSON.stringify(name)}`);
    }
    return this.string(name);
  }

  private known(typeId: number): number {
    if (!Number.isInteger(typeId) || typeId < 0 || typeId > this.types.length) {
      throw new RangeError(`BTF: no type ${typeId}: ids run from 0 to ${this.types.length}`);
    }
    return typeId;
  }

  private checkCount(what: string, count: number): void {
    if (count > BTF_MAX_VLEN) throw new RangeError(`BTF ${what}: ${count} entries, the format holds ${BTF_MAX_VLEN}`);
  }

  private encode(
    kind: number,
    name: number,
    sizeOrType: number,
    rest: readonly number[] = [],
    vlen = 0,
    flag = false,
  ): number[] {
    const info = (flag ? BtfInfo.KIND_FLAG : 0) + (kind << BtfInfo.KIND_SHIFT) + vlen;
    const words = [name, info, sizeOrType];
    // Not spread: an enum or struct of 65,535 entries passes the limit of arguments.
    for (const word of rest) words.push(word);
    return words;
  }

  private kindOf(id: number): number {
    const words = this.types[this.known(id) - 1];
    return words === undefined ? BtfKind.UNKN : (words[1]! >>> BtfInfo.KIND_SHIFT) & BtfInfo.KIND_MASK;
  }

  private append(words: number[]): number {
    this.types.push(words);
    return this.types.length;
  }

  private replace(id: number, words: number[]): void {
    const key = this.types[id - 1]!.join();
    if (this.idByKey.get(key) === id) this.idByKey.delete(key);
    this.types[id - 1] = words;
  }

  private add(
    kind: number,
    name: number,
    sizeOrType: number,
    rest: readonly number[] = [],
    vlen = 0,
    flag = false,
  ): number {
    return this.unique(this.encode(kind, name, sizeOrType, rest, vlen, flag));
  }

  private unique(words: number[]): number {
    const key = words.join();
    const known = this.idByKey.get(key);
    if (known !== undefined) return known;
    const id = this.append(words);
    this.idByKey.set(key, id);
    return id;
  }
}
