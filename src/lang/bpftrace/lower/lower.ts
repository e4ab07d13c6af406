/** From a checked script to a module of IR and the plan of its run. */
import { addMap, FunctionBuilder } from "../../../compiler/builder.ts";
import type { Module } from "../../../compiler/ir.ts";
import { MapType, ProgType } from "../../../isa/index.ts";
import type { CheckedProgram, CheckedScript } from "../checked.ts";
import type { TraceEnvironment } from "../environment.ts";
import type { TracePlan } from "../plan.ts";
import { Body } from "./body.ts";
import { dispatchSyscalls } from "./dispatch.ts";
import { lowerCondition } from "./expressions.ts";
import { planMaps } from "./maps.ts";
import { processId } from "./process-ids.ts";
import { ScriptContext, START_TIME } from "./script.ts";
import type { LowerTarget, Site } from "./script.ts";
import { planSites } from "./sites.ts";
import { lowerStatements } from "./statements.ts";

/** What {@link lowerScript} makes. */
export interface LoweredScript {
  readonly module: Module;
  readonly plan: TracePlan;
}

/**
 * Lowers a checked script for a kernel. The module holds one program for every set of targets that can share one; the plan says where
 * each is attached and what its records mean.
 * @throws SkepError code `script` for what cannot be lowered, with its place; UnsupportedError for what the target kernel lacks.
 */
export function lowerScript(checked: CheckedScript, env: TraceEnvironment, target: LowerTarget): LoweredScript {
  const script = new ScriptContext(checked, env, target);
  planMaps(script);
  // The words tell before anything is lowered; a comment that says so costs one small program.
  if (/\belapsed\b/.test(checked.source.text)) addStartProgram(script);
  for (const program of checked.programs) {
    for (const { site, runs } of planSites(script, program)) {
      const name = script.functionName(programName(site));
      const probeIndex = script.probes.length;
      for (const { run, targets } of runs) {
        script.probes.push({ program: name, run, names: targets.map((t) => t.name) });
      }
      lowerProgram(script, program, site, name, probeIndex);
    }
  }
  script.finish();
  return { module: script.module, plan: planOf(script) };
}

function planOf(script: ScriptContext): TracePlan {
  return {
    config: script.checked.config,
    probes: script.probes,
    maps: [...script.maps.values()].map((m) => ({
      name: m.name,
      kernelMap: m.kernelMap,
      key: m.key,
      value: m.value,
      perCpu: m.perCpu,
      layout: m.layout,
      presentOffset: m.presentOffset,
    })),
    events: script.events,
    stackMaps: script.stackMaps,
    probeNames: script.probeNames,
    usesRing: script.usesRing,
    probeCount: script.probes.reduce((sum, probe) => sum + probe.names.length, 0),
  };
}

/** A name that says what the program traces, within the 15 characters that the kernel shows. */
function programName(site: Site): string {
  const { target } = site;
  if (site.syscalls) {
    const [only] = site.targets;
    return site.targets.length === 1 && only?.provider === "tracepoint" ? only.event : `sys_${site.syscalls.side}`;
  }
  switch (target.provider) {
    case "tracepoint":
    case "rawtracepoint":
      return site.targets.length === 1 ? target.event : target.provider;
    case "kprobe":
    case "kretprobe":
      return site.targets.length === 1 ? target.func : target.provider;
    case "uprobe":
    case "uretprobe":
      return site.targets.length === 1 ? target.symbol : target.provider;
    default:
      return target.provider;
  }
}

function lowerProgram(
  script: ScriptContext,
  program: CheckedProgram,
  site: Site,
  name: string,
  probeIndex: number,
): void {
  const b = new FunctionBuilder(script.module, {
    name,
    params: [{ name: "ctx", type: "ptr" }],
    result: "i64",
    role: "entry",
    program: {
      type: site.programType,
      expectedAttachType: site.expectedAttachType,
      ...(site.attachTo === undefined ? {} : { attachTo: site.attachTo }),
    },
  });
  const body = new Body(script, b, program, site, probeIndex, b.param(0));
  body.at(program.probe.span);
  // Variables collect in a block of their own: among the first statements each would move all that follows.
  const start = b.block("start");
  b.jump(start);
  b.moveTo(start);
  if (site.syscalls) dispatchSyscalls(body, site.syscalls);
  if (site.filterPid !== undefined) filterPid(body, site.filterPid);
  if (program.predicate) {
    const pass = b.block("body");
    const skip = b.block("skip");
    lowerCondition(body, program.predicate, pass, skip);
    b.moveTo(skip);
    b.return(body.int(0));
    b.moveTo(pass);
  }
  lowerStatements(body, program.body.statements);
  b.return(body.int(0));
}

function filterPid(body: Body, pid: number): void {
  const { b } = body;
  const own = processId(body);
  const skip = b.block("skip");
  const pass = b.block("process");
  b.branch(b.icmp("eq", own, body.int(pid)), pass, skip);
  b.moveTo(skip);
  b.return(body.int(0));
  b.moveTo(pass);
}

/** A program before all others that notes the time, for `elapsed`. It stands for no probe of the script. */
function addStartProgram(script: ScriptContext): void {
  addMap(script.module, {
    name: START_TIME,
    type: MapType.ARRAY,
    keySize: 4,
    valueSize: 8,
    maxEntries: 1,
    flags: 0,
  });
  const name = script.functionName("skep_start_time");
  const b = new FunctionBuilder(script.module, {
    name,
    params: [{ name: "ctx", type: "ptr" }],
    result: "i64",
    role: "entry",
    program: { type: ProgType.RAW_TRACEPOINT, expectedAttachType: 0 },
  });
  b.store(b.mapvalue(START_TIME), b.helper(script.helperId("ktime_get_ns"), []), 64);
  b.return(b.const(0));
  script.probes.push({ program: name, run: { when: "begin" }, names: [] });
}
