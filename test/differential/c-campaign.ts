/** Many generated programs in one run: counts verdicts, makes what fails smaller and keeps it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LinuxKernel } from "../../src/kernel/linux/linux.ts";
import { generateProgram } from "./c-generator.ts";
import { reduce } from "./c-reduce.ts";
import { Differential, type Subject, VARIANTS, type Variant, type Verdict, bpfSource } from "./c-run.ts";
import { printProgram } from "./c-tree.ts";

/** Of the inputs: a program alone gets what it got among others. */
const INPUT_SEED = 1;

/** Options of run.mjs, as text. */
export interface CampaignOptions {
  readonly count: string;
  readonly seed: string;
  readonly batch: string;
  readonly free: string;
  readonly sanitize: boolean;
  readonly referees: boolean;
  readonly "no-reduce": boolean;
  readonly out: string;
  readonly stop: string;
  readonly variant?: string;
  readonly show?: string;
}

/** Programs of a batch: those of consecutive seeds. */
export function batchOf(seed: number, count: number, free: boolean): Subject[] {
  return Array.from({ length: count }, (_, i) => {
    const name = `p${seed + i}`;
    return { name, text: printProgram(generateProgram(name, seed + i, { free })) };
  });
}

/** Which batches have what clang refuses: `percent` of them, spread. */
export function isFree(batch: number, percent: number): boolean {
  return (batch * percent) % 100 < percent && percent > 0;
}

/** Runs; returns the exit status. */
export async function campaign(options: CampaignOptions): Promise<number> {
  const [count, seed, size, free] = [options.count, options.seed, options.batch, options.free].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  if (options.show !== undefined) {
    console.log(printProgram(generateProgram(`p${options.show}`, Number(options.show), { free: free === 100 })));
    return 0;
  }
  using kernel = new LinuxKernel();
  const differential = new Differential(kernel, INPUT_SEED, { sanitize: options.sanitize });
  const counts = new Map<string, number>();
  const failures: { verdict: Verdict; variant: Variant; free: boolean }[] = [];
  const begun = Date.now();
  try {
    for (let batch = 0; batch * size < count && failures.length < Number(options.stop); batch++) {
      const variant = VARIANTS[Number(options.variant ?? batch % VARIANTS.length)]!;
      const withFree = isFree(batch, free);
      const subjects = batchOf(seed + batch * size, Math.min(size, count - batch * size), withFree);
      const verdicts = options.referees
        ? await referees(differential, subjects, withFree)
        : await differential.judge(subjects, variant, !withFree);
      for (const verdict of verdicts) {
        counts.set(verdict.kind, (counts.get(verdict.kind) ?? 0) + 1);
        if (verdict.kind === "equal") continue;
        console.log(`${verdict.name}: ${verdict.kind}${withFree ? " (free)" : ""}: ${verdict.why}`);
        if (verdict.kind !== "skipped") failures.push({ verdict, variant, free: withFree });
      }
    }
    console.log(
      `${[...counts].map(([kind, n]) => `${n} ${kind}`).join(", ")}; seeds from ${seed}; ${Math.round((Date.now() - begun) / 1000)} s`,
    );
    mkdirSync(options.out, { recursive: true });
    const seen = new Set<string>();
    for (const { verdict, variant, free: isFreeOne } of failures) {
      // One of each sort: the reason without its numbers.
      const sort = `${verdict.kind} ${verdict.kind === "wrong" ? verdict.name : verdict.why.replace(/\d+/g, "N")}`;
      if (seen.has(sort) || seen.size >= 12) continue;
      seen.add(sort);
      const program = generateProgram(verdict.name, Number(verdict.name.slice(1)), { free: isFreeOne });
      const smaller = options["no-reduce"]
        ? program
        : await reduce(program, differential, variant, verdict, !isFreeOne);
      const subject = { name: verdict.name, text: printProgram(smaller) };
      const path = join(options.out, `${verdict.kind}-${verdict.name}.c`);
      const note = `// ${verdict.kind}: ${verdict.why}\n// optimize ${variant.optimize}, Linux ${variant.target.version.join(".")}${variant.elf ? ", through ELF" : ""}\n`;
      writeFileSync(path, note + bpfSource([subject]));
      console.log(`${path}\n${subject.text}`);
    }
  } finally {
    differential.close();
  }
  return failures.length === 0 ? 0 : 1;
}

async function referees(
  differential: Differential,
  subjects: readonly Subject[],
  withFree: boolean,
): Promise<Verdict[]> {
  const [native, clang] = await Promise.all([
    differential.native(subjects),
    withFree ? undefined : differential.clang(subjects),
  ]);
  return subjects.map(({ name }) => {
    const [mine, its] = [native.get(name)!, clang?.get(name)];
    if (mine.step !== "ran") return { name, kind: "referees", why: `this machine: ${mine.step}: ${mine.why}` };
    if (its === undefined) return { name, kind: "equal", why: "" };
    if (its.step !== "ran") return { name, kind: "skipped", why: `clang: ${its.step}: ${its.why}` };
    if (!mine.outputs.equals(its.outputs)) return { name, kind: "referees", why: "clang and this machine" };
    return { name, kind: "equal", why: "" };
  });
}
