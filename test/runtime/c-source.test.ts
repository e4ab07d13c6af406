/** C sources through `open()` and `compileSources`. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CompileError } from "../../src/lang/c/index.ts";
import { compileSources, lackOfTypes } from "../../src/runtime/c-source.ts";
import { open } from "../../src/runtime/index.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";

const HEAD = `#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n`;
const LICENSE = `char LICENSE[] SEC("license") = "GPL";\n`;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "skep-c-source-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Writes a file; returns its path. */
function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe("sources", () => {
  const main = {
    name: "main.bpf.c",
    text: `${HEAD}int add(int x);
static int own(void) { return 1; }
SEC("socket") int answer(void *ctx) { return add(own() + 40); }
${LICENSE}`,
  };
  const other = {
    name: "other.bpf.c",
    text: `${HEAD}int calls;\n__attribute__((noinline)) int add(int x) { calls++; return x + 1; }\n${LICENSE}`,
  };

  test("one", () => {
    const { object, dialect } = compileSources([{ name: "x/one.bpf.c", text: `${HEAD}${other.text}` }]);
    expect([object.name, dialect, object.license]).toEqual(["one", "libbpf", "GPL"]);
  });

  test("several are one program, in either order, each with its license", () => {
    for (const sources of [
      [main, other],
      [other, main],
    ]) {
      const { object } = compileSources(sources);
      expect(object.name).toBe(sources[0]!.name.split(".")[0]);
      expect(object.programs.map(({ name }) => name)).toEqual(["answer"]);
      expect([object.license, object.variables?.map(({ name }) => name)]).toEqual(["GPL", ["calls"]]);
    }
    expect(() => compileSources([main])).toThrow(/main\.bpf\.c:\d+:\d+: error: add is declared and not defined/);
  });

  test("errors name the source that they are in", () => {
    const bad = { name: "bad.bpf.c", text: "int f(void) { return nothing; }\n" };
    expect(() => compileSources([main, bad])).toThrow(/bad\.bpf\.c:1:22: error: /);
    const twice = { name: "twice.bpf.c", text: "static int own(void) { return 2; }\n" };
    expect(() => compileSources([main, other, twice])).toThrow(/twice\.bpf\.c:1:12: error: /);
  });

  test("BCC's dialect by what one of them uses", () => {
    const table = { name: "table.c", text: "BPF_HASH(counts, u32);\n" };
    const user = {
      name: "user.c",
      text: "int kprobe__f(void *ctx) { u32 key = 1; counts.increment(key); return 0; }\n",
    };
    const { dialect, bcc } = compileSources([table, user]);
    expect([dialect, bcc?.tables.map(({ name }) => name)]).toEqual(["bcc", ["counts"]]);
  });

  test("variables of functions tell records", () => {
    const text = `${HEAD}struct event { int a, b; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
SEC("tp/a/b") int f(void *ctx) {
  struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
  if (e) bpf_ringbuf_submit(e, 0);
  return 0;
}
${LICENSE}`;
    const { object } = compileSources([{ name: "x.c", text }], { localTypes: true });
    expect(object.locals?.map(({ name, function: owner }) => [owner, name])).toContainEqual(["f", "e"]);
    expect(compileSources([{ name: "x.c", text }]).object.locals).toBeUndefined();
  });

  test("what is missing where the kernel does not tell its types", () => {
    try {
      compileSources([{ name: "x.c", text: "#include <vmlinux.h>\nint f(struct task_struct *t) { return t->pidd; }" }]);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(CompileError);
      expect(lackOfTypes(error as CompileError, { kernelTypes: undefined as never })).toBeOneOf([
        undefined,
        expect.stringContaining("/sys/kernel/btf/vmlinux"),
      ]);
    }
  });
});

describeWith(["linux", "root", "bpf"], "open() of C", () => {
  const answer = `${HEAD}int seen;\nSEC("socket") int answer(void *ctx) { seen++; return VALUE; }\n${LICENSE}`;

  test("a file, options, what it runs", async () => {
    using obj = await open(write("prog.bpf.c", answer), { c: { macros: [{ define: "VALUE=42" }] } });
    expect(obj.name).toBe("prog");
    await obj.load();
    expect(obj.programs["answer"]!.testRun(new Uint8Array(64))).toBe(42);
    expect(obj.globals.bss["seen"]).toBe(1);
  });

  test("a text, named otherwise", async () => {
    using obj = await open({ name: "text.bpf.c", text: answer.replace("VALUE", "7") }, { name: "other" });
    expect(obj.name).toBe("other");
    await obj.load();
    expect(obj.programs["answer"]!.testRun(new Uint8Array(64))).toBe(7);
  });

  test("headers beside the file", async () => {
    write("value.h", "#define VALUE 5\n");
    using obj = await open(write("with.bpf.c", `#include "value.h"\n${answer}`));
    await obj.load();
    expect(obj.programs["answer"]!.testRun(new Uint8Array(64))).toBe(5);
  });

  test("what is wrong", async () => {
    await expect(open(join(directory, "none.c"))).rejects.toThrow(/none\.c: no such file/);
    await expect(open(write("wrong.bpf.c", "int f( {"))).rejects.toThrow(CompileError);
    await expect(open(write("wrong.bpf.c", "int f( {"))).rejects.toThrow(/wrong\.bpf\.c:1:8: error: /);
    await expect(open(write("text.o", answer))).rejects.toThrow(/ELF/);
  });
});

describeWith(["clang"], "C beside clang's objects", () => {
  test("is linked to them", async () => {
    const path = write("lib.o", "");
    writeFileSync(path, compileProgram("perf"));
    const text = `${HEAD}SEC("socket") int more(void *ctx) { return 3; }\nchar license[] SEC("license") = "GPL";\n`;
    using obj = await open([{ name: "more.bpf.c", text }, path]);
    expect(Object.keys(obj.spec.programs)).toEqual(["more", "on_getppid"]);
  });
});
