/** The record of a tracepoint in the language's terms, from its tracefs format. */
import { listLayout } from "./btf-types.ts";
import type { OuterTypes } from "./c-struct.ts";
import type { TracepointField, TracepointFormat } from "./environment.ts";
import { TYPE_NAMES } from "./table/type-names.ts";
import { type AddressSpace, type Field, NONE, type StructLayout, type Type } from "./types.ts";

/** Fields that every record starts with; programs may not read them. */
export const COMMON_FIELDS: ReadonlySet<string> = new Set([
  "common_type",
  "common_flags",
  "common_preempt_count",
  "common_pid",
  "common_preempt_lazy_count",
]);

/** The fields that a script may read. */
export function readableFields(format: TracepointFormat): TracepointField[] {
  return format.fields.filter((f) => !COMMON_FIELDS.has(f.name));
}

/** Converts fields of formats. `textSize` is given to text whose length only the record knows. */
export class TracepointTypes {
  private readonly outer: OuterTypes;
  private readonly textSize: number;

  constructor(outer: OuterTypes, textSize: number) {
    this.outer = outer;
    this.textSize = textSize;
  }

  /** Pointers of system calls' arguments point into the process, others into the kernel. */
  layout(category: string, format: TracepointFormat): StructLayout {
    const space: AddressSpace = category === "syscalls" ? "user" : "kernel";
    const fields = new Map<string, Field>();
    return {
      field: (name) => {
        const known = fields.get(name);
        if (known) return known;
        const source = format.fields.find((f) => f.name === name && !COMMON_FIELDS.has(name));
        const field = source && this.field(source, space);
        if (field) fields.set(name, field);
        return field;
      },
      fields: () => readableFields(format).map((f) => fields.get(f.name) ?? this.field(f, space)),
    };
  }

  private field(source: TracepointField, space: AddressSpace): Field {
    const { name, byteOffset } = source;
    const ctype = source.ctype.replace(/\s+/g, " ").trim();
    const dynamic = /^__(data|rel)_loc (.*?)\s*\[\]$/.exec(ctype);
    if (dynamic) {
      const element = dynamic[2]!.trim();
      const dataLocation = dynamic[1] === "data" ? "abs" : "rel";
      const type: Type = /^(?:const )?(?:unsigned |signed )?char$/.test(element)
        ? { kind: "string", size: this.textSize }
        : { kind: "pointer", to: this.plain(element, "kernel", 0, false), space: "kernel" };
      return { name, type, byteOffset, dataLocation };
    }
    return { name, byteOffset, type: this.plain(ctype, space, source.size, source.signed) };
  }

  /** A C type as formats write it; `size` 0 when not known. */
  private plain(ctype: string, space: AddressSpace, size: number, signed: boolean): Type {
    const array = /^(.*?)\s*\[([^\]]*)\]$/.exec(ctype);
    if (array) {
      const element = array[1]!;
      if (/^(?:const )?char$/.test(element)) return { kind: "string", size };
      const of = this.plain(element, space, 0, signed);
      const each = of.kind === "int" ? of.size : of.kind === "struct" ? of.size : of.kind === "pointer" ? 8 : 1;
      if (of.kind === "none" || each === 0 || size % each !== 0) {
        return { kind: "array", of: { kind: "int", size: 1, signed: false }, length: size };
      }
      return { kind: "array", of, length: size / each };
    }
    const pointer = /^(.*?)\s*\*\s*(?:const|__restrict|restrict)?$/.exec(ctype);
    if (pointer) return { kind: "pointer", to: this.plain(pointer[1]!, space, 0, false), space };
    const name = ctype
      .replace(/\b(?:const|volatile|__user|__rcu|__percpu)\b/g, " ")
      .replace(/\s+/g, " ")
      .trim();
    const type = this.named(name, space);
    if (type?.kind === "int" && size !== 0 && type.size > size) return { kind: "int", size: intSize(size), signed };
    if (type && type.kind !== "none") return type;
    if (name === "void" || size === 0) return NONE;
    if (size === 1 || size === 2 || size === 4 || size === 8) return { kind: "int", size: intSize(size), signed };
    return { kind: "array", of: { kind: "int", size: 1, signed: false }, length: size };
  }

  private named(name: string, space: AddressSpace): Type | undefined {
    const known = TYPE_NAMES.get(name);
    if (known && known.kind !== "string" && known.kind !== "buffer") return known;
    const keyword = /^(struct|union|enum) (\w+)$/.exec(name);
    if (keyword) {
      const kind = keyword[1] as "struct" | "union" | "enum";
      const found = this.outer.named(kind, keyword[2]!, space);
      if (found) return found;
      if (kind === "enum") return undefined;
      return { kind: "struct", keyword: kind, name: keyword[2]!, size: 0, layout: listLayout([]) };
    }
    return this.outer.typedef(name, space);
  }
}

function intSize(size: number): 1 | 2 | 4 | 8 {
  return size === 1 || size === 2 || size === 4 ? size : 8;
}
