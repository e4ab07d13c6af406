/**
 * Structs that functions of an object have in their variables, which BTF leaves out: from its debug information, where it was not stripped, or
 * from the front end that compiled it.
 */
import { ParseError } from "../../base/index.ts";
import { Btf, type BtfBuilder } from "../../btf/index.ts";
import { type BpfObject, DebugTypes } from "../../object/index.ts";
import { cNameOf } from "./c-names.ts";

/** A struct or union of a variable. */
interface RecordBase {
  /** Without `struct`. */
  readonly tag: string;
  /** Such as `struct event`. */
  readonly typeName: string;
  /** Bytes. */
  readonly size: number;
}

/** One of the debug information, which is to be added to BTF. */
export interface DebugRecord extends RecordBase {
  readonly record: { readonly types: DebugTypes; readonly offset: number };
}

/** One that the object's BTF has. */
export interface OwnRecord extends RecordBase {
  readonly typeId: number;
}

/** The structs of an object's debug information. It is read when it is first asked. */
export class DebugRecords {
  private readonly object: BpfObject;
  private files: readonly DebugTypes[] | undefined;
  private damage: string | undefined;
  private btf: Btf | undefined;

  constructor(object: BpfObject) {
    this.object = object;
  }

  private get types(): readonly DebugTypes[] {
    if (this.files !== undefined) return this.files;
    try {
      this.files = (this.object.dwarf ?? []).map((sections) => new DebugTypes(sections));
    } catch (error) {
      // Programs run without it.
      if (!(error instanceof ParseError)) throw error;
      this.damage = error.message;
      this.files = [];
    }
    return this.files;
  }

  /** Why it does not know more, as the end of a sentence. */
  get lack(): string {
    const { types } = this;
    if (this.damage !== undefined) return `, and the debug information is damaged: ${this.damage}`;
    return types.length === 0 && this.object.locals === undefined
      ? ", and there is no debug information (clang -g), which has more"
      : "";
  }

  /** Structs with a tag, each once. */
  named(tag: string): DebugRecord[] {
    return this.distinct(this.types.flatMap((types) => types.recordsNamed(tag).map((offset) => ({ types, offset }))));
  }

  /** What the variables of a name are, or point at. */
  ofVariable(name: string): (DebugRecord | OwnRecord)[] {
    return this.variables((variable) => variable === name);
  }

  /** What variables of functions are, or point at, of a size in bytes. */
  ofSize(size: number): (DebugRecord | OwnRecord)[] {
    return this.variables(() => true).filter((record) => record.size === size);
  }

  /** Tags of what variables are. */
  names(): string[] {
    return this.variables(() => true).map(({ tag }) => tag);
  }

  /** Adds a struct to BTF; returns its id. */
  addTo(builder: BtfBuilder, { types, offset }: DebugRecord["record"]): number {
    return types.addTo(builder, offset);
  }

  private variables(test: (name: string) => boolean): (DebugRecord | OwnRecord)[] {
    const { locals, btf: bytes } = this.object;
    if (locals !== undefined && bytes !== undefined) {
      const btf = (this.btf ??= Btf.parse(bytes));
      const ids = new Set(locals.filter(({ name }) => test(name)).map(({ typeId }) => typeId));
      return [...ids].map((typeId) => ({
        typeId,
        tag: btf.nameOf(typeId),
        typeName: cNameOf(btf, typeId),
        size: btf.sizeOf(typeId) ?? 0,
      }));
    }
    return this.distinct(
      this.types.flatMap((types) =>
        types.locals.filter(({ name }) => test(name)).map(({ record }) => ({ types, offset: record })),
      ),
    );
  }

  /** A header that several files include tells its structs to each. */
  private distinct(records: readonly DebugRecord["record"][]): DebugRecord[] {
    const found = new Map<string, DebugRecord>();
    for (const record of records) {
      const { types, offset } = record;
      const tag = types.nameOf(offset);
      const size = types.sizeOf(offset);
      const key = tag === "" ? `${this.types.indexOf(types)}:${offset}` : `${tag}:${size}`;
      const keyword = types.isUnion(offset) ? "union" : "struct";
      if (!found.has(key)) found.set(key, { tag, typeName: `${keyword} ${tag || "(anonymous)"}`, size, record });
    }
    return [...found.values()];
  }
}
