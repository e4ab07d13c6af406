/** BTF types as TypeScript, as values of them are read (see `Codec` in runtime). */
import { type Btf, type BtfComposite, type BtfEnum, type BtfInt, BtfIntEncoding, BtfKind } from "../../btf/index.ts";
import { isByteType, isCharType } from "../../runtime/values/codec-for.ts";
import { commentText, pascalCase, propertyKey, type UniqueNames } from "./identifiers.ts";

/** Anonymous structs deeper in one another than this only damaged data has. */
const DEPTH_LIMIT = 64;

/** Writes types on demand: what a reference names is declared once. */
export class TypeWriter {
  private readonly btf: Btf;
  private readonly names: UniqueNames;
  private readonly typesOnly: boolean;
  /** Name of each declared type, by id. */
  private readonly declared = new Map<number, string>();
  private readonly texts: string[] = [];
  private readonly waiting: (() => void)[] = [];

  /** With `typesOnly` enums are types without constants, for declaration files. */
  constructor(btf: Btf, names: UniqueNames, typesOnly: boolean) {
    this.btf = btf;
    this.names = names;
    this.typesOnly = typesOnly;
  }

  /** The type's TypeScript. Several lines for anonymous structs, the first without indent. */
  reference(typeId: number, indent: string = "", depth: number = 0): string {
    const { btf } = this;
    if (depth > DEPTH_LIMIT) throw btf.damagedType(typeId, `types deeper than ${DEPTH_LIMIT} in one another`);
    const type = btf.typeById(btf.stripModifiers(typeId));
    switch (type.kind) {
      case BtfKind.INT:
        return intType(type);
      case BtfKind.PTR:
        return "bigint";
      case BtfKind.FLOAT:
        return "number";
      case BtfKind.ENUM:
      case BtfKind.ENUM64: {
        const name = this.nameFor(typeId, type.name, "Enum");
        if (name === undefined) return type.size > 4 ? "bigint" : "number";
        return this.once(type.id, name, (own) => this.enumText(type, own));
      }
      case BtfKind.ARRAY: {
        if (isCharType(btf, type.elementTypeId)) return "string";
        if (isByteType(btf, type.elementTypeId)) return "Uint8Array";
        const text = this.reference(type.elementTypeId, indent, depth + 1);
        return `${text}[]`;
      }
      case BtfKind.STRUCT:
      case BtfKind.UNION: {
        const name = this.nameFor(typeId, type.name, type.kind === BtfKind.STRUCT ? "Struct" : "Union");
        if (name === undefined) return this.literal(type, indent, depth);
        return this.once(type.id, name, (own) => this.interfaceText(type, own));
      }
      case BtfKind.VAR:
        return this.reference(type.typeId, indent, depth + 1);
      default:
        return "unknown";
    }
  }

  /** Declarations of all types that references name, those of later references behind. */
  declarations(): string[] {
    for (let write = this.waiting.shift(); write !== undefined; write = this.waiting.shift()) write();
    return this.texts;
  }

  /** The wished names of a type: its own, or the first typedef's on the way to it; undefined for what nothing names. */
  private nameFor(typeId: number, own: string, kind: string): readonly string[] | undefined {
    const name = own === "" ? this.typedefName(typeId) : own;
    if (name === undefined) return undefined;
    const base = pascalCase(name);
    return [base, `${base}${kind}`];
  }

  private typedefName(typeId: number): string | undefined {
    let name: string | undefined;
    for (let type = this.btf.typeById(typeId), steps = 0; steps < DEPTH_LIMIT; steps++) {
      // The innermost is the one that the struct was declared with.
      if (type.kind === BtfKind.TYPEDEF) name = type.name;
      if (
        type.kind !== BtfKind.TYPEDEF &&
        type.kind !== BtfKind.CONST &&
        type.kind !== BtfKind.VOLATILE &&
        type.kind !== BtfKind.RESTRICT &&
        type.kind !== BtfKind.TYPE_TAG
      ) {
        return name;
      }
      type = this.btf.typeById(type.typeId);
    }
    return name;
  }

  private once(id: number, wishes: readonly string[], text: (name: string) => string): string {
    const known = this.declared.get(id);
    if (known !== undefined) return known;
    const name = this.names.take(...wishes);
    this.declared.set(id, name);
    this.waiting.push(() => {
      // What a type refers to comes behind it.
      const at = this.texts.push("") - 1;
      this.texts[at] = text(name);
    });
    return name;
  }

  private cName(type: BtfComposite | BtfEnum): string {
    const keyword = type.kind === BtfKind.STRUCT ? "struct" : type.kind === BtfKind.UNION ? "union" : "enum";
    return type.name === "" ? `An anonymous ${keyword}` : `\`${keyword} ${commentText(type.name)}\``;
  }

  private interfaceText(type: BtfComposite, name: string): string {
    const fields = this.fieldLines(type, "  ", 0);
    const head = `/** ${this.cName(type)}, ${type.size} bytes. */\nexport interface ${name} {`;
    return fields.length === 0 ? `${head}}` : [head, ...fields, "}"].join("\n");
  }

  private literal(type: BtfComposite, indent: string, depth: number): string {
    const lines = this.fieldLines(type, `${indent}  `, depth + 1);
    return lines.length === 0 ? "Record<string, never>" : ["{", ...lines, `${indent}}`].join("\n");
  }

  private fieldLines(type: BtfComposite, indent: string, depth: number): string[] {
    const seen = new Set<string>();
    return this.btf.fields(type.id).flatMap((field) => {
      if (seen.has(field.name)) return [];
      seen.add(field.name);
      return [`${indent}${propertyKey(field.name)}: ${this.reference(field.typeId, indent, depth + 1)};`];
    });
  }

  private enumText(type: BtfEnum, name: string): string {
    const base = type.size > 4 ? "bigint" : "number";
    const literal = (value: bigint): string => `${value}${base === "bigint" ? "n" : ""}`;
    if (type.values.length === 0) return `/** ${this.cName(type)}. */\nexport type ${name} = ${base};`;
    if (this.typesOnly) {
      const values = [...new Set(type.values.map(({ value }) => value))];
      const named = type.values.map((value) => `${commentText(value.name)} = ${value.value}`);
      const union = [...values.map(literal), `(${base} & {})`];
      const line = `export type ${name} = ${union.join(" | ")};`;
      return [
        "/**",
        ` * ${this.cName(type)}: ${wrapComment(named, 110)}. Flags may be combined.`,
        " */",
        line.length <= 120 ? line : `export type ${name} =\n${union.map((text) => `  | ${text}`).join("\n")};`,
      ].join("\n");
    }
    const seen = new Set<string>();
    const members = type.values.flatMap((value) => {
      if (seen.has(value.name)) return [];
      seen.add(value.name);
      return [`  ${propertyKey(value.name)}: ${literal(value.value)},`];
    });
    return [
      `/** ${this.cName(type)}. */`,
      `export const ${name} = {`,
      ...members,
      "} as const;",
      `/** One of {@link ${name}}, or flags combined. */`,
      `export type ${name} = (typeof ${name})[keyof typeof ${name}] | (${base} & {});`,
    ].join("\n");
  }
}

function intType(type: BtfInt): string {
  if (type.encoding & BtfIntEncoding.BOOL) return "boolean";
  return type.size > 4 ? "bigint" : "number";
}

/** Phrases joined by commas, broken into the lines of a comment. */
function wrapComment(phrases: readonly string[], width: number): string {
  const lines = [""];
  for (const [i, phrase] of phrases.entries()) {
    const text = `${phrase}${i < phrases.length - 1 ? "," : ""}`;
    const last = lines.at(-1)!;
    if (last !== "" && last.length + text.length + 1 > width) lines.push(text);
    else lines[lines.length - 1] = last === "" ? text : `${last} ${text}`;
  }
  return lines.join("\n * ");
}
