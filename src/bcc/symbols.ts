/** Addresses as names, as BCC writes them: `start_thread+0x202 [libpthread-2.24.so]`. */
import { basename } from "node:path";
import { SkepError } from "../base/index.ts";
import { type BuildIdFrame, Symbolizer } from "../runtime/index.ts";
import { demangle } from "../runtime/symbols/demangle/demangle.ts";
import { Module } from "../runtime/symbols/module.ts";

/** What of a symbol is shown. */
export interface SymOptions {
  /** The file or module in brackets. */
  readonly showModule?: boolean;
  /** Bytes from the function's start, in hexadecimal. */
  readonly showOffset?: boolean;
  /** False: names of C++ as binaries have them (`_ZN3foo3barEi`), not as people write them (`foo::bar(int)`). */
  readonly demangle?: boolean;
}

/** An address, or a frame of a stack with build ids. */
export type Address = bigint | number | BuildIdFrame;

const UNKNOWN = "[unknown]";

/** One for all programs of this process, as its caches are worth keeping. */
const symbolizer = new Symbolizer();
/** Binaries that frames with build ids may be of, by build id. */
const binaries = new Map<string, Module>();

/** Most names that are remembered as people write them. */
const MOST_NAMES = 50_000;
const readable = new Map<string, string>();

function readableName(name: string): string {
  if (!name.startsWith("_Z")) return name;
  let found = readable.get(name);
  if (found === undefined) {
    found = demangle(name) ?? name;
    if (readable.size >= MOST_NAMES) readable.clear();
    readable.set(name, found);
  }
  return found;
}

function written(
  symbol: { readonly name: string | undefined; readonly offset: bigint; readonly module: string | undefined },
  options: SymOptions,
): string {
  const { showModule = false, showOffset = false } = options;
  const { offset, module } = symbol;
  const name = symbol.name === undefined || options.demangle === false ? symbol.name : readableName(symbol.name);
  const place = showOffset && name !== undefined ? `+0x${offset.toString(16)}` : "";
  const from = showModule && module !== undefined ? ` [${basename(module)}]` : "";
  return (name ?? UNKNOWN) + place + from;
}

/**
 * The function that an address of a process is in; of the kernel when the pid is negative. `[unknown]` where there is none. Names of C++ are
 * shown as people write them.
 */
export function sym(address: Address, pid: number, options: SymOptions = {}): string {
  if (typeof address === "object") return frameSym(address, options);
  const at = BigInt.asUintN(64, BigInt(address));
  return written(pid < 0 ? symbolizer.resolveKernel(at) : symbolizer.resolveProcess(at, pid), options);
}

/** The kernel's function that an address is in. */
export function ksym(address: bigint | number, options: SymOptions = {}): string {
  return sym(address, -1, options);
}

/** Address of a symbol of the kernel; -1n when it has none of that name, or hides addresses. */
export function ksymname(name: string): bigint {
  return symbolizer.findKernelSymbol(name) ?? -1n;
}

/** Makes a binary known for stacks with build ids. Throws SkepError (`no-file`) when it is no ELF file with one. */
export function addModule(path: string): void {
  const module = Module.open(path);
  const id = module.elf?.buildId;
  if (id === undefined || id === null || id === "") {
    module.discard();
    throw new SkepError("no-file", `binary ${path}: cannot be read, or has no build id`, { exitStatus: 2 });
  }
  module.close();
  binaries.set(id, module);
}

function frameSym({ buildId, address }: BuildIdFrame, options: SymOptions): string {
  const module = buildId === undefined ? undefined : binaries.get(buildId);
  const found = module?.lookup(Number(address));
  return written({ name: found?.name, offset: BigInt(found?.offset ?? 0), module: module?.path }, options);
}
