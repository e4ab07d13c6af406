/** Types of the kernel's BTF as types of C, each read when a program first names it or looks into it. */
import { BtfIntEncoding, BtfKind } from "../../../btf/index.ts";
import type { Btf, BtfComposite, BtfEnum, BtfInt } from "../../../btf/index.ts";
import { alignOf } from "./layout.ts";
import {
  BOOL,
  type CType,
  EnumType,
  type Field,
  type FunctionType,
  INT,
  type IntegerType,
  LONG,
  type RecordBody,
  RecordType,
  UNSIGNED_INT,
  UNSIGNED_LONG,
  VOID,
  integerTypes,
  pointerTo,
  qualified,
} from "./types.ts";

/** A constant of one of the kernel's enums. */
export interface KernelConstant {
  readonly value: bigint;
  readonly type: EnumType;
}

/** What `vmlinux.h` would declare. */
export class KernelTypes {
  readonly btf: Btf;
  private readonly types = new Map<number, CType>();
  private readonly reading = new Set<number>();
  private offeredFunctions: ReadonlySet<number> | undefined;
  /** Whether accesses to members are recorded for CO-RE. */
  private preserveAccessIndex: boolean;

  constructor(btf: Btf, options: { readonly preserveAccessIndex?: boolean } = {}) {
    this.btf = btf;
    this.preserveAccessIndex = options.preserveAccessIndex === true;
  }

  /** Accesses to members are recorded for CO-RE, also to those of types that were read before. */
  recordAccesses(): void {
    if (this.preserveAccessIndex) return;
    this.preserveAccessIndex = true;
    for (const type of this.types.values())
      if (type.kind === "record" || type.kind === "enum") type.preserveAccessIndex = true;
  }

  /** `struct TAG` or `union TAG`; the one with members when there are several. */
  record(union: boolean, tag: string): RecordType | undefined {
    const id = this.btf.findByName(tag, union ? BtfKind.UNION : BtfKind.STRUCT);
    return id === undefined ? undefined : (this.type(id) as RecordType);
  }

  /** `enum TAG`. */
  enumeration(tag: string): EnumType | undefined {
    const id = this.btf.findByName(tag, BtfKind.ENUM) ?? this.btf.findByName(tag, BtfKind.ENUM64);
    return id === undefined ? undefined : (this.type(id) as EnumType);
  }

  /** A typedef by its name. */
  typedef(name: string): CType | undefined {
    const id = this.btf.findByName(name, BtfKind.TYPEDEF);
    return id === undefined ? undefined : this.type(id);
  }

  /** A constant of any enum. */
  constant(name: string): KernelConstant | undefined {
    const found = this.btf.enumValue(name);
    return found === undefined ? undefined : { value: found.value, type: this.type(found.typeId) as EnumType };
  }

  /** The type of a function that the kernel offers to programs: its BTF says so by a tag (Linux 6.10). */
  kernelFunction(name: string): FunctionType | undefined {
    const id = this.btf.findByName(name, BtfKind.FUNC);
    if (id === undefined || !this.offered.has(id)) return undefined;
    const type = this.type(id);
    return type.kind === "function" ? type : undefined;
  }

  /** Ids of functions that programs may call. */
  private get offered(): ReadonlySet<number> {
    if (this.offeredFunctions !== undefined) return this.offeredFunctions;
    const ids = new Set<number>();
    for (const id of this.btf.idsByKind(BtfKind.DECL_TAG)) {
      const tag = this.btf.typeById(id);
      if (tag.kind === BtfKind.DECL_TAG && tag.name === "bpf_kfunc") ids.add(tag.typeId);
    }
    this.offeredFunctions = ids;
    return ids;
  }

  /** The type of an id. */
  type(id: number): CType {
    const known = this.types.get(id);
    if (known !== undefined) return known;
    // A struct is read when it is looked into: only damaged types contain themselves on the way there.
    if (this.reading.has(id)) throw this.btf.damagedType(id, "it contains itself");
    this.reading.add(id);
    try {
      const made = this.read(id);
      this.types.set(id, made);
      return made;
    } finally {
      this.reading.delete(id);
    }
  }

  private read(id: number): CType {
    const type = this.btf.typeById(id);
    switch (type.kind) {
      case BtfKind.UNKN:
        return VOID;
      case BtfKind.INT:
        return integerOf(type);
      case BtfKind.FLOAT:
        return { kind: "float", name: type.name, size: type.size };
      case BtfKind.PTR:
        return pointerTo(this.type(type.typeId));
      case BtfKind.CONST:
        return qualified(this.type(type.typeId), { const: true });
      case BtfKind.VOLATILE:
        return qualified(this.type(type.typeId), { volatile: true });
      case BtfKind.RESTRICT:
        return qualified(this.type(type.typeId), { restrict: true });
      case BtfKind.TYPE_TAG:
        return type.attribute ? this.type(type.typeId) : { kind: "tagged", tag: type.name, of: this.type(type.typeId) };
      case BtfKind.TYPEDEF:
        return { kind: "typedef", name: type.name, to: this.type(type.typeId) };
      case BtfKind.ARRAY:
        return { kind: "array", of: this.type(type.elementTypeId), count: type.count };
      case BtfKind.STRUCT:
      case BtfKind.UNION: {
        const record = new RecordType(type.kind === BtfKind.UNION, type.name === "" ? undefined : type.name, id, () =>
          this.body(id),
        );
        record.preserveAccessIndex = this.preserveAccessIndex;
        return record;
      }
      case BtfKind.FWD:
        return new RecordType(type.union, type.name, id);
      case BtfKind.ENUM:
      case BtfKind.ENUM64: {
        const tag = type.name === "" ? undefined : type.name;
        const made = new EnumType(tag, id, { constants: type.values, underlying: underlyingOf(type) });
        made.preserveAccessIndex = this.preserveAccessIndex;
        return made;
      }
      case BtfKind.FUNC:
        return this.type(type.typeId);
      case BtfKind.FUNC_PROTO:
        return {
          kind: "function",
          result: this.type(type.returnTypeId),
          params: type.parameters.map(({ name, typeId }) => ({
            name: name === "" ? undefined : name,
            type: this.type(typeId),
          })),
          variadic: type.variadic,
          unprototyped: false,
        };
      default:
        throw this.btf.damagedType(id, "it is no type of C");
    }
  }

  private body(id: number): RecordBody {
    const composite = this.btf.typeById(id) as BtfComposite;
    const fields = composite.members.map((member, index): Field => {
      const type = this.type(member.typeId);
      const { name, bitOffset, bitfieldSize } = member;
      const bitWidth = bitfieldSize === 0 ? undefined : bitfieldSize;
      const shared = { name: name === "" ? undefined : name, bitOffset, bitWidth, index };
      // The last array of a struct is flexible when BTF counts no elements.
      const flexible = type.kind === "array" && type.count === 0 && index === composite.members.length - 1;
      return { ...shared, type: flexible ? { ...type, count: undefined } : type };
    });
    return { fields, size: composite.size, align: this.btf.alignOf(id) ?? alignOfFields(fields) };
  }
}

function alignOfFields(fields: readonly Field[]): number {
  return Math.max(1, ...fields.map((field) => alignOf(field.type)));
}

/** By the names that compilers write; what they call otherwise, by width and sign. */
function integerOf(type: BtfInt): CType {
  if ((type.encoding & BtfIntEncoding.BOOL) !== 0) return BOOL;
  const words = type.name
    .split(" ")
    .filter((word) => word !== "int" || type.name === "int" || type.name === "unsigned int");
  const spelled = words.toSorted().join(" ");
  const named = integerTypes.find(
    (candidate) => canonical(candidate.name) === spelled && candidate.bits === type.size * 8,
  );
  if (named !== undefined) return named;
  const signed = (type.encoding & BtfIntEncoding.SIGNED) !== 0;
  return (
    integerTypes.find((candidate) => candidate.bits === type.size * 8 && candidate.signed === signed) ??
    (signed ? INT : UNSIGNED_INT)
  );
}

/** GCC writes `long unsigned int`, clang `unsigned long`. */
function canonical(name: string): string {
  return name.split(" ").toSorted().join(" ");
}

function underlyingOf(type: BtfEnum): IntegerType {
  const wide: IntegerType = type.signed ? LONG : UNSIGNED_LONG;
  if (type.size === 8) return wide;
  return integerTypes.find((candidate) => candidate.bits === type.size * 8 && candidate.signed === type.signed) ?? INT;
}
