/**
 * Bodies of structs and enums in large headers are passed over when they are met and parsed when they are first looked into: a real `vmlinux.h`
 * has ten thousand, of which a program uses ten. What is passed over must mean the same later, so it names no macro, and what it declares
 * (constants of enums) is noted by name.
 */
import type { Name, NameTable } from "../names.ts";

const SPACE = 1;
const WORD = 2;
const DIGIT = 3;
/** What a body cannot be passed over with: quotes, directives, hidden line ends. */
const STOP = 4;

const classes = new Uint8Array(128).fill(0);
for (const c of " \t\v\f\r\n") classes[c.charCodeAt(0)] = SPACE;
for (const c of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$") classes[c.charCodeAt(0)] = WORD;
for (const c of "0123456789") classes[c.charCodeAt(0)] = DIGIT;
for (const c of "\"'#\\@`<%") classes[c.charCodeAt(0)] = STOP;

const OPEN = 123;
const CLOSE = 125;
const SLASH = 47;

/** Which names may be macros, by their first and third characters: a quick no for nearly all that are none. */
export class MacroStarts {
  private readonly bits = new Uint8Array(128 * 128);

  add(name: string): void {
    this.bits[key(name.charCodeAt(0), name.length > 2 ? name.charCodeAt(2) : 0)] = 1;
  }

  mayBe(text: string, start: number, end: number): boolean {
    return this.bits[key(text.charCodeAt(start), end - start > 2 ? text.charCodeAt(start + 2) : 0)] === 1;
  }
}

function key(first: number, third: number): number {
  return ((first & 127) << 7) | (third & 127);
}

/**
 * The offset of the brace that closes a body whose text begins at `start`. Undefined when the body must be read at once: it has a macro,
 * a directive, a comment or a text, or it declares a tag or an enumerator.
 */
export function endOfBody(text: string, start: number, names: NameTable, starts: MacroStarts): number | undefined {
  let depth = 1;
  for (let at = start; at < text.length;) {
    const code = text.charCodeAt(at);
    const kind = code < 128 ? classes[code] : STOP;
    if (kind === WORD) {
      const end = endOfWord(text, at);
      if (starts.mayBe(text, at, end) && names.find(text, at, end)?.macro !== undefined) return undefined;
      if (end - at >= 4 && declares(text, at, end)) return undefined;
      at = end;
    } else if (kind === STOP || (code === SLASH && isComment(text, at))) return undefined;
    else if (kind === DIGIT) at = endOfWord(text, at);
    else {
      if (code === OPEN) depth++;
      else if (code === CLOSE && --depth === 0) return at;
      at++;
    }
  }
  return undefined;
}

/** Constants of an enum whose body was passed over: their names, and where the closing brace is. */
export interface SkippedEnum {
  readonly end: number;
  readonly names: readonly Name[];
}

const COMMA = 44;
const MINUS = 45;
const EQUALS = 61;

/** As {@link endOfBody} of an enum whose constants are without values, or have plain numbers. */
export function endOfEnum(text: string, start: number, names: NameTable, starts: MacroStarts): SkippedEnum | undefined {
  const found: Name[] = [];
  let at = afterSpace(text, start);
  while (text.charCodeAt(at) !== CLOSE) {
    if (classes[text.charCodeAt(at)] !== WORD) return undefined;
    const end = endOfWord(text, at);
    const name = names.internRange(text, at, end);
    if (starts.mayBe(text, at, end) && name.macro !== undefined) return undefined;
    found.push(name);
    at = afterSpace(text, end);
    if (text.charCodeAt(at) === EQUALS) {
      at = afterSpace(text, at + 1);
      if (text.charCodeAt(at) === MINUS) at++;
      if (classes[text.charCodeAt(at)] !== DIGIT) return undefined;
      at = afterSpace(text, endOfWord(text, at));
    }
    const code = text.charCodeAt(at);
    if (code === COMMA) at = afterSpace(text, at + 1);
    else if (code !== CLOSE) return undefined;
  }
  return { end: at, names: found };
}

/** A definition at the level of a file, found without a token of it being read. */
export interface SkippedDefinition {
  readonly kind: "struct" | "union" | "enum" | "typedef";
  /** Tag or name; undefined for enums without. */
  readonly name: Name | undefined;
  /** What is to be read later begins here: behind the opening brace, at the word of a typedef. Undefined for declarations without a body. */
  readonly offset: number | undefined;
  /** Names that an enum declares. */
  readonly constants: readonly Name[];
  /** Behind the semicolon. */
  readonly end: number;
}

const SEMICOLON = 59;
const PARENTHESIS = 40;
const ASTERISK = 42;
const BRACKET = 91;

/** A definition that begins at `start` and can be passed over whole. Undefined for anything else. */
export function definitionAt(
  text: string,
  start: number,
  names: NameTable,
  starts: MacroStarts,
): SkippedDefinition | undefined {
  const at = afterSpace(text, start);
  const kind = (["struct", "union", "enum", "typedef"] as const).find((word) => text.startsWith(word, at));
  if (
    kind === undefined ||
    endOfWord(text, at) !== at + kind.length ||
    isMacro(text, at, at + kind.length, names, starts)
  )
    return undefined;
  let next = afterSpace(text, at + kind.length);
  if (kind === "typedef") return typedefAt(text, at, next, names, starts);
  let name: Name | undefined;
  if (classes[text.charCodeAt(next)] === WORD) {
    const end = endOfWord(text, next);
    if (isMacro(text, next, end, names, starts)) return undefined;
    name = names.internRange(text, next, end);
    next = afterSpace(text, end);
  }
  if (name !== undefined && kind !== "enum" && text.charCodeAt(next) === SEMICOLON)
    return { kind, name, offset: undefined, constants: [], end: next + 1 };
  if (text.charCodeAt(next) !== OPEN || (name === undefined && kind !== "enum")) return undefined;
  const offset = next + 1;
  let constants: readonly Name[] = [];
  let close: number | undefined;
  if (kind === "enum") {
    const skipped = endOfEnum(text, offset, names, starts);
    close = skipped?.end;
    constants = skipped?.names ?? [];
  } else close = endOfBody(text, offset, names, starts);
  if (close === undefined) return undefined;
  const behind = afterSpace(text, close + 1);
  return text.charCodeAt(behind) === SEMICOLON ? { kind, name, offset, constants, end: behind + 1 } : undefined;
}

function isMacro(text: string, start: number, end: number, names: NameTable, starts: MacroStarts): boolean {
  return starts.mayBe(text, start, end) && names.find(text, start, end)?.macro !== undefined;
}

/** `typedef T name;`, `typedef T name[N];`, `typedef R (*name)(…);`, `typedef R name(…);` and `typedef struct { … } name;`. */
function typedefAt(
  text: string,
  word: number,
  start: number,
  names: NameTable,
  starts: MacroStarts,
): SkippedDefinition | undefined {
  /** The word last read, which is the name when nothing else says so. */
  let last = -1;
  let name = -1;
  for (let at = start; ;) {
    at = afterSpace(text, at);
    const code = text.charCodeAt(at);
    const kind = code < 128 ? classes[code] : STOP;
    if (kind === WORD) {
      const end = endOfWord(text, at);
      if (isMacro(text, at, end, names, starts) || text.startsWith("__attribute__", at)) return undefined;
      last = at;
      if (declares(text, at, end)) return undefined;
      at = end;
    } else if (kind === DIGIT) at = endOfWord(text, at);
    else if (kind === STOP || Number.isNaN(code) || (code === SLASH && isComment(text, at))) return undefined;
    else if (code === SEMICOLON) {
      const found = name === -1 ? last : name;
      if (found === -1) return undefined;
      const end = endOfWord(text, found);
      return { kind: "typedef", name: names.internRange(text, found, end), offset: word, constants: [], end: at + 1 };
    } else {
      if (code === OPEN) {
        const close = endOfBody(text, at + 1, names, starts);
        if (close === undefined) return undefined;
        at = close;
      } else if (name === -1 && code === BRACKET) name = last;
      else if (name === -1 && code === PARENTHESIS) {
        const inner = afterSpace(text, at + 1);
        if (text.charCodeAt(inner) !== ASTERISK) name = last;
        else {
          name = afterSpace(text, inner + 1);
          if (classes[text.charCodeAt(name)] !== WORD) return undefined;
        }
        const found = text.slice(name, name === -1 ? 0 : endOfWord(text, name));
        if (found === "" || /^(?:typeof|__typeof__|__typeof|const|volatile)$/.test(found)) return undefined;
      }
      at++;
    }
  }
}

function isComment(text: string, at: number): boolean {
  const next = text.charCodeAt(at + 1);
  return next === SLASH || next === 42;
}

function endOfWord(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const code = text.charCodeAt(at);
    // Past the end there is no number, which is less than nothing.
    if (!(code < 128) || (classes[code] !== WORD && classes[code] !== DIGIT)) return at;
    at++;
  }
}

/** True for a word that begins a definition of a struct or union with a tag, or of any enum; assertions are to be checked at once. */
function declares(text: string, start: number, end: number): boolean {
  const first = text.charCodeAt(start);
  // s, u, e, _
  if (first !== 115 && first !== 117 && first !== 101 && first !== 95) return false;
  const length = end - start;
  if (length === 14 || length === 13) {
    const word = text.slice(start, end);
    if (word === "_Static_assert" || word === "static_assert") return true;
  }
  const isEnum = length === 4 && text.startsWith("enum", start);
  if (
    !isEnum &&
    !(length === 6 && text.startsWith("struct", start)) &&
    !(length === 5 && text.startsWith("union", start))
  )
    return false;
  let at = afterSpace(text, end);
  const hasTag = classes[text.charCodeAt(at)] === WORD;
  if (hasTag) at = afterSpace(text, endOfWord(text, at));
  return text.charCodeAt(at) === OPEN && (isEnum || hasTag);
}

function afterSpace(text: string, start: number): number {
  let at = start;
  while (classes[text.charCodeAt(at)] === SPACE) at++;
  return at;
}
