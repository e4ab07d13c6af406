/** Programs compiled to WebAssembly: a module for each, over the virtual machine's memory. */
import { OPCODE_FORMS } from "../../isa/index.ts";
import { VmFault, faultKinds } from "../fault.ts";
import { FRAME_BYTES, FUNCTION_BASE, MAX_FRAMES, TAIL_CALL, type Machine, type VmHost, emptyHost } from "../machine.ts";
import {
  ADDRESS_HIGH,
  ARGUMENT_WORD,
  FRAME_WORD,
  RESULT_WORD,
  SHADOW_OFFSET,
  Shadow,
  type VmMemory,
  WINDOW_OFFSET,
} from "../memory.ts";
import type { VmFunction, VmProgram } from "../program.ts";
import { type WasmFunction, type WasmGlobal, type WasmTable, webAssembly } from "./api.ts";
import { FunctionEmitter, LOCAL_FUNCTION, type ModuleFunctions } from "./emit.ts";
import { flowOf } from "./flow.ts";
import { emitStructured } from "./structure.ts";
import { FunctionCode, ModuleWriter, ValueType, W } from "./writer.ts";

const { I32, I64 } = ValueType;

/** A program as machine code of the JavaScript engine. */
export class CompiledProgram implements Machine {
  readonly program: VmProgram;
  readonly memory: VmMemory;
  /** Bytes of the WebAssembly module. */
  readonly moduleBytes: number;
  private readonly host: VmHost;
  private readonly stack: number;
  private readonly fuel: WasmGlobal;
  private readonly entry: WasmFunction;
  private readonly table: WasmTable;
  private calling = 0;

  /** Compiles a program; its stack is in `memory` until {@link close}. */
  constructor(program: VmProgram, memory: VmMemory, host: VmHost = emptyHost) {
    this.program = program;
    this.memory = memory;
    this.host = host;
    this.stack = memory.allocate(MAX_FRAMES * FRAME_BYTES);
    this.fuel = new webAssembly.Global({ value: "i64", mutable: true }, 0n);
    const bytes = compileToWasm(program, {
      top: this.stack + MAX_FRAMES * FRAME_BYTES,
      deepest: BigInt(this.stack + FRAME_BYTES),
      limit: memory.limit,
    });
    this.moduleBytes = bytes.length;
    const { exports } = new webAssembly.Instance(new webAssembly.Module(bytes), {
      env: {
        memory: memory.memory,
        fuel: this.fuel,
        fault: (kind: number, slot: number): never => this.fault(kind, slot),
        helper: (id: number, slot: number): void => this.helper(id, slot),
        tailCall: (slot: number): number => this.tailCall(slot),
        kfunc: (id: number, module: number, slot: number): void => this.kfunc(id, module, slot),
        packet: (offset: number, size: number, slot: number): number => this.packet(offset, size, slot),
        slow: (low: number, size: number, need: number, slot: number): void => this.slow(low, size, need, slot),
        memoryFault: (size: number, need: number, slot: number): never => this.memoryFault(slot, size, need),
        open: (low: number, size: number, need: number): void => this.open(low, size, need),
      },
    });
    this.entry = exports["run"] as WasmFunction;
    this.table = exports["table"] as WasmTable;
  }

  /** Gives the stack back. */
  close(): void {
    this.memory.release(this.stack, MAX_FRAMES * FRAME_BYTES);
  }

  /** Of the helper that is running. */
  get slot(): number {
    return this.calling;
  }

  /** Fuel that is left, in instructions. */
  get fuelLeft(): bigint {
    return this.fuel.value as bigint;
  }

  /** Runs the program and returns r0. Throws {@link VmFault}; kind `fuel` when about `limit` instructions are not enough. */
  execute(args: readonly bigint[] = [], limit: number = Number.MAX_SAFE_INTEGER): bigint {
    const { words } = this.memory;
    for (let i = 0; i < 5; i++) {
      const value = args[i] ?? 0n;
      words[ARGUMENT_WORD + 2 * i] = Number(BigInt.asIntN(32, value));
      words[ARGUMENT_WORD + 2 * i + 1] = Number(BigInt.asIntN(32, value >> 32n));
    }
    this.fuel.value = BigInt(limit);
    this.memory.bytes.fill(0, this.stack, this.stack + MAX_FRAMES * FRAME_BYTES);
    this.run();
    const low = this.memory.words[RESULT_WORD]! >>> 0;
    return (BigInt(this.memory.words[RESULT_WORD + 1]! >>> 0) << 32n) | BigInt(low);
  }

  /** Gives fuel for about so many instructions. */
  refuel(limit: bigint): void {
    this.fuel.value = limit;
  }

  /**
   * Runs the program with r1 to r5 from the memory's words at `ARGUMENT_WORD`, and leaves r0 at `RESULT_WORD`: what {@link execute} does, for
   * callers that want no number converted. Its stack holds what the last run left there.
   */
  run(): void {
    this.entry();
  }

  /** Runs one of the program's functions in a frame below those in use. */
  callback(address: bigint, args: readonly bigint[]): bigint {
    const index = Number(BigInt.asUintN(64, address - FUNCTION_BASE));
    const func = index < this.table.length ? this.table.get(index) : null;
    if (func === null) throw new VmFault("unknown function", this.calling, { address });
    const frame = this.memory.view.getBigUint64(FRAME_WORD * 4, true) - BigInt(FRAME_BYTES);
    if (frame <= BigInt(this.stack)) throw new VmFault("call depth", this.calling);
    const { calling } = this;
    const padded = Array.from({ length: 5 }, (_, i) => BigInt.asIntN(64, args[i] ?? 0n));
    const result = func(...padded, BigInt.asIntN(64, frame)) as bigint;
    this.calling = calling;
    // The callback's own helpers have left theirs.
    this.memory.view.setBigUint64(FRAME_WORD * 4, frame + BigInt(FRAME_BYTES), true);
    return BigInt.asUintN(64, result);
  }

  private fault(kind: number, slot: number): never {
    throw new VmFault(faultKinds[kind]!, slot);
  }

  private memoryFault(slot: number, size: number, need: number): never {
    const address = BigInt.asUintN(64, this.memory.view.getBigUint64(WINDOW_OFFSET, true));
    const what = need === Shadow.WRITE ? "writes" : "reads";
    throw new VmFault("memory access", slot, { address, detail: `${what} ${size} bytes` });
  }

  /** What the notes' fast way cannot decide; the address is at `WINDOW_OFFSET`. `low` is -1 when it is none of the memory. */
  private slow(low: number, size: number, need: number, slot: number): void {
    if (low === -1 || !this.memory.allows(low >>> 0, size, need === Shadow.WRITE)) this.memoryFault(slot, size, need);
  }

  /** Leaves the lowest address of the memory around an offset, and at how many addresses from there `size` bytes may be touched. */
  private open(low: number, size: number, need: number): void {
    const { memory } = this;
    const window = low === -1 ? undefined : memory.window(low >>> 0, need === Shadow.WRITE);
    const { start, end } = window ?? { start: 0, end: 0 };
    memory.words[WINDOW_OFFSET / 4] = start;
    memory.words[WINDOW_OFFSET / 4 + 1] = ADDRESS_HIGH;
    memory.words[WINDOW_OFFSET / 4 + 2] = Math.max(end - start - size + 1, 0);
    memory.words[WINDOW_OFFSET / 4 + 3] = 0;
  }

  private helper(id: number, slot: number): void {
    this.calling = slot;
    if (!this.host.helper(id, this)) throw new VmFault("unknown helper", slot, { detail: String(id) });
  }

  private tailCall(slot: number): number {
    this.calling = slot;
    if (this.host.tailCall === undefined) throw new VmFault("unknown helper", slot, { detail: String(TAIL_CALL) });
    return this.host.tailCall(this) ? 1 : 0;
  }

  private kfunc(id: number, module: number, slot: number): void {
    this.calling = slot;
    if (this.host.kfunc?.(id, module, this) !== true)
      throw new VmFault("unknown helper", slot, { detail: `kernel function ${id}` });
  }

  private packet(offset: number, size: number, slot: number): number {
    this.calling = slot;
    const { words } = this.memory;
    const low = BigInt(words[ARGUMENT_WORD]! >>> 0);
    const context = (BigInt(words[ARGUMENT_WORD + 1]! >>> 0) << 32n) | low;
    const value = this.host.packet?.(context, offset, size as 1 | 2 | 4);
    if (value === undefined) return 0;
    words[RESULT_WORD] = value;
    words[RESULT_WORD + 1] = 0;
    return 1;
  }
}

/** Where a program's stack is, and how much memory there is. */
interface Place {
  /** Offset of the end of the first frame. */
  readonly top: number;
  readonly deepest: bigint;
  readonly limit: number;
}

/** The module of a program. */
function compileToWasm(program: VmProgram, place: Place): Uint8Array {
  const module = new ModuleWriter();
  module.importMemory("memory");
  const fuel = module.importGlobal("fuel");
  const fault = module.importFunction("fault", [I32, I32], []);
  const helper = module.importFunction("helper", [I32, I32], []);
  const kfunc = module.importFunction("kfunc", [I32, I32, I32], []);
  const tailCall = module.importFunction("tailCall", [I32], [I32]);
  const packet = module.importFunction("packet", [I32, I32, I32], [I32]);
  const slow = module.importFunction("slow", [I32, I32, I32, I32], []);
  const memoryFault = module.importFunction("memoryFault", [I32, I32, I32], []);
  const open = module.importFunction("open", [I32, I32, I32], []);
  const checkType = { params: [I64, I32, I32, I32], results: [I32] };
  const windowType = { params: [I64, I32, I32], results: [] };
  const check = module.declare(checkType);
  const window = module.declare(windowType);
  const run = module.declare({ params: [], results: [] });
  const locals = new Map<number, number>();
  for (const func of program.functions) locals.set(func.start, module.declare(LOCAL_FUNCTION));
  const indexes: ModuleFunctions = {
    fuel,
    fault,
    helper,
    kfunc,
    tailCall,
    packet,
    window,
    memoryFault,
    check,
    limit: place.limit,
    locals,
    deepest: place.deepest,
    localType: module.type(LOCAL_FUNCTION),
  };
  module.define(check, checkCode(new FunctionCode(checkType), slow, place.limit));
  module.define(window, windowCode(new FunctionCode(windowType), open, place.limit));
  module.define(run, runCode(locals.get(0)!, place.top));
  for (const func of program.functions) {
    const flow = flowOf(program, func);
    const hasLoops = flow.blocks.some((b) => b.isLoop);
    const emitter = new FunctionEmitter(program, func, indexes, hasLoops || !flow.reducible || calls(program, func));
    emitStructured(program, func, flow, emitter);
    module.define(locals.get(func.start)!, emitter.code);
  }
  module.export("run", run);
  module.setTable(program.functions.map((f) => locals.get(f.start)!));
  return module.finish();
}

function calls(program: VmProgram, func: VmFunction): boolean {
  for (let slot = func.start; slot < func.end; slot++) {
    const insn = program.insns[slot];
    if (insn !== undefined && OPCODE_FORMS[insn.opcode]!.startsWith("call")) return true;
  }
  return false;
}

/** The memory's offset of an address on the stack, when it is below the limit; -1 else, with the address left for messages. */
function offsetOf(code: FunctionCode, limit: number): void {
  code.i32(0).get(0).access(W.i64Store, WINDOW_OFFSET);
  code.get(0).byte(W.i32WrapI64).i32(-1);
  code.get(0).i64(BigInt(limit)).byte(W.i64LtU, W.select);
}

/** `check(address, size, need, slot)`: the offset, after a look at the notes. */
function checkCode(code: FunctionCode, slow: number, limit: number): FunctionCode {
  const low = code.local(I32);
  const note = code.local(I32);
  code.get(0).byte(W.i32WrapI64).set(low);
  code.get(0).i64(BigInt(limit)).byte(W.i64LtU, W.if, 0x40);
  code.get(low).i32(3).byte(W.i32ShrU).access(W.i32Load8U, SHADOW_OFFSET).tee(note);
  code.get(2).byte(W.i32And).i32(0).byte(W.i32Ne);
  code.get(low).i32(7).byte(W.i32And).get(1).byte(W.i32Add);
  code.get(note).i32(Shadow.COUNT).byte(W.i32And, W.i32LeU, W.i32And, W.if, 0x40);
  code.get(low).byte(W.return, W.end, W.end);
  offsetOf(code, limit);
  code.get(1).get(2).get(3).call(slow).get(low);
  return code;
}

/** `window(address, size, need)`: bounds of the memory around it. */
function windowCode(code: FunctionCode, open: number, limit: number): FunctionCode {
  offsetOf(code, limit);
  return code.get(1).get(2).call(open);
}

/** Takes r1 to r5 from where helpers find them, and leaves r0 where helpers do. */
function runCode(entry: number, top: number): FunctionCode {
  const code = new FunctionCode({ params: [], results: [] });
  const result = code.local(I64);
  for (let i = 0; i < 5; i++) code.i32(0).access(W.i64Load, ARGUMENT_WORD * 4 + i * 8);
  code.i64(BigInt(top)).call(entry).set(result);
  return code
    .i32(0)
    .get(result)
    .access(W.i64Store, RESULT_WORD * 4);
}
