/** Fails the tests of a file that leave descriptors, maps or links open, and prints where each was opened. */
import { afterAll, beforeAll } from "vitest";
import { openResources, trackResources } from "../src/kernel/linux/resources.ts";

/** Watches the tests of the calling file, or of the `describe` that it is called in. */
export function guardLeaks(): void {
  let before = new Set<string>();
  beforeAll(() => {
    trackResources();
    before = new Set(openResources().map(({ what }) => what));
  });
  afterAll(() => {
    const left = openResources().filter(({ what }) => !before.has(what));
    if (left.length === 0) return;
    throw new Error(`left open:\n${left.map(({ what, stack }) => `${what}\n${stack}`).join("\n")}`);
  });
}
