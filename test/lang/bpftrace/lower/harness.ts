/** Compiles scripts for this machine, loads them, and runs them with their output caught. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileModule, kernelTarget } from "../../../../src/compiler/index.ts";
import type { KernelTarget, Module, OptimizeLevel } from "../../../../src/compiler/index.ts";
import type { Kernel } from "../../../../src/kernel/kernel.ts";
import { checkScript } from "../../../../src/lang/bpftrace/check.ts";
import { lowerScript } from "../../../../src/lang/bpftrace/lower/index.ts";
import { parseScript } from "../../../../src/lang/bpftrace/parser.ts";
import type { TracePlan } from "../../../../src/lang/bpftrace/plan.ts";
import type { BpfObject } from "../../../../src/object/index.ts";
import { LinuxEnvironment } from "../../../../src/runtime/environment.ts";
import { FdOutput } from "../../../../src/runtime/output.ts";
import { TraceSession } from "../../../../src/runtime/trace.ts";

/** How a test compiles. */
export interface CompileFor {
  readonly optimize?: OptimizeLevel;
  readonly version?: readonly [number, number];
  readonly positional?: readonly string[];
  readonly pid?: number;
}

let shared: LinuxEnvironment | undefined;

/** This machine, read once: the kernel's types are large. */
export function environment(options: CompileFor = {}): LinuxEnvironment {
  if (options.positional || options.pid !== undefined) {
    return new LinuxEnvironment({
      variables: {},
      ...(options.positional ? { positional: options.positional } : {}),
      ...(options.pid === undefined ? {} : { pid: options.pid }),
    });
  }
  return (shared ??= new LinuxEnvironment({ variables: {} }));
}

/** A script's IR and plan. */
export function lowered(
  text: string,
  options: CompileFor = {},
): { module: Module; plan: TracePlan; target: KernelTarget } {
  const env = environment(options);
  const source = { name: "stdin", text };
  const script = parseScript(source, { positional: env.positional });
  const checked = checkScript(script, source, env, { unsafe: true });
  const [major, minor] = options.version ?? env.kernelVersion;
  const target = kernelTarget([major, minor]);
  return { ...lowerScript(checked, env, target), target };
}

/** A script's object and plan. */
export function compiled(text: string, options: CompileFor = {}): { object: BpfObject; plan: TracePlan } {
  const { module, plan, target } = lowered(text, options);
  return {
    object: compileModule(module, { target, scratch: true, optimize: options.optimize ?? 2, check: true }),
    plan,
  };
}

/** Runs a script to its end and returns what it printed and the status it asked for. */
export async function run(
  kernel: Kernel,
  text: string,
  options: CompileFor & { readonly format?: "text" | "json" } = {},
): Promise<{ output: string; status: number }> {
  const { object, plan } = compiled(text, options);
  const directory = mkdtempSync(join(tmpdir(), "skep-lower-"));
  const path = join(directory, "out");
  try {
    const output = FdOutput.file(path);
    const status = await new TraceSession({
      kernel,
      object,
      plan,
      output,
      quiet: true,
      ...(options.format ? { format: options.format } : {}),
    }).run();
    return { output: readFileSync(path, "utf8"), status };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
