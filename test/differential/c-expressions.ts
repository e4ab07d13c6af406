/** Random C expressions without side effects: they may stand anywhere, in any order. */
import { type Expr, Level, type Scalar, type Slot } from "./c-tree.ts";
import {
  type ArrayType,
  type Random,
  S32,
  S64,
  SCALARS,
  type Struct,
  U16,
  U32,
  U64,
  U8,
  common,
  promoted,
} from "./c-types.ts";

/** A variable, a parameter, or what a pointer points at. */
export interface Variable {
  readonly name: string;
  readonly type: Scalar | ArrayType | Struct;
  readonly writable: boolean;
  /** Others see what is written to it. */
  readonly global: boolean;
  /** `name` is a pointer to the type. */
  readonly pointer?: boolean;
}

/** A function that expressions may call. */
interface PureCallee {
  readonly name: string;
  readonly result: Scalar | Struct;
  readonly params: readonly { readonly kind: string }[];
  readonly depth: number;
}

/** What expressions are made of at a place. */
export interface Surroundings<C extends PureCallee> {
  readonly random: Random;
  readonly free: boolean;
  variables(): readonly Variable[];
  hasInput(): boolean;
  callees(): readonly C[];
  called(callee: C): void;
  fresh(): string;
}

/** A scalar in memory; `width` of fields of bits. */
export interface Lvalue {
  readonly e: Expr;
  readonly type: Scalar;
  readonly width?: number;
}

/** Which places are asked for. */
export interface LvalueOptions {
  readonly write?: boolean;
  /** Nothing that others see. */
  readonly pure?: boolean;
  /** Fields of bits too. */
  readonly bits?: boolean;
  /** Indexes are constants. */
  readonly simple?: boolean;
}

const INTERESTING = [
  "0",
  "1",
  "2",
  "3",
  "7",
  "8",
  "31",
  "255",
  "256",
  "1000",
  "65535",
  "0x7fffffff",
  "0x80000000",
  "0xffffffff",
];
const BINARY = [
  ["+", Level.ADD],
  ["-", Level.ADD],
  ["*", Level.MUL],
  ["&", Level.AND],
  ["|", Level.OR],
  ["^", Level.XOR],
] as const;
const COMPARE = [
  ["<", Level.LESS],
  ["<=", Level.LESS],
  [">", Level.LESS],
  [">=", Level.LESS],
  ["==", Level.EQUAL],
  ["!=", Level.EQUAL],
] as const;
const LOGIC = [
  ["&&", Level.AND_AND],
  ["||", Level.OR_OR],
] as const;
const SWAPS = [
  ["__builtin_bswap16", U16],
  ["__builtin_bswap32", U32],
  ["__builtin_bswap64", U64],
] as const;
const CASTS = [...SCALARS, U8, S64, S32];

/** Makes expressions. */
export class Expressions<C extends PureCallee = PureCallee> {
  private readonly around: Surroundings<C>;
  /** Calls are dear: few in one statement. */
  private calls = 0;

  constructor(around: Surroundings<C>) {
    this.around = around;
  }

  /** A new expression in a place that asks for this binding strength. */
  slot(depth: number, at: number): Slot {
    this.calls = 0;
    return { kind: "slot", e: this.expr(depth), at };
  }

  private inner(depth: number, at: number): Slot {
    return { kind: "slot", e: this.expr(depth), at };
  }

  /** An expression at most `depth` operators deep. */
  expr(depth: number): Expr {
    const { random } = this.around;
    if (depth <= 0 || random.chance(12)) return this.leaf();
    switch (random.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.arithmetic(depth);
      case 4:
        return this.shift(depth);
      case 5:
        return this.division(depth);
      case 6:
        return this.comparison(depth);
      case 7:
        return this.logic(depth);
      case 8:
        return this.ternary(depth);
      case 9:
      case 10:
        return this.unary(depth);
      case 11:
        return this.cast(random.pick(CASTS), depth);
      case 12:
        return this.call(depth) ?? this.arithmetic(depth);
      case 13:
        return random.chance(50) ? this.statement(depth) : this.swap(depth);
      default:
        return this.leaf();
    }
  }

  private leaf(): Expr {
    const { random, hasInput } = this.around;
    if (hasInput() && random.chance(35)) return this.input();
    if (random.chance(70)) {
      const place = this.lvalue({ bits: true });
      if (place !== undefined) {
        // A field of more than 32 bits has a type of its own for some compilers.
        if ((place.width ?? 0) > 32)
          return {
            kind: "expr",
            type: place.type,
            level: Level.UNARY,
            parts: [`(${place.type.name})`, { kind: "slot", e: place.e, at: Level.UNARY }],
          };
        return place.width === undefined ? place.e : { ...place.e, type: promoted(place.type, place.width) };
      }
    }
    return this.constant();
  }

  private input(): Expr {
    const { random } = this.around;
    const at = random.below(8);
    const [text, type] = random.pick([
      [`in->w[${at}]`, U64],
      [`in->b.d[${at}]`, S32],
      [`in->b.h[${at}]`, U16],
      [`in->b.c[${at}]`, SCALARS[0]!],
      [`(u32)in->w[${at}]`, U32],
      [`(s8)in->w[${at}]`, SCALARS[0]!],
    ] as const);
    return { kind: "expr", type, level: text.startsWith("(") ? Level.UNARY : Level.POSTFIX, parts: [text] };
  }

  private constant(): Expr {
    const { random } = this.around;
    const make = (text: string, type: Scalar): Expr => ({
      kind: "expr",
      type,
      level: text.startsWith("-") ? Level.UNARY : Level.PRIMARY,
      parts: [text],
    });
    switch (random.below(7)) {
      case 0: {
        const value = random.word();
        return make(`0x${value.toString(16)}ull`, U64);
      }
      case 1:
        return make(`${random.word() >> 33n}`, S32);
      case 2:
        return make(`${random.word() >> 32n}u`, U32);
      case 3:
        return make(`-${random.below(200)}${random.chance(30) ? "ll" : ""}`, S64);
      case 4:
        return make(random.pick(["'a'", "'\\0'", "'\\xff'", "sizeof(int)", "sizeof(u64)"]), S64);
      default: {
        const text = random.pick(INTERESTING);
        return make(text, text === "0x80000000" || text === "0xffffffff" ? U32 : S32);
      }
    }
  }

  private arithmetic(depth: number): Expr {
    const [operator, level] = this.around.random.pick(BINARY);
    return this.binary(operator, level, this.expr(depth - 1), this.expr(depth - 1));
  }

  private binary(operator: string, level: number, left: Expr, right: Expr): Expr {
    const type = common(promoted(left.type), promoted(right.type));
    const parts = [
      { kind: "slot", e: left, at: level } as const,
      ` ${operator} `,
      { kind: "slot", e: right, at: level + 1 } as const,
    ];
    return { kind: "expr", type, level, parts };
  }

  private shift(depth: number): Expr {
    const { random } = this.around;
    const type = random.pick([U32, S32, U64, S64, U64]);
    const operator = random.pick(["<<", ">>"]);
    const amount: Expr["parts"] = random.chance(50)
      ? [String(random.below(type.bits))]
      : ["((", this.inner(depth - 1, Level.AND), `) & ${type.bits - 1})`];
    return {
      kind: "expr",
      type,
      level: Level.SHIFT,
      parts: [`(${type.name})`, this.inner(depth - 1, Level.UNARY), ` ${operator} `, ...amount],
    };
  }

  private division(depth: number): Expr {
    const { random, free } = this.around;
    const operator = random.pick(["/", "%"]);
    const types = free ? [S32, S64, S32, S64, U32, U64] : [U32, U64];
    const type = random.pick(types);
    const make = (amount: Expr["parts"]): Expr => ({
      kind: "expr",
      type,
      level: Level.MUL,
      parts: [`(${type.name})`, this.inner(depth - 1, Level.UNARY), ` ${operator} `, ...amount],
    });
    if (!type.signed) {
      if (random.chance(50)) return make([random.pick(["3u", "10u", "16u", "1000u", "7u", "0xffffffffu"])]);
      return make([`((${type.name})`, this.inner(depth - 1, Level.UNARY), " | 1)"]);
    }
    if (random.chance(50)) return make([random.pick(["3", "10", "16", "1000", "7", "2"])]);
    // Never zero, and never -1: the smallest number divided by it has no result.
    return make([
      `(((${type.name})`,
      this.inner(depth - 1, Level.UNARY),
      ` & 0xffff) ${random.pick(["+ 1", "- 0x10001"])})`,
    ]);
  }

  private comparison(depth: number): Expr {
    const [operator, level] = this.around.random.pick(COMPARE);
    return { ...this.binary(operator, level, this.expr(depth - 1), this.expr(depth - 1)), type: S32 };
  }

  private logic(depth: number): Expr {
    const [operator, level] = this.around.random.pick(LOGIC);
    return { ...this.binary(operator, level, this.expr(depth - 1), this.expr(depth - 1)), type: S32 };
  }

  private ternary(depth: number): Expr {
    const [left, right] = [this.expr(depth - 1), this.expr(depth - 1)];
    const type = common(promoted(left.type), promoted(right.type));
    return {
      kind: "expr",
      type,
      level: Level.TERNARY,
      parts: [
        this.inner(depth - 1, Level.OR_OR),
        " ? ",
        { kind: "slot", e: left, at: Level.TERNARY },
        " : ",
        { kind: "slot", e: right, at: Level.TERNARY },
      ],
    };
  }

  private unary(depth: number): Expr {
    const { random } = this.around;
    const operator = random.pick(["-", "~", "!", "!!", "__builtin_expect"]);
    const operand = this.expr(depth - 1);
    if (operator === "__builtin_expect")
      return {
        kind: "expr",
        type: S64,
        level: Level.POSTFIX,
        parts: ["__builtin_expect(", { kind: "slot", e: operand, at: Level.ASSIGN }, `, ${random.below(2)})`],
      };
    const type = operator.startsWith("!") ? S32 : promoted(operand.type);
    // A blank, for -(-x).
    return {
      kind: "expr",
      type,
      level: Level.UNARY,
      parts: [`${operator} `, { kind: "slot", e: operand, at: Level.UNARY }],
    };
  }

  private cast(type: Scalar, depth: number): Expr {
    return { kind: "expr", type, level: Level.UNARY, parts: [`(${type.name})`, this.inner(depth - 1, Level.UNARY)] };
  }

  private swap(depth: number): Expr {
    const [name, type] = this.around.random.pick(SWAPS);
    return { kind: "expr", type, level: Level.POSTFIX, parts: [`${name}(`, this.inner(depth - 1, Level.ASSIGN), ")"] };
  }

  private statement(depth: number): Expr {
    const { random, fresh } = this.around;
    const name = fresh();
    const type = random.pick(SCALARS);
    const value = this.inner(depth - 1, Level.ASSIGN);
    const more = random.chance(50)
      ? ([`if (`, this.inner(depth - 1, 0), `) ${name} = `, this.inner(depth - 1, Level.ASSIGN), "; "] as const)
      : ([`${name} ${random.pick(["+=", "^=", "|="])} `, this.inner(depth - 1, Level.ASSIGN), "; "] as const);
    return {
      kind: "expr",
      type,
      level: Level.PRIMARY,
      parts: [`({ ${type.name} ${name} = `, value, "; ", ...more, `${name}; })`],
    };
  }

  private call(depth: number): Expr | undefined {
    const { random, callees, called } = this.around;
    const scalars = callees().filter(
      ({ result, params }) => result.kind === "scalar" && params.every(({ kind }) => kind === "scalar"),
    );
    if (scalars.length === 0 || this.calls >= 2) return undefined;
    this.calls++;
    const callee = random.pick(scalars);
    called(callee);
    const parts: (string | Slot)[] = [`${callee.name}(`];
    for (const index of callee.params.keys()) {
      if (index > 0) parts.push(", ");
      parts.push(this.inner(depth - 1, Level.ASSIGN));
    }
    parts.push(")");
    return { kind: "expr", type: callee.result as Scalar, level: Level.POSTFIX, parts };
  }

  /** A random scalar of what is in scope. */
  lvalue(options: LvalueOptions = {}): Lvalue | undefined {
    const { random, variables } = this.around;
    const held = variables().filter(
      ({ writable, global }) => (writable || !options.write) && (!global || !options.write || !options.pure),
    );
    if (held.length === 0) return undefined;
    const { name, type, pointer } = random.pick(held);
    const place = (level: number, text: string): Expr => ({ kind: "expr", type: U64, level, parts: [text] });
    if (type.kind === "scalar") {
      const e = pointer ? place(Level.UNARY, `*${name}`) : place(Level.PRIMARY, name);
      return { e: { ...e, type }, type };
    }
    if (type.kind === "array") return this.element([pointer ? `(*${name})` : name], type, options);
    return this.member([pointer ? `${name}->` : `${name}.`], type, options);
  }

  private element(path: Expr["parts"], { of, length }: ArrayType, options: LvalueOptions): Lvalue {
    const { random } = this.around;
    const index: Expr["parts"] =
      options.simple || random.chance(30)
        ? [String(random.below(length))]
        : ["AT(", this.inner(1, Level.ASSIGN), `, ${length - 1})`];
    return { e: { kind: "expr", type: of, level: Level.POSTFIX, parts: [...path, "[", ...index, "]"] }, type: of };
  }

  /** A scalar of a struct; `path` ends with `.` or `->`. */
  private member(path: Expr["parts"], struct: Struct, options: LvalueOptions): Lvalue | undefined {
    const { random } = this.around;
    const fields = struct.fields.filter(
      ({ name, type, width }) => (name !== "" || type.kind === "struct") && (options.bits || width === undefined),
    );
    if (fields.length === 0) return undefined;
    const { name, type, width } = random.pick(fields);
    if (type.kind === "struct") return this.member(name === "" ? path : [...path, `${name}.`], type, options);
    if (type.kind === "array") return this.element([...path, name], type, options);
    const e: Expr = { kind: "expr", type, level: Level.POSTFIX, parts: [...path, name] };
    return { e, type, ...(width === undefined ? {} : { width }) };
  }
}
