/** CO-RE records: the same questions about the same members as clang asks. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Btf } from "../../../../src/btf/index.ts";
import { compileC } from "../../../../src/lang/c/compile.ts";
import { type BpfObject, readObject } from "../../../../src/object/index.ts";
import { temporaryDirectory } from "../../../object/clang-text.ts";
import { describeWith } from "../../../support/needs.ts";

const PRELUDE = `
#define SEC(name) __attribute__((section(name), used))
#define PAI __attribute__((preserve_access_index))
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
enum color { RED, GREEN = 7, BLUE };
typedef enum { SMALL = 1, LARGE = 2 } size_kind;
struct in { int a; int b[4]; char c[8][2]; } PAI;
struct out {
  long p;
  struct in i;
  struct in arr[3];
  union { int u1; struct { short s1, s2; }; };
  struct in *next;
  struct { int x; struct { int y; } deep; } anon;
  volatile int v;
} PAI;
typedef struct { int one, two; } PAI named_t;
struct plain { int a; struct in inner; int *p; };
struct bits { u32 f1 : 3, f2 : 7; u64 f3 : 40; int g : 5; } PAI;
static long (*const probe)(void *, u32, const void *) = (void *)113;
#define core(x) __builtin_preserve_access_index(x)
`;

/** Statements that see `struct out *o`, `struct plain *q`, `named_t *n`, `struct bits *t` and an unknown `k`, and may `return`. */
const accesses = [
  "return o->p;",
  "return o->i.b[2];",
  "return o->i.b[k & 3];",
  "return o->arr[1].a + o->arr[k & 1].b[1];",
  "return o[2].i.a;",
  "return o->u1 + o->s2;",
  "return o->next->b[3];",
  "return o->anon.deep.y;",
  "return o->v;",
  "return o->i.c[3][1];",
  "return core(o->i.c[3][1]);",
  "o->i.a = 5; o->s1 += 3; o->arr[2].b[1]++; return 0;",
  "return (long)&o->arr[1].b[2];",
  "return (*o).i.a;",
  "return q->a;",
  "return q->inner.b[1];",
  "return n->two;",
  "int x; probe(&x, 4, core(&q->inner.a)); return x;",
  "int x; probe(&x, 4, core(&q->a)); return x;",
  "int *x; probe(&x, 8, core(&q->p)); return x != 0;",
  "struct in s; probe(&s, sizeof(s), core(&o->arr[2])); return s.a;",
  "return core(o->i.a);",
  "return __builtin_preserve_field_info(o->i.b, 0) + __builtin_preserve_field_info(o->i.b, 1) + __builtin_preserve_field_info(o->s2, 2);",
  "return __builtin_preserve_field_info(((struct out *)0)->anon.x, 2) + __builtin_preserve_field_info(o->u1, 3);",
  "return __builtin_preserve_field_info(t->f2, 4) + __builtin_preserve_field_info(t->f3, 5) + __builtin_preserve_field_info(t->f2, 0) + __builtin_preserve_field_info(t->g, 1);",
  "return __builtin_preserve_field_info(q->inner.a, 2);",
  "return __builtin_preserve_type_info(*(struct out *)0, 0) + __builtin_preserve_type_info(*(struct in *)0, 1);",
  "return __builtin_preserve_type_info(*(named_t *)0, 0) + __builtin_preserve_type_info(*(size_kind *)0, 0);",
  "return __builtin_preserve_enum_value(*(enum color *)GREEN, 1) + __builtin_preserve_enum_value(*(enum color *)BLUE, 0);",
  "return __builtin_preserve_enum_value(*(size_kind *)LARGE, 1);",
  "return __builtin_btf_type_id(*(struct out *)0, 0) + __builtin_btf_type_id(*(struct in *)0, 1);",
];

function source(text: string): string {
  return `${PRELUDE}
SEC("raw_tp/x") int prog(u64 *ctx) {
  struct out *o = (void *)ctx[0]; struct plain *q = (void *)ctx[1]; named_t *n = (void *)ctx[2]; struct bits *t = (void *)ctx[3]; long k = ctx[4];
  (void)o; (void)q; (void)n; (void)t; (void)k;
  ${text}
}
char _license[] SEC("license") = "GPL";
`;
}

/** The records of an object as text: kind, root type, access; each once. */
function records(object: BpfObject): string[] {
  const btf = Btf.parse(object.btf!);
  const texts = object.programs.flatMap((program) =>
    (program.coreRelocations ?? []).map(({ kind, typeId, access }) => {
      const type = btf.typeById(typeId);
      return `${kind} ${"name" in type ? type.name : "?"} ${access}`;
    }),
  );
  return [...new Set(texts)].toSorted();
}

describeWith(["clang", "libbpf"], "CO-RE records", () => {
  test.each(accesses)("%s", (text) => {
    const { path, remove } = temporaryDirectory();
    try {
      const out = join(path, "out.o");
      const flags = ["-target", "bpf", "-w", "-g", "-O2", "-mcpu=v3", "-x", "c", "-", "-c", "-o", out];
      execFileSync("clang", flags, { input: source(text), stdio: "pipe" });
      const theirs = readObject(new Uint8Array(readFileSync(out)), { name: "clang" });
      const { object } = compileC({ name: "core.bpf.c", text: source(text) });
      expect(records(object)).toEqual(records(theirs));
    } finally {
      remove();
    }
  });

  test("a bitfield is read by its unit and two shifts that loaders correct", () => {
    const { object } = compileC({ name: "core.bpf.c", text: source("return t->f2 + t->f3;") });
    expect(records(object)).toEqual([
      "0 bits 0:1",
      "0 bits 0:2",
      "4 bits 0:1",
      "4 bits 0:2",
      "5 bits 0:1",
      "5 bits 0:2",
    ]);
  });
});
