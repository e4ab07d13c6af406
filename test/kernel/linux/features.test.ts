import { expect, test } from "vitest";
import {
  type FeatureName,
  featureNames,
  features,
  measureInstructions,
  probeFeature,
  versionHas,
} from "../../../src/kernel/linux/features.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeWith } from "../../support/needs.ts";

/** Features that a kernel's build may leave out, whatever its version. */
const optional: ReadonlySet<FeatureName> = new Set(["kprobe_multi", "fentry", "uprobe_multi", "tp_btf", "iterators"]);
/** Features that distributions move to older kernels. */
const backported = /\.el\d|amzn/.test(machine.source.release);

describeWith(["linux", "root", "bpf"], `features of Linux ${machine.kernelVersion.join(".")}`, () => {
  guardLeaks();

  test.each(featureNames)("%s: the probe agrees with the version table", (name) => {
    const { available, evidence } = probeFeature(name);
    expect(evidence).not.toBe("");
    expect(probeFeature(name).available).toBe(available);
    if (versionHas(name)) {
      if (!optional.has(name)) expect(available, evidence).not.toBe(false);
    } else if (!backported) {
      expect(available, `${evidence}; since ${features[name].since.join(".")}`).not.toBe(true);
    }
  });

  test("instruction sets are measured", () => {
    const expected = machine.atLeast(6, 6) ? "v4" : machine.atLeast(5, 1) ? "v3" : "v2";
    const measured = measureInstructions();
    if (!backported) expect(measured.cpu).toBe(expected);
    expect(measured.mayGoto).toBe(probeFeature("may_goto").available);
  });
});
