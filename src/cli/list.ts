/** `skep trace -l`. */
import { listProbes } from "../lang/bpftrace/index.ts";
import { LinuxEnvironment } from "../runtime/environment.ts";
import { FdOutput, OutputClosed } from "../runtime/output.ts";
import type { Arguments } from "./arguments.ts";

/** Lists probes that match the pattern; resolves with the exit status. */
export async function listCommand(args: Arguments, pid: number | undefined): Promise<number> {
  const environment = new LinuxEnvironment(pid === undefined ? {} : { pid });
  const pattern = args.operands[0] ?? "*";
  const lines = listProbes(pattern, environment, { verbose: args.options.has("verbose") });
  try {
    new FdOutput(1, "stdout").write(new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")));
  } catch (error) {
    // The list is often cut by head.
    if (!(error instanceof OutputClosed)) throw error;
  }
  return lines.length > 0 ? 0 : 1;
}
