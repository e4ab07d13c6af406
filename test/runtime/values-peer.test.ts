import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { Btf } from "../../src/btf/index.ts";
import { openLinuxKernel } from "../../src/kernel/index.ts";
import { describeMap } from "../../src/kernel/linux/index.ts";
import { readObject } from "../../src/object/index.ts";
import { codecFor, decodeValue, encodeValue, formatValue } from "../../src/runtime/index.ts";
import { guardLeaks } from "../leaks.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";

/** JSON with its long numbers kept, as text. */
function parse(json: string): unknown {
  return JSON.parse(json.replace(/(?<=[:[,])-?\d+(?=[,\]}])/g, '"$&"'));
}

/**
 * Bits of what is compared without its sign: bpftool shows no sign of bitfields, and a sign of all enums, whatever BTF says of it (clang before 15
 * says nothing).
 */
const bitfields: Readonly<Record<string, number>> = { three: 3, five: 5, forty: 40, color: 32 };

/** One form for both: numbers as decimal text, members of anonymous unions among the others. */
function plain(value: unknown, name: string = ""): unknown {
  if (typeof value === "string") {
    if (!/^(?:0x[0-9a-f]+|-?\d+)$/.test(value)) return value;
    const number = BigInt(value);
    const bits = bitfields[name];
    return String(bits === undefined ? number : BigInt.asUintN(bits, number));
  }
  if (Array.isArray(value)) return value.map((element) => plain(element));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]): [string, unknown][] =>
      key === "" ? Object.entries(plain(member) as object) : [[key, plain(member, key)]],
    ),
  );
}

describeWith(["linux", "root", "bpf", "clang", "bpftool"], "values beside bpftool's", () => {
  guardLeaks();

  test("any bytes of a struct that has everything", () => {
    const object = readObject(compileProgram("values"));
    const btf = Btf.parse(object.btf!);
    const spec = object.maps.find(({ name }) => name === "entries")!;
    const [key, value] = [codecFor(btf, spec.keyTypeId!), codecFor(btf, spec.valueTypeId!)];
    expect([key.size, value.size]).toEqual([spec.keySize, spec.valueSize]);
    using kernel = openLinuxKernel();
    using loaded = kernel.load(object);
    const map = loaded.map("entries");
    const ours: unknown[] = [];
    let state = 1;
    const random = (): number => (state = Math.imul(state, 1_103_515_245) + 12_345) >>> 24;
    for (let i = 0; i < spec.maxEntries; i++) {
      const keyBytes = Uint8Array.from({ length: spec.keySize }, random);
      const bytes = Uint8Array.from({ length: spec.valueSize }, random);
      const view = new DataView(bytes.buffer);
      // bpftool shows texts that are no texts as numbers, and any byte of a bool as true, as do we.
      const write = (path: string, text: string): void => {
        const { bitOffset } = btf.memberPath(spec.valueTypeId!, path)!;
        bytes.set(new TextEncoder().encode(`${text}\0`), bitOffset / 8);
      };
      write("name", `name ${i}`);
      write("names[0]", `a${i}`);
      write("names[1]", `b${i}`);
      if (i < 3) view.setInt32(btf.memberPath(spec.valueTypeId!, "color")!.bitOffset / 8, [0, 5, -1][i]!, true);
      map.update(keyBytes, bytes);
      // What is read and written back is the same but for padding and the rest of texts.
      const read = decodeValue(value, bytes);
      expect(decodeValue(value, encodeValue(value, read))).toEqual(read);
      ours.push({
        key: plain(parse(formatValue(btf, spec.keyTypeId!, new DataView(keyBytes.buffer), 0, { style: "json" }))),
        value: plain(parse(formatValue(btf, spec.valueTypeId!, view, 0, { style: "json" }))),
      });
    }
    const { id } = describeMap(map.fd.value);
    const json = execFileSync("bpftool", ["-j", "map", "dump", "id", String(id)], { encoding: "utf8" });
    const theirs = (parse(json) as { formatted: unknown }[]).map(({ formatted }) => plain(formatted));
    const sorted = (entries: readonly unknown[]): unknown[] =>
      entries.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    expect(sorted(ours)).toEqual(sorted(theirs));
  });
});
