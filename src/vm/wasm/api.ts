/** WebAssembly as every JavaScript engine has it: the part of its interface that the virtual machine uses (W3C, JavaScript Interface). */

/** A linear memory. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** A variable that several modules share. */
export interface WasmGlobal {
  value: bigint | number;
}

/** A table of functions. */
export interface WasmTable {
  readonly length: number;
  get(index: number): WasmFunction | null;
  set(index: number, value: WasmFunction | null): void;
  grow(by: number): number;
}

/** An exported function. Parameters and results of type i64 are BigInts. */
export type WasmFunction = (...args: (bigint | number)[]) => bigint | number | undefined;

/** A compiled module. */
export type WasmModule = object;

/** A module with its imports. */
export interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}

/** The global object `WebAssembly`. */
export interface WasmApi {
  readonly Memory: new (limits: { readonly initial: number; readonly maximum: number }) => WasmMemory;
  readonly Global: new (
    type: { readonly value: "i32" | "i64"; readonly mutable: boolean },
    value: bigint | number,
  ) => WasmGlobal;
  readonly Table: new (type: { readonly element: "anyfunc"; readonly initial: number }) => WasmTable;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => WasmInstance;
  readonly RuntimeError: new (message?: string) => Error;
}

/** The engine's. */
export const webAssembly: WasmApi = (globalThis as unknown as { readonly WebAssembly: WasmApi }).WebAssembly;
