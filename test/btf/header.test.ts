/** The kernel's types as a C header: clang compiles it, and lays every struct out as the kernel's BTF says. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Btf, BtfBuilder, BtfIntEncoding, BtfKind, printBtfHeader } from "../../src/btf/index.ts";
import { describeWith } from "../support/needs.ts";

const directory = mkdtempSync(join(tmpdir(), "skep-header-"));
afterAll(() => rmSync(directory, { recursive: true }));

function compile(name: string, text: string): string {
  const file = join(directory, `${name}.c`);
  writeFileSync(file, text);
  const { stderr, status } = spawnSync(
    "clang",
    ["-target", "bpf", "-g", "-O2", "-Wall", "-Werror", "-Wno-unused", "-c", file, "-o", join(directory, `${name}.o`)],
    { encoding: "utf8", maxBuffer: 1 << 26 },
  );
  return status === 0 ? "" : stderr.slice(0, 4000);
}

/** Assertions of size and offsets for all structs and unions that are not told apart by a number. */
function layoutChecks(btf: Btf): string[] {
  const seen = new Set<string>();
  const lines: string[] = [];
  for (const kind of [BtfKind.STRUCT, BtfKind.UNION] as const) {
    for (const id of btf.idsByKind(kind)) {
      const type = btf.readType(id);
      if (type.kind !== kind || type.name === "" || seen.has(type.name)) continue;
      // The first of a name keeps it; which one that is, the header's order decides.
      seen.add(type.name);
      const both = [...btf.findAllByName(type.name, BtfKind.STRUCT), ...btf.findAllByName(type.name, BtfKind.UNION)];
      if (both.length > 1 || btf.findAllByName(type.name, BtfKind.ENUM).length > 0) continue;
      const name = `${kind === BtfKind.STRUCT ? "struct" : "union"} ${type.name}`;
      lines.push(`_Static_assert(sizeof(${name}) == ${type.size}, "size of ${name}");`);
      for (const field of btf.fields(id)) {
        if (field.bitfieldSize !== 0) continue;
        const place = `__builtin_offsetof(${name}, ${field.name}) == ${field.bitOffset / 8}`;
        lines.push(`_Static_assert(${place}, "${name}: ${field.name}");`);
      }
    }
  }
  return lines;
}

describeWith(["clang"], "printBtfHeader", () => {
  test("types that refer to one another, and several of one name", () => {
    const b = new BtfBuilder();
    const int = b.int("int", 4, BtfIntEncoding.SIGNED);
    const text = printBtfHeader(Btf.parse(example(b, int)), { guard: "__EXAMPLE_H__" });
    expect(compile("example", `${text}\nstruct a a; struct b b; struct b___2 c; node_t n;\n`)).toBe("");
    expect(text).toContain("struct b___2 {");
  });
});

/** struct a points at b, b holds an a; a second b; a typedef of a struct that points at itself through it. */
function example(b: BtfBuilder, int: number): Uint8Array {
  const pointer = b.pointer(b.forward("b"));
  const a = b.struct("a", 8, [{ name: "b", typeId: pointer, bitOffset: 0 }]);
  b.struct("b", 8, [{ name: "a", typeId: a, bitOffset: 0 }]);
  b.struct("b", 4, [{ name: "n", typeId: int, bitOffset: 0 }]);
  const node = b.forward("node");
  const typedef = b.typedef("node_t", node);
  b.struct("node", 8, [{ name: "next", typeId: b.pointer(typedef), bitOffset: 0 }]);
  return b.finish();
}

describeWith(["clang", "vmlinuxBtf"], "printBtfHeader of this kernel", () => {
  const btf = Btf.parse(readFileSync("/sys/kernel/btf/vmlinux"));
  const header = printBtfHeader(btf);

  test("compiles with the layout of the BTF", { timeout: 60_000 }, () => {
    const checks = layoutChecks(btf);
    expect(checks.length).toBeGreaterThan(20_000);
    expect(compile("vmlinux", `${header}\n${checks.join("\n")}\n`)).toBe("");
  });
});

describeWith(["clang", "vmlinuxBtf", "bpftool"], "printBtfHeader beside bpftool", () => {
  test("the same definitions, whatever their order", { timeout: 60_000 }, () => {
    const theirs = spawnSync("bpftool", ["btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c"], {
      encoding: "utf8",
      maxBuffer: 1 << 26,
    }).stdout;
    const header = printBtfHeader(Btf.parse(readFileSync("/sys/kernel/btf/vmlinux")), { kfuncs: false });
    // Which lays out variable arguments as the compiler for BPF does.
    expect(definitions(header).filter((text) => !text.includes("va_list"))).toEqual(
      definitions(theirs).filter((text) => !text.includes("va_list")),
    );
  });
});

/** Definitions sorted. Forward declarations and numbers of names depend on the order; older releases leave out widths of enums. */
function definitions(header: string): string[] {
  return header
    .replaceAll(/ __attribute__\(\(mode\(\w+\)\)\)/g, "")
    .replaceAll(/___\d+\b/g, "")
    .split(/;\n\n/)
    .map((text) => text.trim())
    .filter((text) => !/^(struct|union) \w+$/.test(text) && !text.startsWith("#"))
    .toSorted();
}
