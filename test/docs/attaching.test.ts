/** docs/attaching.md names every kind of place, and no others. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

test("every kind of request has its line", () => {
  const kinds = new Set([...read("src/object/attach.ts").matchAll(/\bkind: "([\w-]+)"/g)].map((match) => match[1]));
  const rows = read("docs/attaching.md")
    .split("\n")
    .filter((line) => line.startsWith("| `") && !line.startsWith("| `kind`"))
    .flatMap((line) => [...line.split("|")[1]!.matchAll(/`([\w-]+)`/g)].map((match) => match[1]));
  // What was opened where it is pinned is attached already.
  kinds.delete("pinned");
  expect(rows.toSorted()).toEqual([...kinds].toSorted());
});
