/** The textual form of the IR; {@link parseModule} reads it back. The grammar is described in parse.ts. */
import { helperById } from "../isa/index.ts";
import type { MapSpec } from "../object/index.ts";
import { signedValue } from "./builder.ts";
import { isBinary } from "./ops.ts";
import type { Block, Func, Inst, IrType, Module, Position, Value } from "./ir.ts";

const WORD = /^[A-Za-z_.$][\w.$]*$/;

/** A name as it stands in IR text: bare when it is a word, otherwise a JSON string. */
export function irName(name: string): string {
  return WORD.test(name) ? name : JSON.stringify(name);
}

/** The module as text, ending in a newline. `positions: false` leaves the source positions out. */
export function printModule(module: Module, options: { positions?: boolean } = {}): string {
  const out = [`module ${irName(module.name)} license ${JSON.stringify(module.license)}`];
  for (const source of module.sources) out.push(`source ${JSON.stringify(source.name)} ${JSON.stringify(source.text)}`);
  for (const map of module.maps) out.push(printMap(map, module.constantMaps?.has(map.name) === true));
  for (const func of module.funcs) out.push("", printFunction(func, options));
  return `${out.join("\n")}\n`;
}

function printMap(map: MapSpec, constant: boolean): string {
  const parts = [
    `map ${irName(map.name)} type ${map.type} key ${map.keySize} value ${map.valueSize} entries ${map.maxEntries} flags ${map.flags}`,
  ];
  if (map.keyTypeId !== undefined || map.valueTypeId !== undefined) {
    parts.push(`btf ${map.keyTypeId ?? 0} ${map.valueTypeId ?? 0}`);
  }
  if (map.initialValue) {
    parts.push(`initial "${Array.from(map.initialValue, (b) => b.toString(16).padStart(2, "0")).join("")}"`);
  }
  if (map.frozen) parts.push("frozen");
  if (constant) parts.push("constant");
  return parts.join(" ");
}

/** Labels of blocks: their names, with the id where two blocks share one. */
function labels(func: Func): Map<Block, string> {
  const count = new Map<string, number>();
  for (const b of func.blocks) count.set(b.name, (count.get(b.name) ?? 0) + 1);
  return new Map(func.blocks.map((b) => [b, count.get(b.name) === 1 ? irName(b.name) : irName(`${b.name}.${b.id}`)]));
}

/** One function as text. */
export function printFunction(func: Func, options: { positions?: boolean } = {}): string {
  const withPositions = options.positions !== false;
  const label = labels(func);
  const name = (b: Block): string => label.get(b) ?? `?${b.name}`;
  const head = [
    `${func.role} @${irName(func.name)}(${func.params.map((p) => `%${irName(p.name)}: ${p.type}`).join(", ")}) -> ${func.result}`,
  ];
  if (func.program) {
    head.push(`type ${func.program.type} attach ${func.program.expectedAttachType}`);
    if (func.program.attachTo !== undefined) head.push(`to ${JSON.stringify(func.program.attachTo)}`);
    if (func.program.sleepable) head.push("sleepable");
    if (func.program.flags) head.push(`flags ${func.program.flags}`);
    if (func.program.section !== undefined) head.push(`section ${JSON.stringify(func.program.section)}`);
    if (func.program.attach) head.push(`at ${JSON.stringify(JSON.stringify(func.program.attach))}`);
    if (func.program.attachTypeOptional) head.push("optional");
    if (func.program.autoload === false) head.push("manual");
  }
  if (func.inline) head.push(`inline ${func.inline}`);
  if (func.protoTypeId !== undefined) head.push(`proto ${func.protoTypeId}`);
  if (func.funcTypeId !== undefined) head.push(`functype ${func.funcTypeId}`);
  const at = (p: Position | null | undefined): string =>
    withPositions && p ? ` !${p.source}:${p.line}:${p.column}` : "";
  const out = [`${head.join(" ")}${at(func.position)} {`];
  for (const block of func.blocks) {
    out.push(`${name(block)}:`);
    for (const inst of block.insts) out.push(`  ${printInst(inst, name)}${at(inst.position)}`);
    const t = block.terminator;
    switch (t?.kind) {
      case "jump":
        out.push(`  jump ${name(t.target)}${at(t.position)}`);
        break;
      case "branch": {
        const likely = t.likely ? ` likely ${t.likely}` : "";
        out.push(`  branch ${operand(t.condition, "i1")}, ${name(t.then)}, ${name(t.else)}${likely}${at(t.position)}`);
        break;
      }
      case "return":
        out.push(`  return${t.value ? ` ${operand(t.value, func.result)}` : ""}${at(t.position)}`);
        break;
      case "maygoto":
        out.push(`  maygoto ${name(t.body)}, ${name(t.exit)}${at(t.position)}`);
        break;
      case "unreachable":
        out.push("  unreachable");
        break;
      default:
        out.push("  (no terminator)");
    }
  }
  out.push("}");
  return out.join("\n");
}

function operand(value: Value, implied: IrType): string {
  if (value.kind === "inst") return `%${value.id}`;
  if (value.kind === "param") return `%${irName(value.name)}`;
  if (value.type === "ptr") return "null";
  const text = signedValue(value).toString();
  const shown = value.type === "i1" ? String(value.value) : text;
  return value.type === implied ? shown : `${value.type}:${shown}`;
}

function address(value: Value, offset = 0): string {
  if (offset === 0) return `[${operand(value, "ptr")}]`;
  return `[${operand(value, "ptr")} ${offset < 0 ? "-" : "+"} ${Math.abs(offset)}]`;
}

/** One instruction as text, without its position. */
export function printInst(inst: Inst, block: (b: Block) => string = (b) => irName(b.name)): string {
  const result = inst.type === "void" && inst.op !== "asm" ? "" : `%${inst.id} = `;
  return result + body(inst, block);
}

function printAsm(inst: Inst): string {
  const code = inst.asm!;
  const outputs = code.outputs.map(
    (o) => o.type + (o.tied === undefined ? "" : ` tied ${o.tied}`) + (o.early ? " early" : ""),
  );
  const inputs = inst.args.map((v, i) => `${code.inputs[i]} ${operand(v, "i64")}`);
  const marks = (code.memory ? " memory" : "") + (code.volatile ? " volatile" : "");
  const lists = `out(${outputs.join(", ")}) in(${inputs.join(", ")}) clobber(${code.clobbers.join(", ")})`;
  return `asm ${JSON.stringify(code.template)} ${lists}${marks}`;
}

function body(inst: Inst, block: (b: Block) => string): string {
  const [a, b, c] = inst.args as [Value, Value, Value];
  const list = (implied: IrType): string => inst.args.map((v) => operand(v, implied)).join(", ");
  if (isBinary(inst.op)) return `${inst.op} ${inst.type} ${list(inst.type)}`;
  const marks = (inst.faultable ? " faultable" : "") + (inst.volatile ? " volatile" : "");
  switch (inst.op) {
    case "icmp":
      return `icmp ${inst.predicate} ${a.type} ${list(a.type)}`;
    case "select":
      return `select ${inst.type} ${operand(a, "i1")}, ${operand(b, inst.type)}, ${operand(c, inst.type)}`;
    case "zext":
    case "sext":
      return `${inst.op} ${inst.type} ${operand(a, inst.type)} bits ${inst.bits}`;
    case "bswap":
      return `bswap ${inst.type} ${operand(a, inst.type)} bits ${inst.bits}`;
    case "alloca":
      return `alloca ${inst.size} align ${inst.align}${inst.name === undefined ? "" : ` ${JSON.stringify(inst.name)}`}`;
    case "load":
      return `load ${inst.type} ${address(a, inst.offset)} bits ${inst.bits}${inst.signed ? " signed" : ""}${marks}`;
    case "store":
      return `store ${address(a, inst.offset)} ${operand(b, "i64")} bits ${inst.bits}${marks}`;
    case "atomic": {
      const rest = inst.args.slice(1).map((v) => operand(v, "i64"));
      return `atomic ${inst.atomic} ${address(a, inst.offset)} ${rest.join(", ")} bits ${inst.bits}${inst.fetch ? " fetch" : ""}`;
    }
    case "memset":
      return `memset ${address(a, inst.offset)} ${inst.byte} size ${inst.size}`;
    case "memcpy":
      return `memcpy ${address(a, inst.offset)} ${address(b, inst.fromOffset)} size ${inst.size}`;
    case "ptradd":
      return `ptradd ${operand(a, "ptr")}, ${operand(b, "i64")}`;
    case "trunc":
      return `trunc ${operand(a, "i64")}`;
    case "ptrdiff":
      return `ptrdiff ${list("ptr")}`;
    case "ptrtoint":
      return `ptrtoint ${list("ptr")}${inst.raw ? " raw" : ""}`;
    case "inttoptr":
      return `inttoptr ${operand(a, "i64")}`;
    case "isconst":
      return `isconst ${inst.args[0]!.type} ${operand(a, inst.args[0]!.type)}`;
    case "opaque":
      return `opaque ${inst.type} ${operand(a, inst.type)}`;
    case "mapref":
      return `mapref @${irName(inst.map!)}`;
    case "mapvalue":
      return `mapvalue @${irName(inst.map!)}${inst.offset ? ` + ${inst.offset}` : ""}`;
    case "funcref":
      return `funcref @${irName(inst.callee!)}`;
    case "core": {
      const { kind, typeId, access, value } = inst.core!;
      return `core ${kind} type ${typeId} ${JSON.stringify(access)} value ${value}`;
    }
    case "ksym":
      return `ksym @${irName(inst.symbol!)}`;
    case "ldabs":
      return `ldabs ${operand(a, "ptr")}, ${operand(b, "i64")} bits ${inst.bits}`;
    case "asm":
      return printAsm(inst);
    case "asmresult":
      return `asmresult ${inst.type} ${operand(a, "void")} ${inst.offset ?? 0}`;
    case "helper": {
      const known = helperById(inst.helper!);
      const callee = known ? known.name.replace(/^bpf_/, "") : `#${inst.helper}`;
      return `helper ${inst.type} ${callee}(${list("i64")})`;
    }
    case "kfunc":
      return `kfunc ${inst.type} ${irName(inst.kfunc!)}(${list("i64")})`;
    case "call":
      return `call ${inst.type} @${irName(inst.callee!)}(${list("i64")})`;
    case "phi": {
      const edges = inst.args.map((v, i) => `[${block(inst.incoming![i]!)}: ${operand(v, inst.type)}]`);
      return `phi ${inst.type} ${edges.join(", ")}`;
    }
    default:
      return inst.op;
  }
}
