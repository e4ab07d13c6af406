import { execFileSync } from "node:child_process";
import { basename, join } from "node:path";
import { expect, it } from "vitest";
import {
  type Relocated,
  buildReferee,
  compileBpf,
  readBtf,
  readTestObject,
  relocatedByLibbpf,
  relocatedByUs,
  temporaryDirectory,
} from "../../support/libbpf/relocations.ts";
import { askForMatches, wideValues, widenEnums } from "./fixtures.ts";
import { kernelsAtHand } from "../../support/kernel-btf.ts";
import { describeWith } from "../../support/needs.ts";

const directory = temporaryDirectory("core");

/** libbpf takes a large value of an unsigned enum for a negative one, and then refuses the instruction that clang made. */
const oursOnly = new Set(["value_unsign_top"]);

function differences(theirs: Relocated, ours: Relocated): string[] {
  return [...theirs]
    .filter(([name, code]) => ours.get(name) !== code && !oursOnly.has(name))
    .map(([name, code]) => `${name}: libbpf ${code}, we ${ours.get(name)}`);
}

describeWith(["clang", "gcc", "libbpf", "root", "bpf"], "CO-RE against made-up kernels, as by libbpf", () => {
  const referee = buildReferee(directory);
  const plain = compileBpf(directory, "core-types.bpf.c", "types.bpf.o");
  askForMatches(plain);
  const wide = compileBpf(directory, "core-types.bpf.c", "wide.bpf.o");
  askForMatches(wide);
  widenEnums(wide, wideValues["local"]!);
  const kernels = [1, 2, 3].map((n) => compileBpf(directory, "core-target.c", `kernel${n}.o`, `-DKERNEL=${n}`));
  const widened = [1, 3].map((n) => {
    const path = compileBpf(directory, "core-target.c", `wide${n}.o`, `-DKERNEL=${n}`);
    widenEnums(path, wideValues[`kernel${n}`]!);
    return path;
  });
  const narrow = join(directory, "kernel4.o");
  execFileSync("gcc", ["-m32", "-gbtf", "-O2", "-w", "-DKERNEL=4", "-c", "test/programs/core-target.c", "-o", narrow]);

  const cases = [plain, wide].flatMap((object) =>
    [...kernels, ...widened, narrow].map((kernel) => ({
      object,
      kernel,
      name: `${basename(object)} on ${basename(kernel)}`,
    })),
  );

  it.each(cases)("$name", ({ object, kernel }) => {
    const theirs = relocatedByLibbpf(referee, object, kernel, true);
    const ours = relocatedByUs(readTestObject(object), readBtf(kernel), true);
    expect(theirs.size).toBeGreaterThan(250);
    expect(differences(theirs, ours)).toEqual([]);
  });

  it("shares candidates among the programs of an object", () => {
    const path = compileBpf(directory, "core-shared.bpf.c", "shared.bpf.o");
    const kernel = kernels[2]!;
    const object = readTestObject(path);
    const together = relocatedByLibbpf(referee, path, kernel, false);
    const alone = relocatedByLibbpf(referee, path, kernel, true);
    expect(together.size).toBe(8);
    expect(together).not.toEqual(alone);
    expect(relocatedByUs(object, readBtf(kernel), false)).toEqual(together);
    expect(relocatedByUs(object, readBtf(kernel), true)).toEqual(alone);
  });
});

describeWith(["clang", "gcc", "libbpf", "root", "bpf"], "CO-RE against real kernels, as by libbpf", () => {
  const referee = buildReferee(directory);
  const path = compileBpf(directory, "core-kernel.bpf.c", "kernel.bpf.o");
  askForMatches(path);
  const object = readTestObject(path);

  it.each(kernelsAtHand())("$name", { timeout: 60_000 }, ({ path: btf }) => {
    const types = readBtf(btf);
    const theirs = relocatedByLibbpf(referee, path, btf, false);
    expect(theirs.size).toBeGreaterThan(550);
    expect([...theirs].filter(([, code]) => code === "refused")).toEqual([]);
    expect(differences(theirs, relocatedByUs(object, types, false))).toEqual([]);
  });
});
