/** Types as C, spaced and padded as `bpftool btf dump format c` does it, so that what is printed compiles to the same layout. */
import type { Btf } from "./btf.ts";
import { BtfKind } from "./kinds.ts";
import type { BtfComposite, BtfEnum, BtfFuncProto, BtfType } from "./types.ts";

/** Anonymous types deeper in one another than this, and more text than this, only damaged data has. */
const DEPTH_LIMIT = 64;
const TEXT_LIMIT = 1 << 22;

const qualifiers: Readonly<Record<number, string>> = {
  [BtfKind.CONST]: "const",
  [BtfKind.VOLATILE]: "volatile",
  [BtfKind.RESTRICT]: "restrict",
};

/** `mode` attributes of enums whose size is not that of `int`. */
const enumModes: Readonly<Record<number, string>> = { 1: "byte", 2: "HI", 8: "word" };

/** Types of the unnamed bitfields that fill holes, widest first; `long` has the bits of a pointer. */
const paddingTypes: readonly { readonly type: string; readonly bits: number | undefined }[] = [
  { type: "long", bits: undefined },
  { type: "int", bits: 32 },
  { type: "short", bits: 16 },
  { type: "char", bits: 8 },
];

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** Names that differ from those in the BTF: several types of one name cannot stand in one header. */
export interface CNames {
  /** Of a struct, union, enum, forward declaration or typedef. */
  type(type: BtfType): string;
  /** Of an enumerator, by its place. */
  enumerator(type: BtfEnum, index: number): string;
}

const ownNames: CNames = {
  type: (type) => type.name,
  enumerator: (type, index) => type.values[index]!.name,
};

class CPrinter {
  private readonly btf: Btf;
  private readonly names: CNames;
  private readonly parts: string[] = [];
  private length = 0;
  private depth = 0;
  private readonly root: number;

  constructor(btf: Btf, root: number, names: CNames = ownNames) {
    this.btf = btf;
    this.root = root;
    this.names = names;
  }

  text(): string {
    return this.parts.join("");
  }

  put(text: string): void {
    this.parts.push(text);
    this.length += text.length;
    if (this.length > TEXT_LIMIT) throw this.btf.damagedType(this.root, "its text would be larger than 4 MiB");
  }

  definition(type: BtfType): void {
    switch (type.kind) {
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        this.composite(type, 0);
        break;
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        this.enumeration(type, 0);
        break;
      case BtfKind.FWD:
        this.put(`${type.union ? "union" : "struct"} ${this.names.type(type)}`);
        break;
      case BtfKind.TYPEDEF:
        // The compiler's own type behind this name has no BTF.
        if (type.typeId === 0 && type.name === "__gnuc_va_list") this.put("typedef __builtin_va_list __gnuc_va_list");
        else {
          this.put("typedef ");
          this.declaration(type.typeId, this.names.type(type), 0);
        }
        break;
      case BtfKind.FUNC:
      case BtfKind.VAR:
        this.declaration(type.typeId, type.name, 0);
        break;
      case BtfKind.DATASEC:
        for (const [i, entry] of type.entries.entries()) {
          const variable = this.btf.typeById(entry.typeId);
          if (i > 0) this.put(";\n");
          this.definition(variable.kind === BtfKind.VAR || variable.kind === BtfKind.FUNC ? variable : type);
        }
        break;
      case BtfKind.DECL_TAG:
        this.put(`__attribute__((btf_decl_tag("${type.name}")))`);
        break;
      default:
        this.declaration(type.id, "", 0);
    }
  }

  /**
   * A declaration of `name`. C writes types inside out: the chain from the name to the type at its core is collected first and
   * written from the core back.
   */
  declaration(id: number, name: string, level: number): void {
    if (++this.depth > DEPTH_LIMIT)
      throw this.btf.damagedType(this.root, `types deeper than ${DEPTH_LIMIT} in one another`);
    const chain: BtfType[] = [];
    for (let at = id; ;) {
      const type = this.btf.typeById(at);
      chain.push(type);
      if (chain.length > DEPTH_LIMIT * 2) throw this.btf.damagedType(id, "pointers and qualifiers run in a circle");
      const next = nextInChain(type);
      if (next === undefined) break;
      at = next;
    }
    this.chain(chain, name, level);
    this.depth--;
  }

  private chain(chain: BtfType[], name: string, level: number): void {
    let afterPointer = true;
    for (let type = chain.pop(); type !== undefined; type = chain.pop()) {
      switch (type.kind) {
        case BtfKind.PTR:
          this.put(afterPointer ? "*" : " *");
          afterPointer = true;
          continue;
        case BtfKind.CONST:
        case BtfKind.VOLATILE:
        case BtfKind.RESTRICT:
          this.put(` ${qualifiers[type.kind]}`);
          break;
        case BtfKind.TYPE_TAG:
          this.qualify(chain);
          this.put(` __attribute__((btf_type_tag("${type.name}")))`);
          break;
        case BtfKind.ARRAY: {
          // Qualifiers of an array are those of its elements, which have them already.
          dropQualifiers(chain);
          const inner = chain.at(-1);
          if (inner === undefined) this.name(name, afterPointer);
          else {
            const nested = inner.kind === BtfKind.ARRAY;
            if (name !== "" && !afterPointer) this.put(" ");
            if (!nested) this.put("(");
            this.chain(chain, name, level);
            if (!nested) this.put(")");
          }
          this.put(`[${type.count}]`);
          return;
        }
        case BtfKind.FUNC_PROTO:
          // gcc marks pointers to functions that do not return as volatile.
          dropQualifiers(chain);
          if (chain.length === 0) this.name(name, afterPointer);
          else {
            this.put(" (");
            this.chain(chain, name, level);
            this.put(")");
          }
          this.parameters(type, level);
          return;
        default:
          this.core(type, chain, level);
      }
      afterPointer = false;
    }
    this.name(name, afterPointer);
  }

  private core(type: BtfType, chain: BtfType[], level: number): void {
    this.qualify(chain);
    switch (type.kind) {
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        if (type.name === "") this.composite(type, level);
        else this.put(`${keyword(type)} ${this.names.type(type)}`);
        break;
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        if (type.name === "") this.enumeration(type, level);
        else this.put(`enum ${this.names.type(type)}`);
        break;
      case BtfKind.FWD:
        this.put(`${type.union ? "union" : "struct"} ${this.names.type(type)}`);
        break;
      case BtfKind.UNKN:
      case BtfKind.INT:
      case BtfKind.FLOAT:
      case BtfKind.TYPEDEF:
        this.put(this.names.type(type));
        break;
      default:
        throw this.btf.damagedType(type.id, "it is used where only a type of data can be");
    }
  }

  /** Writes the qualifiers that come right before the core. */
  private qualify(chain: BtfType[]): void {
    for (let last = chain.at(-1); last !== undefined; last = chain.at(-1)) {
      const word = qualifiers[last.kind];
      if (word === undefined) return;
      this.put(`${word} `);
      chain.pop();
    }
  }

  private name(name: string, afterPointer: boolean): void {
    this.put(name !== "" && !afterPointer ? ` ${name}` : name);
  }

  private parameters(type: BtfFuncProto, level: number): void {
    const [only] = type.parameters;
    // clang for BPF writes `(void)` as one parameter of type void.
    const none = type.parameters.length === 0 || (type.parameters.length === 1 && only?.typeId === 0);
    if (none && !type.variadic) {
      this.put("(void)");
      return;
    }
    this.put("(");
    for (const [i, parameter] of type.parameters.entries()) {
      if (i > 0) this.put(", ");
      this.declaration(parameter.typeId, parameter.name, level);
    }
    if (type.variadic) this.put(type.parameters.length > 0 ? ", ..." : "...");
    this.put(")");
  }

  private composite(type: BtfComposite, level: number): void {
    const { btf } = this;
    const indent = "\t".repeat(level + 1);
    const packed = type.kind === BtfKind.STRUCT && isPacked(btf, type);
    this.put(`${keyword(type)}${type.name === "" ? "" : ` ${this.names.type(type)}`} {`);
    let end = 0;
    let afterBitfield = false;
    for (const member of type.members) {
      const bitfield = member.bitfieldSize !== 0;
      const align = packed ? 1 : (btf.alignOf(member.typeId) ?? 1);
      this.padding(end, member.bitOffset, align, bitfield && afterBitfield, indent);
      this.put(`\n${indent}`);
      this.declaration(member.typeId, member.name, level + 1);
      if (bitfield) this.put(`: ${member.bitfieldSize}`);
      this.put(";");
      end = member.bitOffset + (member.bitfieldSize || (btf.sizeOf(member.typeId) ?? 0) * 8);
      afterBitfield = bitfield;
    }
    if (type.kind === BtfKind.STRUCT) this.padding(end, type.size * 8, btf.alignOf(type.id) ?? 1, false, indent);
    if (type.members.length > 0 || type.size > 0) this.put(`\n${"\t".repeat(level)}`);
    this.put(packed ? "} __attribute__((packed))" : "}");
  }

  /**
   * Fills the hole between two members with unnamed bitfields. The widest type that has a boundary in the hole leads to that boundary,
   * unless alignment does it by itself; from there on, whole ones of it and one smaller rest.
   */
  private padding(from: number, to: number, align: number, betweenBitfields: boolean, indent: string): void {
    if (from >= to) return;
    const pads = paddingTypes.map(({ type, bits }) => ({ type, bits: bits ?? this.btf.pointerSize * 8 }));
    const put = (type: string, bits: number): void => this.put(`\n${indent}${type}: ${bits};`);
    const fill = pads.find(({ bits }) => roundUp(from, bits) <= to) ?? pads.at(-1)!;
    const boundary = roundUp(from, fill.bits);
    let at = from;
    if (boundary > at && boundary <= to) {
      if (betweenBitfields) put(fill.type, boundary - at);
      else {
        // The next member's own alignment may stop short of the boundary; what follows may fit before it.
        const stopsShort = boundary === to && roundUp(at, align * 8) !== boundary;
        const fitsBefore = boundary !== to && to - boundary <= boundary - at;
        if (stopsShort || fitsBefore) put(fill.type, 0);
      }
      at = boundary;
    }
    for (; to - at >= fill.bits; at += fill.bits) put(fill.type, fill.bits);
    if (at < to) put(pads.findLast(({ bits }) => bits >= to - at)!.type, to - at);
  }

  private enumeration(type: BtfEnum, level: number): void {
    this.put(`enum${type.name === "" ? "" : ` ${this.names.type(type)}`}`);
    if (type.values.length === 0) return;
    const suffix = type.kind === BtfKind.ENUM64 ? (type.signed ? "LL" : "ULL") : "";
    this.put(" {");
    for (const [i, { value }] of type.values.entries()) {
      this.put(`\n${"\t".repeat(level + 1)}${this.names.enumerator(type, i)} = ${value}${suffix},`);
    }
    this.put(`\n${"\t".repeat(level)}}`);
    const mode = enumModes[type.size];
    if (mode !== undefined && (type.kind === BtfKind.ENUM || type.values.every((v) => fitsInt(v.value)))) {
      this.put(` __attribute__((mode(${mode})))`);
    }
  }
}

/** What a type in a chain of declarators leads to; undefined at its core. */
function nextInChain(type: BtfType): number | undefined {
  switch (type.kind) {
    case BtfKind.PTR:
    case BtfKind.CONST:
    case BtfKind.VOLATILE:
    case BtfKind.RESTRICT:
    case BtfKind.TYPE_TAG:
      return type.typeId;
    case BtfKind.ARRAY:
      return type.elementTypeId;
    case BtfKind.FUNC_PROTO:
      return type.returnTypeId;
    default:
      return undefined;
  }
}

function dropQualifiers(chain: BtfType[]): void {
  while (qualifiers[chain.at(-1)?.kind ?? 0] !== undefined) chain.pop();
}

function keyword(type: BtfComposite): string {
  return type.kind === BtfKind.STRUCT ? "struct" : "union";
}

function fitsInt(value: bigint): boolean {
  return value >= -(2n ** 31n) && value < 2n ** 32n;
}

/** Whether only the attribute explains the layout: a member or the size is not aligned as the members' types want. */
function isPacked(btf: Btf, type: BtfComposite): boolean {
  let largest = 1;
  for (const { typeId, bitOffset, bitfieldSize } of type.members) {
    const align = btf.alignOf(typeId) ?? 1;
    largest = Math.max(largest, align);
    if (bitfieldSize === 0 && bitOffset % (8 * align) !== 0) return true;
  }
  return type.size % largest !== 0;
}

/**
 * The definition of a type as C, without the closing semicolon: structs, unions and enums with their bodies, typedefs, and the
 * declarations of functions and variables. Other types are printed as {@link printBtfDeclaration} does without a name.
 */
export function printBtfType(btf: Btf, id: number, names?: CNames): string {
  const printer = new CPrinter(btf, id, names);
  printer.definition(btf.typeById(id));
  return printer.text();
}

/** A declaration of `name` with a type, such as `struct file *file` or `char comm[16]`; the type alone when `name` is empty. */
export function printBtfDeclaration(btf: Btf, id: number, name: string = "", names?: CNames): string {
  const printer = new CPrinter(btf, id, names);
  printer.declaration(id, name, 0);
  return printer.text();
}
