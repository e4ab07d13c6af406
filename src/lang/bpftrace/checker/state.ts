/** What the passes over a script share: its maps, and the body they are in. */
import type { Span } from "../../../base/index.ts";
import type { Block, Expression, Probe, Variable } from "../ast.ts";
import type { ProbeTarget, ScriptConfig } from "../checked.ts";
import type { TraceEnvironment } from "../environment.ts";
import type { ProbeProvider } from "../table/probes.ts";
import { isAggregation, type AddressSpace, type StructLayout, type Type, typeName } from "../types.ts";
import { join, storedType, unchanged } from "./promote.ts";
import type { Reporter } from "./reporter.ts";
import { writtenName } from "./walk.ts";
import type { TypeLookup } from "./type-lookup.ts";

/** A map while its types are being found. */
export interface MapState {
  readonly name: string;
  /** Undefined: not used yet; false: without key. */
  keyed: boolean | undefined;
  key: Type | undefined;
  value: Type | undefined;
  /** What was to be its value was refused: that it has none is no news. */
  failed?: boolean;
  /** First use, where what is missing is reported. */
  readonly span: Span;
  readonly declared: { readonly kind: string; readonly maxEntries: number } | null;
}

/** One body with the targets that share it. */
export interface Unit {
  readonly probe: Probe;
  readonly provider: ProbeProvider;
  readonly targets: readonly ProbeTarget[];
  readonly predicate: Expression | null;
  readonly body: Block;
  /** Null when `args` is not used or means nothing here. */
  readonly args: { readonly name: string; readonly layout: StructLayout; readonly size: number } | null;
  variables: readonly Variable[];
  readonly uses: Set<string>;
  /** Where addresses of no known space point. */
  readonly space: AddressSpace;
}

/** Types given by `let $x: type`, which values do not change. */
export type DeclaredTypes = Map<Variable, Type>;

/** State of one check. */
export class CheckState {
  readonly env: TraceEnvironment;
  readonly config: ScriptConfig;
  readonly reporter: Reporter;
  readonly types: TypeLookup;
  readonly unsafe: boolean;
  readonly maps: Map<string, MapState> = new Map();
  readonly declared: DeclaredTypes = new Map();
  /** Variables that have a type by now. */
  readonly typed: Set<Variable> = new Set();
  /** True in the last pass, when all types are known and what is wrong is reported. */
  final = false;
  /** Some body is not looked at, as it is of no probe that can be: what only it says of maps is not known. */
  incomplete = false;
  /** Uses of maps without a value: reported in the end, unless a complaint about what was to be the value explains them. */
  readonly undefinedUses: { readonly map: MapState; readonly span: Span }[] = [];
  /** Something was learned in this pass. */
  changed = false;

  constructor(env: TraceEnvironment, config: ScriptConfig, reporter: Reporter, types: TypeLookup, unsafe: boolean) {
    this.env = env;
    this.config = config;
    this.reporter = reporter;
    this.types = types;
    this.unsafe = unsafe;
  }

  error(span: Span, message: string, hint?: string): undefined {
    this.reporter.error(span, message, hint);
    return undefined;
  }

  /** The state of a map; made at its first use. */
  map(name: string, span: Span): MapState {
    let map = this.maps.get(name);
    if (!map) {
      map = { name: `@${name}`, keyed: undefined, key: undefined, value: undefined, span, declared: null };
      this.maps.set(name, map);
    }
    return map;
  }

  /** Notes that a map is used with (`keyed`) or without a key; reports when it is used both ways. */
  useMap(map: MapState, keyed: boolean, span: Span): boolean {
    if (map.keyed === undefined) {
      map.keyed = keyed;
      this.changed = true;
    }
    if (map.keyed === keyed) return true;
    this.error(
      span,
      keyed
        ? `${map.name} used as a map with an explicit key (non-scalar map), previously used without an explicit key (scalar map)`
        : `${map.name} used as a map without an explicit key (scalar map), previously used with an explicit key (non-scalar map)`,
      keyed ? `write ${map.name} without brackets everywhere, or with a key everywhere` : `write ${map.name}[key]`,
    );
    return false;
  }

  /** A key of this type is used with a map. */
  useKey(map: MapState, type: Type, span: Span): void {
    if (map.key === undefined) {
      map.key = type;
      this.changed = true;
      return;
    }
    const joined = join(map.key, type);
    if (joined === null) {
      this.error(
        span,
        `Argument mismatch for ${map.name}: trying to access with arguments: '${typeName(type)}' when map expects arguments: '${typeName(map.key)}'`,
        "all keys of a map have the same types",
      );
    } else if (!unchanged(map.key, joined)) {
      map.key = joined;
      this.changed = true;
    }
  }

  /** A value of this type is put into a map. */
  assignMap(map: MapState, type: Type, span: Span): void {
    const stored = isAggregation(type) ? type : storedType(type);
    if (map.value === undefined) {
      map.value = stored;
      this.changed = true;
      return;
    }
    const joined = isAggregation(map.value) === isAggregation(stored) ? join(map.value, stored) : null;
    if (joined === null) {
      const detail = this.differentHistogram(map.value, stored);
      this.error(
        span,
        `Type mismatch for ${map.name}: trying to assign value of type '${typeName(type)}' when map already contains a value of type '${typeName(map.value)}'`,
        detail ?? "use another map for other values",
      );
    } else if (!unchanged(map.value, joined)) {
      map.value = joined;
      this.changed = true;
    }
  }

  private differentHistogram(a: Type, b: Type): string | undefined {
    if (a.kind === "hist" && b.kind === "hist") return `one histogram has ${a.bits} bits, the other ${b.bits}`;
    if (a.kind === "lhist" && b.kind === "lhist") {
      return `one histogram is (${a.min}, ${a.max}, ${a.step}), the other (${b.min}, ${b.max}, ${b.step})`;
    }
    return undefined;
  }

  /** A value of this type is put into a variable. */
  assignVariable(variable: Variable, type: Type, span: Span): void {
    if (!this.typed.has(variable)) {
      this.typed.add(variable);
      variable.type = type;
      this.changed = true;
      return;
    }
    const joined = join(variable.type, type);
    if (joined === null) {
      this.error(
        span,
        `Type mismatch for $${writtenName(variable.name)}: trying to assign value of type '${typeName(type)}' when variable already contains a value of type '${typeName(variable.type)}'`,
        "use another variable, or a cast",
      );
    } else if (!unchanged(variable.type, joined)) {
      variable.type = joined;
      this.changed = true;
    }
  }
}
