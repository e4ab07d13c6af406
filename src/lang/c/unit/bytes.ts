/** Initialisers as bytes: what a variable holds before anything runs. */
import type { Expr, FunctionDecl, Initializer, VariableDecl } from "../ast.ts";
import { constantValue } from "../constant.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, shapeOf } from "../types/types.ts";

/** An address that stands in the bytes: of a variable, a function or a literal. */
export interface AddressInBytes {
  /** Bytes from the start. */
  readonly offset: number;
  readonly base: VariableDecl | FunctionDecl | Uint8Array;
  /** Bytes from the start of what it is the address of. */
  readonly addend: number;
  readonly location: number;
}

/** What an initialiser makes. */
export interface InitialBytes {
  readonly bytes: Uint8Array;
  /** Ascending by offset; their bytes are zero. */
  readonly addresses: readonly AddressInBytes[];
  /** Location of a value that is not constant, after which nothing was read. */
  readonly problem?: number;
}

/** Bytes of an initialiser of a type; of none at all zeros. */
export function initialBytes(initializer: Initializer | undefined, type: CType): InitialBytes {
  const writer = new Writer(extentOf(initializer, type));
  const problem = writer.initializer(initializer, type, 0);
  const addresses = [...writer.addresses.values()].toSorted((a, b) => a.offset - b.offset);
  return { bytes: writer.bytes, addresses, ...(problem === undefined ? {} : { problem }) };
}

/** Bytes of a variable with a flexible member at its end, which its initialiser may make longer (a GNU extension). */
export function extentOf(initializer: Initializer | undefined, type: CType): number {
  let end = sizeOf(type) ?? 0;
  if (initializer?.kind !== "aggregate") return end;
  for (const { bitOffset, bitWidth, type: of } of initializer.values) {
    const bits = bitWidth ?? (sizeOf(of) ?? 0) * 8;
    end = Math.max(end, Math.ceil((bitOffset + bits) / 8));
  }
  return end;
}

class Writer {
  readonly bytes: Uint8Array;
  readonly addresses = new Map<number, AddressInBytes>();

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  /** Gives the location of what is not constant. */
  initializer(initializer: Initializer | undefined, type: CType, offset: number): number | undefined {
    if (initializer === undefined) return undefined;
    if (initializer.kind === "value") return this.value(initializer.value, type, offset * 8, undefined);
    for (const { bitOffset, bitWidth, type: of, value } of initializer.values) {
      const problem = this.value(value, of, offset * 8 + bitOffset, bitWidth);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  private value(expr: Expr, type: CType, bitOffset: number, bitWidth: number | undefined): number | undefined {
    const shape = shapeOf(type);
    const offset = Math.floor(bitOffset / 8);
    const size = sizeOf(type) ?? 0;
    if (shape.kind === "array" || shape.kind === "record") {
      const whole = expr.kind === "cast" && expr.cast === "load" ? expr.operand : expr;
      this.zero(offset, shape.kind === "array" && shape.count === undefined ? 0 : size);
      if (whole.kind === "string") {
        // A string without room for its NUL is cut.
        const room = shape.kind === "array" && shape.count === undefined ? whole.bytes.length : size;
        this.bytes.set(whole.bytes.subarray(0, room), offset);
        return undefined;
      }
      if (whole.kind !== "compound" && whole.kind !== "variable") return expr.location;
      return this.initializer(whole.variable.initializer, whole.variable.type, offset);
    }
    const constant = constantValue(expr);
    if (constant === undefined) return expr.location;
    if (constant.kind === "address" && constant.base !== null) {
      this.zero(offset, size);
      const { base, offset: addend } = constant;
      this.addresses.set(offset, { offset, base, addend: Number(addend), location: expr.location });
      return undefined;
    }
    const number = constant.kind === "integer" ? constant.value : constant.offset;
    if (bitWidth === undefined) this.number(number, offset, size);
    else this.bits(number, bitOffset, bitWidth);
    return undefined;
  }

  private zero(offset: number, size: number): void {
    this.bytes.fill(0, offset, offset + size);
    for (const at of this.addresses.keys()) if (at >= offset && at < offset + size) this.addresses.delete(at);
  }

  private number(value: bigint, offset: number, size: number): void {
    this.addresses.delete(offset);
    let low = BigInt.asUintN(size * 8, value);
    for (let i = 0; i < size; i++, low >>= 8n) this.bytes[offset + i] = Number(low & 0xffn);
  }

  private bits(value: bigint, bitOffset: number, bitWidth: number): void {
    let rest = BigInt.asUintN(bitWidth, value);
    for (let bit = bitOffset; bit < bitOffset + bitWidth; bit++, rest >>= 1n) {
      const mask = 1 << (bit & 7);
      const byte = this.bytes[bit >> 3]!;
      this.bytes[bit >> 3] = (rest & 1n) === 0n ? byte & ~mask : byte | mask;
    }
  }
}
