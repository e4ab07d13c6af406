/**
 * Generated C programs, compiled by Skep, by clang for BPF and for this machine: the kernel computes what this machine computes. Thousands
 * more: `node test/differential/run.mjs --count 10000`.
 */
import { expect, it } from "vitest";
import { LinuxKernel } from "../../src/kernel/linux/linux.ts";
import { describeWith } from "../support/needs.ts";
import { batchOf, isFree } from "./c-campaign.ts";
import { Differential, VARIANTS } from "./c-run.ts";

const BATCHES = 6;
const BATCH = 25;
const FREE_PERCENT = 20;
const SEED = 20_000;

describeWith(["linux", "root", "bpf", "clang"], "generated C", () => {
  it(`${BATCHES * BATCH} programs compute what clang's do`, { timeout: 120_000 }, async () => {
    using kernel = new LinuxKernel();
    const differential = new Differential(kernel, SEED, { inputs: 4 });
    const failed: string[] = [];
    let equal = 0;
    try {
      for (let batch = 0; batch < BATCHES; batch++) {
        const free = isFree(batch, FREE_PERCENT);
        const subjects = batchOf(SEED + batch * BATCH, BATCH, free);
        for (const { name, kind, why } of await differential.judge(
          subjects,
          VARIANTS[batch % VARIANTS.length]!,
          !free,
        )) {
          if (kind === "equal") equal++;
          else if (kind !== "skipped") failed.push(`${name}: ${kind}: ${why}`);
        }
      }
    } finally {
      differential.close();
    }
    expect(failed).toEqual([]);
    // A generator whose programs the referees refuse would show nothing.
    expect(equal).toBeGreaterThan(BATCHES * BATCH * 0.9);
  });
});
