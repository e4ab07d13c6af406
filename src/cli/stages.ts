/** Stages of a compilation as text, for `-d` and `skep build`. */
import { compileModule, printModule } from "../compiler/index.ts";
import { typeName } from "../lang/bpftrace/types.ts";
import type { CompiledScript } from "../lang/bpftrace/compile.ts";
import { listObject } from "./listing.ts";

/** Text of the stages that were asked for, each under a heading when there are several. */
export function showStages(compiled: CompiledScript, stages: ReadonlySet<string>): string {
  const writers: Record<string, () => string> = {
    ast: () => treeText(compiled.script, 0),
    types: () => typesText(compiled),
    ir: () => printModule(compiled.module),
    optimized: () => optimizedText(compiled),
    asm: () => listObject(compiled.object),
  };
  const wanted = Object.keys(writers).filter((stage) => stages.has(stage));
  return wanted
    .map((stage) => (wanted.length > 1 ? `=== ${stage} ===\n` : "") + writers[stage]!().trimEnd())
    .join("\n\n")
    .concat("\n");
}

/** The IR behind the last pass before instructions are chosen. */
function optimizedText(compiled: CompiledScript): string {
  let last = "";
  compileModule(compiled.module, {
    target: compiled.target,
    scratch: true,
    dump: (stage, text) => {
      if (stage !== "lower") last = text;
    },
  });
  return last;
}

function typesText({ checked, plan }: CompiledScript): string {
  const lines: string[] = [];
  for (const map of checked.maps.values()) {
    lines.push(`${map.name}${map.key ? `[${typeName(map.key)}]` : ""}: ${typeName(map.value)}`);
  }
  for (const program of checked.programs) {
    lines.push("", program.targets.map((target) => target.name).join(", "));
    for (const variable of program.variables) lines.push(`  $${variable.name}: ${typeName(variable.type)}`);
  }
  for (const probe of plan.probes) {
    const where = probe.run.when === "attached" ? JSON.stringify(probe.run.attach) : probe.run.when;
    lines.push(`${probe.program}: ${where}`);
  }
  return lines.join("\n");
}

/** Keys that say nothing to a reader of a tree. */
const HIDDEN = new Set(["span", "nameSpan", "keySpan", "providerSpan", "operatorSpan", "resolved", "expansion"]);

/** A syntax tree, a node a line. */
function treeText(node: unknown, depth: number): string {
  const pad = "  ".repeat(depth);
  if (Array.isArray(node)) return node.map((item) => treeText(item, depth)).join("");
  if (node === null || typeof node !== "object") return `${pad}${scalarText(node)}\n`;
  const scalars: string[] = [];
  let children = "";
  for (const [key, value] of Object.entries(node)) {
    if (HIDDEN.has(key) || value === undefined || value === null || (Array.isArray(value) && value.length === 0))
      continue;
    if (key === "type" && typeof value === "object")
      scalars.push(`type=${typeName(value as Parameters<typeof typeName>[0])}`);
    else if (key === "kind") scalars.unshift(String(value));
    else if (typeof value === "object") children += `${pad}  ${key}:\n${treeText(value, depth + 2)}`;
    else scalars.push(`${key}=${scalarText(value)}`);
  }
  return `${pad}${scalars.join(" ") || "-"}\n${children}`;
}

function scalarText(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
