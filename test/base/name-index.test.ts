/** The index of names against a plain search, for tables that are compared, searched as text, and hashed. */
import { expect, test } from "vitest";
import { NameIndex } from "../../src/base/name-index.ts";
import { StringTable } from "../../src/base/string-table.ts";
import { BtfStrings } from "../../src/btf/strings.ts";

const encoder = new TextEncoder();

/** Names at offsets of a table: `names[i]` is that of entry `i`; a suffix shares the bytes of a longer name before it. */
function tableOf(names: readonly string[]): { bytes: Uint8Array; offsets: Uint32Array } {
  const places = new Map<string, number>([["", 0]]);
  let text = "\0";
  const offsets = names.map((name) => {
    const known = places.get(name);
    if (known !== undefined) return known;
    const shared = text.indexOf(`${name}\0`);
    const offset = shared > 0 ? encoder.encode(text.slice(0, shared)).length : encoder.encode(text).length;
    if (shared <= 0) text += `${name}\0`;
    places.set(name, offset);
    return offset;
  });
  return { bytes: encoder.encode(text), offsets: Uint32Array.from(offsets) };
}

const many = Array.from({ length: 9000 }, (_, i) => `function_${(i * 7919) % 4500}`);
const tables: readonly (readonly [string, readonly string[]])[] = [
  ["few names", ["a", "b", "ba", "a", "", "cba"]],
  ["many names, each twice, with shared ends", [...many, "unction_7", "n_12", "task_struct", "struct"]],
  ["many names and one that is not ASCII", [...many, "größe", "task_struct"]],
];

const wanted = [
  "a",
  "ba",
  "function_0",
  "function_4499",
  "unction_7",
  "n_12",
  "struct",
  "größe",
  "nothing",
  "_1",
  "",
  "n\0f",
];

test.each(tables)("%s", (_, names) => {
  const { bytes, offsets } = tableOf(names);
  for (const strings of [new StringTable(bytes, "names"), new BtfStrings(bytes, "names")]) {
    // More rounds than there are linear and text searches, so that all ways are taken.
    const index = new NameIndex(strings, offsets);
    for (let round = 0; round < 4; round++) {
      for (const name of wanted) {
        const expected = name === "" ? [] : names.flatMap((one, i) => (one === name ? [i] : []));
        const found: number[] = [];
        for (let at = index.find(name); at !== -1; at = index.find(name, at + 1)) found.push(at);
        expect(found, name).toEqual(expected);
      }
    }
  }
});

test("names of a base are found in split tables", () => {
  const base = tableOf(many);
  const own = tableOf(["own_name", "function_12", "own"]);
  const strings = new BtfStrings(own.bytes, "split", new BtfStrings(base.bytes, "base"));
  expect(strings.offsetsOf("own_name")).toEqual([strings.start + 1]);
  expect(strings.offsetsOf("function_12")!.map((offset) => strings.get(offset))).toEqual([
    "function_12",
    "function_12",
  ]);
  expect(strings.offsetsOf("größe")).toBeUndefined();
});
