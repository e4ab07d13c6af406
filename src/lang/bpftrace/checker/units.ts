/** Bodies and the targets that share them: one body serves all targets for which its types are the same. */
import type { Probe } from "../ast.ts";
import { rawTracepointArguments } from "../btf-types.ts";
import type { ProbeTarget, ScriptConfig } from "../checked.ts";
import type { TraceEnvironment } from "../environment.ts";
import { type ProbeProvider, probeProvider } from "../table/probes.ts";
import { TracepointTypes } from "../tracepoint-types.ts";
import type { StructLayout } from "../types.ts";
import type { Unit } from "./state.ts";
import type { TypeLookup } from "./type-lookup.ts";
import { copyTree, usesOfArgs } from "./walk.ts";

interface Group {
  readonly targets: ProbeTarget[];
  readonly args: Unit["args"];
}

/** Makes the units of a probe. */
export class UnitMaker {
  private readonly env: TraceEnvironment;
  private readonly types: TypeLookup;
  private readonly tracepoints: TracepointTypes;

  constructor(env: TraceEnvironment, types: TypeLookup, config: ScriptConfig) {
    this.env = env;
    this.types = types;
    this.tracepoints = new TracepointTypes(types.definitions, config.maxStrlen);
  }

  /** One unit a set of targets with the same provider and, where the body uses `args`, the same fields. */
  units(probe: Probe, targets: readonly ProbeTarget[]): Unit[] {
    const args = usesOfArgs(probe.predicate, probe.body);
    const groups = new Map<string, Group>();
    for (const target of targets) {
      let key: string = target.provider;
      let found: Unit["args"] = null;
      if (args) {
        const format = this.arguments(target, args);
        if (format) {
          key += ` ${format.signature}`;
          found = format.args;
        }
      }
      const group = groups.get(key);
      if (group) group.targets.push(target);
      else groups.set(key, { targets: [target], args: found });
    }
    return [...groups.values()].map((group, i) => this.unit(probe, group, i > 0));
  }

  /** A body none of whose probes is there. */
  orphan(probe: Probe, provider: ProbeProvider): Unit {
    const { predicate, body } = probe;
    const space = provider.context === "user-registers" ? "user" : "kernel";
    return { probe, provider, targets: [], predicate, body, args: null, variables: [], uses: new Set(), space };
  }

  private unit(probe: Probe, group: Group, copy: boolean): Unit {
    const provider = probeProvider(group.targets[0]!.provider)!;
    const isUser = provider.context === "user-registers";
    return {
      probe,
      provider,
      targets: group.targets,
      predicate: copy ? copyTree(probe.predicate) : probe.predicate,
      body: copy ? copyTree(probe.body) : probe.body,
      args: group.args,
      variables: [],
      uses: new Set(),
      space: isUser ? "user" : "kernel",
    };
  }

  /** The arguments of a target, and what tells them from those of others as far as the body can see. */
  private arguments(
    target: ProbeTarget,
    uses: { readonly fields: ReadonlySet<string>; readonly whole: boolean },
  ): { signature: string; args: Unit["args"] } | null {
    if (target.provider === "tracepoint") {
      const format = this.env.tracepointFormat(target.category, target.event);
      if (!format) return null;
      const fields = uses.whole ? format.fields : format.fields.filter((f) => uses.fields.has(f.name));
      const isCall = target.category === "syscalls";
      const signature = `${isCall} ${fields.map((f) => `${f.name} ${f.ctype} ${f.byteOffset} ${f.size} ${f.signed}`).join(",")}`;
      const size = format.fields.reduce((most, f) => Math.max(most, f.byteOffset + f.size), 0);
      const layout: StructLayout = this.tracepoints.layout(target.category, format);
      return { signature, args: { name: `_tracepoint_${target.category}_${target.event}`, layout, size } };
    }
    if (target.provider === "rawtracepoint" && this.types.btf) {
      const layout = rawTracepointArguments(this.types.btf, target.event);
      if (!layout) return null;
      const size = layout.fields().length * 8;
      return { signature: target.event, args: { name: `_rawtracepoint_${target.event}`, layout, size } };
    }
    return null;
  }
}
