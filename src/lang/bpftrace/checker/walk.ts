/** Visits trees without knowing every node: for what concerns all expressions alike, and for copies. */
import type { CallExpression, Expression, FieldExpression } from "../ast.ts";

/** What the checker sets on nodes: results, not parts of the tree. */
const RESULTS: ReadonlySet<string> = new Set(["type", "resolved", "constant", "span", "nameSpan", "operatorSpan"]);

/** Between the name that a macro's own variable has in the script and the number of the expansion that it belongs to. */
export const HYGIENE = "'";

/** A variable's name as the script has it. */
export function writtenName(name: string): string {
  const at = name.indexOf(HYGIENE);
  return at === -1 ? name : name.slice(0, at);
}

/** A copy of a tree with nothing of what the checker found. Spans are shared. */
export function copyTree<T>(node: T): T {
  if (Array.isArray(node)) return node.map((item) => copyTree(item)) as T;
  if (node === null || typeof node !== "object") return node;
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(node)) {
    if (key === "type" || key === "resolved" || key === "constant") continue;
    out[key] = key.endsWith("pan") ? value : copyTree(value);
  }
  return out as T;
}

/** Calls `visit` for each expression of a tree, outer ones first. */
export function forEachExpression(node: unknown, visit: (e: Expression, parent: Expression | null) => void): void {
  walk(node, null, visit);
}

function walk(
  node: unknown,
  parent: Expression | null,
  visit: (e: Expression, parent: Expression | null) => void,
): void {
  if (node === null || typeof node !== "object") return;
  if (Array.isArray(node)) {
    for (const item of node) walk(item, parent, visit);
    return;
  }
  let inner = parent;
  if (isExpression(node)) {
    visit(node, parent);
    inner = node;
  }
  for (const [key, value] of Object.entries(node)) {
    if (!RESULTS.has(key) && typeof value === "object") walk(value, inner, visit);
  }
}

const EXPRESSION_KINDS: ReadonlySet<string> = new Set([
  "integer",
  "boolean",
  "string",
  "positional",
  "identifier",
  "variable",
  "map",
  "unary",
  "increment",
  "binary",
  "ternary",
  "call",
  "field",
  "index",
  "cast",
  "tuple",
  "comptime",
]);

function isExpression(node: object): node is Expression {
  return "kind" in node && typeof node.kind === "string" && EXPRESSION_KINDS.has(node.kind);
}

/** How bodies use `args`: not at all (null), or by which fields; `whole` when also as one value. */
export function usesOfArgs(
  ...trees: readonly unknown[]
): { readonly fields: ReadonlySet<string>; readonly whole: boolean } | null {
  const fields = new Set<string>();
  let whole = false;
  let used = false;
  forEachExpression(trees, (e, parent) => {
    if (!isArgs(e)) return;
    used = true;
    if (parent?.kind === "field" && (parent as FieldExpression).object === e) fields.add(parent.name);
    else whole = true;
  });
  return used ? { fields, whole } : null;
}

/** True for `args` and `args()`. */
export function isArgs(e: Expression): boolean {
  if (e.kind === "identifier") return e.name === "args";
  return e.kind === "call" && (e as CallExpression).name === "args" && e.args.length === 0;
}
