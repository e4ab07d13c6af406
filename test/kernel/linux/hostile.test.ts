/**
 * Damaged objects really loaded into this kernel: each load ends in success or in an error of our own, and leaves nothing behind, here or
 * pinned. `SKEP_FUZZ=1000` loads more, `SKEP_FUZZ_SEED` others.
 */
import { rmSync } from "node:fs";
import { expect, test } from "vitest";
import { SkepError } from "../../../src/base/index.ts";
import { MapType } from "../../../src/isa/index.ts";
import { type BpfObject, type MapSpec, readObject } from "../../../src/object/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { guardLeaks } from "../../leaks.ts";
import { mutated, randomNumbers } from "../../object/mutate.ts";
import { compileProgram } from "../../support/clang.ts";
import { describeWith } from "../../support/needs.ts";

const COUNT = Number(process.env["SKEP_FUZZ"] ?? 60);
const SEED = Number(process.env["SKEP_FUZZ_SEED"] ?? 1);

/** Maps of a damaged object may ask for all the memory there is, and others use this machine too. */
const MOST_MAP_BYTES = 1 << 24;

function bytesOf(map: MapSpec): number {
  if (map.type === MapType.RINGBUF || map.type === MapType.USER_RINGBUF) return map.maxEntries;
  if (map.type === MapType.ARENA) return map.maxEntries * 4096;
  const copies = machine.possibleCpus.length;
  return (map.keySize + map.valueSize * copies + 64) * map.maxEntries;
}

function isModest(object: BpfObject): boolean {
  return object.maps.every(
    (map) => bytesOf(map) <= MOST_MAP_BYTES && (map.inner === undefined || bytesOf(map.inner) <= MOST_MAP_BYTES),
  );
}

describeWith(["linux", "root", "bpf", "clang", "vmlinuxBtf"], `${COUNT} damaged objects loaded, seed ${SEED}`, () => {
  guardLeaks();

  test("end in success or in an error of ours, and leave nothing", { timeout: 120_000 + COUNT * 2000 }, () => {
    const sources = ["read-all", "load-maps", "load-externs", "load-targets", "values", "api"].map((name) =>
      compileProgram(name),
    );
    const random = randomNumbers(SEED);
    const kernel = openLinuxKernel();
    const pinPath = `/sys/fs/bpf/skep-hostile-${process.pid}`;
    const errors = new Map<string, number>();
    let loads = 0;
    try {
      for (let i = 0; loads < COUNT && i < COUNT * 20; i++) {
        const bytes = mutated(sources[i % sources.length]!, random);
        let object: BpfObject;
        try {
          object = readObject(bytes, { name: "damaged" });
        } catch (error) {
          if (error instanceof SkepError) continue;
          throw error;
        }
        if (!isModest(object)) continue;
        // One program at a time: the first refusal would hide what follows.
        const only = object.programs.length === 0 ? undefined : object.programs[random(object.programs.length)]!;
        const asked: BpfObject = { ...object, programs: only === undefined ? [] : [only] };
        loads++;
        try {
          kernel.load(asked, { pinPath }).close();
        } catch (error) {
          if (!(error instanceof SkepError))
            throw new Error(`copy ${i} of seed ${SEED}, program ${only?.name}: ${String(error)}`, { cause: error });
          errors.set(error.code, (errors.get(error.code) ?? 0) + 1);
        } finally {
          // What was pinned by its name would be taken, or refused, by the next copy.
          rmSync(pinPath, { recursive: true, force: true });
        }
      }
    } finally {
      kernel.close();
    }
    expect(loads).toBe(COUNT);
    console.log(`${loads} loads: ${[...errors].map(([code, count]) => `${code} ${count}`).join(", ")}`);
  });
});
