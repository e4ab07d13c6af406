/**
 * Reads the textual IR that print.ts writes. One instruction a line; `;` or `//` starts a comment line's end.
 *
 *     module demo license "GPL"
 *     source "a.bt" "BEGIN { exit() }"
 *     map counts type 1 key 8 value 8 entries 1024 flags 0
 *
 *     entry @begin(%ctx: ptr) -> i64 type 5 attach 0 {
 *     start:
 *       %key = alloca 8 align 8 "key"
 *       store [%key] 7 bits 64
 *       %map = mapref @counts
 *       %value = helper ptr map_lookup_elem(%map, %key)
 *       %none = icmp eq ptr %value, null
 *       branch %none, out, hit likely else
 *     hit:
 *       atomic add [%value] 1 bits 64
 *       jump out
 *     out:
 *       return 0
 *     }
 *
 * A constant takes the type that its place implies (`i64` for addresses' offsets, stored values and arguments) or names it: `i32:-1`.
 * Values may be named by any word; numbers are kept as ids. Positions follow an instruction as `!source:line:column`.
 */
import { lineColumnAt, ScriptError } from "../base/index.ts";
import { helperByName } from "../isa/index.ts";
import { constant, createModule } from "./builder.ts";
import { ATOMIC_OPS, isBinary } from "./ops.ts";
import type { AttachRequest } from "../object/index.ts";
import type {
  AsmCode,
  AtomicOp,
  Block,
  Func,
  Inst,
  IrType,
  Module,
  Op,
  Position,
  Predicate,
  Terminator,
  Value,
} from "./ir.ts";

const TOKEN =
  /[ \t]+|(?:;|\/\/)[^\n]*|(\n)|("(?:[^"\\\n]|\\.)*")|(-?\d+)|(->)|([A-Za-z_.$][\w.$]*)|([%@![\](){},:+\-#=])/y;
const TYPES: ReadonlySet<string> = new Set(["i1", "i32", "i64", "ptr", "void"]);

interface Token {
  readonly kind: "newline" | "string" | "number" | "word" | "punct" | "end";
  readonly text: string;
  readonly at: number;
}

/** Parses a module. @throws ScriptError with line and column where the text is not IR. */
export function parseModule(text: string, name = "ir"): Module {
  return new Parser(text, name).module();
}

class Parser {
  private readonly text: string;
  private readonly name: string;
  private readonly tokens: Token[] = [];
  private at = 0;
  private func!: Func;
  private values = new Map<string, Value>();
  private blocks = new Map<string, Block>();
  /** Operands named before their instruction was read. */
  private pending: {
    readonly inst: Inst | Block;
    readonly index: number;
    readonly name: string;
    readonly token: Token;
  }[] = [];

  constructor(text: string, name: string) {
    this.text = text;
    this.name = name;
    TOKEN.lastIndex = 0;
    for (let at = 0; at < text.length;) {
      TOKEN.lastIndex = at;
      const m = TOKEN.exec(text);
      if (!m) this.fail(at, `unexpected character ${JSON.stringify(text[at])}`);
      const [all, newline, string, number, arrow, word, punct] = m!;
      const kind = newline
        ? "newline"
        : string
          ? "string"
          : number
            ? "number"
            : word
              ? "word"
              : arrow || punct
                ? "punct"
                : null;
      if (kind) this.tokens.push({ kind, text: all!, at });
      at += all!.length;
    }
    this.tokens.push({ kind: "end", text: "end of text", at: text.length });
  }

  private fail(at: number, message: string): never {
    throw new ScriptError({ name: this.name, text: this.text }, [
      { severity: "error", message, span: { start: at, end: at + 1 } },
    ]);
  }

  private get next(): Token {
    return this.tokens[this.at]!;
  }
  private take(): Token {
    return this.tokens[this.at++]!;
  }
  private is(text: string): boolean {
    return this.next.text === text && this.next.kind !== "string";
  }
  private accept(text: string): boolean {
    if (!this.is(text)) return false;
    this.at++;
    return true;
  }
  private want(text: string): void {
    if (!this.accept(text))
      this.fail(this.next.at, `expected ${JSON.stringify(text)}, found ${JSON.stringify(this.next.text)}`);
  }
  private number(): number {
    const sign = this.accept("-") ? -1 : 1;
    const t = this.take();
    if (t.kind !== "number") this.fail(t.at, `expected a number, found ${JSON.stringify(t.text)}`);
    return sign * Number(t.text);
  }
  private bigint(label: string): bigint {
    this.want(label);
    const negative = this.accept("-");
    const t = this.take();
    if (t.kind !== "number") this.fail(t.at, `expected a number, found ${JSON.stringify(t.text)}`);
    return negative ? -BigInt(t.text) : BigInt(t.text);
  }
  private string(): string {
    const t = this.take();
    if (t.kind !== "string") this.fail(t.at, `expected a string, found ${JSON.stringify(t.text)}`);
    return JSON.parse(t.text) as string;
  }
  private word(): string {
    const t = this.take();
    if (t.kind === "string") return JSON.parse(t.text) as string;
    if (t.kind !== "word" && t.kind !== "number") this.fail(t.at, `expected a name, found ${JSON.stringify(t.text)}`);
    return t.text;
  }
  private type(): IrType {
    const t = this.take();
    if (!TYPES.has(t.text))
      this.fail(t.at, `expected a type (i1, i32, i64, ptr, void), found ${JSON.stringify(t.text)}`);
    return t.text as IrType;
  }
  private endLine(): void {
    if (this.next.kind === "end") return;
    const t = this.take();
    if (t.kind !== "newline") this.fail(t.at, `expected the end of the line, found ${JSON.stringify(t.text)}`);
  }
  private skipLines(): void {
    while (this.next.kind === "newline") this.at++;
  }

  module(): Module {
    this.skipLines();
    this.want("module");
    const name = this.word();
    this.want("license");
    const module = createModule(name, this.string());
    this.endLine();
    for (this.skipLines(); this.next.kind !== "end"; this.skipLines()) {
      if (this.accept("source")) {
        module.sources.push({ name: this.string(), text: this.string() });
        this.endLine();
      } else if (this.accept("map")) this.map(module);
      else if (this.is("entry") || this.is("static") || this.is("global") || this.is("callback")) this.function(module);
      else
        this.fail(
          this.next.at,
          `expected source, map, entry, static, global or callback, found ${JSON.stringify(this.next.text)}`,
        );
    }
    return module;
  }

  private map(module: Module): void {
    const name = this.word();
    const field = (label: string): number => {
      this.want(label);
      return this.number();
    };
    const spec = {
      name,
      type: field("type"),
      keySize: field("key"),
      valueSize: field("value"),
      maxEntries: field("entries"),
      flags: field("flags"),
    };
    const types = this.accept("btf") ? { keyTypeId: this.number(), valueTypeId: this.number() } : {};
    let initial = {};
    if (this.accept("initial")) {
      initial = { initialValue: Uint8Array.from(this.string().match(/../g) ?? [], (b) => Number.parseInt(b, 16)) };
    }
    module.maps.push({ ...spec, ...types, ...initial, ...(this.accept("frozen") ? { frozen: true } : {}) });
    if (this.accept("constant"))
      (module as { constantMaps?: Set<string> }).constantMaps = new Set([...(module.constantMaps ?? []), name]);
    this.endLine();
  }

  private function(module: Module): void {
    const role = this.word() as Func["role"];
    this.want("@");
    const name = this.word();
    const params: Func["params"] = [];
    this.values = new Map();
    this.blocks = new Map();
    this.pending = [];
    this.want("(");
    while (!this.accept(")")) {
      if (params.length > 0) this.want(",");
      this.want("%");
      const param = this.word();
      this.want(":");
      params.push({ kind: "param", index: params.length, type: this.type(), name: param });
      this.values.set(param, params.at(-1)!);
    }
    this.want("->");
    const result = this.type();
    let program: Func["program"];
    if (this.accept("type")) {
      const type = this.number();
      this.want("attach");
      program = { type, expectedAttachType: this.number() };
      if (this.accept("to")) program = { ...program, attachTo: this.string() };
      if (this.accept("sleepable")) program = { ...program, sleepable: true };
      if (this.accept("flags")) program = { ...program, flags: this.number() };
      if (this.accept("section")) program = { ...program, section: this.string() };
      if (this.accept("at")) program = { ...program, attach: JSON.parse(this.string()) as AttachRequest };
      if (this.accept("optional")) program = { ...program, attachTypeOptional: true };
      if (this.accept("manual")) program = { ...program, autoload: false };
    }
    const inline = this.accept("inline") ? (this.word() as "always" | "never") : undefined;
    const proto = this.accept("proto") ? this.number() : undefined;
    const typeId = this.accept("functype") ? this.number() : undefined;
    const position = this.position();
    this.func = {
      name,
      params,
      result,
      role,
      blocks: [],
      nextInst: 0,
      nextBlock: 0,
      position,
      ...(program ? { program } : {}),
      ...(inline ? { inline } : {}),
      ...(proto === undefined ? {} : { protoTypeId: proto }),
      ...(typeId === undefined ? {} : { funcTypeId: typeId }),
    };
    this.want("{");
    this.endLine();
    this.body();
    module.funcs.push(this.func);
  }

  private body(): void {
    const open = this.next.at;
    let block: Block | null = null;
    for (this.skipLines(); !this.accept("}"); this.skipLines()) {
      if (this.next.kind === "end") this.fail(this.next.at, `function ${this.func.name}: missing }`);
      const after = this.tokens[this.at + 1]!;
      if (after.text === ":" && (this.next.kind === "word" || this.next.kind === "string")) {
        block = this.block(this.word());
        this.at++;
        this.func.blocks.push(block);
        this.endLine();
        continue;
      }
      if (!block) this.fail(this.next.at, "expected a block's label");
      this.line(block!);
      this.endLine();
    }
    this.endLine();
    for (const { inst, index, name, token } of this.pending) {
      const value = this.values.get(name);
      if (!value) this.fail(token.at, `no value %${name}`);
      if ("op" in inst) inst.args[index] = value!;
      else if (inst.terminator?.kind === "branch") inst.terminator.condition = value!;
      else if (inst.terminator?.kind === "return") inst.terminator.value = value!;
    }
    for (const [label, b] of this.blocks) {
      if (!this.func.blocks.includes(b)) this.fail(open, `function ${this.func.name}: no block ${label}`);
    }
    // Numbers that were written stay; words get numbers after them.
    const taken = new Set<number>();
    const words: Inst[] = [];
    for (const [name, value] of this.values) {
      if (value.kind !== "inst") continue;
      if (/^\d+$/.test(name)) taken.add(((value as { id: number }).id = Number(name)));
      else words.push(value);
    }
    let id = taken.size > 0 ? Math.max(...taken) + 1 : 0;
    for (const inst of words) (inst as { id: number }).id = id++;
    for (const b of this.func.blocks)
      for (const i of b.insts) if (i.type === "void" && i.op !== "asm") (i as { id: number }).id = id++;
    this.func.nextInst = id;
  }

  private block(label: string): Block {
    let b = this.blocks.get(label);
    if (!b) this.blocks.set(label, (b = { id: this.func.nextBlock++, name: label, insts: [], terminator: null }));
    return b;
  }

  private position(): Position | null {
    if (!this.accept("!")) return null;
    const source = this.number();
    this.want(":");
    const line = this.number();
    this.want(":");
    return { source, line, column: this.number() };
  }

  /** An operand; an instruction not read yet leaves a placeholder that `body` fills. */
  private operand(holder: Inst | Block, index: number, implied: IrType): Value {
    if (this.accept("%")) {
      const token = this.next;
      const name = this.word();
      const value = this.values.get(name);
      if (value) return value;
      this.pending.push({ inst: holder, index, name, token });
      return constant(0);
    }
    if (this.accept("null")) return constant(0, "ptr");
    let type = implied;
    if (TYPES.has(this.next.text)) {
      type = this.type();
      this.want(":");
    }
    const t = this.take();
    if (t.kind !== "number") this.fail(t.at, `expected a value, found ${JSON.stringify(t.text)}`);
    return constant(BigInt(t.text), type);
  }

  private address(inst: Inst, index: number): { value: Value; offset: number } {
    this.want("[");
    const value = this.operand(inst, index, "ptr");
    let offset = 0;
    if (this.accept("+")) offset = this.number();
    else if (this.accept("-")) offset = -this.number();
    else if (this.next.kind === "number") offset = this.number();
    this.want("]");
    return { value, offset };
  }

  private line(block: Block): void {
    if (block.terminator) this.fail(this.next.at, `block ${block.name} has ended already`);
    if (this.terminator(block)) return;
    let name: string | null = null;
    const start = this.next;
    if (this.accept("%")) {
      name = this.word();
      if (this.values.has(name)) this.fail(start.at, `%${name} is defined twice`);
      this.want("=");
    }
    const inst: Inst = { kind: "inst", id: -1, op: "add", type: "void", args: [], block, position: null };
    this.instruction(inst);
    inst.position = this.position();
    if ((inst.type === "void" && inst.op !== "asm") !== (name === null)) {
      this.fail(start.at, name === null ? "the result needs a name: %name = ..." : "there is no result to name");
    }
    if (name !== null) this.values.set(name, inst);
    block.insts.push(inst);
  }

  private terminator(block: Block): boolean {
    const set = (t: Terminator): true => {
      block.terminator = t;
      return true;
    };
    if (this.accept("jump")) return set({ kind: "jump", target: this.block(this.word()), position: this.position() });
    if (this.accept("branch")) {
      const condition = this.operand(block, 0, "i1");
      this.want(",");
      const then = this.block(this.word());
      this.want(",");
      const otherwise = this.block(this.word());
      const likely = this.accept("likely") ? (this.word() as "then" | "else") : undefined;
      const position = this.position();
      return set({ kind: "branch", condition, then, else: otherwise, position, ...(likely ? { likely } : {}) });
    }
    if (this.accept("return")) {
      const none = this.next.kind === "newline" || this.next.kind === "end" || this.is("!");
      const value = none ? null : this.operand(block, 0, this.func.result);
      return set({ kind: "return", value, position: this.position() });
    }
    if (this.accept("maygoto")) {
      const body = this.block(this.word());
      this.want(",");
      return set({ kind: "maygoto", body, exit: this.block(this.word()), position: this.position() });
    }
    return this.accept("unreachable") && set({ kind: "unreachable" });
  }

  private instruction(inst: Inst): void {
    const head = this.take();
    inst.op = head.text as Op;
    const arg = (implied: IrType): void => {
      if (inst.args.length > 0) this.want(",");
      inst.args.push(this.operand(inst, inst.args.length, implied));
    };
    const labelled = (label: string): number => {
      this.want(label);
      return this.number();
    };
    const bits = (): void => {
      inst.bits = labelled("bits") as NonNullable<Inst["bits"]>;
    };
    const place = (): void => {
      const { value, offset } = this.address(inst, inst.args.length);
      inst.args.push(value);
      if (inst.args.length === 1) inst.offset = offset;
      else inst.fromOffset = offset;
    };
    const callArgs = (): void => {
      this.want("(");
      while (!this.accept(")")) arg("i64");
    };
    if (isBinary(inst.op)) {
      inst.type = this.type();
      arg(inst.type);
      arg(inst.type);
      return;
    }
    switch (inst.op) {
      case "icmp": {
        inst.predicate = this.word() as Predicate;
        inst.type = "i1";
        const type = this.type();
        arg(type);
        arg(type);
        return;
      }
      case "select":
        inst.type = this.type();
        arg("i1");
        arg(inst.type);
        arg(inst.type);
        return;
      case "zext":
      case "sext":
      case "bswap":
        inst.type = this.type();
        arg(inst.type);
        bits();
        return;
      case "isconst":
        inst.type = "i32";
        arg(this.type());
        return;
      case "opaque":
        inst.type = this.type();
        arg(inst.type);
        return;
      case "trunc":
        inst.type = "i32";
        arg("i64");
        return;
      case "ptrtoint":
        inst.type = "i64";
        arg("ptr");
        if (this.accept("raw")) inst.raw = true;
        return;
      case "core":
        inst.type = "i64";
        inst.core = {
          kind: this.number(),
          typeId: labelled("type"),
          access: this.string(),
          value: this.bigint("value"),
        };
        return;
      case "ksym":
        inst.type = "ptr";
        this.want("@");
        inst.symbol = this.word();
        return;
      case "ldabs":
        inst.type = "i64";
        arg("ptr");
        arg("i64");
        bits();
        return;
      case "asm":
        return this.asm(inst);
      case "asmresult":
        inst.type = this.type();
        arg("void");
        inst.offset = this.number();
        return;
      case "inttoptr":
        inst.type = "ptr";
        arg("i64");
        return;
      case "ptrdiff":
        inst.type = "i64";
        arg("ptr");
        arg("ptr");
        return;
      case "ptradd":
        inst.type = "ptr";
        arg("ptr");
        arg("i64");
        return;
      case "alloca":
        inst.type = "ptr";
        inst.size = this.number();
        inst.align = labelled("align");
        if (this.next.kind === "string") inst.name = this.string();
        return;
      case "load":
        inst.type = this.type();
        place();
        bits();
        if (this.accept("signed")) inst.signed = true;
        this.marks(inst);
        return;
      case "store":
        place();
        inst.args.push(this.operand(inst, 1, "i64"));
        bits();
        this.marks(inst);
        return;
      case "atomic": {
        const op = this.word();
        if (!ATOMIC_OPS.has(op)) this.fail(head.at, `no atomic operation ${op}`);
        inst.atomic = op as AtomicOp;
        place();
        inst.args.push(this.operand(inst, 1, "i64"));
        while (this.is(",")) arg("i64");
        bits();
        inst.fetch = this.accept("fetch");
        if (inst.fetch || op === "xchg" || op === "cmpxchg") {
          inst.fetch = true;
          inst.type = inst.bits === 32 ? "i32" : "i64";
        }
        return;
      }
      case "memset":
        place();
        inst.byte = this.number();
        inst.size = labelled("size");
        return;
      case "memcpy":
        place();
        place();
        inst.size = labelled("size");
        return;
      case "mapref":
      case "mapvalue":
      case "funcref":
        inst.type = "ptr";
        this.want("@");
        if (inst.op === "funcref") inst.callee = this.word();
        else inst.map = this.word();
        if (inst.op === "mapvalue") inst.offset = this.accept("+") ? this.number() : 0;
        return;
      case "helper": {
        inst.type = this.type();
        if (this.accept("#")) inst.helper = this.number();
        else {
          const t = this.next;
          const helper = helperByName(this.word());
          if (!helper) this.fail(t.at, `no helper ${t.text}`);
          inst.helper = helper!.id;
        }
        callArgs();
        return;
      }
      case "kfunc":
        inst.type = this.type();
        inst.kfunc = this.word();
        callArgs();
        return;
      case "call":
        inst.type = this.type();
        this.want("@");
        inst.callee = this.word();
        callArgs();
        return;
      case "phi":
        inst.type = this.type();
        inst.incoming = [];
        do {
          this.want("[");
          inst.incoming.push(this.block(this.word()));
          this.want(":");
          inst.args.push(this.operand(inst, inst.args.length, inst.type));
          this.want("]");
        } while (this.accept(","));
        return;
      default: {
        const { line } = lineColumnAt(this.text, head.at);
        this.fail(head.at, `line ${line}: unknown operation ${JSON.stringify(head.text)}`);
      }
    }
  }

  private asm(inst: Inst): void {
    const template = this.string();
    const list = (label: string, item: () => void): void => {
      this.want(label);
      this.want("(");
      for (let first = true; !this.accept(")"); first = false) {
        if (!first) this.want(",");
        item();
      }
    };
    const outputs: { type: IrType; tied?: number; early?: boolean }[] = [];
    list("out", () => {
      const type = this.type();
      const tied = this.accept("tied") ? { tied: this.number() } : {};
      outputs.push({ type, ...tied, ...(this.accept("early") ? { early: true } : {}) });
    });
    const inputs: AsmCode["inputs"][number][] = [];
    list("in", () => {
      inputs.push(this.word() as AsmCode["inputs"][number]);
      inst.args.push(this.operand(inst, inst.args.length, "i64"));
    });
    const clobbers: number[] = [];
    list("clobber", () => clobbers.push(this.number()));
    const memory = this.accept("memory");
    inst.asm = { template, outputs, inputs, clobbers, memory, volatile: this.accept("volatile") };
  }

  private marks(inst: Inst): void {
    if (this.accept("faultable")) inst.faultable = true;
    if (this.accept("volatile")) inst.volatile = true;
  }
}
