/**
 * Types of C as the program sees them, for eBPF: 64 bits, the layouts of the System V ABI. Types are shared and never change, except that
 * structs, unions and enums get their contents when they are defined (C11 6.7.2.3).
 */

/** Any type. */
export type CType =
  | VoidType
  | BoolType
  | IntegerType
  | FloatType
  | PointerType
  | ArrayType
  | FunctionType
  | RecordType
  | EnumType
  | TypedefType
  | QualifiedType
  | TaggedType;

/** `void`. */
export interface VoidType {
  readonly kind: "void";
}

/** `_Bool`. */
export interface BoolType {
  readonly kind: "bool";
}

/** An integer type; `long` and `long long` are two types of one width, as `char` and `signed char` are. */
export interface IntegerType {
  readonly kind: "integer";
  /** As C spells it, such as `unsigned long`. */
  readonly name: string;
  readonly bits: 8 | 16 | 32 | 64 | 128;
  readonly signed: boolean;
  /** Conversion rank (C11 6.3.1.1): 1 char to 5 long long, 6 `__int128`. */
  readonly rank: number;
}

/** A floating-point type: declarations may name it, programs cannot compute with it. */
export interface FloatType {
  readonly kind: "float";
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

/** `*`. */
export interface PointerType {
  readonly kind: "pointer";
  readonly to: CType;
}

/** `[]`; `count` is undefined for flexible members and unfinished declarations. */
export interface ArrayType {
  readonly kind: "array";
  readonly of: CType;
  readonly count: number | undefined;
}

/** A parameter of a function's type. */
export interface ParameterType {
  readonly name: string | undefined;
  /** Arrays and functions have become pointers. */
  readonly type: CType;
}

/** A function. */
export interface FunctionType {
  readonly kind: "function";
  readonly result: CType;
  readonly params: readonly ParameterType[];
  readonly variadic: boolean;
  /** Declared with `()`: takes anything. */
  readonly unprototyped: boolean;
}

/** A member of a struct or union. */
export interface Field {
  /** Undefined for anonymous structs and unions. */
  readonly name: string | undefined;
  readonly type: CType;
  /** Bits from the start of the record. */
  readonly bitOffset: number;
  /** Bits of a bitfield; undefined for others. */
  readonly bitWidth: number | undefined;
  /** Position among the members, as CO-RE access strings count. */
  readonly index: number;
}

/** What a record is once it is defined. */
export interface RecordBody {
  readonly fields: readonly Field[];
  /** Bytes. */
  readonly size: number;
  /** Bytes. */
  readonly align: number;
}

/** A struct or union. One object stands for one definition: two are compatible when they are one. */
export class RecordType {
  readonly kind = "record";
  readonly union: boolean;
  /** Undefined without a tag. */
  readonly tag: string | undefined;
  /** Accesses to members are recorded for CO-RE (`preserve_access_index`). */
  preserveAccessIndex = false;
  /** `btf_decl_tag`s of its definition. */
  declTags: readonly string[] = [];
  /** The type in the kernel's BTF that it was read from, 0 for the program's own. */
  readonly kernelTypeId: number;
  private body: RecordBody | undefined;
  private read: (() => RecordBody | undefined) | undefined;

  /** `read` gives the body of a record of the kernel when it is first looked into. */
  constructor(union: boolean, tag: string | undefined, kernelTypeId: number = 0, read?: () => RecordBody | undefined) {
    this.union = union;
    this.tag = tag;
    this.kernelTypeId = kernelTypeId;
    this.read = read;
  }

  /** Gives the record its members. */
  define(body: RecordBody): void {
    this.body = body;
  }

  /** True when it has members, looked into or not. */
  get isDefined(): boolean {
    return this.body !== undefined || this.read !== undefined;
  }

  /** Gives the record its members when it is first looked into. */
  defer(read: () => RecordBody): void {
    this.read = read;
  }

  /** Undefined while it is only declared. */
  get contents(): RecordBody | undefined {
    if (this.body === undefined && this.read !== undefined) {
      const { read } = this;
      // Whoever asks on the way, a member of its own type, finds it not defined yet.
      this.read = undefined;
      this.body = read();
    }
    return this.body;
  }

  get keyword(): "struct" | "union" {
    return this.union ? "union" : "struct";
  }
}

/** A constant of an enum. */
export interface EnumConstant {
  readonly name: string;
  readonly value: bigint;
}

/** What an enum is once it is defined. */
export interface EnumBody {
  readonly constants: readonly EnumConstant[];
  /** The integer type that holds it. */
  readonly underlying: IntegerType;
}

/** An enum. */
export class EnumType {
  readonly kind = "enum";
  readonly tag: string | undefined;
  readonly kernelTypeId: number;
  preserveAccessIndex = false;
  private body: EnumBody | undefined;
  private read: (() => void) | undefined;

  constructor(tag: string | undefined, kernelTypeId: number = 0, body?: EnumBody) {
    this.tag = tag;
    this.kernelTypeId = kernelTypeId;
    this.body = body;
  }

  define(body: EnumBody): void {
    this.body = body;
  }

  /** `read` defines the enum when it is first looked into. */
  defer(read: () => void): void {
    this.read = read;
  }

  get contents(): EnumBody | undefined {
    if (this.body === undefined && this.read !== undefined) {
      const { read } = this;
      this.read = undefined;
      read();
    }
    return this.body;
  }
}

/** A typedef's name for a type. */
export interface TypedefType {
  readonly kind: "typedef";
  readonly name: string;
  readonly to: CType;
  /** Bytes that `aligned` on the typedef asks for. */
  readonly align?: number;
}

/** `const`, `volatile` and `restrict`; never directly around another such type. */
export interface QualifiedType {
  readonly kind: "qualified";
  readonly of: CType;
  readonly const: boolean;
  readonly volatile: boolean;
  readonly restrict: boolean;
}

/** `__attribute__((btf_type_tag("name")))` on what a pointer points to. */
export interface TaggedType {
  readonly kind: "tagged";
  readonly tag: string;
  readonly of: CType;
}

/** `void`. */
export const VOID: VoidType = { kind: "void" };
/** `_Bool`. */
export const BOOL: BoolType = { kind: "bool" };

function integer(name: string, bits: IntegerType["bits"], signed: boolean, rank: number): IntegerType {
  return { kind: "integer", name, bits, signed, rank };
}

/** Plain `char` is signed for eBPF. */
export const CHAR: IntegerType = integer("char", 8, true, 1);
/** `signed char`. */
export const SIGNED_CHAR: IntegerType = integer("signed char", 8, true, 1);
/** `unsigned char`. */
export const UNSIGNED_CHAR: IntegerType = integer("unsigned char", 8, false, 1);
/** `short`. */
export const SHORT: IntegerType = integer("short", 16, true, 2);
/** `unsigned short`. */
export const UNSIGNED_SHORT: IntegerType = integer("unsigned short", 16, false, 2);
/** `int`. */
export const INT: IntegerType = integer("int", 32, true, 3);
/** `unsigned int`. */
export const UNSIGNED_INT: IntegerType = integer("unsigned int", 32, false, 3);
/** `long`. */
export const LONG: IntegerType = integer("long", 64, true, 4);
/** `unsigned long`. */
export const UNSIGNED_LONG: IntegerType = integer("unsigned long", 64, false, 4);
/** `long long`. */
export const LONG_LONG: IntegerType = integer("long long", 64, true, 5);
/** `unsigned long long`. */
export const UNSIGNED_LONG_LONG: IntegerType = integer("unsigned long long", 64, false, 5);
/** `__int128`. */
export const INT128: IntegerType = integer("__int128", 128, true, 6);
/** `unsigned __int128`. */
export const UNSIGNED_INT128: IntegerType = integer("unsigned __int128", 128, false, 6);

/** The type of floating-point constants. */
export const DOUBLE: FloatType = { kind: "float", name: "double", size: 8 };

/** All integer types, those of one width and sign in the order of their rank. */
export const integerTypes: readonly IntegerType[] = [
  CHAR,
  SIGNED_CHAR,
  UNSIGNED_CHAR,
  SHORT,
  UNSIGNED_SHORT,
  INT,
  UNSIGNED_INT,
  LONG,
  UNSIGNED_LONG,
  LONG_LONG,
  UNSIGNED_LONG_LONG,
  INT128,
  UNSIGNED_INT128,
];

/** Pointer to a type. */
export function pointerTo(to: CType): PointerType {
  return { kind: "pointer", to };
}

/** Qualifiers of {@link qualified}. */
export interface Qualifiers {
  readonly const?: boolean;
  readonly volatile?: boolean;
  readonly restrict?: boolean;
}

/** A type with qualifiers added; of an array its elements get them (C11 6.7.3p9). */
export function qualified(type: CType, qualifiers: Qualifiers): CType {
  const { const: isConst = false, volatile = false, restrict = false } = qualifiers;
  if (!isConst && !volatile && !restrict) return type;
  if (type.kind === "array") return { ...type, of: qualified(type.of, qualifiers) };
  const old = type.kind === "qualified" ? type : undefined;
  return {
    kind: "qualified",
    of: old?.of ?? type,
    const: isConst || old?.const === true,
    volatile: volatile || old?.volatile === true,
    restrict: restrict || old?.restrict === true,
  };
}

/** A type under typedefs, qualifiers and tags. */
export type ShapedType = Exclude<CType, TypedefType | QualifiedType | TaggedType>;

/** What a type is under typedefs, qualifiers and tags. */
export function shapeOf(type: CType): ShapedType {
  let at = type;
  for (;;) {
    if (at.kind === "typedef") at = at.to;
    else if (at.kind === "qualified" || at.kind === "tagged") at = at.of;
    else return at;
  }
}

/** Qualifiers of a type, those under typedefs too. */
export function qualifiersOf(type: CType): Required<Qualifiers> {
  const all = { const: false, volatile: false, restrict: false };
  for (let at = type; ;) {
    if (at.kind === "typedef") at = at.to;
    else if (at.kind === "tagged") at = at.of;
    else if (at.kind === "qualified") {
      all.const ||= at.const;
      all.volatile ||= at.volatile;
      all.restrict ||= at.restrict;
      at = at.of;
    } else return all;
  }
}

/** A type as C writes it, such as `const char *` or `int (*)(void)`; `declarator` stands where a name would. */
export function typeText(type: CType, declarator: string = ""): string {
  const spaced = (base: string): string => (declarator === "" ? base : `${base} ${declarator}`);
  switch (type.kind) {
    case "void":
      return spaced("void");
    case "bool":
      return spaced("_Bool");
    case "integer":
    case "float":
    case "typedef":
      return spaced(type.name);
    case "record":
      return spaced(`${type.keyword} ${type.tag ?? "(anonymous)"}`);
    case "enum":
      return spaced(`enum ${type.tag ?? "(anonymous)"}`);
    case "tagged":
      return typeText(type.of, declarator);
    case "pointer": {
      const to = type.to.kind === "tagged" ? type.to.of : type.to;
      return typeText(type.to, to.kind === "array" || to.kind === "function" ? `(*${declarator})` : `*${declarator}`);
    }
    case "array":
      return typeText(type.of, `${declarator}[${type.count ?? ""}]`);
    case "function": {
      const params = type.params.map((param) => typeText(param.type));
      if (type.variadic) params.push("...");
      const list = params.length === 0 && !type.unprototyped ? "void" : params.join(", ");
      return typeText(type.result, `${declarator}(${list})`);
    }
    case "qualified": {
      const words = [type.const && "const", type.volatile && "volatile", type.restrict && "restrict"]
        .filter((word) => word !== false)
        .join(" ");
      // Behind the star of a pointer, before anything else.
      if (type.of.kind === "pointer") return typeText(type.of, declarator === "" ? words : `${words} ${declarator}`);
      return `${words} ${typeText(type.of, declarator)}`;
    }
  }
}
