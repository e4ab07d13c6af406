/** Trees in the notation of the tests: `(call printf "%d" pid)`. */
import type {
  Block,
  Expression,
  Probe,
  Script,
  Statement,
  TypeExpression,
} from "../../../../src/lang/bpftrace/index.ts";

/** A type as written. */
export function typeText(t: TypeExpression): string {
  switch (t.kind) {
    case "name":
      return `${t.keyword ? `${t.keyword} ` : ""}${t.name}${t.size === null ? "" : `[${t.size}]`}`;
    case "pointer":
      return `${typeText(t.to)}*`;
    case "array":
      return `${typeText(t.of)}[${t.length === 0n ? "" : t.length}]`;
    case "typeof":
      return `(typeof ${expressionText(t.expression)})`;
  }
}

function list(...items: readonly (string | null | undefined)[]): string {
  return `(${items.filter((i) => i !== null && i !== undefined && i !== "").join(" ")})`;
}

function all(items: readonly Expression[]): string {
  return items.map(expressionText).join(" ");
}

/** An expression. */
export function expressionText(e: Expression): string {
  switch (e.kind) {
    case "integer":
      return String(e.value);
    case "boolean":
      return String(e.value);
    case "string":
      return JSON.stringify(e.value);
    case "positional":
      return e.index === 0 ? "$#" : `$${e.index}`;
    case "identifier":
      return e.name;
    case "variable":
      return `$${e.name}`;
    case "map":
      return e.key === null ? `@${e.name}` : `@${e.name}[${all(e.key)}]`;
    case "unary":
      return list(e.operator, expressionText(e.operand));
    case "increment":
      return e.prefix ? list(e.operator, expressionText(e.target)) : list(expressionText(e.target), e.operator);
    case "binary":
      return list(e.operator, expressionText(e.left), expressionText(e.right));
    case "ternary":
      return list(
        "?:",
        expressionText(e.condition),
        e.then ? expressionText(e.then) : "-",
        expressionText(e.otherwise),
      );
    case "call":
      return list(
        "call",
        e.name,
        e.typeArgument && `<${typeText(e.typeArgument)}>`,
        all(e.args),
        e.fieldPath && `.${e.fieldPath.join(".")}`,
      );
    case "field":
      return `${expressionText(e.object)}${e.arrow ? "->" : "."}${e.name}`;
    case "index":
      return `${expressionText(e.object)}[${expressionText(e.index)}]`;
    case "cast":
      return list(`cast<${typeText(e.target)}>`, expressionText(e.operand));
    case "tuple":
      return list("tuple", ...e.items.map((item, i) => (e.names ? `${e.names[i]}=` : "") + expressionText(item)));
    case "block":
      return list("do", ...e.block.statements.map(statementText), expressionText(e.result));
    case "if":
      return list("if", expressionText(e.condition), expressionText(e.then), expressionText(e.otherwise));
    case "comptime":
      return list("comptime", expressionText(e.operand));
  }
}

function blockText(b: Block): string {
  return `{${b.statements.map(statementText).join(" ")}}`;
}

/** A statement. */
export function statementText(s: Statement): string {
  switch (s.kind) {
    case "expression":
      return expressionText(s.expression);
    case "assign":
      return list(`${s.op ?? ""}=`, s.target ? expressionText(s.target) : "_", expressionText(s.value));
    case "declare":
      return list(
        "let",
        `$${s.variable.name}`,
        s.declaredType && `: ${typeText(s.declaredType)}`,
        s.value && expressionText(s.value),
      );
    case "if": {
      const otherwise = s.otherwise && ("kind" in s.otherwise ? statementText(s.otherwise) : blockText(s.otherwise));
      return list("if", expressionText(s.condition), blockText(s.then), otherwise);
    }
    case "while":
      return list("while", expressionText(s.condition), blockText(s.body));
    case "for-map":
      return list("for", `$${s.variable.name}`, `@${s.map.name}`, blockText(s.body));
    case "for-range":
      return list(
        "for",
        `$${s.variable.name}`,
        `${expressionText(s.start)}..${expressionText(s.end)}`,
        blockText(s.body),
      );
    case "unroll":
      return list("unroll", expressionText(s.count), blockText(s.body));
    case "return":
      return list("return", s.value && expressionText(s.value));
    case "break":
    case "continue":
      return s.kind;
    case "block":
      return blockText(s.block);
  }
}

/** A probe: its points, predicate and body. */
export function probeText(p: Probe): string {
  const points = p.attachPoints.map((a) => [a.provider, ...a.parts.map((part) => part.text)].join(":")).join(",");
  return `${points} ${p.predicate ? `/${expressionText(p.predicate)}/ ` : ""}${blockText(p.body)}`;
}

/** All of a script's probes. */
export function scriptText(script: Script): string {
  return script.probes.map(probeText).join("\n");
}
