import { afterEach, describe, expect, test, vi } from "vitest";
import type { RecordSource } from "../../src/kernel/index.ts";
import { Pace } from "../../src/runtime/readers/pace.ts";

/** Steps: milliseconds since the last wait, bytes read in them; `nap` or `wake`, how the reader then waits. */
type Step = readonly [ms: number, bytes: number, "nap" | "wake"];

const times = (count: number, step: Step): Step[] => Array.from({ length: count }, () => step);

describe("how readers wait", () => {
  afterEach(() => void vi.restoreAllMocks());

  test.each<[string, number, readonly Step[]]>([
    ["rare records wake", 1 << 20, times(20, [5, 72, "wake"])],
    // The first wait has no time before it.
    [
      "thousands a second are read every millisecond",
      1 << 20,
      [...times(7, [0.1, 720, "wake"]), [0.1, 720, "nap"], [1.1, 7200, "nap"]],
    ],
    [
      "and wake again when they end",
      1 << 20,
      [...times(7, [0.1, 720, "wake"]), [0.1, 720, "nap"], [1.1, 0, "wake"], [9, 72, "wake"]],
    ],
    ["a ring that would be full after a few naps is not left alone", 4096, times(20, [0.1, 720, "wake"])],
    ["a flood in a large ring", 8 << 20, [...times(7, [0.1, 7200, "wake"]), ...times(5, [0.1, 7200, "nap"])]],
  ])("%s", (_, ringBytes, steps) => {
    let now = 1000;
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const source = { ringBytes, releasedBytes: 0 };
    const pace = new Pace(source as unknown as RecordSource);
    pace.nap();
    const waits = steps.map(([ms, bytes]) => {
      now += ms;
      source.releasedBytes += bytes;
      return pace.nap() === undefined ? "wake" : "nap";
    });
    expect(waits).toEqual(steps.map(([, , how]) => how));
  });
});
