/** Options of `skep features`. */
import { HELP } from "./common-options.ts";
import type { Command } from "./options.ts";

/** `skep features`. */
export const FEATURES_COMMAND: Command = {
  name: "features",
  summary: "what this kernel can do: program types, maps, helpers, kfuncs, ...",
  usage: "[OPTIONS] [NAME...]",
  description:
    "Asks the running kernel and shows its answers: yes, no, or that it cannot be told from here, with the reason. NAME is a feature\n" +
    "(ringbuf, map/lru_hash, program/xdp, isa/v4), a helper (bpf_loop) or a kernel function for programs (bpf_cpumask_create); without\n" +
    "names all features are shown. With names the exit status is 0 when all answers are yes, 1 when one is no, 3 when one cannot be told.\n" +
    "Nothing is attached to anything that others use.",
  options: [
    {
      long: "all",
      short: "a",
      help: "also helpers by program type, kernel functions, iterators, LSM hooks and tracepoints",
    },
    { long: "verbose", short: "v", help: "show what was asked of the kernel and what came back" },
    { long: "json", help: "one JSON object" },
    HELP,
  ],
  operands: "feature",
  examples: [
    ["skep features", "all features, in groups"],
    ["skep features -v ringbuf fentry", "two of them, with the evidence"],
    ["skep features bpf_loop", "which program types may call a helper"],
    ["skep features --all --json", "everything, for programs"],
  ],
};
