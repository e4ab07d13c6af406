/** From a script's text to an object and the plan of its run: the front end, lowering and the compiler in one call. */
import type { Module } from "../../compiler/ir.ts";
import type { BpfObject } from "../../object/index.ts";
import type { Diagnostic, SourceText } from "../../base/index.ts";
import type { CheckedScript } from "./checked.ts";
import type { Script } from "./ast.ts";
import type { TraceEnvironment } from "./environment.ts";
import type { TracePlan } from "./plan.ts";
import { checkScript } from "./check.ts";
import { parseScript } from "./parser.ts";
import { lowerScript } from "./lower/index.ts";
import { compileModule } from "../../compiler/compile.ts";
import { kernelTarget } from "../../compiler/target.ts";
import type { KernelTarget } from "../../compiler/target.ts";

/** Everything that compiling a script makes. */
export interface CompiledScript {
  readonly script: Script;
  readonly checked: CheckedScript;
  readonly module: Module;
  readonly plan: TracePlan;
  readonly object: BpfObject;
  readonly target: KernelTarget;
  readonly warnings: readonly Diagnostic[];
}

/** What compiling may be told. */
export interface CompileScriptOptions {
  /** Calls that change the system are allowed. */
  readonly unsafe?: boolean;
  /** Variables live to the end of their probe, as before bpftrace 0.22. */
  readonly probeScope?: boolean;
  /** Told each stage's name and its milliseconds. */
  readonly timing?: (stage: string, ms: number) => void;
  /** Called with the IR after each pass. */
  readonly dump?: (stage: string, text: string) => void;
}

/** Compiles a script. Throws ScriptError with every complaint about it. */
export function compileScript(
  source: SourceText,
  environment: TraceEnvironment,
  options: CompileScriptOptions = {},
): CompiledScript {
  let last = performance.now();
  const lap = (stage: string): void => {
    const now = performance.now();
    options.timing?.(stage, now - last);
    last = now;
  };
  const script = parseScript(source, { positional: environment.positional });
  lap("parse");
  const checked = checkScript(script, source, environment, {
    unsafe: options.unsafe ?? false,
    probeScope: options.probeScope ?? false,
  });
  lap("check");
  const [major, minor] = environment.kernelVersion;
  const target = kernelTarget([major, minor]);
  const { module, plan } = lowerScript(checked, environment, target);
  lap("lower");
  const object = compileModule(module, { target, scratch: true, ...(options.dump ? { dump: options.dump } : {}) });
  lap("compile");
  return { script, checked, module, plan, object, target, warnings: checked.warnings };
}
