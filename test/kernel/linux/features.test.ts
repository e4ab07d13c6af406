import { expect, test } from "vitest";
import { featureNames, features, probeFeature, versionHas } from "../../../src/kernel/linux/features.ts";

test("features", () => {
  for (const name of featureNames) {
    const t = performance.now();
    const a = probeFeature(name);
    console.log(name, features[name].since, versionHas(name), a, (performance.now() - t).toFixed(2));
  }
  expect(1).toBe(1);
});
