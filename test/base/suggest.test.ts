import fc from "fast-check";
import { expect, test } from "vitest";
import { editDistance, nearestNames } from "../../src/base/suggest.ts";

/** The whole table, as the books have it. */
function naive(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => Array.from({ length: b.length + 1 }, (_x, j) => i + j));
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, rows[i - 1]![j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      rows[i]![j] = best;
    }
  }
  return rows[a.length]![b.length]!;
}

const word = fc.string({ unit: fc.constantFrom("a", "b", "c", "_"), maxLength: 12 });

test("distances up to the limit are those of the whole table", () => {
  fc.assert(
    fc.property(word, word, fc.nat({ max: 9 }), (a, b, limit) => {
      expect(Math.min(editDistance(a, b, limit), limit + 1)).toBe(Math.min(naive(a, b), limit + 1));
    }),
    { numRuns: 3000 },
  );
});

test.each([
  ["vfs_raed", ["vfs_read", "vfs_write", "read"], ["vfs_read"]],
  ["open", ["do_sys_open", "close"], ["do_sys_open"]],
  ["Task_Struct", ["task_struct", "mm_struct"], ["task_struct"]],
  ["x".repeat(200), [`${"x".repeat(199)}y`], [`${"x".repeat(199)}y`]],
  ["nothing", ["else"], []],
])("near %s", (name, candidates, near) => {
  expect(nearestNames(name, candidates)).toEqual(near);
});
