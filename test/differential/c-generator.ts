/**
 * Random C programs from a seed: every width and sign of arithmetic, structs and unions, fields of bits, arrays, pointers to locals, loops,
 * `switch`, `goto`, functions with scalar and struct arguments, atomics. They always end, the verifier can follow them, and nothing in them
 * is undefined or left to the compiler when it is told `-fwrapv -fno-strict-aliasing`.
 */
import { Expressions } from "./c-expressions.ts";
import type { Variable } from "./c-expressions.ts";
import { type Block, type Expr, Level, type Program, type Scalar, type Stmt } from "./c-tree.ts";
import {
  type ArrayType,
  Random,
  S32,
  S64,
  SCALARS,
  type Struct,
  U32,
  U64,
  U8,
  common,
  declare,
  definition,
  mostBytes,
  overlayUnion,
  promoted,
  randomStruct,
} from "./c-types.ts";

/** What programs may contain. */
export interface GeneratorOptions {
  /** Also what clang's BPF target refuses: signed division, large structs by value in real calls. Then a machine's own code is the referee. */
  readonly free?: boolean;
}

/** Words of input that programs read. */
export const INPUT_WORDS = 8;
/** Words of results, the first of which is the folded one. */
export const OUTPUT_WORDS = 16;

/** A function that others may call. */
export interface Callee {
  readonly name: string;
  readonly result: Scalar | Struct;
  readonly params: readonly (Scalar | Struct | { readonly kind: "pointer"; readonly to: Struct })[];
  /** Writes nothing that its caller can see: it may stand anywhere in expressions. */
  readonly pure: boolean;
  /** Calls on the longest way down from it. */
  readonly depth: number;
}

/** Bytes of a frame that aggregates may take, so that neither compiler passes 512 in a chain of calls. */
const FRAME_BYTES = 72;
const MAIN_FRAME_BYTES = 120;
const MOST_DEPTH = 2;
const LOOP_TYPES = [S32, U32, U64, S64, U8];

/** The program of a seed. */
export function generateProgram(name: string, seed: number, options: GeneratorOptions = {}): Program {
  return new ProgramGenerator(name, new Random(seed), options.free === true).program();
}

class ProgramGenerator {
  readonly random: Random;
  readonly free: boolean;
  readonly structs: Struct[] = [];
  readonly callees: Callee[] = [];
  readonly globals: Variable[] = [];
  private readonly name: string;
  private readonly items: Stmt[] = [];

  constructor(name: string, random: Random, free: boolean) {
    this.name = name;
    this.random = random;
    this.free = free;
  }

  program(): Program {
    const { random, name } = this;
    for (let left = random.below(4); left > 0; left--) {
      const tag = `${name}_s${this.structs.length}`;
      const struct = random.chance(30) ? overlayUnion(random, tag) : randomStruct(random, tag, this.structs);
      this.structs.push(struct);
      this.items.push({ kind: "stmt", parts: [definition(struct)] });
    }
    for (let left = random.below(5), i = 0; left > 0; left--, i++) this.global(`${name}_g${i}`);
    for (let left = random.below(4), i = 0; left > 0; left--, i++) this.function(`${name}_f${i}`);
    const body = new BodyGenerator(this, { pure: false, frame: MAIN_FRAME_BYTES, callees: this.callees });
    body.hasInput = true;
    const block = body.body(4 + random.below(7), U64);
    const head = `static __attribute__((always_inline)) inline u64 ${name}_main(const struct input *in, u64 *out)`;
    this.items.push({ kind: "stmt", parts: [`${head} `, block] });
    return { name, items: { kind: "block", stmts: this.items } };
  }

  private global(name: string): void {
    const { random } = this;
    const kind = random.below(4);
    const type =
      kind === 0 || (kind === 1 && this.structs.length === 0)
        ? random.pick(SCALARS)
        : kind === 1
          ? random.pick(this.structs)
          : ({ kind: "array", of: random.pick(SCALARS), length: random.pick([4, 8, 16]) } as const);
    const isConst = random.chance(type.kind === "array" ? 50 : 15);
    const isVolatile = random.chance(10);
    const hasValue = isConst || random.chance(60);
    const storage = isConst ? "CONSTANT " : random.chance(30) ? "" : "static ";
    const value = hasValue ? ` = ${initialValue(random, type)}` : "";
    this.items.push({
      kind: "stmt",
      parts: [`${storage}${isVolatile ? "volatile " : ""}${declare(type, name)}${value};`],
    });
    this.globals.push({ name, type, writable: !isConst, global: !isConst });
  }

  private function(name: string): void {
    const { random } = this;
    const how = random.pick(["noinline", "noinline", "always_inline", "plain", "global"]);
    const inline = how === "always_inline";
    const pure = random.chance(60) || how === "global";
    const params: Callee["params"][number][] = [];
    let registers = 0;
    for (let left = random.below(5); left > 0; left--) {
      const struct =
        this.structs.length > 0 && how !== "global" && random.chance(35) ? random.pick(this.structs) : undefined;
      const type =
        struct === undefined
          ? random.pick(SCALARS)
          : random.chance(50) && !pure
            ? ({ kind: "pointer", to: struct } as const)
            : inline || this.free || struct.most <= 16
              ? struct
              : random.pick(SCALARS);
      registers += type.kind === "struct" && !inline && !this.free ? 2 : 1;
      if (registers > (inline ? 8 : this.free ? 4 : 5)) break;
      params.push(type);
    }
    const returned = inline || this.free ? this.structs : [];
    const result =
      returned.length > 0 && how !== "global" && random.chance(25) ? random.pick(returned) : random.pick(SCALARS);
    const callees = this.callees.filter(({ depth, pure: isPure }) => depth < MOST_DEPTH && (isPure || !pure));
    const body = new BodyGenerator(this, { pure, frame: FRAME_BYTES, callees });
    const names = params.map((_, i) => `p${i}`);
    for (const [i, type] of params.entries()) {
      if (type.kind === "pointer")
        body.pointers.push({ name: names[i]!, type: type.to, writable: true, global: true, pointer: true });
      else body.variables.push({ name: names[i]!, type, writable: true, global: false });
    }
    const block = body.body(1 + random.below(4), result);
    const list = params.map((type, i) =>
      type.kind === "pointer" ? declare(type.to, `*${names[i]}`) : declare(type, names[i]!),
    );
    const attribute =
      how === "noinline" || how === "global"
        ? "__attribute__((noinline)) "
        : inline
          ? "__attribute__((always_inline)) inline "
          : "";
    const head = `${how === "global" ? "" : "static "}${attribute}${declare(result, `${name}(${list.join(", ") || "void"})`)}`;
    this.items.push({ kind: "stmt", parts: [`${head} `, block] });
    this.callees.push({ name, result, params, pure, depth: body.depth + 1 });
  }
}

/** A constant initialiser, often an incomplete one. */
function initialValue(random: Random, type: Scalar | ArrayType | Struct): string {
  if (type.kind === "scalar") return literal(random, type);
  if (type.kind === "array") {
    const count = 1 + random.below(type.length);
    const values = Array.from({ length: count }, () => literal(random, type.of));
    if (random.chance(20)) return `{ [${random.below(type.length)}] = ${values[0]} }`;
    return `{ ${values.join(", ")} }`;
  }
  const named = type.fields.filter(({ name }) => name !== "");
  if (type.isUnion) return `{ .${named[0]!.name} = ${literal(random, U64)} }`;
  const chosen = named.filter(() => random.chance(70));
  if (chosen.length === 0) return `{ .${named[0]!.name} = ${initialValue(random, named[0]!.type)} }`;
  return `{ ${chosen.map(({ name, type: of }) => `.${name} = ${initialValue(random, of)}`).join(", ")} }`;
}

function literal(random: Random, type: Scalar): string {
  const word = BigInt.asIntN(64, random.word());
  if (type.bool) return String(word & 1n);
  if (type.bits < 64)
    return String(type.signed ? BigInt.asIntN(type.bits, word) : `${BigInt.asUintN(type.bits, word)}u`);
  return `0x${BigInt.asUintN(64, word).toString(16)}ull`;
}

interface BodyOptions {
  readonly pure: boolean;
  readonly frame: number;
  readonly callees: readonly Callee[];
}

/** Writes the body of a function. */
class BodyGenerator {
  /** What is in scope, inner blocks last. */
  readonly variables: Variable[] = [];
  readonly pointers: Variable[] = [];
  hasInput = false;
  /** Longest chain of calls below. */
  depth = 0;
  private readonly random: Random;
  private readonly unit: ProgramGenerator;
  private readonly options: BodyOptions;
  private readonly expressions: Expressions;
  private frame: number;
  private names = 0;
  /** Runs of the innermost statements at most; a program that runs long is one that the verifier takes long for. */
  private iterations = 1;
  private inLoop = false;

  constructor(unit: ProgramGenerator, options: BodyOptions) {
    this.unit = unit;
    this.random = unit.random;
    this.options = options;
    this.frame = options.frame;
    this.expressions = new Expressions({
      random: unit.random,
      free: unit.free,
      variables: () => [...unit.globals, ...this.variables, ...this.pointers],
      hasInput: () => this.hasInput,
      callees: () => options.callees.filter(({ pure }) => pure),
      called: (callee) => void (this.depth = Math.max(this.depth, callee.depth)),
      fresh: () => `t${this.names++}`,
    });
  }

  body(statements: number, result: Scalar | Struct): Block {
    const stmts: Stmt[] = [];
    for (let left = 1 + this.random.below(4); left > 0; left--) stmts.push(this.declaration());
    for (let left = statements; left > 0; left--) stmts.push(this.statement(3));
    stmts.push(...this.fold(result));
    return { kind: "block", stmts };
  }

  /** Returns everything in scope, folded. */
  private fold(result: Scalar | Struct): Stmt[] {
    const { random } = this;
    const stmts: Stmt[] = [];
    const name = `h${this.names++}`;
    stmts.push(text(`u64 ${name} = ${random.below(1000)};`));
    const seen = [...this.variables, ...this.pointers, ...(this.options.pure ? [] : this.unit.globals)];
    for (const variable of seen) {
      for (const leaf of leaves(variable)) stmts.push(text(`${name} = ${name} * 31 + (u64)${leaf};`));
    }
    if (result.kind === "scalar") {
      stmts.push(
        text(`return ${result.bits < 64 && random.chance(70) ? `(${result.name})(${name} ^ (${name} >> 32))` : name};`),
      );
      return stmts;
    }
    const value = `r${this.names++}`;
    const [first] = result.fields;
    const of = first!.type.kind === "scalar" ? ` = { .${first!.name} = ${name} }` : " = {}";
    stmts.push(text(`${declare(result, value)}${of};`));
    stmts.push(text(`return ${value};`));
    return stmts;
  }

  private declaration(): Stmt {
    const { random, unit, expressions } = this;
    const name = `v${this.names++}`;
    const kind = random.below(10);
    const targets = this.variables.filter(({ type, writable }) => type.kind !== "array" && writable);
    if (kind === 0 && targets.length > 0) return this.pointerDeclaration(name, targets);
    if (kind >= 6 && this.frame >= 16) {
      const fitting = unit.structs.filter(({ most }) => most <= this.frame);
      if (kind >= 8 && fitting.length > 0) {
        const type = random.pick(fitting);
        this.frame -= type.most;
        const stmt = this.structDeclaration(name, type);
        this.variables.push({ name, type, writable: true, global: false });
        return stmt;
      }
      const type: ArrayType = {
        kind: "array",
        of: random.pick(SCALARS),
        length: random.pick(this.frame >= 64 ? [2, 4, 8] : [2]),
      };
      if (mostBytes(type) <= this.frame) {
        this.frame -= mostBytes(type);
        this.variables.push({ name, type, writable: true, global: false });
        return text(`${declare(type, name)} = ${initialValue(random, type)};`);
      }
    }
    const type = random.pick(SCALARS);
    const stmt: Stmt = {
      kind: "stmt",
      parts: [
        `${random.chance(4) ? "volatile " : ""}${declare(type, name)} = `,
        expressions.slot(3, Level.ASSIGN),
        ";",
      ],
    };
    this.variables.push({ name, type, writable: true, global: false });
    return stmt;
  }

  private structDeclaration(name: string, type: Struct): Stmt {
    const { random, expressions } = this;
    const fields = type.fields.filter((field) => field.name !== "" && field.type.kind === "scalar");
    if (type.isUnion)
      return { kind: "stmt", parts: [`${declare(type, name)} = { .q = `, expressions.slot(2, Level.ASSIGN), " };"] };
    if (random.chance(40) || fields.length === 0)
      return text(`${declare(type, name)} = ${initialValue(random, type)};`);
    const parts: Stmt["parts"][number][] = [`${declare(type, name)} = { `];
    for (const field of fields) parts.push(`.${field.name} = `, expressions.slot(2, Level.ASSIGN), ", ");
    parts.push("};");
    return { kind: "stmt", parts };
  }

  private pointerDeclaration(name: string, targets: readonly Variable[]): Stmt {
    const { random, expressions } = this;
    const target = random.pick(targets);
    const alike = targets.filter(({ type }) => type === target.type);
    const type = target.type as Scalar | Struct;
    const first: Stmt["parts"][number][] =
      alike.length > 1 && random.chance(50)
        ? [expressions.slot(2, Level.TERNARY + 1), ` ? &${target.name} : &${random.pick(alike).name}`]
        : [`&${target.name}`];
    this.pointers.push({ name, type, writable: true, global: false, pointer: true });
    return { kind: "stmt", parts: [`${declare(type, `*${name}`)} = `, ...first, ";"] };
  }

  /** Statements in a scope of their own. */
  private block(most: number, depth: number): Block {
    const [variables, pointers] = [this.variables.length, this.pointers.length];
    const stmts: Stmt[] = [];
    for (let left = 1 + this.random.below(most); left > 0; left--)
      stmts.push(this.random.chance(20) ? this.declaration() : this.statement(depth));
    this.variables.length = variables;
    this.pointers.length = pointers;
    return { kind: "block", stmts };
  }

  private statement(depth: number): Stmt {
    const { random, expressions } = this;
    const simple = depth <= 0 || this.iterations >= 8;
    switch (random.below(simple ? 11 : 18)) {
      case 0:
        return this.call() ?? this.assignment();
      case 1:
        return this.atomic() ?? this.assignment();
      case 2:
        return this.structCopy() ?? this.assignment();
      case 3:
        return this.increment();
      case 4:
        if (this.hasInput)
          return {
            kind: "stmt",
            parts: [
              "out[(",
              expressions.slot(2, Level.AND),
              `) & ${OUTPUT_WORDS - 1}] += `,
              expressions.slot(3, Level.ASSIGN),
              ";",
            ],
          };
        return this.assignment();
      case 5:
        if (this.inLoop && random.chance(50))
          return { kind: "stmt", parts: ["if (", expressions.slot(2, 0), `) ${random.pick(["break", "continue"])};`] };
        return this.assignment();
      case 6:
      case 7:
      case 8:
      case 9:
      case 10:
        return this.assignment();
      case 11:
      case 12:
        return this.conditional(depth);
      case 13:
      case 14:
        return this.loop(depth);
      case 15:
        return this.switch(depth);
      case 16:
        return this.goto(depth);
      default:
        return { kind: "stmt", parts: [this.block(3, depth - 1)] };
    }
  }

  private writable(): ReturnType<Expressions["lvalue"]> {
    return this.expressions.lvalue({ write: true, pure: this.options.pure, bits: true });
  }

  private assignment(): Stmt {
    const { random, expressions } = this;
    const target = this.writable();
    if (target === undefined) return this.declaration();
    const at = { kind: "slot" as const, e: target.e, at: Level.UNARY };
    const { type, width } = target;
    const operator = random.pick(["=", "=", "=", "+=", "-=", "*=", "&=", "|=", "^=", "<<=", ">>=", "/=", "%="]);
    if ((operator === "<<=" || operator === ">>=") && (width ?? 0) <= 32) {
      const mask = promoted(type, width).bits - 1;
      return { kind: "stmt", parts: [at, ` ${operator} (`, expressions.slot(2, Level.AND), `) & ${mask};`] };
    }
    if (operator === "/=" || operator === "%=") {
      if (type.bool) return { kind: "stmt", parts: [at, " = ", expressions.slot(2, Level.ASSIGN), ";"] };
      const isSigned = common(promoted(type, width), U32).signed;
      if (isSigned || type.signed) {
        // What is negative only through its type is divided as signed, which clang cannot.
        if (this.unit.free)
          return { kind: "stmt", parts: [at, ` ${operator} ${random.pick(["3", "7ll", "1000", "8"])};`] };
        return { kind: "stmt", parts: [at, " &= ", expressions.slot(2, Level.ASSIGN), ";"] };
      }
      return { kind: "stmt", parts: [at, ` ${operator} (u32)(`, expressions.slot(2, Level.OR), ") | 1u;"] };
    }
    const plain = operator === "<<=" || operator === ">>=" ? "=" : operator;
    return { kind: "stmt", parts: [at, ` ${plain} `, expressions.slot(3, Level.ASSIGN), ";"] };
  }

  private increment(): Stmt {
    const target = this.writable();
    if (target === undefined) return this.declaration();
    const [before, after] = this.random.pick([
      ["++", ""],
      ["--", ""],
      ["", "++"],
      ["", "--"],
    ] as const);
    if (target.type.bool) return { kind: "stmt", parts: [{ kind: "slot", e: target.e, at: Level.UNARY }, " ^= 1;"] };
    return { kind: "stmt", parts: [before, { kind: "slot", e: target.e, at: Level.POSTFIX }, `${after};`] };
  }

  private conditional(depth: number): Stmt {
    const { random, expressions } = this;
    const condition = random.chance(30) ? this.effectfulCondition(2) : expressions.slot(3, 0);
    const parts: Stmt["parts"][number][] = ["if (", condition, ") ", this.block(3, depth - 1)];
    if (random.chance(50)) parts.push(" else ", this.block(3, depth - 1));
    return { kind: "stmt", parts };
  }

  /** A condition whose parts change variables, in an order that the language fixes. */
  private effectfulCondition(depth: number): { kind: "slot"; e: Expr; at: number } {
    const { random, expressions } = this;
    const local = this.variables.filter(({ type, writable }) => type.kind === "scalar" && writable && !type.bool);
    const leaf = (): Expr => {
      if (local.length === 0 || random.chance(40)) return expressions.expr(2);
      const { name, type } = random.pick(local);
      const isPostfix = random.chance(50);
      const operator = random.pick(["++", "--"]);
      const parts = isPostfix ? [`${name}${operator}`] : [`${operator}${name}`];
      return { kind: "expr", type: type as Scalar, level: isPostfix ? Level.POSTFIX : Level.UNARY, parts };
    };
    const build = (left: number): Expr => {
      if (left === 0) return leaf();
      const [operator, level] = random.pick([
        ["&&", Level.AND_AND],
        ["||", Level.OR_OR],
        [",", Level.COMMA],
      ] as const);
      const parts = [
        { kind: "slot", e: build(left - 1), at: level } as const,
        ` ${operator} `,
        { kind: "slot", e: build(left - 1), at: level + 1 } as const,
      ];
      return { kind: "expr", type: promoted(SCALARS[4]!), level, parts };
    };
    return { kind: "slot", e: build(depth), at: 0 };
  }

  private loop(depth: number): Stmt {
    const { random, expressions } = this;
    const outer = this.iterations;
    const wasInLoop = this.inLoop;
    const most = random.pick(this.iterations > 1 ? [2, 3] : [2, 3, 4, 8]);
    this.iterations *= most;
    this.inLoop = true;
    const name = `i${this.names++}`;
    const kind = random.below(5);
    const type = [random.pick(LOOP_TYPES), S32, U32, S32, U64][kind]!;
    const counter: Variable = { name, type, writable: false, global: false };
    const bound = expressions.slot(2, Level.AND);
    this.variables.push(counter);
    const body = this.block(3, depth - 1);
    this.variables.splice(this.variables.indexOf(counter), 1);
    this.iterations = outer;
    this.inLoop = wasInLoop;
    switch (kind) {
      case 0:
        return { kind: "stmt", parts: [`for (${type.name} ${name} = 0; ${name} < ${most}; ${name}++) `, body] };
      case 1:
        return { kind: "stmt", parts: [`for (int ${name} = ${most}; ${name}-- > 0;) `, body] };
      case 2:
        return {
          kind: "stmt",
          parts: [
            `for (u32 ${name} = 0, n${name} = (`,
            bound,
            `) & ${most === 3 ? 2 : most - 1}; ${name} < n${name}; ${name} += 1) `,
            body,
          ],
        };
      case 3:
        return {
          kind: "stmt",
          parts: [
            `for (int ${name} = 0, once${name} = 1; once${name}; once${name} = 0) do `,
            body,
            ` while (++${name} < ${most});`,
          ],
        };
      default:
        return {
          kind: "stmt",
          parts: [`for (u64 ${name} = ${most}, w${name} = 1; w${name}; w${name} = 0) while (--${name} != 0) `, body],
        };
    }
  }

  private switch(depth: number): Stmt {
    const { random, expressions } = this;
    const count = 1 + random.below(5);
    const wasInLoop = this.inLoop;
    this.inLoop = false;
    const mask = random.pick([3, 7, 15]);
    const parts: Stmt["parts"][number][] = ["switch ((", expressions.slot(3, Level.AND), `) & ${mask}) { `];
    const used = new Set<number>();
    const defaultAt = random.chance(70) ? random.below(count) : -1;
    for (let i = 0; i < count; i++) {
      const value = random.below(mask + 2);
      if (used.has(value)) continue;
      used.add(value);
      const last = value + 1 <= mask && !used.has(value + 1) && random.chance(15) ? value + 1 : value;
      used.add(last);
      parts.push(last > value ? `case ${value} ... ${last}: ` : `case ${value}: `);
      if (i === defaultAt) parts.push("default: ");
      parts.push(this.block(2, depth - 1), random.chance(70) ? " break; " : " ");
    }
    parts.push("; }");
    this.inLoop = wasInLoop;
    return { kind: "stmt", parts };
  }

  private goto(depth: number): Stmt {
    const { expressions, random } = this;
    const label = `l${this.names++}`;
    if (random.chance(30)) {
      const name = `i${this.names++}`;
      const outer = this.iterations;
      this.iterations *= 4;
      const wasInLoop = this.inLoop;
      this.inLoop = false;
      const body = this.block(2, depth - 1);
      this.inLoop = wasInLoop;
      this.iterations = outer;
      return {
        kind: "stmt",
        parts: [
          `{ int ${name} = 0; ${label}: `,
          body,
          ` if (++${name} < 4 && (`,
          expressions.slot(2, 0),
          `)) goto ${label}; }`,
        ],
      };
    }
    return {
      kind: "stmt",
      parts: [
        "{ ",
        this.block(2, depth - 1),
        " if (",
        expressions.slot(2, 0),
        `) goto ${label}; `,
        this.block(3, depth - 1),
        ` ${label}:; }`,
      ],
    };
  }

  private call(): Stmt | undefined {
    const { random, expressions } = this;
    const callees = this.options.callees.filter(({ pure, result }) => !pure || result.kind === "struct");
    // Bodies of what is called in loops count as often.
    if (callees.length === 0 || this.iterations > 2) return undefined;
    const callee = random.pick(callees);
    const args = this.args(callee);
    if (args === undefined) return undefined;
    this.depth = Math.max(this.depth, callee.depth);
    const { result } = callee;
    if (result.kind === "scalar") {
      const target = expressions.lvalue({ write: true, pure: true, bits: true, simple: true });
      if (target === undefined) return { kind: "stmt", parts: [...args, ";"] };
      return { kind: "stmt", parts: [{ kind: "slot", e: target.e, at: Level.UNARY }, " = ", ...args, ";"] };
    }
    const target = this.variables.find(({ type, writable }) => type === result && writable);
    if (target !== undefined) return { kind: "stmt", parts: [`${target.name} = `, ...args, ";"] };
    return { kind: "stmt", parts: ["(void)", ...args, ";"] };
  }

  private args(callee: Callee): Stmt["parts"][number][] | undefined {
    const parts: Stmt["parts"][number][] = [`${callee.name}(`];
    for (const [i, param] of callee.params.entries()) {
      if (i > 0) parts.push(", ");
      if (param.kind === "scalar") parts.push(this.expressions.slot(2, Level.ASSIGN));
      else {
        const type = param.kind === "pointer" ? param.to : param;
        const held = [...this.variables, ...this.pointers].filter((variable) => variable.type === type);
        const chosen = held.length > 0 ? this.random.pick(held) : undefined;
        if (chosen === undefined) return undefined;
        if (param.kind === "pointer") parts.push(chosen.pointer ? chosen.name : `&${chosen.name}`);
        else parts.push(chosen.pointer ? `*${chosen.name}` : chosen.name);
      }
    }
    parts.push(")");
    return parts;
  }

  private structCopy(): Stmt | undefined {
    const { random, unit } = this;
    const held = [...this.variables, ...this.pointers, ...(this.options.pure ? [] : unit.globals)].filter(
      ({ type }) => type.kind === "struct",
    );
    const targets = held.filter(({ writable }) => writable);
    if (targets.length === 0) return undefined;
    const to = random.pick(targets);
    const alike = held.filter(({ type, name }) => type === to.type && name !== to.name);
    const value = (variable: Variable): string => (variable.pointer ? `*${variable.name}` : variable.name);
    const address = (variable: Variable): string => (variable.pointer ? variable.name : `&${variable.name}`);
    if (alike.length === 0 || random.chance(25)) {
      if (random.chance(50))
        return text(
          `__builtin_memset(${address(to)}, ${hasBool(to.type) ? "0" : random.pick(["0", "0xff", "0x5a"])}, sizeof(${value(to)}));`,
        );
      return text(`${value(to)} = (${declare(to.type, "").trim()})${initialValue(random, to.type)};`);
    }
    const from = random.pick(alike);
    // Two pointers may be the same object: then memcpy is not defined, and assignment is.
    if (random.chance(40) && !to.pointer && !from.pointer)
      return text(`__builtin_memcpy(${address(to)}, ${address(from)}, sizeof(${value(to)}));`);
    return text(`${value(to)} = ${value(from)};`);
  }

  private atomic(): Stmt | undefined {
    const { random, expressions, unit } = this;
    const words = [...this.variables, ...(this.options.pure ? [] : unit.globals)].filter(
      ({ type, writable }) => type.kind === "scalar" && writable && (type.bits === 32 || type.bits === 64),
    );
    if (words.length === 0) return undefined;
    const { name, type, global } = random.pick(words);
    const target = this.variables.filter((one) => one.type.kind === "scalar" && one.writable && one.name !== name);
    // Not of what is on the stack: Linux 6.18 takes it for the operand when it looks which values matter (`backtrack_insn`), and drops
    // branches that can be taken.
    const result = global && target.length > 0 && random.chance(70) ? `${random.pick(target).name} = ` : "";
    const operand = expressions.slot(2, Level.ASSIGN);
    const operation = random.pick(["add", "add", "sub", "and", "or", "xor", "swap", "set"]);
    const pointer = `(${(type as Scalar).name} *)&${name}`;
    if (operation === "swap")
      return {
        kind: "stmt",
        parts: [
          `${result}__sync_val_compare_and_swap(${pointer}, `,
          expressions.slot(1, Level.ASSIGN),
          ", ",
          operand,
          ");",
        ],
      };
    if (operation === "set")
      return { kind: "stmt", parts: [`${result}__sync_lock_test_and_set(${pointer}, `, operand, ");"] };
    const isAfter = random.chance(20);
    const builtin = isAfter ? `__sync_${operation}_and_fetch` : `__sync_fetch_and_${operation}`;
    return { kind: "stmt", parts: [`${result}${builtin}(${pointer}, `, operand, ");"] };
  }
}

function text(line: string): Stmt {
  return { kind: "stmt", parts: [line] };
}

/** Of a `_Bool` no other bytes may be read than 0 and 1. */
function hasBool(type: Scalar | ArrayType | Struct): boolean {
  if (type.kind === "scalar") return type.bool === true;
  return type.kind === "array" ? hasBool(type.of) : type.fields.some((field) => hasBool(field.type));
}

/** Paths to the scalars of a variable. */
function leaves({ name, type, pointer }: Variable): string[] {
  const of = (path: string, at: Scalar | ArrayType | Struct): string[] => {
    if (at.kind === "scalar") return [path];
    if (at.kind === "array") return Array.from({ length: Math.min(at.length, 8) }, (_, i) => `${path}[${i}]`);
    return at.fields.flatMap((field) =>
      field.name === ""
        ? field.type.kind === "struct"
          ? of(path, field.type)
          : []
        : of(`${path}.${field.name}`, field.type),
    );
  };
  return of(pointer ? `(*${name})` : name, type);
}
