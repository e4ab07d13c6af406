/** Puts in the place of macro calls, and of builtins that are short for an expression, what they stand for. Runs before names are looked up. */
import type { Span } from "../../../base/index.ts";
import type { Block, CallExpression, Expression, Macro, Probe, Script, Statement, TypeExpression } from "../ast.ts";
import { parseScript } from "../parser.ts";
import { BUILTINS, isBuiltinName } from "../table/builtins.ts";
import { functionRow } from "../table/functions.ts";
import type { Reporter } from "./reporter.ts";
import { forEachExpression, HYGIENE } from "./walk.ts";

/** Expressions that one call may grow to: macros that call each other twice a level grow without end. */
const NODE_LIMIT = 100_000;

const ALIASES: ReadonlyMap<string, string> = new Map(
  BUILTINS.flatMap((b) => (b.expandsTo === undefined ? [] : [[b.name, b.expandsTo] as const])),
);

/** Builtins that may be asked of another task: `ppid(task)`. */
const OF_TASK: ReadonlyMap<string, string> = new Map([...ALIASES, ["ppid", "(uint32)curtask.real_parent.tgid"]]);

/** What the parameters of a macro stand for while its body is copied. */
interface Binding {
  readonly macro: Macro;
  /** Parameters by name without sigil: `$x` variables, `@x` maps, bare names. */
  readonly variables: ReadonlyMap<string, Expression>;
  readonly maps: ReadonlyMap<string, Expression>;
  readonly names: ReadonlyMap<string, Expression>;
  /** Appended to the names of the body's own variables. */
  readonly suffix: string;
}

/** The probes of a script with all macros expanded; those that use none are the same objects. */
export function expandMacros(script: Script, reporter: Reporter): readonly Probe[] {
  const expander = new MacroExpander(script.macros, reporter);
  return script.probes.map((probe) => expander.probe(probe));
}

class MacroExpander {
  private readonly macros = new Map<string, Macro[]>();
  private readonly reporter: Reporter;
  private readonly stack: Macro[] = [];
  private expansions = 0;
  private nodes = 0;

  constructor(macros: readonly Macro[], reporter: Reporter) {
    this.reporter = reporter;
    for (const macro of macros) {
      const same = this.macros.get(macro.name) ?? [];
      const signature = (m: Macro): string => m.params.map((p) => p.sigil || "e").join();
      if (same.some((m) => signature(m) === signature(macro))) {
        reporter.error(
          macro.span,
          `Redefinition of macro: ${macro.name}`,
          "macros of one name differ in the number or sigils of their parameters",
        );
      }
      const names = new Set<string>();
      for (const p of macro.params) {
        if (names.has(p.sigil + p.name))
          reporter.error(p.span, `Macro argument has already been used: ${p.sigil}${p.name}`);
        names.add(p.sigil + p.name);
      }
      same.push(macro);
      this.macros.set(macro.name, same);
    }
  }

  probe(probe: Probe): Probe {
    let found = false;
    forEachExpression([probe.predicate, probe.body], (e) => {
      if (e.kind === "identifier" || e.kind === "call") found ||= this.macros.has(e.name) || OF_TASK.has(e.name);
    });
    if (!found) return probe;
    const predicate = probe.predicate && this.copy(probe.predicate, null, null);
    return { ...probe, predicate, body: this.copy(probe.body, null, null) };
  }

  /** A copy of a tree, with the parameters of `binding` replaced and macros expanded; `at` gives spans to what the script did not write there. */
  private copy<T>(node: T, binding: Binding | null, at: Span | null): T {
    if (node === null || typeof node !== "object") return node;
    if (Array.isArray(node)) return node.map((item) => this.copy(item, binding, at)) as T;
    this.nodes++;
    const replaced =
      "kind" in node ? this.replaced(node as unknown as Expression | TypeExpression, binding, at) : undefined;
    if (replaced) return replaced as T;
    const out: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(node)) {
      if (key === "type" || key === "resolved" || key === "constant" || key === "expansion") continue;
      if (key.endsWith("pan") && typeof value === "object") out[key] = at ?? value;
      else out[key] = this.copy(value, binding, at);
    }
    return asStatement(out as unknown as Statement) as T;
  }

  private replaced(e: Expression | TypeExpression, binding: Binding | null, at: Span | null): unknown {
    switch (e.kind) {
      case "variable": {
        if (!binding) return undefined;
        const passed = binding.variables.get(e.name);
        if (passed) return { ...passed, span: at ?? e.span };
        return { kind: "variable", name: e.name + binding.suffix, span: at ?? e.span };
      }
      case "map": {
        if (!binding) return undefined;
        const passed = binding.maps.get(e.name);
        if (passed?.kind !== "map") {
          this.reporter.error(
            e.span,
            `Unhygienic access to map: @${e.name}. Maps must be passed into the macro as arguments.`,
            `write macro ${binding.macro.name}(@${e.name}) and pass the map`,
          );
          return undefined;
        }
        return { kind: "map", name: passed.name, key: this.copy(e.key, binding, at), span: at ?? e.span };
      }
      case "identifier": {
        // Copied for each place: nodes carry what is found about them there.
        const passed = binding?.names.get(e.name);
        if (passed) return this.copy(passed, null, at);
        if (ALIASES.has(e.name)) return this.alias(e.name, at ?? e.span);
        return this.macros.has(e.name) ? this.call(e.name, [], e.span, at, null) : undefined;
      }
      case "call": {
        if (ALIASES.has(e.name) && e.args.length === 0) return this.alias(e.name, at ?? e.span);
        if (OF_TASK.has(e.name) && e.args.length === 1) {
          return this.alias(e.name, at ?? e.span, this.copy(e.args[0]!, binding, at));
        }
        if (!this.macros.has(e.name)) return undefined;
        return this.call(e.name, this.copy(e.args, binding, at), e.span, at, e);
      }
      case "name": {
        const passed = e.keyword === null ? binding?.names.get(e.name) : undefined;
        if (passed?.kind === "call" && passed.name === "typeof") {
          if (passed.typeArgument) return passed.typeArgument;
          return { kind: "typeof", expression: this.copy(passed.args[0], null, at), span: at ?? e.span };
        }
        if (passed?.kind === "identifier") return { ...e, name: passed.name };
        return passed && { kind: "typeof", expression: this.copy(passed, null, at), span: at ?? e.span };
      }
      default:
        return undefined;
    }
  }

  /** What a builtin is short for; `task` stands for the current one when given. */
  private alias(name: string, span: Span, task: Expression | null = null): Expression {
    const script = parseScript({ name, text: `begin { ${(task ? OF_TASK : ALIASES).get(name)!} }` });
    const statement = script.probes[0]!.body.statements[0]!;
    if (statement.kind !== "expression") throw new TypeError(`alias ${name}: ${statement.kind}`);
    const names = new Map(task ? [["curtask", task]] : []);
    const none: ReadonlyMap<string, Expression> = new Map();
    const macro: Macro = { name, params: [], body: { statements: [], span }, span };
    return this.copy(statement.expression, { macro, variables: none, maps: none, names, suffix: "" }, span);
  }

  /** What a call of a macro stands for: its body as a block, with the value of its last expression. */
  private call(
    name: string,
    args: readonly Expression[],
    span: Span,
    at: Span | null,
    call: CallExpression | null,
  ): unknown {
    const place = at ?? span;
    const macro = this.choose(name, args, place, call !== null);
    if (!macro) return undefined;
    // What was complained about is not to be complained about again, as an unknown function.
    const wrong: Expression = { kind: "integer", value: 0n, text: "0", span: place };
    if (macro === "wrong") return wrong;
    if (this.stack.includes(macro)) {
      const chain = [...this.stack.slice(this.stack.indexOf(macro)), macro].map((m) => m.name).join(" > ");
      this.reporter.error(place, `Recursive macro call detected. Call chain: ${chain}`, "use a loop");
      return wrong;
    }
    if (this.nodes > NODE_LIMIT) {
      this.reporter.error(place, `macro ${name} grows beyond ${NODE_LIMIT} expressions`);
      return wrong;
    }
    const binding = this.bind(macro, args);
    this.stack.push(macro);
    // Errors in the body are shown where the macro was written, which says more than the place of the call.
    const body = this.copy(macro.body, binding, at);
    this.stack.pop();
    return asValue(body, place);
  }

  private bind(macro: Macro, args: readonly Expression[]): Binding {
    const variables = new Map<string, Expression>();
    const maps = new Map<string, Expression>();
    const names = new Map<string, Expression>();
    for (const [i, param] of macro.params.entries()) {
      (param.sigil === "$" ? variables : param.sigil === "@" ? maps : names).set(param.name, args[i]!);
    }
    this.expansions++;
    return { macro, variables, maps, names, suffix: `${HYGIENE}${this.expansions}` };
  }

  /** The macro of a name whose parameters take the arguments; the closest is blamed when there is none. */
  private choose(name: string, args: readonly Expression[], place: Span, called: boolean): Macro | "wrong" | undefined {
    const candidates = this.macros.get(name)!;
    const fits = (macro: Macro): boolean =>
      macro.params.length === args.length && macro.params.every((p, i) => mismatch(p.sigil, args[i]!) === undefined);
    // A macro that asks for variables and maps is meant before one that takes anything.
    const precise = (macro: Macro): number => macro.params.filter((p) => p.sigil !== "").length;
    const macro = candidates.filter(fits).toSorted((a, b) => precise(b) - precise(a))[0];
    if (macro) return macro;
    // A function of the same name is meant when no macro fits.
    if (functionRow(name) || (isBuiltinName(name) && args.length === 0)) return undefined;
    const nearest = candidates.find((m) => m.params.length === args.length) ?? candidates[0]!;
    const signature = `${name}(${nearest.params.map((p) => p.sigil + p.name).join(", ")})`;
    if (nearest.params.length !== args.length) {
      this.reporter.error(
        place,
        `Call to ${name}${called ? "()" : ""} has the wrong number of arguments. Expected: ${nearest.params.length} but got ${args.length}.`,
        `write ${signature}`,
      );
      return "wrong";
    }
    for (const [i, param] of nearest.params.entries()) {
      const problem = mismatch(param.sigil, args[i]!);
      if (problem) {
        this.reporter.error(
          args[i]!.span,
          `Mismatched arg. ${name}() expects a ${problem} for arg ${param.sigil}${param.name}`,
          `write ${signature}`,
        );
      }
    }
    return "wrong";
  }
}

/** What a parameter wants that an argument is not. */
function mismatch(sigil: "$" | "@" | "", argument: Expression): string | undefined {
  if (sigil === "$" && argument.kind !== "variable") return "variable";
  if (sigil === "@" && !(argument.kind === "map" && argument.key === null)) return "map";
  return undefined;
}

/** A block that stands alone as a statement is one: nobody asks for its value. Other nodes stay. */
function asStatement(s: Statement): Statement {
  if (s.kind !== "expression" || s.expression.kind !== "block") return s;
  const { block, result, span } = s.expression;
  const statements = [...block.statements];
  if (!(result.kind === "tuple" && result.items.length === 0)) {
    statements.push({ kind: "expression", expression: result, span: result.span });
  }
  return { kind: "block", block: { statements, span }, span };
}

/** A block as an expression. A body without a value at its end has the empty tuple. */
function asValue(body: Block, span: Span): Expression {
  const last: Statement | undefined = body.statements.at(-1);
  if (last?.kind === "expression") {
    const statements = body.statements.slice(0, -1);
    if (statements.length === 0) return { ...last.expression, span };
    return { kind: "block", block: { statements, span }, result: last.expression, span };
  }
  const nothing: Expression = { kind: "tuple", items: [], span };
  return { kind: "block", block: { statements: body.statements, span }, result: nothing, span };
}
