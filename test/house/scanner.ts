/**
 * A scanner of TypeScript, exact enough to find imports, exports and comments: it knows strings, templates, regular expressions and
 * nesting, and nothing of grammar. TypeScript 7 has no API that gives a syntax tree.
 */

/** What a token is. Keywords are words; template literals are cut at their substitutions. */
export type TokenKind = "word" | "number" | "string" | "template" | "regexp" | "punctuation" | "comment";

/** One token of a source text. */
export interface Token {
  readonly kind: TokenKind;
  /** As written, quotes included. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
  /** Brackets of all kinds that are open around it, template substitutions included. An opening bracket counts as outside. */
  readonly depth: number;
}

const patterns = {
  space: /\s+/y,
  comment: /\/\/[^\n]*|\/\*[^]*?\*\//y,
  word: /#?[\p{ID_Start}$_][\p{ID_Continue}$]*/uy,
  number: /\d(?:[eE][+-]\d|[\w.])*/y,
  string: /"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'/y,
  regexp: /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y,
  twice: /\+\+|--/y,
  templatePart: /(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y,
};

/** Words after which a slash begins a regular expression, though other words end an operand. */
const operators = new Set([
  "return",
  "typeof",
  "case",
  "in",
  "of",
  "delete",
  "void",
  "throw",
  "new",
  "else",
  "do",
  "yield",
  "await",
]);

/** Whether a slash after `token` divides. A postfix operator leaves that as it was. */
function endsOperand({ kind, text }: Token, before: boolean): boolean {
  if (kind === "punctuation") return /^[)\]}]$/.test(text) || (before && /^(!|\+\+|--)$/.test(text));
  if (kind === "word") return !operators.has(text);
  return kind !== "template" || text.endsWith("`");
}

/** The tokens of a source text, comments included. Throws a SyntaxError, with the line, at what it cannot read. */
export function scan(source: string): Token[] {
  const tokens: Token[] = [];
  /** Closing brackets awaited; a substitution of a template awaits "${". */
  const open: string[] = [];
  let offset = source.startsWith("#!") ? source.indexOf("\n") : 0;
  let line = 1;
  let afterOperand = false;

  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = offset;
    return pattern.exec(source)?.[0];
  };
  const fail = (what: string): never => {
    throw new SyntaxError(`line ${line}: ${what}: ${source.slice(offset, offset + 40)}`);
  };
  const push = (kind: TokenKind, text: string, depth: number = open.length): void => {
    const token: Token = { kind, text, line, depth };
    tokens.push(token);
    if (kind !== "comment") afterOperand = endsOperand(token, afterOperand);
    offset += text.length;
    for (const character of text) if (character === "\n") line++;
  };
  const pushTemplatePart = (start: string): void => {
    offset += start.length;
    const rest = take(patterns.templatePart) ?? fail("template literal without end");
    offset -= start.length;
    push("template", start + rest);
    if (rest.endsWith("${")) open.push("${");
  };

  while (offset < source.length) {
    const space = take(patterns.space);
    if (space) {
      offset += space.length;
      for (const character of space) if (character === "\n") line++;
      continue;
    }
    const character = source[offset] ?? "";
    const comment = take(patterns.comment);
    const word = take(patterns.word);
    if (comment) push("comment", comment);
    else if (word) push("word", word);
    else if (/\d/.test(character)) push("number", take(patterns.number) ?? fail("number"));
    else if (character === '"' || character === "'")
      push("string", take(patterns.string) ?? fail("string without end"));
    else if (character === "`") pushTemplatePart("`");
    else if (character === "/" && !afterOperand)
      push("regexp", take(patterns.regexp) ?? fail("regular expression without end"));
    else if (character === "}" && open.at(-1) === "${") {
      open.pop();
      pushTemplatePart("}");
    } else if ("([{".includes(character)) {
      push("punctuation", character);
      open.push({ "(": ")", "[": "]", "{": "}" }[character] ?? "");
    } else if (")]}".includes(character)) {
      if (open.pop() !== character) fail("bracket that closes nothing");
      push("punctuation", character);
    } else push("punctuation", take(patterns.twice) ?? character);
  }
  if (open.length > 0) fail(`end of file, ${open.length} bracket(s) open`);
  return tokens;
}

/** A module that a source names. */
export interface Import {
  /** As written, without quotes. */
  readonly module: string;
  readonly line: number;
  /** `export ... from` rather than an import. */
  readonly reExport: boolean;
  /** `import * as` or `export *`. */
  readonly star: boolean;
}

/**
 * Every module named by import and export declarations, by `import()` and by `require()`. Imports of types are among them: they
 * vanish when compiled, but a room that knows another's types depends on it.
 */
export function importsOf(tokens: readonly Token[]): Import[] {
  const found: Import[] = [];
  const code = tokens.filter((token) => token.kind !== "comment");
  for (const [index, token] of code.entries()) {
    if (token.kind !== "string") continue;
    const before = code[index - 1];
    const twoBefore = code[index - 2];
    const isCall =
      before?.text === "(" &&
      (twoBefore?.text === "import" || twoBefore?.text === "require") &&
      code[index - 3]?.text !== ".";
    const isDeclaration = before?.depth === 0 && (before.text === "from" || before.text === "import");
    if (!isCall && !isDeclaration) continue;
    let start = index;
    while (start > 0 && !(code[start]?.depth === 0 && /^(import|export)$/.test(code[start]?.text ?? ""))) start--;
    const declaration = code.slice(start, index);
    found.push({
      module: token.text.slice(1, -1),
      line: token.line,
      reExport: isDeclaration && declaration[0]?.text === "export",
      star: declaration.some((part) => part.text === "*" && part.depth === 0),
    });
  }
  return found;
}

/** An exported declaration, or a list of exports. */
export interface Export {
  /** Undefined for lists (`export { a }`, `export * from`) and for a default export without a name. */
  readonly name: string | undefined;
  readonly line: number;
  /** Text of the doc comment right before it, without its marks; empty when there is none. */
  readonly doc: string;
  /** A list of names that are declared elsewhere. */
  readonly list: boolean;
}

const declarators = new Set(["function", "class", "const", "let", "var", "interface", "type", "enum", "namespace"]);
const modifiers = new Set(["default", "declare", "abstract", "async"]);

/** The exports at the top of a module, in order. Overloads of a function come as one, with the first one's doc. */
export function exportsOf(tokens: readonly Token[]): Export[] {
  const found: Export[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token.text !== "export" || token.kind !== "word" || token.depth !== 0 || tokens[index - 1]?.text === ".")
      continue;
    const code = tokens.slice(index + 1, index + 12).filter((next) => next.kind !== "comment");
    let at = 0;
    while (modifiers.has(code[at]?.text ?? "")) at++;
    const declarator = code[at];
    const isType = declarator?.text === "type" && code[at + 1]?.kind !== "word";
    const list = !declarators.has(declarator?.text ?? "") || isType;
    const name = list ? undefined : code.slice(at + 1).find((next) => next.kind === "word")?.text;
    if (list && at > 0) found.push({ name: "default", line: token.line, doc: docBefore(tokens, index), list: false });
    else if (name === undefined || found.at(-1)?.name !== name)
      found.push({ name, line: token.line, doc: docBefore(tokens, index), list });
  }
  return found;
}

function docBefore(tokens: readonly Token[], index: number): string {
  const before = tokens[index - 1];
  if (before?.kind !== "comment" || !before.text.startsWith("/**")) return "";
  return before.text
    .slice(3, -2)
    .replace(/^[ \t]*\*+/gm, "")
    .trim();
}
