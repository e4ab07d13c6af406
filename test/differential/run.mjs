// node test/differential/run.mjs [OPTION...]: compiles random C programs with Skep, with clang for BPF and for this machine, and compares
// what they compute in the kernel and here.
import { parseArgs } from "node:util";
import { importSource } from "../support/bundle.mjs";

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
      --variant N      how Skep compiles: 0 to 3 (default: in turn)
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
    variant: { type: "string" },
    show: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (options.help) {
  process.stdout.write(usage);
} else {
  const { campaign } = await importSource(new URL("c-campaign.ts", import.meta.url));
  process.exitCode = await campaign(options);
}
