/** Checks a parsed script: attach points to targets, names to meanings, expressions to types. */
import { type Diagnostic, nearestNames, ScriptError, type SourceText } from "../../base/index.ts";
import type { MapDeclaration, Probe, Script } from "./ast.ts";
import type { CheckedProgram, CheckedScript, MapInfo, ProbeTarget, ScriptConfig } from "./checked.ts";
import { expandMacros } from "./checker/macros.ts";
import { UNSET } from "./checker/promote.ts";
import { didYouMean, Reporter } from "./checker/reporter.ts";
import { ScopeResolver } from "./checker/scopes.ts";
import { resolveConfig } from "./checker/settings.ts";
import { CheckState, type MapState, type Unit } from "./checker/state.ts";
import { StatementChecker } from "./checker/statements.ts";
import { TypeLookup } from "./checker/type-lookup.ts";
import { UnitMaker } from "./checker/units.ts";
import type { TraceEnvironment } from "./environment.ts";
import { Expander } from "./expand.ts";
import { probeProvider } from "./table/probes.ts";
import { isAggregation } from "./types.ts";

/** How a script is checked. */
export interface CheckOptions {
  /** Functions that change the system (`system`, `signal`) are allowed. */
  readonly unsafe: boolean;
  /** Variables live to the end of their probe, not of the block that first assigns them: bpftrace before 0.22. */
  readonly probeScope?: boolean;
}

/** Passes after which types that still change are given up: each pass widens some type, which can happen a few times only. */
const PASS_LIMIT = 24;

/** Kinds of maps that a script may declare. */
const MAP_KINDS: readonly string[] = ["hash", "lruhash", "percpuhash", "percpulruhash"];

/**
 * Checks a script. The tree is completed in place: every expression gets its type, every name its meaning.
 *
 * What lowering can rely on:
 * - an expression's `type` is that of its own value; where it goes into a map, a variable or a key, the type of those may be wider
 *   (integers of other size and sign, longer strings), and the value is converted on the way;
 * - a map of an aggregation has that type where it is named; read as a number it is 64 bits, signed as the aggregation is;
 * - `e.constant` is set where the value is known, `resolved` on names and fields;
 * - the object of a field access is a struct, a pointer to one (whether written `.` or `->`), a tuple or `args`;
 * - a target occurs in one program of a probe only; targets of one program are of one provider.
 *
 * Throws {@link ScriptError} with everything that is wrong, in order of place.
 */
export function checkScript(
  script: Script,
  source: SourceText,
  env: TraceEnvironment,
  options: CheckOptions,
): CheckedScript {
  const reporter = new Reporter();
  const config = resolveConfig(script.config, env.config, reporter, env.kernelVersion);
  refuseUnsupported(script, reporter);
  const types = new TypeLookup(script.preamble, env, config.maxStrlen, reporter);
  const state = new CheckState(env, config, reporter, types, options.unsafe);
  declareMaps(script.mapDeclarations, state);
  const units = makeUnits(expandMacros(script, reporter), state);
  for (const unit of units) {
    const resolver = new ScopeResolver(reporter, options.probeScope);
    resolver.resolve(unit.predicate, unit.body);
    unit.variables = resolver.variables;
  }
  findTypes(units, state);
  const maps = finishMaps(state);
  if (reporter.errors.length === 0 && units.every((u) => u.targets.length === 0)) {
    reporter.error(
      script.probes[0]?.span ?? script.span,
      "No probes to attach",
      "none of the script's probes exists here",
    );
  }
  if (reporter.errors.length > 0) throw new ScriptError(source, inOrder(reporter.errors));
  return {
    source,
    config,
    maps,
    programs: units.filter((u) => u.targets.length > 0).map(finishUnit),
    functions: [],
    warnings: inOrder(reporter.warnings),
  };
}

function inOrder(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return diagnostics.toSorted((a, b) => a.span.start - b.span.start || a.span.end - b.span.end);
}

function refuseUnsupported(script: Script, reporter: Reporter): void {
  const refuse = (span: Diagnostic["span"], what: string, instead: string): void =>
    reporter.error(span, `not supported by this version of skep yet: ${what}`, instead);
  for (const { span } of script.imports) refuse(span, "import", "put the definitions into the script");
  for (const { nameSpan, name } of script.functions) refuse(nameSpan, `fn ${name}`, "write out what it does");
}

function declareMaps(declarations: readonly MapDeclaration[], state: CheckState): void {
  for (const { name, mapKind, maxEntries, span } of declarations) {
    if (!MAP_KINDS.includes(mapKind)) {
      const near = nearestNames(mapKind, MAP_KINDS);
      state.error(
        span,
        `Invalid bpf map type: ${mapKind}`,
        didYouMean(near, `Valid map types: ${MAP_KINDS.join(", ")}`),
      );
      continue;
    }
    if (maxEntries < 1n || maxEntries > 0x7fff_ffffn) {
      state.error(span, `Invalid number of entries: ${maxEntries}`, "a map holds 1 to 2147483647 entries");
      continue;
    }
    if (state.maps.has(name)) {
      state.error(span, `@${name} was already declared`);
      continue;
    }
    const declared = { kind: mapKind, maxEntries: Number(maxEntries) };
    state.maps.set(name, { name: `@${name}`, keyed: undefined, key: undefined, value: undefined, span, declared });
  }
}

/** Expands all attach points, and groups their targets. */
function makeUnits(probes: readonly Probe[], state: CheckState): Unit[] {
  const expander = new Expander(state.env, state.config, state.reporter);
  const maker = new UnitMaker(state.env, state.types, state.config);
  const units: Unit[] = [];
  let count = 0;
  let beyond: Probe | undefined;
  for (const probe of probes) {
    const targets = new Map<string, ProbeTarget>();
    for (const point of probe.attachPoints) {
      for (const target of expander.expand(point)) targets.set(target.name, target);
    }
    count += targets.size;
    if (count > state.config.maxProbes) beyond ??= probe;
    if (targets.size > 0) units.push(...maker.units(probe, [...targets.values()]));
    else {
      // Not to run, yet what it assigns tells the types of maps that others use.
      state.incomplete = true;
      const provider = probeProvider(probe.attachPoints[0]!.provider);
      if (provider) units.push(maker.orphan(probe, provider));
    }
  }
  if (beyond) {
    state.error(
      beyond.span,
      `Can't attach to ${count} probes because it exceeds the current limit of ${state.config.maxProbes} probes.`,
      `You can increase the limit through config = { max_probes = ${count} } or BPFTRACE_MAX_PROBES, but BE CAREFUL since a high number of probes attached can cause your system to crash.`,
    );
  }
  return units;
}

/** Runs passes until no type changes any more, then one that complains. */
function findTypes(units: readonly Unit[], state: CheckState): void {
  const checkers = units.map((unit) => ({ unit, checker: new StatementChecker(state, unit) }));
  state.reporter.muted = true;
  for (let pass = 0; pass < PASS_LIMIT; pass++) {
    state.changed = false;
    for (const { unit, checker } of checkers) checker.unit(unit);
    if (!state.changed) break;
  }
  state.reporter.muted = false;
  for (const { variables } of units) {
    for (const variable of variables) {
      // Never given a value that is known: what is wrong with the value is reported where it stands.
      if (!state.typed.has(variable)) variable.type = UNSET;
    }
  }
  state.final = true;
  for (const { unit, checker } of checkers) if (unit.targets.length > 0) checker.unit(unit);
  reportUndefined(state);
}

function reportUndefined(state: CheckState): void {
  const others = [...state.maps.values()].filter((m) => m.value).map((m) => m.name);
  for (const { map, span } of state.undefinedUses) {
    if (map.failed || state.incomplete) continue;
    // Names of one or two letters are all near to each other.
    const near = map.name.length > 3 ? nearestNames(map.name, others) : [];
    const hint = `nothing is assigned to it: ${map.name} = 1; or ${map.name} = count();`;
    state.error(span, `Undefined map: ${map.name}`, didYouMean(near, hint));
  }
}

function finishMaps(state: CheckState): Map<string, MapInfo> {
  const maps = new Map<string, MapInfo>();
  for (const [name, map] of [...state.maps].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (!map.value) {
      if (map.keyed === undefined && map.declared) state.reporter.warning(map.span, `Unused map: ${map.name}`);
      else if (state.incomplete) {
        // Only a probe that is not there assigns it.
        maps.set(name, {
          name: map.name,
          key: map.keyed ? (map.key ?? UNSET) : null,
          value: UNSET,
          declared: map.declared,
        });
      } else if (state.reporter.errors.length === 0) {
        state.error(map.span, `Undefined map: ${map.name}`, `nothing is assigned to it: ${map.name} = 1;`);
      }
      continue;
    }
    checkDeclared(map, state);
    maps.set(name, {
      name: map.name,
      key: map.keyed && map.key ? map.key : null,
      value: map.value,
      declared: map.declared,
    });
  }
  return maps;
}

function checkDeclared(map: MapState, state: CheckState): void {
  const { declared, value } = map;
  if (!declared || !value) return;
  const perCpu = declared.kind.startsWith("percpu");
  if (isAggregation(value) === perCpu) return;
  const needed = isAggregation(value) ? "percpuhash or percpulruhash" : "hash or lruhash";
  state.error(
    map.span,
    `Incompatible map types. Type from declaration: ${declared.kind}. Type from value/key type: ${needed}`,
    `declare let ${map.name} = ${needed.split(" ")[0]}(${declared.maxEntries});`,
  );
}

function finishUnit(unit: Unit): CheckedProgram {
  const { probe, targets, predicate, body, variables, args, uses } = unit;
  return {
    probe,
    targets,
    predicate,
    body,
    variables,
    args: args && uses.has("args") ? { name: args.name, layout: args.layout } : null,
    uses,
  };
}

/** The settings that a script without a `config` block has. */
export function defaultConfig(): ScriptConfig {
  return resolveConfig([], new Map(), new Reporter(), [Infinity, 0]);
}
