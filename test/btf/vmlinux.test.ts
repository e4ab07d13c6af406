import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Btf, BtfKind, dumpBtfRaw, printBtfDeclaration, printBtfType } from "../../src/btf/index.ts";
import { describeWith, missing } from "../support/needs.ts";

const VMLINUX = "/sys/kernel/btf/vmlinux";

function bpftoolDump(format: "c" | "raw"): string {
  return execFileSync("bpftool", ["btf", "dump", "file", VMLINUX, "format", format], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
}

describeWith(["vmlinuxBtf", "bpftool"], "BTF of the running kernel", () => {
  const btf = missing("vmlinuxBtf") ? undefined! : Btf.parse(readFileSync(VMLINUX), { section: VMLINUX });

  it("is dumped raw, byte for byte as by bpftool", () => {
    const theirs = bpftoolDump("raw").split("\n");
    let line = 0;
    for (const text of dumpBtfRaw(btf)) {
      for (const ours of text.split("\n")) {
        if (ours !== theirs[line]) expect(`${line + 1}: ${ours}`).toBe(`${line + 1}: ${theirs[line]}`);
        line++;
      }
    }
    expect(theirs.slice(line)).toEqual([""]);
  });

  it("is printed as C as by bpftool, every named type", () => {
    // bpftool renames the second of two types of one name; those are left out, as is what refers to them.
    const theirs = new Map<string, string>();
    for (const block of bpftoolDump("c").split("\n\n")) {
      const text = block.replace(/;\s*$/, "");
      const name = text.startsWith("typedef")
        ? (/\(\*(\w+)\)\(/.exec(text)?.[1] ?? /(\w+)(\[\d*\])*$/.exec(text)?.[1])
        : text.split(" {")[0];
      if (name !== undefined && (text.includes("{") || text.startsWith("typedef"))) theirs.set(name, text);
    }
    const keywords: [BtfKind, string][] = [
      [BtfKind.STRUCT, "struct "],
      [BtfKind.UNION, "union "],
      [BtfKind.ENUM, "enum "],
      [BtfKind.ENUM64, "enum "],
      [BtfKind.TYPEDEF, ""],
    ];
    let compared = 0;
    const wrong: string[] = [];
    for (const [kind, keyword] of keywords) {
      for (const id of btf.idsByKind(kind)) {
        const name = btf.nameOf(id);
        const expected = theirs.get(keyword + name);
        if (name === "" || expected === undefined || expected.includes("___")) continue;
        if (btf.findAllByName(name, kind).length > 1) continue;
        // Debian's bpftool leaves out that an enum is one byte large.
        const ours = printBtfType(btf, id).replaceAll(" __attribute__((mode(byte)))", "");
        compared++;
        if (ours !== expected) wrong.push(`${ours}\n--- bpftool:\n${expected}`);
      }
    }
    expect(wrong.slice(0, 3)).toEqual([]);
    expect(compared).toBeGreaterThan(btf.typeCount / 20);
  });

  it.each<[path: string, type: string]>([
    ["task_struct.comm", "char name[16]"],
    ["task_struct.comm[4]", "char name"],
    ["task_struct.se.avg.load_avg", "long unsigned int name"],
    ["task_struct.real_parent", "struct task_struct *name"],
    ["sock.__sk_common.skc_daddr", "__be32 name"],
    ["sk_buff.next", "struct sk_buff *name"],
    ["page.lru.next", "struct list_head *name"],
  ])("%s is %s", (path, declaration) => {
    const [name, ...rest] = path.split(".");
    const field = btf.memberPath(btf.structByName(name!)!.id, rest.join("."))!;
    expect(printBtfDeclaration(btf, field.typeId, "name")).toBe(declaration);
  });

  it("places every field inside the whole, and finds it again by its name", () => {
    const { id, size } = btf.structByName("sk_buff")!;
    for (const field of btf.fields(id)) {
      const bits = field.bitfieldSize || (btf.sizeOf(field.typeId) ?? 0) * 8;
      expect(field.bitOffset + bits, field.name).toBeLessThanOrEqual(size * 8);
      expect(btf.memberPath(id, field.name)).toEqual(field);
    }
  });

  it.each([
    ["task_struct.no_such", undefined],
    ["task_struct.comm[16]", undefined],
    ["task_struct.real_parent.pid", undefined],
    ["task_struct.", undefined],
    ["task_struct.comm[", undefined],
  ])("%s is nothing", (path, nothing) => {
    const [name, ...rest] = path.split(".");
    expect(btf.memberPath(btf.structByName(name!)!.id, rest.join("."))).toBe(nothing);
  });

  it("finds by name what a walk over all types finds", () => {
    for (const kind of [BtfKind.STRUCT, BtfKind.TYPEDEF, BtfKind.ENUM] as const) {
      const first = new Map<string, number>();
      for (const id of btf.idsByKind(kind)) {
        const name = btf.nameOf(id);
        if (name !== "" && !first.has(name)) first.set(name, id);
      }
      for (const [name, id] of first) if (btf.findByName(name, kind) !== id) expect(name).toBe(id);
      expect(new Set(btf.names(kind)).size).toBe(first.size);
    }
    expect(btf.findByName("no_such_type_anywhere")).toBeUndefined();
    expect(btf.findByName("")).toBeUndefined();
    expect(btf.enumValue("BPF_MAP_TYPE_RINGBUF")?.value).toBe(27n);
    expect(btf.enumValue("BPF_F_CURRENT_CPU")?.value).toBe(0xffff_ffffn);
    expect(btf.enumValue("PERF_CONTEXT_USER")?.value).toBe(0xffff_ffff_ffff_fe00n);
    expect(btf.enumValue("NO_SUCH_CONSTANT")).toBeUndefined();
    const read = btf.funcByName("vfs_read")!;
    expect(btf.funcProto(read.id)!.parameters.map((p) => p.name)).toEqual(["file", "buf", "count", "pos"]);
    expect(printBtfType(btf, read.id)).toBe(
      "ssize_t vfs_read(struct file *file, char *buf, size_t count, loff_t *pos)",
    );
  });
});
