/** `skep trace --on FILE`: a script on recorded events. */
import { formatDiagnostic, type SourceText } from "../base/index.ts";
import { Environment, SoftKernel } from "../kernel/soft/index.ts";
import { compileScript } from "../lang/bpftrace/compile.ts";
import type { Compat } from "../runtime/format/context.ts";
import { FdOutput } from "../runtime/output.ts";
import { Recording, ReplayCompanion, Replayer, recordedEnvironment } from "../runtime/recording/replay.ts";
import { TraceSession } from "../runtime/trace.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { writeError } from "./write.ts";

const say = (text: string): void => writeError(`${text}\n`);

/** Runs a script on a recording; resolves with the exit status. */
export async function replayScript(
  args: Arguments,
  source: SourceText,
  positional: readonly string[],
): Promise<number> {
  const { options } = args;
  const compat: Compat = textOption(args, "compat") === "0.17" ? "0.17" : "0.26";
  using recording = new Recording(textOption(args, "on")!);
  const compiled = compileScript(source, recordedEnvironment(recording, positional), { unsafe: options.has("unsafe") });
  if (!options.has("no-warnings")) for (const warning of compiled.warnings) say(formatDiagnostic(source, warning));
  const { meta } = recording.reader;
  using kernel = new SoftKernel({
    possibleCpus: meta.possibleCpus,
    environment: new Environment({ now: BigInt(meta.startedNs) }),
  });
  const replayer = new Replayer(kernel, recording);
  const file = textOption(args, "output");
  const output = file === undefined ? undefined : FdOutput.file(file);
  try {
    const status = await new TraceSession({
      kernel,
      object: compiled.object,
      plan: compiled.plan,
      compat,
      format: options.has("json") || textOption(args, "format") === "json" ? "json" : "text",
      buffering: (textOption(args, "buffering") ?? "line") as "line" | "full" | "none",
      quiet: options.has("quiet"),
      noWarnings: options.has("no-warnings"),
      child: new ReplayCompanion(kernel, replayer),
      ...(output ? { output } : {}),
    }).run();
    const { damage, end } = recording.reader;
    if (damage !== undefined)
      say(
        `${recording.name}: damaged at byte ${damage.position}: ${damage.what}: ${replayer.events} events before it were replayed`,
      );
    if (end !== undefined && end.lost > 0) say(`${recording.name}: ${end.lost} events were lost while recording`);
    if (options.has("verbose")) say(`${replayer.events} events`);
    return damage === undefined ? status : Math.max(status, 1);
  } finally {
    output?.close();
  }
}
