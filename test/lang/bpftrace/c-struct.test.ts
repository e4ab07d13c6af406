import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { StructLayout, Type } from "../../../src/lang/bpftrace/index.ts";
import { describeWith } from "../../support/needs.ts";
import { check } from "./support/check.ts";

/** Definitions whose last struct is laid out. Members that are no bit fields are compared by offset, all by the size of the whole. */
const DEFINITIONS: readonly string[] = [
  "struct s { char a; int b; char c; long d; short e; };",
  "struct s { char a; short b[3]; char c[5]; long long d; };",
  "struct s { char a; struct { int b; char c; }; union { long d; char e[3]; }; char f; };",
  "struct in { char a; long b; }; struct s { char x; struct in y; struct in z[2]; char w; };",
  "struct s { char a; int b; long c; } __attribute__((packed));",
  "struct s { int a : 3; int b : 5; unsigned c : 30; char d; };",
  "struct s { char a; int b : 7; int : 0; int c : 2; char d; long e : 40; };",
  "struct s { unsigned char a : 4; unsigned char b : 4; unsigned short c : 9; int d; };",
  "struct s { struct s *next; struct other *p; void (*f)(int, char); int *q[4]; const char *const r; };",
  "enum e { A, B = 5, C }; struct s { char a; enum e b; enum e c[2]; };",
  "#define N 3\n#define M (N * 2 + 1)\nstruct s { char a[N]; int b[M][2]; };",
  "typedef unsigned int word; typedef struct { char a; word b; } pair; struct s { char x; pair y; word z; };",
  "union u { char a; long b; int c[3]; }; struct s { char a; union u b; char c; };",
  "struct s { unsigned long long a; unsigned short b; signed char c; _Bool d; size_t e; };",
  "union s { struct { int a; long b; }; char c[20]; };",
];

/** The type of the last definition, as a script sees it. */
function laidOut(definition: string): Type & { kind: "struct" } {
  const keyword = /\b(struct|union) s \{/.exec(definition)![1]!;
  const program = check(`${definition}\nBEGIN { $p = (${keyword} s *)0; }`).programs[0]!;
  const { type } = program.variables[0]!;
  if (type.kind !== "pointer" || type.to.kind !== "struct") throw new TypeError(type.kind);
  return type.to;
}

function offsets(layout: StructLayout): Map<string, number> {
  return new Map(layout.fields().flatMap((f) => (f.bitfield ? [] : [[f.name, f.byteOffset] as const])));
}

describeWith(["clang"], "structs are laid out as clang does", () => {
  test.each(DEFINITIONS)("%s", (definition) => {
    const type = laidOut(definition);
    const places = offsets(type.layout);
    const directory = mkdtempSync(join(tmpdir(), "skep-c-"));
    try {
      // Constants of an object are read without running it.
      const asserts = [...places].map(
        ([n, offset]) => `_Static_assert(offsetof(${type.keyword} s, ${n}) == ${offset}, "${n}");`,
      );
      const text = `#include <stddef.h>\n${definition}\n_Static_assert(sizeof(${type.keyword} s) == ${type.size}, "size");\n${asserts.join("\n")}\n`;
      const file = join(directory, "a.c");
      writeFileSync(file, text);
      const { status, stderr } = spawnSync("clang", ["-fsyntax-only", file], { encoding: "utf8" });
      expect(stderr).toBe("");
      expect(status).toBe(0);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("values of bit fields", () => {
    const type = laidOut(
      "struct s { unsigned a : 3; unsigned b : 7; unsigned c : 25; unsigned char d : 2; unsigned short e : 12; };",
    );
    const directory = mkdtempSync(join(tmpdir(), "skep-c-"));
    try {
      const file = join(directory, "a.c");
      const object = join(directory, "a.out");
      writeFileSync(
        file,
        `#include <stdio.h>\nstruct s { unsigned a : 3; unsigned b : 7; unsigned c : 25; unsigned char d : 2; unsigned short e : 12; };\n` +
          `int main(void) { struct s s = { 5, 99, 0x1234567, 2, 0xabc }; fwrite(&s, sizeof s, 1, stdout); }\n`,
      );
      expect(spawnSync("clang", ["-O1", "-o", object, file]).status).toBe(0);
      const bytes = spawnSync(object).stdout;
      expect(bytes).toHaveLength(type.size);
      const read = (name: string): number => {
        const { byteOffset, bitfield, type: storage } = type.layout.field(name)!;
        const size = storage.kind === "int" ? storage.size : 0;
        return (bytes.readUIntLE(byteOffset, size) >>> bitfield!.bitOffset) & (2 ** bitfield!.bitSize - 1);
      };
      expect(["a", "b", "c", "d", "e"].map(read)).toEqual([5, 99, 0x1234567, 2, 0xabc]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
