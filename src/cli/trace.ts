/** `skep trace`: a bpftrace script on the running kernel. */
import { formatDiagnostic, nearestNames, UnsupportedError, UsageError } from "../base/index.ts";
import { openLinuxKernel } from "../kernel/index.ts";
import { LinuxEnvironment } from "../runtime/environment.ts";
import { FdOutput } from "../runtime/output.ts";
import { isAlive, TraceSession } from "../runtime/trace.ts";
import type { Compat } from "../runtime/format/context.ts";
import type { TracedChild } from "../runtime/child.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { compileScript } from "../lang/bpftrace/compile.ts";
import type { CompiledScript } from "../lang/bpftrace/compile.ts";
import { STAGE_ALIASES, STAGES } from "./options.ts";
import { readScript } from "./script-source.ts";
import { writeError, writeOut } from "./write.ts";

/** Writes a line about the run itself. */
const say = (text: string): void => writeError(`${text}\n`);

/** Runs the command; resolves with the exit status. */
export async function traceCommand(args: Arguments): Promise<number> {
  const { options } = args;
  rejectUnsupported(args);
  if (options.has("info")) {
    const { machineInfo } = await import("./info.ts");
    writeOut(machineInfo());
    return 0;
  }
  const pid = pidOption(args);
  if (options.has("list")) {
    const { listCommand } = await import("./list.ts");
    return listCommand(args, pid);
  }
  const { source, positional } = readScript(args, "trace");
  if (options.has("on")) {
    const { replayScript } = await import("./replay.ts");
    return replayScript(args, source, positional);
  }
  const compat: Compat = textOption(args, "compat") === "0.17" ? "0.17" : "0.26";
  const stages = debugStages(args);
  const verbose = options.has("verbose");
  const command = textOption(args, "command") ?? textOption(args, "cmd");
  const showsOnly = stages.size > 0 && !stages.has("verifier");

  // Whoever may not trace is told so before anything is compiled.
  const kernel = showsOnly ? undefined : openLinuxKernel();
  const file = textOption(args, "output");
  let child: TracedChild | undefined;
  try {
    if (command !== undefined && kernel) {
      const { TracedChild: Child } = await import("../runtime/child.ts");
      child = Child.prepare(command);
    }
    const tracedPid = child?.pid ?? pid;
    const environment = new LinuxEnvironment({
      positional,
      ...(tracedPid === undefined ? {} : { pid: tracedPid }),
      // 0.17 goes on without the probes that it cannot attach.
      ...(compat === "0.17" ? { variables: { BPFTRACE_MISSING_PROBES: "warn", ...process.env } } : {}),
    });
    const compiled = compileScript(source, environment, {
      unsafe: options.has("unsafe"),
      probeScope: compat === "0.17",
      ...(verbose ? { timing: (stage: string, ms: number) => say(`${stage}: ${ms.toFixed(1)} ms`) } : {}),
    });
    if (!options.has("no-warnings")) {
      for (const warning of compiled.warnings) say(formatDiagnostic(source, warning));
    }
    if (showsOnly || !kernel) {
      const { showStages } = await import("./stages.ts");
      writeOut(showStages(compiled, stages));
      return 0;
    }
    if (verbose) {
      sayPlan(compiled);
      void child?.ended.then(({ code, signal }) =>
        say(signal === null ? `the command exited with status ${code}` : `the command was ended by ${signal}`),
      );
    }
    const output = file === undefined ? undefined : FdOutput.file(file);
    try {
      const session = new TraceSession({
        kernel,
        object: compiled.object,
        plan: compiled.plan,
        compat,
        format: options.has("json") || textOption(args, "format") === "json" ? "json" : "text",
        buffering: (textOption(args, "buffering") ?? "line") as "line" | "full" | "none",
        quiet: options.has("quiet"),
        noWarnings: options.has("no-warnings"),
        dryRun: options.has("dry-run"),
        ...(output ? { output } : {}),
        ...(child ? { child } : {}),
        ...(tracedPid === undefined ? {} : { pid: tracedPid }),
        ...(stages.has("verifier")
          ? { verifierLog: (program: string, log: string) => say(`${program}:\n${log}`) }
          : {}),
      });
      return await session.run();
    } finally {
      output?.close();
    }
  } finally {
    child?.stop();
  }
}

function sayPlan({ object, plan }: CompiledScript): void {
  for (const program of object.programs) say(`program ${program.name}: ${program.code.length / 8} instructions`);
  for (const map of plan.maps) say(`map ${map.name}: ${map.layout}${map.perCpu ? ", per CPU" : ""}`);
  for (const probe of plan.probes) say(`${probe.program}: ${probe.names.length} probe(s): ${probe.names[0] ?? ""}`);
}

/** Stages that were asked for with `-d`, by our names. */
function debugStages(args: Arguments): Set<string> {
  const stages = new Set<string>();
  for (const word of (textOption(args, "debug") ?? "").split(",").filter(Boolean)) {
    const stage = STAGE_ALIASES[word] ?? word;
    if (stage === "libbpf")
      throw new UsageError("skep trace: -d libbpf: there is no libbpf here (-d verifier shows the kernel's log)");
    if (!STAGES.includes(stage)) {
      const near = nearestNames(word, STAGES, 1);
      throw new UsageError(
        `skep trace: -d ${word}: no such stage${near.length > 0 ? ` (did you mean ${near[0]}?)` : ""}: ${STAGES.join(", ")}`,
      );
    }
    if (stage === "all") for (const each of STAGES) if (each !== "all" && each !== "verifier") stages.add(each);
    if (stage !== "all") stages.add(stage);
  }
  return stages;
}

/** `-p PID`, which must name a process. */
function pidOption(args: Arguments): number | undefined {
  const text = textOption(args, "pid");
  if (text === undefined) return undefined;
  if (args.options.has("command") || args.options.has("cmd"))
    throw new UsageError("skep trace: -p and -c: give one of them");
  const pid = Number(text);
  if (!/^\d+$/.test(text) || pid < 1 || pid > 0x7fffffff) {
    throw new UsageError(`skep trace: -p ${text}: not a process id`);
  }
  if (!isAlive(pid)) throw new UsageError(`skep trace: -p ${text}: no process has this id`);
  return pid;
}

/** Options that bpftrace has and skep cannot serve. */
function rejectUnsupported(args: Arguments): void {
  if (args.options.has("emit-llvm")) {
    throw new UnsupportedError(
      "--emit-llvm",
      "skep compiles without LLVM (skep build --emit ir shows its own representation)",
    );
  }
  if (args.options.has("emit-elf")) {
    throw new UsageError("skep trace: --emit-elf: use skep build --emit object -o FILE");
  }
  if (args.options.has("usdt-file-activation")) {
    throw new UnsupportedError("--usdt-file-activation", "USDT probes are not supported by this version of skep");
  }
}
