// node test/differential/run.mjs [OPTION...]: compiles random C programs with Skep, with clang for BPF and for this machine, and compares
// what they compute in the kernel and here.
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { rolldown } from "rolldown";

const usage = `usage: node test/differential/run.mjs [OPTION...]

      --count N        programs (default 1000)
      --seed N         of the first one (default 1)
      --batch N        programs a file (default 40)
      --free N         of a hundred batches, those with what clang's BPF target refuses (default 20)
      --sanitize       code of this machine with sanitizers: is the generator right?
      --referees       clang and this machine alone
      --no-reduce      do not make failing programs smaller
      --out DIR        where failing programs go (default /tmp/skep-differential)
      --stop N         after so many failures (default 20)
      --show SEED      print the program of this seed
`;

const { values: options } = parseArgs({
  options: {
    count: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
    batch: { type: "string", default: "40" },
    free: { type: "string", default: "20" },
    sanitize: { type: "boolean", default: false },
    referees: { type: "boolean", default: false },
    "no-reduce": { type: "boolean", default: false },
    out: { type: "string", default: "/tmp/skep-differential" },
    stop: { type: "string", default: "20" },
    show: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (options.help) {
  process.stdout.write(usage);
} else {
  // Node of today runs no TypeScript: the sources are bundled first, beside a link to the packages.
  const directory = mkdtempSync(join(tmpdir(), "skep-differential-run-"));
  try {
    symlinkSync(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(directory, "node_modules"));
    const bundle = await rolldown({
      input: fileURLToPath(new URL("c-campaign.ts", import.meta.url)),
      platform: "node",
      transform: { target: "node20" },
      external: ["koffi"],
      logLevel: "silent",
    });
    await bundle.write({ file: join(directory, "campaign.mjs"), format: "esm" });
    const { campaign } = await import(pathToFileURL(join(directory, "campaign.mjs")).href);
    process.exitCode = await campaign(options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
