/** How front ends write IR: one builder a function, appending to a current block. */
import type { MapSpec } from "../object/index.ts";
import type { SourceText } from "../base/index.ts";
import type {
  AsmCode,
  AtomicOp,
  BinaryOp,
  Block,
  Const,
  CoreAccess,
  Func,
  Inst,
  IrType,
  MemBits,
  Module,
  Op,
  Param,
  Position,
  Predicate,
  ProgramDecl,
  Terminator,
  Value,
} from "./ir.ts";

const WIDTH: Record<IrType, number> = { i1: 1, i32: 32, i64: 64, ptr: 64, void: 0 };

/** A constant of a type; negative numbers wrap to the type's width. */
export function constant(value: number | bigint, type: IrType = "i64"): Const {
  if (type === "void") throw new TypeError("constant: void has no values");
  return { kind: "const", type, value: BigInt.asUintN(WIDTH[type], BigInt(value)) };
}

/** The constant as a signed number of its own width. */
export function signedValue(c: Const): bigint {
  return BigInt.asIntN(WIDTH[c.type], c.value);
}

/** An empty module. `license` decides which helpers the kernel allows. */
export function createModule(name: string, license = "GPL"): Module {
  return { name, license, funcs: [], maps: [], sources: [] as SourceText[] };
}

/** Adds a map to the module; a second map of one name is a mistake of the front end. */
export function addMap(module: Module, spec: MapSpec): MapSpec {
  if (module.maps.some((m) => m.name === spec.name)) throw new RangeError(`map ${spec.name}: declared twice`);
  module.maps.push(spec);
  return spec;
}

/** What {@link FunctionBuilder} needs to know of a new function. */
export interface FunctionOptions {
  readonly name: string;
  readonly params: readonly { readonly name: string; readonly type: IrType }[];
  readonly result: IrType;
  readonly role: Func["role"];
  readonly program?: ProgramDecl;
  readonly inline?: "always" | "never";
  readonly protoTypeId?: number;
  readonly funcTypeId?: number;
}

/** Appends instructions to blocks of one function. The current position stamps every instruction made. */
export class FunctionBuilder {
  readonly module: Module;
  readonly func: Func;
  private current: Block;
  private at: Position | null = null;
  /** How many allocas the entry block starts with, at least. */
  private allocas = 0;

  constructor(module: Module, options: FunctionOptions) {
    if (module.funcs.some((f) => f.name === options.name))
      throw new RangeError(`function ${options.name}: declared twice`);
    // What is inlined wherever it is called needs no registers for its parameters.
    if (options.params.length > 5 && options.inline !== "always")
      throw new RangeError(`function ${options.name}: ${options.params.length} parameters, registers hold 5`);
    this.module = module;
    this.func = {
      name: options.name,
      params: options.params.map((p, index): Param => ({ kind: "param", index, type: p.type, name: p.name })),
      result: options.result,
      blocks: [],
      nextInst: 0,
      nextBlock: 0,
      role: options.role,
      position: null,
      ...(options.program ? { program: options.program } : {}),
      ...(options.inline ? { inline: options.inline } : {}),
      ...(options.protoTypeId === undefined ? {} : { protoTypeId: options.protoTypeId }),
      ...(options.funcTypeId === undefined ? {} : { funcTypeId: options.funcTypeId }),
    };
    module.funcs.push(this.func);
    this.current = this.block("entry");
  }

  /** The block being appended to. */
  get here(): Block {
    return this.current;
  }

  /** True once the current block has its terminator: what is built now would never run. */
  get terminated(): boolean {
    return this.current.terminator !== null;
  }

  /** The source position of what is built next. */
  setPosition(position: Position | null): void {
    this.at = position;
    this.func.position ??= position;
  }

  /** The source position in force. */
  get position(): Position | null {
    return this.at;
  }

  param(index: number): Param {
    const p = this.func.params[index];
    if (!p) throw new RangeError(`function ${this.func.name}: parameter ${index} of ${this.func.params.length}`);
    return p;
  }

  /** A new, empty block at the end of the layout; does not move to it. */
  block(name: string): Block {
    const block: Block = { id: this.func.nextBlock++, name, insts: [], terminator: null };
    this.func.blocks.push(block);
    return block;
  }

  /** Continues in `block`. */
  moveTo(block: Block): void {
    this.current = block;
  }

  private append(op: Op, type: IrType, args: Value[], rest: Partial<Inst> = {}): Inst {
    // Code after a terminator is dead; it goes to a block without predecessors, which the first pass removes.
    if (this.terminated) this.current = this.block("dead");
    const inst: Inst = {
      kind: "inst",
      id: this.func.nextInst++,
      op,
      type,
      args,
      block: this.current,
      position: this.at,
      ...rest,
    };
    this.current.insts.push(inst);
    return inst;
  }

  const(value: number | bigint, type: IrType = "i64"): Const {
    return constant(value, type);
  }

  binary(op: BinaryOp, a: Value, b: Value): Inst {
    if (a.type !== b.type || (a.type !== "i32" && a.type !== "i64"))
      throw new TypeError(`${op}: operands ${a.type} and ${b.type}`);
    return this.append(op, a.type, [a, b]);
  }
  icmp(predicate: Predicate, a: Value, b: Value): Inst {
    if (a.type !== b.type) throw new TypeError(`icmp ${predicate}: operands ${a.type} and ${b.type}`);
    return this.append("icmp", "i1", [a, b], { predicate });
  }
  select(condition: Value, a: Value, b: Value): Inst {
    if (condition.type !== "i1" || a.type !== b.type)
      throw new TypeError(`select: ${condition.type}, ${a.type}, ${b.type}`);
    return this.append("select", a.type, [condition, a, b]);
  }
  zext(a: Value, bits: 1 | 8 | 16 | 32, type: "i32" | "i64" = "i64"): Inst {
    return this.append("zext", type, [a], { bits });
  }
  sext(a: Value, bits: 8 | 16 | 32, type: "i32" | "i64" = "i64"): Inst {
    return this.append("sext", type, [a], { bits });
  }
  trunc(a: Value): Inst {
    return this.append("trunc", "i32", [a]);
  }
  bswap(a: Value, bits: 16 | 32 | 64): Inst {
    return this.append("bswap", a.type, [a], { bits });
  }

  /** Memory of the function's frame. Always placed in the entry block, so that it exists once however often the code runs. */
  alloca(size: number, align = 8, name?: string): Inst {
    const inst: Inst = {
      kind: "inst",
      id: this.func.nextInst++,
      op: "alloca",
      type: "ptr",
      args: [],
      block: this.func.blocks[0]!,
      position: this.at,
      size,
      align,
      ...(name === undefined ? {} : { name }),
    };
    const entry = this.func.blocks[0]!;
    while (entry.insts[this.allocas]?.op === "alloca") this.allocas++;
    if (this.allocas === entry.insts.length) entry.insts.push(inst);
    else entry.insts.splice(this.allocas, 0, inst);
    return inst;
  }
  load(
    pointer: Value,
    bits: MemBits,
    options: { offset?: number; signed?: boolean; type?: IrType; faultable?: boolean; volatile?: boolean } = {},
  ): Inst {
    this.wantPointer("load", pointer);
    const { type = "i64", ...rest } = options;
    return this.append("load", type, [pointer], { bits, offset: rest.offset ?? 0, ...flags(rest) });
  }
  store(pointer: Value, value: Value, bits: MemBits, options: { offset?: number; volatile?: boolean } = {}): Inst {
    this.wantPointer("store", pointer);
    return this.append("store", "void", [pointer, value], { bits, offset: options.offset ?? 0, ...flags(options) });
  }
  /** Atomic read-modify-write; with `fetch` (always for xchg, cmpxchg) the result is the old value. */
  atomic(
    atomic: AtomicOp,
    pointer: Value,
    operands: Value[],
    bits: 32 | 64,
    options: { offset?: number; fetch?: boolean } = {},
  ): Inst {
    this.wantPointer("atomic", pointer);
    const fetch = options.fetch === true || atomic === "xchg" || atomic === "cmpxchg";
    return this.append("atomic", fetch ? (bits === 32 ? "i32" : "i64") : "void", [pointer, ...operands], {
      atomic,
      bits,
      offset: options.offset ?? 0,
      fetch,
    });
  }
  memset(pointer: Value, byte: number, size: number, offset = 0): Inst {
    this.wantPointer("memset", pointer);
    return this.append("memset", "void", [pointer], { byte, size, offset });
  }
  memcpy(to: Value, from: Value, size: number, options: { offset?: number; fromOffset?: number } = {}): Inst {
    this.wantPointer("memcpy", to);
    this.wantPointer("memcpy", from);
    return this.append("memcpy", "void", [to, from], {
      size,
      offset: options.offset ?? 0,
      fromOffset: options.fromOffset ?? 0,
    });
  }
  ptradd(pointer: Value, offset: Value | number): Value {
    this.wantPointer("ptradd", pointer);
    if (offset === 0) return pointer;
    return this.append("ptradd", "ptr", [pointer, typeof offset === "number" ? constant(offset) : offset]);
  }
  ptrdiff(a: Value, b: Value): Inst {
    return this.append("ptrdiff", "i64", [a, b]);
  }
  /** `raw`: the register as it is, which the verifier still knows as a pointer. */
  ptrtoint(a: Value, raw: boolean = false): Inst {
    return this.append("ptrtoint", "i64", [a], raw ? { raw } : {});
  }
  inttoptr(a: Value): Inst {
    return this.append("inttoptr", "ptr", [a]);
  }
  mapref(map: string): Inst {
    return this.append("mapref", "ptr", [], { map });
  }
  mapvalue(map: string, offset = 0): Inst {
    return this.append("mapvalue", "ptr", [], { map, offset });
  }
  funcref(callee: string): Inst {
    return this.append("funcref", "ptr", [], { callee });
  }
  /** Calls a helper by its id in the helper table (`helperByName("map_lookup_elem").id`). */
  helper(id: number, args: Value[], type: IrType = "i64"): Inst {
    return this.append("helper", type, args, { helper: id });
  }
  kfunc(name: string, args: Value[], type: IrType = "i64"): Inst {
    return this.append("kfunc", type, args, { kfunc: name });
  }
  call(callee: Func, args: Value[]): Inst {
    return this.append("call", callee.result, args, { callee: callee.name });
  }
  /** A number that a CO-RE record corrects at load. */
  core(core: CoreAccess): Inst {
    return this.append("core", "i64", [], { core });
  }
  /** Address of a kernel variable or function among the module's externs. */
  ksym(symbol: string): Inst {
    return this.append("ksym", "ptr", [], { symbol });
  }
  /** Packet bytes at an offset, in host byte order. */
  ldabs(context: Value, offset: Value, bits: 8 | 16 | 32): Inst {
    return this.append("ldabs", "i64", [context, offset], { bits });
  }
  /** Inline assembly; {@link asmresult} takes what it sets. */
  asm(asm: AsmCode, inputs: Value[]): Inst {
    return this.append("asm", "void", inputs, { asm });
  }
  asmresult(asm: Inst, output: number): Inst {
    return this.append("asmresult", asm.asm!.outputs[output]!.type, [asm], { offset: output });
  }
  /** 1 when passes find that the value is constant. */
  isconst(a: Value): Inst {
    return this.append("isconst", "i32", [a]);
  }
  opaque(a: Value): Inst {
    return this.append("opaque", a.type, [a]);
  }

  private terminate(terminator: Terminator): void {
    if (this.terminated) return;
    this.current.terminator = terminator;
  }
  /** Ends the current block; a block that has ended already stays as it is. */
  jump(target: Block): void {
    this.terminate({ kind: "jump", target, position: this.at });
  }
  branch(condition: Value, then: Block, otherwise: Block, likely?: "then" | "else"): void {
    if (condition.type !== "i1") throw new TypeError(`branch: condition is ${condition.type}, not i1`);
    this.terminate({
      kind: "branch",
      condition,
      then,
      else: otherwise,
      position: this.at,
      ...(likely ? { likely } : {}),
    });
  }
  maygoto(body: Block, exit: Block): void {
    this.terminate({ kind: "maygoto", body, exit, position: this.at });
  }
  return(value: Value | null): void {
    this.terminate({ kind: "return", value, position: this.at });
  }
  unreachable(): void {
    this.terminate({ kind: "unreachable" });
  }

  private wantPointer(what: string, value: Value): void {
    if (value.type !== "ptr") throw new TypeError(`${what}: wants a pointer, got ${value.type}`);
  }
}

function flags(o: { signed?: boolean; faultable?: boolean; volatile?: boolean }): Partial<Inst> {
  return {
    ...(o.signed ? { signed: true } : {}),
    ...(o.faultable ? { faultable: true } : {}),
    ...(o.volatile ? { volatile: true } : {}),
  };
}
