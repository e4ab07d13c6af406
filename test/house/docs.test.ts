import { describe, expect, it } from "vitest";
import { type Export, exportsOf, importsOf, scan } from "./scanner.ts";
import { type SourceFile, sourceFiles } from "./sources.ts";

const lineLimit = 700;

/** Source, and its exports as `name: doc`. */
const cases: readonly (readonly [source: string, exports: readonly string[]])[] = [
  ["/** Doc. */ export const a = 1;", ["a: Doc."]],
  ["/* no doc */ export let a = 1, b;", ["a: "]],
  ["/** Far. */\nconst x = 1;\nexport function f(): void {}", ["f: "]],
  ["/** One. */ export function f(a: 1): 1;\nexport function f(a: any) { return a; }", ["f: One."]],
  ["/**\n * Two\n * lines.\n */\nexport abstract class C { /** in */ m() {} }", ["C: Two\n lines."]],
  ["/** T. */ export type T = { a: 1 };", ["T: T."]],
  [
    "export { a, type B } from './a.ts'; export type { C } from './c.ts'; export * from './d.ts'",
    ["list", "list", "list"],
  ],
  ["/** D. */ export default { a: 1 };", ["default: D."]],
  ["/** G. */ export async function* g() { yield /export/; }", ["g: G."]],
  ["const t = `export const ${`a ${{ b: '}' }.b}`} = 1`;\n/** A. */ export const a = t;", ["a: A."]],
  ["const r = a / 2 / b; const q = x.map((y) => /[/'\"`]/.test(y)); /** A. */ export const a = 1;", ["a: A."]],
  ["let n = a[0]! / 2; n = n++ / 3; const m = !/'/.test(b); /** A. */ export const a = 1;", ["a: A."]],
  ["// export const a = 1;\n/* export const b = 2; */ 'export const c'", []],
];

function shown(found: Export): string {
  return found.list ? "list" : `${found.name}: ${found.doc}`;
}

describe("exports of a module", () => {
  it.each(cases)("%s", (source, exports) => {
    expect(exportsOf(scan(source)).map(shown)).toEqual(exports);
  });

  it.each(["`${`", "f(]", '"a', "/* */ {"])("refuses %s", (source) => {
    expect(() => scan(source)).toThrow(SyntaxError);
  });
});

describe("src/", () => {
  const files = sourceFiles();
  const isIndex = (file: SourceFile): boolean => file.path.endsWith("/index.ts");

  it("has a doc comment on every export", () => {
    const bare = files
      .filter((file) => !isIndex(file))
      .flatMap((file) =>
        exportsOf(file.tokens)
          .filter(({ doc, list }) => doc === "" && !list)
          .map(({ name, line }) => `${file.path}:${line}: export ${name} has no doc comment`),
      );
    expect(bare).toEqual([]);
  });

  it("exports where it declares, and gathers in index.ts, by name", () => {
    const wrong = files.flatMap((file) => {
      const lists = exportsOf(file.tokens).filter(({ list }) => list);
      if (!isIndex(file)) return lists.map(({ line }) => `${file.path}:${line}: a list of exports outside index.ts`);
      const modules = importsOf(file.tokens);
      const declared = exportsOf(file.tokens).filter(({ list }) => !list);
      return [
        ...modules
          .filter(({ reExport }) => !reExport)
          .map(({ line }) => `${file.path}:${line}: an import, not a re-export`),
        ...modules
          .filter(({ star }) => star)
          .map(({ line }) => `${file.path}:${line}: names missing, export * hides what is public`),
        ...declared.map(({ line, name }) => `${file.path}:${line}: declares ${name}`),
      ];
    });
    expect(wrong).toEqual([]);
  });

  it("begins every index.ts with what the room is", () => {
    const bare = files.filter((file) => isIndex(file) && !file.tokens[0]?.text.startsWith("/**"));
    expect(bare.map(({ path }) => path)).toEqual([]);
  });

  it(`has no file over ${lineLimit} lines that a person wrote`, () => {
    const long = files
      .filter((file) => !file.generated)
      .map((file) => ({ path: file.path, lines: file.text.split("\n").length - 1 }))
      .filter(({ lines }) => lines > lineLimit);
    expect(long).toEqual([]);
  });
});
