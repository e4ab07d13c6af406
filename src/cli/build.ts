/** `skep build`: a script or C source compiled, to look at or to keep. */
import { formatDiagnostic, UsageError } from "../base/index.ts";
import type { AttachSpec } from "../object/index.ts";
import { writeElf } from "../object/index.ts";
import { LinuxEnvironment } from "../runtime/environment.ts";
import { FdOutput } from "../runtime/output.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { compileScript } from "../lang/bpftrace/compile.ts";
import type { CompiledScript } from "../lang/bpftrace/compile.ts";
import { buildC, cSources } from "./build-c.ts";
import { readScript } from "./script-source.ts";
import { showStages } from "./stages.ts";
import { writeError, writeOut } from "./write.ts";

/** Options that scripts have no use for. */
const C_ONLY: readonly string[] = ["kernel", "btf", "dialect", "optimize", "define", "undefine"];

/** Runs the command; resolves with the exit status. */
export async function buildCommand(args: Arguments): Promise<number> {
  const sources = cSources(args);
  if (sources !== undefined) return buildC(args, sources);
  for (const option of C_ONLY) {
    if (args.options.has(option)) throw new UsageError(`skep build: --${option}: is for C sources (FILE.c)`);
  }
  const { source, positional } = readScript(args, "build");
  const pid = textOption(args, "pid");
  const environment = new LinuxEnvironment({ positional, ...(pid === undefined ? {} : { pid: Number(pid) }) });
  const compiled = compileScript(source, environment, { unsafe: args.options.has("unsafe") });
  if (!args.options.has("no-warnings")) {
    for (const warning of compiled.warnings) writeError(`${formatDiagnostic(source, warning)}\n`);
  }
  const file = textOption(args, "output");
  const emit = textOption(args, "emit") ?? "asm";
  if (emit === "preprocessed") throw new UsageError("skep build: --emit preprocessed: is for C sources (FILE.c)");
  if (emit === "object" && file === undefined && process.stdout.isTTY) {
    throw new UsageError("skep build: an object file is no text for a terminal: give -o FILE");
  }
  const content = emit === "object" ? objectFile(compiled) : showStages(compiled, new Set([emit]));
  if (file === undefined) {
    writeOut(content);
    return 0;
  }
  const output = FdOutput.file(file);
  try {
    output.write(typeof content === "string" ? new TextEncoder().encode(content) : content);
  } finally {
    output.close();
  }
  return 0;
}

/** The ELF file of a script, its programs named by where they attach. */
function objectFile({ object, plan }: CompiledScript): Uint8Array {
  const attach = new Map<string, AttachSpec[]>();
  for (const { program, run } of plan.probes) {
    if (run.when === "attached") attach.set(program, [...(attach.get(program) ?? []), run.attach]);
  }
  return writeElf(object, { attach });
}
