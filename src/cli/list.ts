/** `skep trace -l`. */
import { statSync } from "node:fs";
import { listProbes, parseScript } from "../lang/bpftrace/index.ts";
import { LinuxEnvironment } from "../runtime/environment.ts";
import { Recording, recordedEnvironment } from "../runtime/recording/replay.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { readScript } from "./script-source.ts";
import { writeOut } from "./write.ts";

/** Lists probes that match the pattern, or those of a script; resolves with the exit status. */
export async function listCommand(args: Arguments, pid: number | undefined): Promise<number> {
  const file = textOption(args, "on");
  using recording = file === undefined ? undefined : new Recording(file);
  const environment =
    recording === undefined ? new LinuxEnvironment(pid === undefined ? {} : { pid }) : recordedEnvironment(recording);
  const verbose = args.options.has("verbose");
  const lines = patterns(args, pid)
    .flatMap((pattern) => listProbes(pattern, environment, { verbose }))
    .filter((line) => recording === undefined || /^(?:tracepoint:|\s)/.test(line));
  writeOut([...new Set(lines)].map((line) => `${line}\n`).join(""));
  // Why nothing was found: without tracefs no tracepoint is.
  if (lines.length === 0) environment.tracepoints();
  return lines.length > 0 ? 0 : 1;
}

/** What to list: the attach points of a script given by -e or as a file, a pattern, or everything. */
function patterns(args: Arguments, pid: number | undefined): string[] {
  const [operand] = args.operands;
  if (args.options.has("execute") || (operand !== undefined && isFile(operand))) {
    const { source, positional } = readScript(args, "trace");
    return parseScript(source, { positional }).probes.flatMap((probe) => probe.attachPoints.map((point) => point.text));
  }
  if (operand !== undefined) return [operand];
  // Of one process its own functions are listed too.
  return pid === undefined ? ["*"] : ["*", "uprobe:*:*"];
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
