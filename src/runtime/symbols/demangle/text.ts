/** Text of C++ names while it is put together. */

/** A type or name in two halves: declarators of functions and arrays stand around what they declare. */
export interface Piece {
  readonly left: string;
  readonly right: string;
  /** A pointer to it needs parentheses. */
  readonly wraps?: "function" | "array";
}

/** Where in a pack of template arguments text is made, and how many there are once one was met. */
export interface PackPlace {
  readonly index: number;
  length: number | undefined;
}

/** Template arguments of the function whose text is made, and of the one around it. */
export interface Scope {
  readonly items: readonly Node[];
  readonly outer: Scope | undefined;
}

/** Where text is made: template parameters mean what they mean there, also in parts that were read elsewhere. */
export interface Context {
  readonly pack: PackPlace | undefined;
  readonly scope: Scope | undefined;
  /** Parameters of a generic lambda are what its caller gives. */
  readonly isLambda: boolean;
}

/** Text is made when all is read: template parameters may stand before their arguments. */
export type Node = (context: Context) => Piece;

/** Thrown and caught here: the name is none. */
export class NotMangled extends Error {}

/** Mangled names can say much with little. */
const MOST_TEXT = 1 << 16;
const MOST_JOINS = 500_000;

/** Text in two halves. */
export function piece(left: string, right: string = ""): Piece {
  return { left, right };
}

/** The same text wherever it is made. */
export function constant(text: string): Node {
  const made = piece(text);
  return () => made;
}

/** Where the whole name is made. */
export const top: Context = { pack: undefined, scope: undefined, isLambda: false };

/** Pieces that were put together for the name at hand: substitutions may double what is to be done, with no text to show for it. */
let joined = 0;

/** A new name begins. */
export function startName(): void {
  joined = 0;
}

/** Both halves. */
export function join({ left, right }: Piece): string {
  if (++joined > MOST_JOINS || left.length + right.length > MOST_TEXT) throw new NotMangled();
  return left + right;
}

/** A list in angle brackets: two closing ones are kept apart, but not where an empty pack is between them. */
export function bracketed(name: string, items: readonly string[]): string {
  const open = name.endsWith("<") ? " <" : "<";
  const shown = items.filter((text) => text !== "").join(", ");
  return `${name}${open}${shown}${items.at(-1)?.endsWith(">") === true ? " >" : ">"}`;
}

/** What a name is, for the type behind it. */
export interface NameState {
  /** Its last part has template arguments: a return type follows. */
  isTemplate: boolean;
  /** Constructors, destructors and conversions have no return type. */
  hasNoResult: boolean;
  /** ` const`, ` &`: of the member function. */
  qualifiers: string;
}

/** Of a name of which nothing is read. */
export function emptyState(): NameState {
  return { isTemplate: false, hasNoResult: false, qualifiers: "" };
}

/** A function's name without its parameters. */
export function withoutParameters(text: string): string {
  if (!text.endsWith(")")) return text;
  let depth = 0;
  for (let i = text.length - 1; i > 0; i--) {
    if (text[i] === ")") depth++;
    else if (text[i] === "(" && --depth === 0) return text.slice(0, i);
  }
  return text;
}

/** What is made of each argument of a pack. */
export function expanded(show: (context: Context) => string, context: Context): string {
  const place: PackPlace = { index: 0, length: undefined };
  const first = show({ ...context, pack: place });
  const { length } = place;
  if (length === undefined) return `${show(context)}...`;
  if (length > MOST_JOINS) throw new NotMangled();
  const shown = Array.from({ length }, (_, index) =>
    index === 0 ? first : show({ ...context, pack: { index, length: undefined } }),
  );
  return shown.join(", ");
}

/** Arguments that stand for several: the only ones that are expanded. */
export const packs: WeakSet<Node> = new WeakSet();

/** Names that constructors of `std::string` and its like have. */
export const lastNames: WeakMap<Node, Node> = new WeakMap();

/** The last part of a name, without template arguments: what its constructor is called. */
export function lastPart(scope: Node): Node {
  const known = lastNames.get(scope);
  if (known !== undefined) return known;
  return (context) => {
    const text = join(scope(context));
    let depth = 0;
    let end = text.length;
    for (let i = text.length - 1; i >= 0; i--) {
      const char = text[i]!;
      if (char === ">") {
        if (depth === 0) end = text.length;
        depth++;
      } else if (char === "<") {
        depth--;
        if (depth === 0) end = i;
      } else if (depth === 0 && char === ":") return piece(text.slice(i + 1, end));
    }
    return piece(text.slice(0, end));
  };
}
