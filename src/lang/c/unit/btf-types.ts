/** Types of C in the object's BTF, each written when something needs it, in the form that clang gives them. */
import { BtfIntEncoding, btfIdentifier } from "../../../btf/index.ts";
import type { BtfBuilder, BtfMemberSpec } from "../../../btf/index.ts";
import type { FunctionDecl } from "../ast.ts";
import type { CType, EnumType, Field, FunctionType, RecordType } from "../types/types.ts";

/**
 * How far a type is wanted. Behind a pointer that is a member's, structs stay forward declarations, until something else needs them
 * whole: else the types of one task would be those of the whole kernel. clang does the same (`BTFDebug::visitDerivedType`), except in
 * prototypes of functions and arrays of pointers, whose structs it always writes.
 */
type Reach = "whole" | "member" | "behind";

/** Names as the kernel takes them; those of C may have other letters. */
function nameOf(text: string | undefined): string {
  return text === undefined || text === "" ? "" : btfIdentifier(text);
}

/** Sizes and counts are numbers of 32 bits; of larger types there are no objects. */
function limited(number: number): number {
  return Math.min(number, 0xffff_ffff);
}

/** Writes types to a builder. */
export class BtfTypes {
  readonly builder: BtfBuilder;
  private readonly records = new Map<RecordType, number>();
  /** Records whose members are written or waiting to be. */
  private readonly wanted = new Set<RecordType>();
  private readonly waiting: RecordType[] = [];
  private readonly known: Record<Reach, Map<CType, number>> = {
    whole: new Map(),
    member: new Map(),
    behind: new Map(),
  };

  constructor(builder: BtfBuilder) {
    this.builder = builder;
  }

  /** The type's id, with all that its size and layout depend on. */
  id(type: CType): number {
    const id = this.convert(type, "whole");
    this.writeWaiting();
    return id;
  }

  /** A function: its `FUNC_PROTO` and `FUNC`, with tags. Parameters without a name get one, as the kernel wants it. */
  func(decl: FunctionDecl, linkage: number): { readonly protoTypeId: number; readonly funcTypeId: number } {
    const { params, type } = decl;
    const names = type.params.map((param, i) => params[i]?.name || param.name || `arg${i}`);
    const protoTypeId = this.prototype(type, "whole", names);
    const funcTypeId = this.builder.func(btfIdentifier(decl.name), protoTypeId, linkage);
    for (const tag of new Set(decl.attributes.declTags)) this.builder.declTag(tag, funcTypeId);
    params.forEach(({ attributes }, i) => {
      for (const tag of new Set(attributes.declTags)) this.builder.declTag(tag, funcTypeId, i);
    });
    this.writeWaiting();
    return { protoTypeId, funcTypeId };
  }

  /** Makes the definition of a map: what its members point to is wanted whole. */
  mapDefinition(type: RecordType): number {
    for (const field of type.contents?.fields ?? []) {
      let at: CType = field.type;
      while (at.kind !== "record") {
        if (at.kind === "pointer" || at.kind === "typedef") at = at.to;
        else if (at.kind === "array" || at.kind === "qualified" || at.kind === "tagged") at = at.of;
        else break;
      }
      if (at.kind === "record" && field.name === "values") this.mapDefinition(at);
      else this.convert(at, "whole");
    }
    return this.id(type);
  }

  private writeWaiting(): void {
    for (let record = this.waiting.pop(); record !== undefined; record = this.waiting.pop()) {
      const { size, fields } = record.contents!;
      // Members may need further records, and these are put behind.
      const members = this.members(fields);
      this.builder.defineStruct(this.records.get(record)!, limited(size), fitting(size, members));
    }
  }

  private convert(type: CType, reach: Reach): number {
    const { builder } = this;
    switch (type.kind) {
      case "void":
        return 0;
      case "bool":
        return builder.int("_Bool", 1, BtfIntEncoding.BOOL);
      case "integer":
        return builder.int(type.name, type.bits / 8, type.signed ? BtfIntEncoding.SIGNED : 0);
      case "float":
        return builder.float(type.name, type.size);
      case "pointer":
        return builder.pointer(this.convert(type.to, reach === "whole" ? "whole" : "behind"));
      case "array":
        return builder.array(this.convert(type.of, reach), limited(type.count ?? 0));
      case "typedef":
        return builder.typedef(btfIdentifier(type.name), this.convert(type.to, reach));
      case "tagged":
        return builder.typeTag(type.tag, this.convert(type.of, reach));
      case "qualified": {
        // The kernel wants tags before qualifiers (`btf_check_type_tags`), wherever they were written.
        const { of } = type;
        if (of.kind === "tagged") return this.convert({ ...of, of: { ...type, of: of.of } }, reach);
        let id = this.convert(of, reach);
        if (type.restrict) id = builder.restrict(id);
        if (type.volatile) id = builder.volatile(id);
        return type.const ? builder.constant(id) : id;
      }
      case "enum":
        return this.remembered(type, "whole", () => this.enumeration(type));
      case "function":
        return this.remembered(type, reach, () =>
          this.prototype(type, reach === "member" ? "behind" : reach, undefined),
        );
      case "record":
        return this.record(type, reach);
    }
  }

  private remembered(type: CType, reach: Reach, make: () => number): number {
    const before = this.known[reach].get(type);
    if (before !== undefined) return before;
    const id = make();
    this.known[reach].set(type, id);
    return id;
  }

  private record(type: RecordType, reach: Reach): number {
    if (type.tag === undefined) {
      const { fields, size } = type.contents ?? { fields: [], size: 0 };
      return this.remembered(type, "whole", () =>
        this.builder[type.keyword]("", limited(size), fitting(size, this.members(fields))),
      );
    }
    let id = this.records.get(type);
    if (id === undefined)
      this.records.set(type, (id = this.builder.declareStruct(btfIdentifier(type.tag), type.union)));
    if (reach !== "behind" && !this.wanted.has(type) && type.contents !== undefined) {
      this.wanted.add(type);
      this.waiting.push(type);
    }
    return id;
  }

  private members(fields: readonly Field[]): BtfMemberSpec[] {
    return fields.map(({ name, type, bitOffset, bitWidth }) => ({
      name: nameOf(name),
      typeId: this.convert(type, "member"),
      bitOffset,
      ...(bitWidth === undefined ? {} : { bitfieldSize: bitWidth }),
    }));
  }

  private enumeration({ tag = "", contents }: EnumType): number {
    if (contents === undefined) return this.builder.enum(nameOf(tag), 4, false, []);
    const { bits, signed } = contents.underlying;
    const width = bits === 64 ? 64 : 32;
    const values = contents.constants.map(({ name, value }) => ({
      name: btfIdentifier(name),
      value: signed ? BigInt.asIntN(width, value) : BigInt.asUintN(width, value),
    }));
    return this.builder.enum(nameOf(tag), bits / 8, signed, values);
  }

  private prototype(type: FunctionType, reach: Reach, names: readonly string[] | undefined): number {
    const params = type.params.map((param, i) => ({
      name: names === undefined ? "" : btfIdentifier(names[i]!),
      typeId: this.convert(param.type, reach),
    }));
    return this.builder.funcProto(this.convert(type.result, reach), params, type.variadic);
  }
}

/** Places of members as BTF can hold them: of bitfields and their neighbours 24 bits, else 32. */
function fitting(size: number, members: readonly BtfMemberSpec[]): readonly BtfMemberSpec[] {
  const most = members.some(({ bitfieldSize = 0 }) => bitfieldSize > 0) ? 0xff_ffff : 0xffff_ffff;
  if (size * 8 <= most) return members;
  return members.filter(({ bitOffset }) => bitOffset <= most);
}
