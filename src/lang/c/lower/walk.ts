/** Walks over statements and expressions, for questions that are asked before lowering. */
import type { Expr, Initializer, Stmt } from "../ast.ts";

/** A statement or an expression. */
export type Node = Stmt | Expr;

function initializerParts(initializer: Initializer | undefined): Expr[] {
  if (initializer === undefined) return [];
  return initializer.kind === "value" ? [initializer.value] : initializer.values.map(({ value }) => value);
}

function some(...nodes: (Node | undefined)[]): Node[] {
  return nodes.filter((node) => node !== undefined);
}

/** What is directly inside a statement or expression, in the order in which it is written. */
export function childrenOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case "compound":
      return "statements" in node ? node.statements : initializerParts(node.variable.initializer);
    case "expression":
      return [node.expr];
    case "declaration":
      return initializerParts(node.variable.initializer);
    case "if":
      return some(node.condition, node.then, node.else);
    case "while":
      return [node.condition, node.body];
    case "do":
      return [node.body, node.condition];
    case "for":
      return some(...node.initial, node.condition, node.body, node.step);
    case "switch":
      return [node.value, node.body];
    case "case":
    case "label":
      return [node.statement];
    case "return":
      return some(node.value);
    case "asm":
      return [...node.outputs, ...node.inputs].map(({ expr }) => expr);
    case "unary":
    case "dereference":
    case "address":
    case "cast":
      return [node.operand];
    case "binary":
    case "logical":
    case "comma":
      return [node.left, node.right];
    case "conditional":
      return some(node.condition, node.then, node.else);
    case "assign":
      return [node.target, node.value];
    case "step":
      return [node.target];
    case "call":
      return [node.callee, ...node.args];
    case "member":
      return [node.record];
    case "index":
      return [node.array, node.index];
    case "statements":
      return some(node.body, node.result);
    case "builtin":
      return node.args.filter((arg) => arg.kind !== "type");
    default:
      return [];
  }
}

/** True when a node or anything inside is one of which the test holds. */
export function anyInside(root: Node, test: (node: Node) => boolean): boolean {
  const work = [root];
  for (let node = work.pop(); node !== undefined; node = work.pop()) {
    if (test(node)) return true;
    work.push(...childrenOf(node));
  }
  return false;
}

/** True when jumps from elsewhere may lead into a node. */
export function hasEntries(node: Node): boolean {
  return anyInside(node, ({ kind }) => kind === "label" || kind === "case");
}

/** True when computing an expression changes nothing. */
export function isPure(expr: Expr): boolean {
  return !anyInside(expr, (node) => {
    if (node.kind === "builtin")
      return !/^__builtin_(?:preserve|btf|bswap|expect|constant|ctz|clz|ffs|popcount)/.test(node.name);
    return ["assign", "step", "call", "statements", "asm"].includes(node.kind);
  });
}

/** The deepest node, when nodes lie deeper in each other than `limit`. */
export function tooDeep(root: Node, limit: number): Node | undefined {
  const work: { readonly node: Node; readonly depth: number }[] = [{ node: root, depth: 0 }];
  for (let item = work.pop(); item !== undefined; item = work.pop()) {
    const { node, depth } = item;
    if (depth > limit) return node;
    for (const child of childrenOf(node)) work.push({ node: child, depth: depth + 1 });
  }
  return undefined;
}
