/** `skep completion`. */
import { UsageError } from "../base/index.ts";
import { probeProviderNames } from "../lang/bpftrace/table/probes.ts";
import type { Arguments } from "./arguments.ts";
import { writeOut } from "./write.ts";
import { completionScript, SHELLS } from "./completion.ts";
import type { Shell } from "./completion.ts";

/** Runs the command; resolves with the exit status. */
export async function completionCommand(args: Arguments): Promise<number> {
  const [shell] = args.operands;
  if (!(SHELLS as readonly (string | undefined)[]).includes(shell)) {
    throw new UsageError(`skep completion: name your shell: ${SHELLS.join(", ")}`);
  }
  writeOut(completionScript(shell as Shell, probeProviderNames()));
  return 0;
}
