import { describe, expect, it } from "vitest";
import { complaint, roomOf, rooms } from "./rooms.ts";
import { importsOf, scan } from "./scanner.ts";
import { sourceFiles } from "./sources.ts";

/** Path, source, and the complaint about it. */
const cases: readonly (readonly [path: string, source: string, wrong: string | undefined])[] = [
  ["src/isa/a.ts", `import { b } from "./b.ts";`, undefined],
  ["src/isa/uapi/a.ts", `import { b } from "../b.ts";`, undefined],
  ["src/isa/a.ts", `import { c } from "../base/index.ts";`, undefined],
  ["src/isa/a.ts", `import type { c } from "../btf/index.ts";`, "isa may not import btf"],
  ["src/isa/a.ts", `type C = import("../btf/index.ts").C;`, "isa may not import btf"],
  ["src/base/a.ts", `import { c } from "../isa/index.ts";`, "base may not import isa"],
  ["src/vm/a.ts", `import fs from "node:fs";`, "vm also runs in a browser: no node:fs"],
  ["src/vm/a.ts", `const fs = await import("fs");`, "vm may not import the package fs"],
  ["src/kernel/linux/a.ts", `import koffi from "koffi"; import "node:fs"; import "../kernel.ts";`, undefined],
  ["src/kernel/soft/a.ts", `import koffi from "koffi";`, "kernel/soft may not import the package koffi"],
  ["src/kernel/soft/a.ts", `export * from "../linux/index.ts";`, "kernel/soft may not import kernel/linux"],
  ["src/kernel/linux/a.ts", `import "../../lang/bpftrace/index.ts";`, "kernel/linux may not import lang/bpftrace"],
  ["src/lang/bpftrace/a.ts", `import "../../compiler/index.ts";`, undefined],
  ["src/lang/bpftrace/a.ts", `import "../c/index.ts";`, "lang/bpftrace may not import lang/c"],
  ["src/lang/bpftrace/a.ts", `import "../../kernel/index.ts";`, "lang/bpftrace may not import kernel"],
  ["src/runtime/a.ts", `import "../lang/bpftrace/index.ts"; import "../kernel/linux/index.ts";`, undefined],
  ["src/runtime/a.ts", `import "../cli/index.ts";`, "runtime may not import cli"],
  ["src/cli/a.ts", `import "../tools/index.ts"; import "node:os";`, undefined],
  ["src/index.ts", `export { a } from "./runtime/index.ts";`, undefined],
  ["src/isa/a.ts", `import "./b";`, "./b: imports end in .ts"],
  ["src/isa/a.ts", `import "../../test/b.ts";`, "../../test/b.ts is outside src/"],
  ["src/attic/a.ts", `import "./b.ts";`, "src/attic/a.ts is in no room"],
];

/** Objects of Node, used and not merely named. */
const nodeGlobals = /^(process|Buffer|require|__dirname|__filename|setImmediate)$/;

describe("the table of rooms", () => {
  it.each(cases)("%s: %s", (path, source, wrong) => {
    const complaints = importsOf(scan(source)).map((found) => complaint(path, found));
    expect(complaints.find((text) => text !== undefined)).toBe(wrong);
  });
});

describe("src/", () => {
  const files = sourceFiles();

  it("imports only downwards", () => {
    const wrong = files.flatMap((file) =>
      importsOf(file.tokens).flatMap((found) => {
        const text = complaint(file.path, found);
        return text ? [`${file.path}:${found.line}: ${text}`] : [];
      }),
    );
    expect(wrong).toEqual([]);
  });

  it("uses no global of Node in rooms that also run in a browser", () => {
    const wrong = files
      .filter((file) => !rooms[roomOf(file.path)?.name ?? "."]?.node)
      .flatMap(({ path, tokens }) =>
        tokens.flatMap((token, index) => {
          const used =
            token.kind === "word" && nodeGlobals.test(token.text) && /^[.([?]$/.test(tokens[index + 1]?.text ?? "");
          return used && !/^[.]$|^function$/.test(tokens[index - 1]?.text ?? "")
            ? [`${path}:${token.line}: ${token.text}`]
            : [];
        }),
      );
    expect(wrong).toEqual([]);
  });
});
