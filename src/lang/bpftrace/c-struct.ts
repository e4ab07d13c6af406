/** The C definitions of a script: struct, union, enum, typedef, and `#define`d constants, laid out as the System V ABI does. */
import type { Diagnostic, Span } from "../../base/index.ts";
import type { CDefinition } from "./ast.ts";
import { listLayout } from "./btf-types.ts";
import { Lexer, type Token } from "./lexer.ts";
import { CHAR, TYPE_NAMES } from "./table/type-names.ts";
import { type AddressSpace, alignOf, type Field, NONE, sizeOf, type StructLayout, type Type, U32 } from "./types.ts";

/** Looks up what the script does not define itself: kernel types. */
export interface OuterTypes {
  named(keyword: "struct" | "union" | "enum", name: string, space: AddressSpace): Type | undefined;
  typedef(name: string, space: AddressSpace): Type | undefined;
}

/** A type whose pointers' address space is not known yet. */
type Unplaced = (space: AddressSpace) => Type;

interface Member {
  readonly name: string;
  readonly type: Unplaced;
  /** Bytes. */
  readonly size: number;
  readonly bits: number | null;
  /** `__attribute__((packed))` on the struct around it makes this 1. */
  readonly align: number;
}

/** Size and alignment are known before the type is: a struct may hold pointers to itself. */
interface Composite {
  readonly type: Unplaced;
  readonly size: number;
  readonly align: number;
}

/** What `#define NAME text` or a name of an enum stands for; of a named enum with its type. */
export type DefinedConstant =
  | { readonly kind: "integer"; readonly value: bigint; readonly type?: Type }
  | { readonly kind: "string"; readonly value: string };

/** The C definitions of one script. */
export class CDefinitions {
  private readonly composites = new Map<string, Composite>();
  private readonly typedefs = new Map<string, Composite>();
  private readonly enumConstants = new Map<string, bigint>();
  private readonly enumTypes = new Map<string, Type>();
  private readonly defines = new Map<string, { readonly text: string; readonly span: Span }>();
  private readonly outer: OuterTypes;
  private readonly report: (d: Diagnostic) => void;
  private readonly known = new Map<string, Type>();

  constructor(definitions: readonly CDefinition[], outer: OuterTypes, report: (d: Diagnostic) => void) {
    this.outer = outer;
    this.report = report;
    for (const definition of definitions) {
      if (definition.kind === "define") this.define(definition);
      else if (definition.kind !== "include") new DefinitionParser(this, definition).parse();
    }
  }

  /** A struct, union or enum of the script, else of the kernel. */
  named(keyword: "struct" | "union" | "enum", name: string, space: AddressSpace): Type | undefined {
    const own = this.composites.get(`${keyword} ${name}`);
    return own ? this.placed(`${keyword} ${name}`, own, space) : this.outer.named(keyword, name, space);
  }

  /** A basic type, a typedef of the script, or one of the kernel. */
  typedef(name: string, space: AddressSpace): Type | undefined {
    const own = this.typedefs.get(name);
    if (own) return this.placed(name, own, space);
    return TYPE_NAMES.get(name) ?? this.outer.typedef(name, space);
  }

  private placed(key: string, composite: Composite, space: AddressSpace): Type {
    const place = `${space} ${key}`;
    let type = this.known.get(place);
    if (!type) this.known.set(place, (type = composite.type(space)));
    return type;
  }

  /** A struct, union or enum that the script defined so far. */
  own(key: string): Composite | undefined {
    return this.composites.get(key);
  }

  /** Names of the script's structs, for suggestions. */
  structNames(): string[] {
    return [...this.composites.keys()].map((k) => k.replace(/^\w+ /, ""));
  }

  /** A constant by name: of an enum or a `#define`. */
  constant(name: string): DefinedConstant | undefined {
    const value = this.enumConstants.get(name);
    const type = this.enumTypes.get(name);
    if (value !== undefined) return { kind: "integer", value, ...(type === undefined ? {} : { type }) };
    return this.evaluate(name, 0);
  }

  /** Names of constants, for suggestions. */
  constantNames(): string[] {
    return [...this.enumConstants.keys(), ...this.defines.keys()];
  }

  /** The text of a `#define` that is no constant, for messages. */
  defineText(name: string): string | undefined {
    return this.defines.get(name)?.text;
  }

  private define(definition: CDefinition): void {
    const match = /^#\s*define\s+[A-Za-z_]\w*(\()?(.*)$/s.exec(definition.text);
    if (match && match[1] === undefined) {
      const text = match[2]!.replace(/\/\*.*?\*\/|\/\/.*$/gs, " ").trim();
      this.defines.set(definition.name, { text, span: definition.span });
    }
  }

  private evaluate(name: string, depth: number): DefinedConstant | undefined {
    const define = this.defines.get(name);
    if (!define || depth > 64) return undefined;
    const tokens = tokenize(define.text);
    if (tokens === null) return undefined;
    if (tokens.length === 1 && tokens[0]!.kind === "string") return { kind: "string", value: tokens[0]!.text };
    if (tokens.length === 1 && tokens[0]!.kind === "identifier" && !this.enumConstants.has(tokens[0]!.text)) {
      return this.evaluate(tokens[0]!.text, depth + 1);
    }
    const value = new ConstantReader(tokens, (n) => this.integer(n, depth + 1)).whole();
    return value === undefined ? undefined : { kind: "integer", value };
  }

  /** An integer constant by name, for array lengths, enum values and other `#define`s. */
  integer(name: string, depth = 0): bigint | undefined {
    const value = this.enumConstants.get(name);
    if (value !== undefined) return value;
    const constant = this.evaluate(name, depth);
    return constant?.kind === "integer" ? constant.value : undefined;
  }

  /** Called by the parser of definitions. */
  add(key: string, composite: Composite, span: Span): void {
    if (this.composites.has(key)) this.error(span, `redefinition of '${key}'`);
    this.composites.set(key, composite);
  }
  ownTypedef(name: string): Composite | undefined {
    return this.typedefs.get(name);
  }
  addTypedef(name: string, composite: Composite): void {
    this.typedefs.set(name, composite);
  }
  addEnumType(constant: string, value: bigint, type: Type): void {
    if (type.kind === "int" && type.enum) this.enumTypes.set(constant, type);
    this.enumConstants.set(constant, value);
  }
  addEnumConstant(name: string, value: bigint): void {
    this.enumConstants.set(name, value);
  }
  error(span: Span, message: string, hint?: string): void {
    this.report({ severity: "error", message, span, ...(hint === undefined ? {} : { hint }) });
  }
}

/** Tokens of a text; null when it has characters that are none. */
function tokenize(text: string): Token[] | null {
  let clean = true;
  const lexer = new Lexer(text, () => {
    clean = false;
  });
  const out: Token[] = [];
  for (let token = lexer.next(); token.kind !== "end of file"; token = lexer.next()) out.push(token);
  return clean ? out : null;
}

const LEVELS: readonly (readonly string[])[] = [["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/", "%"]];

/** Evaluates constant C expressions. */
class ConstantReader {
  private readonly tokens: readonly Token[];
  private readonly lookUp: (name: string) => bigint | undefined;
  private at = 0;
  private depth = 0;

  constructor(tokens: readonly Token[], lookUp: (name: string) => bigint | undefined) {
    this.tokens = tokens;
    this.lookUp = lookUp;
  }

  /** The value when all tokens are one constant expression. */
  whole(): bigint | undefined {
    const value = this.level(0);
    return this.at === this.tokens.length ? value : undefined;
  }

  private level(n: number): bigint | undefined {
    const operators = LEVELS[n];
    if (!operators) return this.unary();
    let left = this.level(n + 1);
    for (;;) {
      const operator = this.tokens[this.at];
      if (left === undefined || operator?.kind !== "punctuation" || !operators.includes(operator.text)) return left;
      this.at++;
      const right = this.level(n + 1);
      if (right === undefined) return undefined;
      left = calculate(operator.text, left, right);
    }
  }

  private unary(): bigint | undefined {
    const token = this.tokens[this.at++];
    if (!token || this.depth > 100) return undefined;
    this.depth++;
    try {
      if (token.kind === "integer") return token.value;
      if (token.kind === "identifier") return this.lookUp(token.text);
      if (token.kind !== "punctuation") return undefined;
      if (token.text === "(") {
        const inner = this.level(0);
        return this.tokens[this.at++]?.text === ")" ? inner : undefined;
      }
      const operand = this.unary();
      if (operand === undefined) return undefined;
      if (token.text === "-") return -operand;
      if (token.text === "~") return ~operand;
      return token.text === "+" ? operand : undefined;
    } finally {
      this.depth--;
    }
  }
}

function calculate(operator: string, a: bigint, b: bigint): bigint | undefined {
  switch (operator) {
    case "|":
      return a | b;
    case "^":
      return a ^ b;
    case "&":
      return a & b;
    case "<<":
      return b >= 0n && b < 64n ? BigInt.asIntN(64, a << b) : undefined;
    case ">>":
      return b >= 0n && b < 64n ? a >> b : undefined;
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return b === 0n ? undefined : a / b;
    case "%":
      return b === 0n ? undefined : a % b;
    default:
      return undefined;
  }
}

class CSyntaxError extends Error {}

const NESTED_LIMIT = 64;

/** Floating-point types by size: they take their room, though no program can read them. */
const FLOATS: ReadonlyMap<string, number> = new Map([
  ["float", 4],
  ["double", 8],
]);

/** Parses one definition. */
class DefinitionParser {
  private readonly definitions: CDefinitions;
  private readonly definition: CDefinition;
  private readonly tokens: readonly Token[];
  private at = 0;
  private depth = 0;

  constructor(definitions: CDefinitions, definition: CDefinition) {
    this.definitions = definitions;
    this.definition = definition;
    this.tokens = tokenize(definition.text) ?? [];
  }

  parse(): void {
    try {
      if (this.definition.kind === "typedef") {
        this.next();
        const base = this.typeSpecifier();
        for (;;) {
          const { name, composite } = this.declarator(base);
          this.definitions.addTypedef(name, composite);
          if (!this.accept(",")) break;
        }
      } else this.typeSpecifier();
    } catch (error) {
      if (!(error instanceof CSyntaxError)) throw error;
    }
  }

  private fail(message: string, hint?: string): never {
    const token = this.tokens[Math.min(this.at, this.tokens.length - 1)];
    const base = this.definition.span.start;
    const span = token ? { start: base + token.start, end: base + token.end } : this.definition.span;
    this.definitions.error(span, message, hint);
    throw new CSyntaxError();
  }

  private peek(): string {
    const token = this.tokens[this.at];
    return token && token.kind !== "string" ? token.text : "";
  }
  private next(): Token {
    const token = this.tokens[this.at];
    if (!token) this.fail("syntax error, unexpected end of the definition");
    this.at++;
    return token;
  }
  private accept(text: string): boolean {
    if (this.peek() !== text) return false;
    this.at++;
    return true;
  }
  private expect(text: string): void {
    if (!this.accept(text))
      this.fail(`syntax error, unexpected ${this.peek() || "end of the definition"}, expecting ${text}`);
  }

  private skipQualifiers(): void {
    while (
      /^(?:const|volatile|restrict|__user|__kernel|__rcu|__percpu|__iomem|static|extern|inline)$/.test(this.peek())
    )
      this.at++;
  }

  /** `__attribute__((...))`; tells whether `packed` is among them. */
  private attributes(): boolean {
    let packed = false;
    while (this.peek() === "__attribute__" || this.peek() === "__packed") {
      if (this.next().text === "__packed") {
        packed = true;
        continue;
      }
      let depth = 0;
      do {
        const { text } = this.next();
        if (text === "(") depth++;
        else if (text === ")") depth--;
        else if (/^(?:__)?packed(?:__)?$/.test(text)) packed = true;
      } while (depth > 0);
    }
    return packed;
  }

  private typeSpecifier(): Composite {
    if (++this.depth > NESTED_LIMIT) this.fail(`nested more than ${NESTED_LIMIT} levels deep`);
    try {
      this.skipQualifiers();
      const first = this.next();
      if (first.kind !== "identifier") this.fail(`syntax error, unexpected ${first.text}, expecting a type`);
      if (first.text === "struct" || first.text === "union") return this.composite(first.text);
      if (first.text === "enum") return this.enum();
      let name = first.text;
      if (/^(?:unsigned|signed|long|short|int|char)$/.test(name)) {
        while (/^(?:unsigned|signed|long|short|int|char)$/.test(this.peek())) name += ` ${this.next().text}`;
      }
      this.skipQualifiers();
      const float = FLOATS.get(name);
      if (float !== undefined) return { type: () => NONE, size: float, align: float };
      const type = this.definitions.typedef(name, "none");
      if (!type) {
        this.at--;
        this.fail(`Unknown type: '${name}'`, "define it before it is used");
      }
      const known = this.definitions.ownTypedef(name);
      return {
        type: (space) => this.definitions.typedef(name, space)!,
        size: known?.size ?? sizeOf(type),
        align: known?.align ?? alignOf(type),
      };
    } finally {
      this.depth--;
    }
  }

  private composite(keyword: "struct" | "union"): Composite {
    let packed = this.attributes();
    const name = this.tokens[this.at]?.kind === "identifier" ? this.next().text : "";
    packed = this.attributes() || packed;
    const key = `${keyword} ${name}`;
    if (!this.accept("{")) {
      if (name === "") this.fail(`syntax error, unexpected ${this.peek()}, expecting a name or {`);
      const { definitions } = this;
      const type: Unplaced = (space) =>
        definitions.named(keyword, name, space) ?? { kind: "struct", keyword, name, size: 0, layout: listLayout([]) };
      const own = definitions.own(key);
      if (own) return { type, size: own.size, align: own.align };
      // A pointer's size needs no look into the kernel's types.
      if (this.peek() === "*") return { type, size: 0, align: 1 };
      const known = definitions.named(keyword, name, "none");
      return { type, size: known ? sizeOf(known) : 0, align: known ? alignOf(known) : 1 };
    }
    const members: Member[] = [];
    while (!this.accept("}")) {
      const base = this.typeSpecifier();
      if (this.accept(";")) {
        members.push({ name: "", type: base.type, size: base.size, bits: null, align: base.align });
        continue;
      }
      do {
        const bitsOnly = this.peek() === ":";
        const { name: member, composite } = bitsOnly ? { name: "", composite: base } : this.declarator(base);
        const bits = this.accept(":") ? Number(this.integer()) : null;
        if (bits !== null && (bits < 0 || bits > 64)) this.fail(`a bit field has 0 to 64 bits, not ${bits}`);
        members.push({ name: member, ...composite, bits });
        this.attributes();
      } while (this.accept(","));
      // Compilers only warn when the last member has no semicolon.
      if (this.peek() !== "}") this.expect(";");
    }
    packed = this.attributes() || packed;
    const composite = layOut(keyword, name, members, packed);
    if (name !== "") this.definitions.add(key, composite, this.definition.span);
    return composite;
  }

  private enum(): Composite {
    this.attributes();
    const name = this.tokens[this.at]?.kind === "identifier" ? this.next().text : "";
    const names = new Map<bigint, string>();
    const constants: [string, bigint][] = [];
    if (!this.accept("{")) {
      const known = this.definitions.named("enum", name, "none");
      return { type: () => known ?? U32, size: known ? sizeOf(known) : 4, align: known ? alignOf(known) : 4 };
    }
    let value = 0n;
    let smallest = 0n;
    let largest = 0n;
    while (!this.accept("}")) {
      const constant = this.next();
      if (constant.kind !== "identifier") this.fail(`syntax error, unexpected ${constant.text}, expecting a name`);
      if (this.accept("=")) value = this.integer();
      this.definitions.addEnumConstant(constant.text, value);
      constants.push([constant.text, value]);
      if (!names.has(value)) names.set(value, constant.text);
      if (value < smallest) smallest = value;
      if (value > largest) largest = value;
      value++;
      if (!this.accept(",")) {
        this.expect("}");
        break;
      }
    }
    this.attributes();
    const signed = smallest < 0n;
    const size = largest > 0xffff_ffffn || smallest < -(1n << 31n) || (signed && largest >= 1n << 31n) ? 8 : 4;
    const type: Type = { kind: "int", size, signed, enum: { name, nameOf: (v) => names.get(v) } };
    const composite: Composite = { type: () => type, size, align: size };
    for (const [constant, of] of constants) this.definitions.addEnumType(constant, of, type);
    if (name !== "") this.definitions.add(`enum ${name}`, composite, this.definition.span);
    return composite;
  }

  /** Reads a constant up to `,`, `;`, `]`, `}` or the end. */
  private integer(): bigint {
    const start = this.at;
    let depth = 0;
    while (this.at < this.tokens.length) {
      const text = this.peek();
      if (text === "(") depth++;
      else if (text === ")") depth--;
      if (depth === 0 && (text === "," || text === ";" || text === "]" || text === "}")) break;
      this.at++;
    }
    const value = new ConstantReader(this.tokens.slice(start, this.at), (n) => this.definitions.integer(n)).whole();
    if (value === undefined) {
      this.at = start;
      this.fail("not a constant", "write an integer, or the name of a constant that was defined before");
    }
    return value;
  }

  /** Pointers, the name and array lengths of a member or typedef. */
  private declarator(base: Composite): { name: string; composite: Composite } {
    let composite = base;
    this.skipQualifiers();
    let stars = 0;
    while (this.accept("*")) {
      if (++stars > NESTED_LIMIT) this.fail("more pointers than make sense");
      const { type } = composite;
      composite = { type: (space) => ({ kind: "pointer", to: type(space), space }), size: 8, align: 8 };
      this.skipQualifiers();
    }
    if (this.accept("(")) {
      // A pointer to a function: its type is of no use to a script.
      this.expect("*");
      const name = this.next().text;
      this.expect(")");
      this.expect("(");
      for (let depth = 1; depth > 0;) {
        const { text } = this.next();
        if (text === "(") depth++;
        else if (text === ")") depth--;
      }
      return { name, composite: { type: (space) => ({ kind: "pointer", to: NONE, space }), size: 8, align: 8 } };
    }
    this.attributes();
    const token = this.next();
    if (token.kind !== "identifier") {
      this.at--;
      this.fail(`syntax error, unexpected ${token.text}, expecting a name`);
    }
    const lengths: number[] = [];
    while (this.accept("[")) {
      const length = this.peek() === "]" ? 0n : this.integer();
      if (length < 0n || length > 1n << 24n) this.fail(`an array of ${length} elements`);
      if (lengths.length > NESTED_LIMIT) this.fail("more dimensions than make sense");
      lengths.push(Number(length));
      this.expect("]");
    }
    for (const length of lengths.reverse()) {
      const { type, size, align } = composite;
      composite = { size: size * length, align, type: (space) => arrayOf(type(space), length) };
    }
    return { name: token.text, composite };
  }
}

function arrayOf(type: Type, length: number): Type {
  // Characters are text, as they are in kernel types.
  if (type === CHAR) return { kind: "string", size: length };
  return { kind: "array", of: type, length };
}

/** A field's place, and its type when that is asked for. */
interface Slot {
  readonly name: string;
  readonly member: Member;
  readonly byteOffset: number;
  readonly bitfield?: { readonly bitOffset: number; readonly bitSize: number };
}

function layOut(keyword: "struct" | "union", name: string, members: readonly Member[], packed: boolean): Composite {
  const align = packed ? 1 : Math.max(1, ...members.filter((m) => m.bits !== 0).map((m) => m.align));
  const slots: Slot[] = [];
  let bit = 0;
  let size = 0;
  for (const member of members) {
    if (keyword === "union") bit = 0;
    if (member.bits !== null) {
      const unit = member.size * 8;
      if (member.bits === 0) {
        bit = Math.ceil(bit / unit) * unit;
        continue;
      }
      const crosses = Math.floor(bit / unit) !== Math.floor((bit + member.bits - 1) / unit);
      if (!packed && crosses) bit = Math.ceil(bit / unit) * unit;
      const byteOffset = Math.floor(bit / unit) * member.size;
      const bitfield = { bitOffset: bit - byteOffset * 8, bitSize: member.bits };
      if (member.name !== "") slots.push({ name: member.name, member, byteOffset, bitfield });
      bit += member.bits;
    } else {
      const memberAlign = packed ? 1 : member.align;
      bit = Math.ceil(bit / 8 / memberAlign) * memberAlign * 8;
      slots.push({ name: member.name, member, byteOffset: bit / 8 });
      bit += member.size * 8;
    }
    size = Math.max(size, Math.ceil(bit / 8));
  }
  size = Math.ceil(size / align) * align;
  const type: Unplaced = (space) => ({ kind: "struct", keyword, name, size, layout: new SlotLayout(slots, space) });
  return { type, size, align };
}

/** Fields whose types are made when they are asked for: they may lead back to the struct. */
class SlotLayout implements StructLayout {
  private readonly slots: readonly Slot[];
  private readonly space: AddressSpace;
  private list: readonly Field[] | undefined;

  constructor(slots: readonly Slot[], space: AddressSpace) {
    this.slots = slots;
    this.space = space;
  }

  field(name: string): Field | undefined {
    return this.fields().find((f) => f.name === name);
  }

  fields(): readonly Field[] {
    this.list ??= this.slots.flatMap(({ name, member, byteOffset, bitfield }): readonly Field[] => {
      const type = member.type(this.space);
      if (name !== "") return [{ name, type, byteOffset, ...(bitfield === undefined ? {} : { bitfield }) }];
      if (type.kind !== "struct") return [];
      return type.layout.fields().map((f) => ({ ...f, byteOffset: byteOffset + f.byteOffset }));
    });
    return this.list;
  }
}
