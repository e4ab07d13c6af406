import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Btf, CoreKind } from "../../../src/btf/index.ts";
import { minimalBtfFor, readObject } from "../../../src/object/index.ts";
import { kernelsAtHand } from "../../support/kernel-btf.ts";
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
import { describeWith } from "../../support/needs.ts";
import { askForMatches } from "./fixtures.ts";

const directory = temporaryDirectory("core-minimal");

/** Programs that ask for ids of the kernel's types, which are others in other BTF. */
function withoutIds(path: string, relocated: Relocated): Record<string, string> {
  const asks = new Set(
    readTestObject(path)
      .programs.filter(({ coreRelocations }) => coreRelocations?.some(({ kind }) => kind === CoreKind.TYPE_ID_TARGET))
      .map(({ name }) => name),
  );
  return Object.fromEntries([...relocated].filter(([name]) => !asks.has(name)));
}

describeWith(["clang", "gcc", "libbpf", "bpftool", "root", "bpf"], "minimal BTF", () => {
  const referee = buildReferee(directory);
  const path = compileBpf(directory, "core-kernel.bpf.c", "kernel.bpf.o");
  askForMatches(path);
  const object = readTestObject(path);

  it.each(kernelsAtHand())("of $name serves an object as the whole does", { timeout: 60_000 }, ({ path: btf }) => {
    const whole = readBtf(btf);
    const bytes = minimalBtfFor(whole, [readObject(readFileSync(path), { name: path })]);
    const [ours, theirs] = [join(directory, "ours.btf"), join(directory, "theirs.btf")];
    writeFileSync(ours, bytes);
    execFileSync("bpftool", ["gen", "min_core_btf", btf, theirs, path]);

    const expected = withoutIds(path, relocatedByUs(object, whole, false));
    expect(Object.keys(expected).length).toBeGreaterThan(500);
    expect(withoutIds(path, relocatedByUs(object, Btf.parse(bytes), false))).toEqual(expected);
    expect(withoutIds(path, relocatedByLibbpf(referee, path, ours, false))).toEqual(expected);
    expect(withoutIds(path, relocatedByUs(object, readBtf(theirs), false))).toEqual(expected);
    // Not larger than what bpftool writes for the same object.
    expect(bytes.length).toBeLessThan(readFileSync(theirs).length * 1.1);
  });

  it("of no relocation is empty BTF", () => {
    const [kernel] = kernelsAtHand();
    if (kernel === undefined) return;
    const bytes = minimalBtfFor(readBtf(kernel.path), []);
    expect(Btf.parse(bytes).typeCount).toBe(1);
    expect(bytes.length).toBe(25);
  });
});
