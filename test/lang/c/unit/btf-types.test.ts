/** Types of C in BTF, as clang writes them. */
import { describe, expect, test } from "vitest";
import { Btf, BtfKind } from "../../../../src/btf/index.ts";
import { compileC } from "../../../../src/lang/c/compile.ts";
import { readObject } from "../../../../src/object/index.ts";
import { clang } from "../../../object/clang-text.ts";
import { describeWith } from "../../../support/needs.ts";
import { specText, typeText } from "../spec-text.ts";

const kinds: ReadonlySet<number> = new Set([
  BtfKind.STRUCT,
  BtfKind.UNION,
  BtfKind.ENUM,
  BtfKind.ENUM64,
  BtfKind.TYPEDEF,
  BtfKind.FWD,
]);

/** Named types with their structure, in the order of their names. */
function named(btf: Btf): string[] {
  const found: string[] = [];
  for (let id = 1; id < btf.typeCount; id++) {
    if (!kinds.has(btf.kindOf(id)) || btf.nameOf(id) === "") continue;
    found.push(`${btf.kindOf(id)} ${btf.nameOf(id)}: ${typeText(btf, id)}`);
  }
  return [...new Set(found)].toSorted();
}

function btfOf(source: string): Btf {
  return Btf.parse(compileC({ name: "t.c", text: source }).object.btf!);
}

const sources: readonly (readonly [string, string])[] = [
  [
    "integers",
    "char a; signed char b; unsigned char c; short d; unsigned e; long f; unsigned long g; long long h; unsigned long long i; _Bool j; __int128 k; unsigned __int128 l;",
  ],
  ["floats", "float a; double b;"],
  ["pointers", "int *a; void *b; char **c; const char *d; char *const e; int (*f)[3]; void *const volatile g;"],
  [
    "qualifiers",
    'const int a = 1; volatile int b; const volatile int c = 2; int *restrict d; const char e[] = "x"; const volatile char f[4];',
  ],
  ["arrays", "int a[3]; int b[2][3]; struct { int n; char tail[]; } c; int *d[4]; const char *const e[2];"],
  [
    "structs",
    "struct a { int x; long y; } a; struct { char c; } b; union u { int i; char c[4]; } u; struct { struct { int i; }; union { int j; long k; }; } n;",
  ],
  [
    "bitfields",
    "struct { unsigned a : 3, : 2, b : 9; int : 0; long c : 40; _Bool d : 1; } a; struct __attribute__((packed)) { char c; unsigned x : 13; long y : 51; } b;",
  ],
  [
    "packed and aligned",
    "struct { char c; int i; } __attribute__((packed)) a; struct { char c; int i __attribute__((aligned(16))); } b; struct { char c; } __attribute__((aligned(8))) c;",
  ],
  [
    "typedefs",
    "typedef unsigned u32; typedef u32 id; typedef struct { id i; } s; typedef s *p; s a; p b; typedef int fn(int, char *); fn *c; typedef int arr[3]; arr d;",
  ],
  ["enums", "enum e { A, B = 5, C } a; enum { D = -1, E } b; enum f { F = 0xffffffff } c; struct { enum e x; } d;"],
  [
    "structs behind pointers of members are declared",
    "struct far { int x; }; struct near { struct far *f; struct unknown *u; union un *v; struct near *self; } a;",
  ],
  [
    "structs that are used elsewhere are whole",
    "struct far { int x; }; struct near { struct far *f; } a; struct far b;",
  ],
  [
    "structs behind pointers of variables are whole",
    "struct far { int x; struct farther *f; }; struct farther { long y; }; struct far *a;",
  ],
  [
    "lists",
    "struct list { struct list *next, *prev; }; struct { struct list head; const struct list *p; struct list **q; } a;",
  ],
  [
    "functions",
    "struct s { int x; }; int f(struct s *s, const char *name, unsigned long n) { return n; } void g(void) { } long h(int (*callback)(int), ...);",
  ],
  ["unused types are not there", "struct unused { int x; }; typedef struct unused *p; int a;"],
  ["pointers to functions", "int (*a)(int, void *); struct { long (*f)(const char *); } b; void (*c)(void);"],
  [
    "tags of types",
    '#define T __attribute__((btf_type_tag("user")))\nint T *a; struct { char T *name; const char T *b; } s;',
  ],
];

describeWith(["clang"], "types are clang's", () => {
  test.each(sources)("%s", (_, source) => {
    const theirs = readObject(clang(source, "-mcpu=v3"), { name: "t.c" });
    const { object } = compileC({ name: "t.c", text: source });
    expect(specText(object)["variables"]).toEqual(specText(theirs)["variables"]);
    const own = named(Btf.parse(object.btf!));
    const clangs = named(Btf.parse(theirs.btf!));
    expect(own).toEqual(clangs);
  });
});

describe("types beyond clang 14", () => {
  test("enums of 64 bits", () => {
    const btf = btfOf("enum big { SMALL, BIG = 0x1234567890 } a; enum { NEGATIVE = -0x1234567890 } b;");
    expect(named(btf)).toEqual([`${BtfKind.ENUM64} big: enum big 8 {SMALL=0, BIG=78187493520}`]);
    expect([...btf.idsByKind(BtfKind.ENUM64)].map((id) => typeText(btf, id))).toContain(
      "enum  8 {NEGATIVE=-78187493520}",
    );
  });

  test("structs behind pointers in prototypes of members stay declarations", () => {
    const btf = btfOf("struct file { int x; }; struct ops { int (*open)(struct file *); } a;");
    expect(named(btf).filter((text) => text.includes(" file"))).toEqual([`${BtfKind.FWD} file: file`]);
  });
});
