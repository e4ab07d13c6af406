/** Types of the language from kernel BTF, made when they are asked for. */
import { type Btf, type BtfEnum, type BtfField, type BtfInt, BtfIntEncoding, BtfKind } from "../../btf/index.ts";
import { type AddressSpace, BOOL, type Field, type IntType, NONE, type StructLayout, type Type } from "./types.ts";

/** Types of one BTF. Types that were asked for once are kept, so that equal types are the same object. */
export class BtfTypes {
  readonly btf: Btf;
  /** Size given to text whose length the type does not tell (`char name[]`). */
  private readonly openStringSize: number;
  private readonly known = new Map<AddressSpace, Map<number, Type>>();

  constructor(btf: Btf, openStringSize: number) {
    this.btf = btf;
    this.openStringSize = openStringSize;
  }

  /** A struct, union or enum by name; undefined when the kernel has none of that name. `space` is where pointers in it point. */
  named(keyword: "struct" | "union" | "enum", name: string, space: AddressSpace): Type | undefined {
    const found =
      keyword === "struct"
        ? this.btf.structByName(name)
        : keyword === "union"
          ? this.btf.unionByName(name)
          : this.btf.enumByName(name);
    return found && this.type(found.id, space);
  }

  /** A typedef by name. */
  typedef(name: string, space: AddressSpace): Type | undefined {
    const found = this.btf.typedefByName(name);
    return found && this.type(found.id, space);
  }

  /** The type with this id. */
  type(id: number, space: AddressSpace): Type {
    let types = this.known.get(space);
    if (!types) this.known.set(space, (types = new Map<number, Type>()));
    const known = types.get(id);
    if (known) return known;
    const type = this.make(id, space);
    types.set(id, type);
    return type;
  }

  private make(id: number, space: AddressSpace): Type {
    const { btf } = this;
    const type = btf.typeById(btf.stripModifiers(id));
    switch (type.kind) {
      case BtfKind.INT:
        return intType(type);
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        return enumType(type);
      case BtfKind.PTR:
        return this.pointer(type.typeId, space);
      case BtfKind.ARRAY: {
        const element = btf.typeById(btf.stripModifiers(type.elementTypeId));
        if (element.kind === BtfKind.INT && element.size === 1 && element.name === "char") {
          return { kind: "string", size: type.count === 0 ? this.openStringSize : type.count };
        }
        return { kind: "array", of: this.type(type.elementTypeId, space), length: type.count };
      }
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        return {
          kind: "struct",
          keyword: type.kind === BtfKind.STRUCT ? "struct" : "union",
          name: type.name,
          size: type.size,
          layout: new BtfLayout(this, type.id, space),
        };
      case BtfKind.FWD:
        return {
          kind: "struct",
          keyword: type.union ? "union" : "struct",
          name: type.name,
          size: 0,
          layout: EMPTY_LAYOUT,
        };
      default:
        // Functions behind pointers, void, and floating-point numbers, which no program can hold.
        return NONE;
    }
  }

  private pointer(targetId: number, space: AddressSpace): Type {
    const { btf } = this;
    // The kernel tags pointers to user memory where the compiler that built it could.
    let at = targetId;
    let into = space;
    for (let steps = 0; steps < 64; steps++) {
      const type = btf.typeById(at);
      if (type.kind === BtfKind.TYPE_TAG) {
        if (type.name === "user") into = "user";
        at = type.typeId;
      } else if (type.kind === BtfKind.CONST || type.kind === BtfKind.VOLATILE || type.kind === BtfKind.RESTRICT) {
        at = type.typeId;
      } else break;
    }
    return { kind: "pointer", to: this.type(at, into), space: into };
  }

  /** A field in the language's terms. */
  field(field: BtfField, space: AddressSpace): Field {
    const type = this.type(field.typeId, space);
    if (field.bitfieldSize === 0) return { name: field.name, type, byteOffset: field.bitOffset >> 3 };
    const size = type.kind === "int" || type.kind === "bool" ? (type.kind === "int" ? type.size : 1) : 4;
    const byteOffset = Math.floor(field.bitOffset / 8 / size) * size;
    const bitOffset = field.bitOffset - byteOffset * 8;
    return { name: field.name, type, byteOffset, bitfield: { bitOffset, bitSize: field.bitfieldSize } };
  }
}

function intType(type: BtfInt): Type {
  if (type.encoding & BtfIntEncoding.BOOL && type.size === 1) return BOOL;
  const size = type.size === 1 || type.size === 2 || type.size === 4 ? type.size : 8;
  if (type.size > 8) return { kind: "array", of: { kind: "int", size: 8, signed: false }, length: type.size / 8 };
  return { kind: "int", size, signed: (type.encoding & BtfIntEncoding.SIGNED) !== 0 };
}

function enumType(type: BtfEnum): IntType {
  const size = type.size === 1 || type.size === 2 || type.size === 8 ? type.size : 4;
  let names: Map<bigint, string> | undefined;
  const nameOf = (value: bigint): string | undefined => {
    if (!names) {
      names = new Map();
      for (const v of type.values) if (!names.has(v.value)) names.set(v.value, v.name);
    }
    return names.get(value);
  };
  if (type.name === "") return { kind: "int", size, signed: type.signed };
  return { kind: "int", size, signed: type.signed, enum: { name: type.name, nameOf } };
}

/** The layout of what has no members. */
export const EMPTY_LAYOUT: StructLayout = { field: () => undefined, fields: () => [] };

class BtfLayout implements StructLayout {
  private readonly types: BtfTypes;
  private readonly id: number;
  private readonly space: AddressSpace;
  private readonly known = new Map<string, Field | undefined>();

  constructor(types: BtfTypes, id: number, space: AddressSpace) {
    this.types = types;
    this.id = id;
    this.space = space;
  }

  field(name: string): Field | undefined {
    if (this.known.has(name)) return this.known.get(name);
    const found = /^[A-Za-z_$][\w$]*$/.test(name) ? this.types.btf.memberPath(this.id, name) : undefined;
    const field = found && this.types.field({ ...found, name }, this.space);
    this.known.set(name, field);
    return field;
  }

  fields(): readonly Field[] {
    return this.types.btf.fields(this.id).map((f) => this.types.field(f, this.space));
  }
}

/**
 * The arguments of a raw tracepoint from the prototype of its `btf_trace_NAME` type, each in its u64 of the context;
 * null when the kernel has no such type.
 */
export function rawTracepointArguments(types: BtfTypes, event: string): StructLayout | null {
  const { btf } = types;
  const typedef = btf.typedefByName(`btf_trace_${event}`);
  if (!typedef) return null;
  const pointer = btf.typeById(btf.stripModifiers(typedef.id));
  if (pointer.kind !== BtfKind.PTR) return null;
  const proto = btf.typeById(btf.stripModifiers(pointer.typeId));
  if (proto.kind !== BtfKind.FUNC_PROTO) return null;
  // The first parameter is the probe's own data; the kernel does not pass it on. Names are those of the tracing function, when there is one.
  const tracer = btf.funcByName(`__bpf_trace_${event}`) ?? btf.funcByName(`__traceiter_${event}`);
  const named = tracer && btf.funcProto(tracer.id);
  const fields = proto.parameters.slice(1).map((parameter, i): Field => {
    const name = parameter.name || named?.parameters[i + 1]?.name || `arg${i}`;
    return { name, type: types.type(parameter.typeId, "kernel"), byteOffset: 8 * i };
  });
  return listLayout(fields);
}

/** A layout with fields that are known from the start. */
export function listLayout(fields: readonly Field[]): StructLayout {
  const byName = new Map(fields.map((f) => [f.name, f]));
  return { field: (name) => byName.get(name), fields: () => fields };
}
