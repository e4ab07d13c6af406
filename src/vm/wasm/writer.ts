/** Writes WebAssembly modules: the binary format of the core specification, section 5, as far as compiled programs need it. */

/** Types of values. */
export const ValueType = { I32: 0x7f, I64: 0x7e } as const;
/** A block that leaves nothing on the stack. */
export const EMPTY_BLOCK = 0x40;

/** Opcodes that are written without further operands, and the first bytes of those that have some. */
export const W = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  globalSet: 0x24,
  i32Load: 0x28,
  i64Load: 0x29,
  i32Load8U: 0x2d,
  i64Load8S: 0x30,
  i64Load8U: 0x31,
  i64Load16S: 0x32,
  i64Load16U: 0x33,
  i64Load32S: 0x34,
  i64Load32U: 0x35,
  i64Store: 0x37,
  i64Store8: 0x3c,
  i64Store16: 0x3d,
  i64Store32: 0x3e,
  i32Const: 0x41,
  i64Const: 0x42,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32Ne: 0x47,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtS: 0x4a,
  i32GtU: 0x4b,
  i32LeS: 0x4c,
  i32LeU: 0x4d,
  i32GeS: 0x4e,
  i32GeU: 0x4f,
  i64Eqz: 0x50,
  i64Eq: 0x51,
  i64Ne: 0x52,
  i64LtS: 0x53,
  i64LtU: 0x54,
  i64GtS: 0x55,
  i64GtU: 0x56,
  i64LeS: 0x57,
  i64LeU: 0x58,
  i64GeS: 0x59,
  i64GeU: 0x5a,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32DivS: 0x6d,
  i32DivU: 0x6e,
  i32RemS: 0x6f,
  i32RemU: 0x70,
  i32And: 0x71,
  i32Or: 0x72,
  i32Xor: 0x73,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i32ShrU: 0x76,
  i32Rotl: 0x77,
  i64Add: 0x7c,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64DivS: 0x7f,
  i64DivU: 0x80,
  i64RemS: 0x81,
  i64RemU: 0x82,
  i64And: 0x83,
  i64Or: 0x84,
  i64Xor: 0x85,
  i64Shl: 0x86,
  i64ShrS: 0x87,
  i64ShrU: 0x88,
  i64Rotl: 0x89,
  i32WrapI64: 0xa7,
  i64ExtendI32S: 0xac,
  i64ExtendI32U: 0xad,
  i32Extend8S: 0xc0,
  i32Extend16S: 0xc1,
  i64Extend8S: 0xc2,
  i64Extend16S: 0xc3,
  i64Extend32S: 0xc4,
} as const;

/** Bytes in the making. */
export class WasmBytes {
  private buffer = new Uint8Array(256);
  length = 0;

  private room(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const bigger = new Uint8Array(Math.max(this.buffer.length * 2, this.length + bytes));
    bigger.set(this.buffer.subarray(0, this.length));
    this.buffer = bigger;
  }

  byte(...bytes: readonly number[]): this {
    this.room(bytes.length);
    for (const b of bytes) this.buffer[this.length++] = b;
    return this;
  }

  /** An unsigned number below 2^32 (LEB128). */
  unsigned(value: number): this {
    let rest = value >>> 0;
    while (rest > 127) {
      this.byte((rest & 127) | 128);
      rest >>>= 7;
    }
    return this.byte(rest);
  }

  /** A signed 32-bit number. */
  signed(value: number): this {
    let rest = value | 0;
    for (;;) {
      const low = rest & 127;
      rest >>= 7;
      if ((rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0)) return this.byte(low);
      this.byte(low | 128);
    }
  }

  /** A signed 64-bit number. */
  signed64(value: bigint): this {
    let rest = BigInt.asIntN(64, value);
    if (rest === BigInt.asIntN(32, rest)) return this.signed(Number(rest));
    for (;;) {
      const low = Number(rest & 127n);
      rest >>= 7n;
      if ((rest === 0n && (low & 64) === 0) || (rest === -1n && (low & 64) !== 0)) return this.byte(low);
      this.byte(low | 128);
    }
  }

  name(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.unsigned(bytes.length).append(bytes);
  }

  append(bytes: Uint8Array): this {
    this.room(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  finish(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }
}

/** Parameters and results of a function. */
export interface FunctionType {
  readonly params: readonly number[];
  readonly results: readonly number[];
}

/** The code of one function. */
export class FunctionCode extends WasmBytes {
  readonly type: FunctionType;
  private readonly locals: number[] = [];

  constructor(type: FunctionType) {
    super();
    this.type = type;
  }

  /** A new variable of a type; returns its index. */
  local(type: number): number {
    return this.type.params.length + this.locals.push(type) - 1;
  }

  get(local: number): this {
    return this.byte(W.localGet).unsigned(local);
  }
  set(local: number): this {
    return this.byte(W.localSet).unsigned(local);
  }
  tee(local: number): this {
    return this.byte(W.localTee).unsigned(local);
  }
  i32(value: number): this {
    return this.byte(W.i32Const).signed(value);
  }
  i64(value: bigint): this {
    return this.byte(W.i64Const).signed64(value);
  }
  /** `opcode` with a static offset; alignment is never promised. */
  access(opcode: number, offset: number): this {
    return this.byte(opcode, 0).unsigned(offset);
  }
  br(depth: number): this {
    return this.byte(W.br).unsigned(depth);
  }
  brIf(depth: number): this {
    return this.byte(W.brIf).unsigned(depth);
  }
  call(func: number): this {
    return this.byte(W.call).unsigned(func);
  }

  /** Locals and code, as the code section has them. */
  body(): Uint8Array {
    const runs: [number, number][] = [];
    for (const type of this.locals) {
      const last = runs.at(-1);
      if (last !== undefined && last[1] === type) last[0]++;
      else runs.push([1, type]);
    }
    const out = new WasmBytes().unsigned(runs.length);
    for (const [count, type] of runs) out.unsigned(count).byte(type);
    return out.append(this.finish()).byte(W.end).finish();
  }
}

/** A module in the making. Imports come before functions. */
export class ModuleWriter {
  private readonly types: FunctionType[] = [];
  private readonly imports: Uint8Array[] = [];
  private readonly functions: (FunctionCode | undefined)[] = [];
  private readonly functionTypes: number[] = [];
  private readonly exports: { readonly name: string; readonly kind: number; readonly index: number }[] = [];
  private imported = 0;
  private globals = 0;
  private table: readonly number[] = [];

  type(type: FunctionType): number {
    const same = (a: readonly number[], b: readonly number[]): boolean => a.join() === b.join();
    const known = this.types.findIndex((t) => same(t.params, type.params) && same(t.results, type.results));
    return known >= 0 ? known : this.types.push(type) - 1;
  }

  private import(name: string, describe: (out: WasmBytes) => void): void {
    const out = new WasmBytes().name("env").name(name);
    describe(out);
    this.imports.push(out.finish());
  }

  importMemory(name: string): void {
    this.import(name, (out) => out.byte(0x02, 0x00).unsigned(0));
  }

  /** A variable of type i64; returns its index. */
  importGlobal(name: string): number {
    this.import(name, (out) => out.byte(0x03, ValueType.I64, 0x01));
    return this.globals++;
  }

  importFunction(name: string, params: readonly number[], results: readonly number[]): number {
    const type = this.type({ params, results });
    this.import(name, (out) => out.byte(0x00).unsigned(type));
    return this.imported++;
  }

  /** Declares a function, whose code follows; returns its index. */
  declare(type: FunctionType): number {
    this.functionTypes.push(this.type(type));
    return this.imported + this.functions.push(undefined) - 1;
  }

  define(index: number, code: FunctionCode): void {
    this.functions[index - this.imported] = code;
  }

  export(name: string, func: number): void {
    this.exports.push({ name, kind: 0, index: func });
  }

  /** The table that indirect calls go through, exported as `table`. */
  setTable(functions: readonly number[]): void {
    this.table = functions;
    this.exports.push({ name: "table", kind: 1, index: 0 });
  }

  finish(): Uint8Array {
    const out = new WasmBytes().byte(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);
    const section = (id: number, count: number, write: (body: WasmBytes) => void): void => {
      if (count === 0) return;
      const body = new WasmBytes().unsigned(count);
      write(body);
      out.byte(id).unsigned(body.length).append(body.finish());
    };
    section(1, this.types.length, (body) => {
      for (const { params, results } of this.types) {
        body
          .byte(0x60)
          .unsigned(params.length)
          .byte(...params)
          .unsigned(results.length)
          .byte(...results);
      }
    });
    section(2, this.imports.length, (body) => {
      for (const one of this.imports) body.append(one);
    });
    section(3, this.functions.length, (body) => {
      for (const type of this.functionTypes) body.unsigned(type);
    });
    section(4, this.table.length > 0 ? 1 : 0, (body) => body.byte(0x70, 0x00).unsigned(this.table.length));
    section(7, this.exports.length, (body) => {
      for (const { name, kind, index } of this.exports) body.name(name).byte(kind).unsigned(index);
    });
    section(9, this.table.length > 0 ? 1 : 0, (body) => {
      body.byte(0x00, W.i32Const, 0x00, W.end).unsigned(this.table.length);
      for (const index of this.table) body.unsigned(index);
    });
    section(10, this.functions.length, (body) => {
      for (const code of this.functions) {
        const bytes = code!.body();
        body.unsigned(bytes.length).append(bytes);
      }
    });
    return out.finish();
  }
}
