/** C programs as trees that know how to become smaller: what the generator makes, the reducer cuts and compilers get as text. */

/** A scalar type of C. */
export interface Scalar {
  readonly kind: "scalar";
  readonly name: string;
  readonly bits: 8 | 16 | 32 | 64;
  readonly signed: boolean;
  readonly bool?: true;
}

/** A place in an expression where another one stands; reduction puts smaller ones there. */
export interface Slot {
  readonly kind: "slot";
  e: Expr;
  /** Binding strength that the place asks for; what binds less gets parentheses. */
  readonly at: number;
}

/** An expression. */
export interface Expr {
  readonly kind: "expr";
  readonly type: Scalar;
  /** Binding strength, see {@link Level}. */
  readonly level: number;
  readonly parts: readonly (string | Slot)[];
}

/** A statement or a declaration; lists of statements in it are blocks, printed with braces by `parts` itself. */
export interface Stmt {
  readonly kind: "stmt";
  readonly parts: readonly (string | Slot | Block)[];
}

/** Statements that reduction may take away, one by one. */
export interface Block {
  readonly kind: "block";
  stmts: Stmt[];
}

/** How strongly operators bind; 16 is a primary expression. */
export const Level = {
  COMMA: 1,
  ASSIGN: 2,
  TERNARY: 3,
  OR_OR: 4,
  AND_AND: 5,
  OR: 6,
  XOR: 7,
  AND: 8,
  EQUAL: 9,
  LESS: 10,
  SHIFT: 11,
  ADD: 12,
  MUL: 13,
  UNARY: 14,
  POSTFIX: 15,
  PRIMARY: 16,
} as const;

/** A generated program: declarations and functions, the last of which is its entry `NAME_main(const struct input *, u64 *)`. */
export interface Program {
  readonly name: string;
  readonly items: Block;
}

function printExpr(e: Expr, at: number, out: string[]): void {
  if (e.level < at) out.push("(");
  for (const part of e.parts) {
    if (typeof part === "string") out.push(part);
    else printExpr(part.e, part.at, out);
  }
  if (e.level < at) out.push(")");
}

function printBlock(block: Block, indent: string, out: string[]): void {
  for (const { parts } of block.stmts) {
    out.push(indent);
    for (const part of parts) {
      if (typeof part === "string") out.push(part);
      else if (part.kind === "block") {
        out.push("{\n");
        printBlock(part, `${indent}\t`, out);
        out.push(indent, "}");
      } else printExpr(part.e, part.at, out);
    }
    out.push("\n");
  }
}

/** The program's own text, without what all programs share. */
export function printProgram({ items }: Program): string {
  const out: string[] = [];
  printBlock(items, "", out);
  return out.join("");
}

/** An expression as text. */
export function exprText(e: Expr): string {
  const out: string[] = [];
  printExpr(e, 0, out);
  return out.join("");
}

/** A change that makes a program smaller: `undo` takes it back. */
export interface Cut {
  /** How much smaller, for those that are tried first. */
  readonly size: number;
  apply(): void;
  undo(): void;
}

function sizeOf(stmt: Stmt): number {
  const out: string[] = [];
  printBlock({ kind: "block", stmts: [stmt] }, "", out);
  return out.join("").length;
}

function cutsOfSlot(slot: Slot, cuts: Cut[]): void {
  const was = slot.e;
  const put = (e: Expr): void => {
    const size = exprText(was).length - exprText(e).length;
    if (size > 0)
      cuts.push({
        size,
        apply: () => void (slot.e = e),
        undo: () => void (slot.e = was),
      });
  };
  const { type } = was;
  put({ kind: "expr", type, level: Level.PRIMARY, parts: ["0"] });
  put({ kind: "expr", type, level: Level.PRIMARY, parts: ["1"] });
  for (const part of was.parts) {
    if (typeof part === "string") continue;
    put(part.e);
    put({
      kind: "expr",
      type,
      level: Level.UNARY,
      parts: [`(${type.name})`, { kind: "slot", e: part.e, at: Level.UNARY }],
    });
    cutsOfSlot(part, cuts);
  }
}

function cutsOfBlock(block: Block, cuts: Cut[]): void {
  const { stmts } = block;
  const replace = (from: number, count: number, by: readonly Stmt[], size: number): void => {
    cuts.push({
      size,
      apply: () => void (block.stmts = [...stmts.slice(0, from), ...by, ...stmts.slice(from + count)]),
      undo: () => void (block.stmts = stmts),
    });
  };
  const sizes = stmts.map(sizeOf);
  for (let count = stmts.length >> 1; count > 1; count >>= 1) {
    for (let at = 0; at + count <= stmts.length; at += count)
      replace(
        at,
        count,
        [],
        sizes.slice(at, at + count).reduce((sum, size) => sum + size, 0),
      );
  }
  for (const [index, stmt] of stmts.entries()) {
    replace(index, 1, [], sizes[index]!);
    for (const part of stmt.parts) {
      if (typeof part === "string") continue;
      if (part.kind !== "block") cutsOfSlot(part, cuts);
      else {
        replace(index, 1, part.stmts, sizes[index]! - part.stmts.reduce((sum, inner) => sum + sizeOf(inner), 0));
        cutsOfBlock(part, cuts);
      }
    }
  }
}

/** Every single way to make the program smaller, the largest first. They hold until one of them was applied. */
export function cutsOf(program: Program): Cut[] {
  const cuts: Cut[] = [];
  cutsOfBlock(program.items, cuts);
  return cuts.sort((a, b) => b.size - a.size);
}
