/** Addresses to names as bpftrace prints them: kernel and user space, with caches for stacks that come again and again. */
import { ElfType } from "../../object/index.ts";
import { Kallsyms } from "./kallsyms.ts";
import { Module } from "./module.ts";
import { PerfMap } from "./perf-map.ts";
import { findMapping, mappedFilePath, readMaps, readProcessMemory } from "./process.ts";
import type { Mapping } from "./process.ts";

/** What an address is, in parts. */
export interface ResolvedSymbol {
  /** Undefined when no symbol is there: then `offset` is into the module, or the address itself. */
  readonly name: string | undefined;
  /** Bytes from the symbol's start. */
  readonly offset: bigint;
  /** Path of the file as the process sees it, or the kernel's module (`kernel` for itself); undefined when not even that is known. */
  readonly module: string | undefined;
}

/** How a name is shown: as it is, or C++ names as people write them. */
export type NameStyle = (name: string) => string;

interface Process {
  mappings: readonly Mapping[];
  /** When the mappings were read, in milliseconds of `performance.now()`: an unknown address makes them be read again, but not each time. */
  readAtMs: number;
  /** Nothing was mapped when it was looked at last: it ended, or has no memory of its own. */
  isGone: boolean;
  readonly perfMap: PerfMap;
  /** By address and style. */
  readonly names: Map<string, string>;
}

/** Mappings are read again for an unknown address at most this often. */
const REFRESH_MS = 500;
/** Above this many names a process' cache starts anew. */
const MAX_NAMES = 100_000;

/** Resolves addresses; one a run. */
export class Symbolizer {
  private kernel: Kallsyms | null | undefined;
  private readonly kernelNames = new Map<string, string>();
  private readonly processes = new Map<number, Process>();
  private readonly modules = new Map<string, Module>();
  private readonly style: NameStyle;
  private readonly binaries: readonly string[];
  private fixed: readonly Module[] | undefined;

  /** `binaries`: programs that are probed, in which addresses are looked up when their process is gone already. */
  constructor(style: NameStyle = (name) => name, binaries: readonly string[] = []) {
    this.style = style;
    this.binaries = binaries;
  }

  /** `name+offset` or `name`; the address in hexadecimal when no symbol is before it. */
  kernelSymbol(address: bigint, withOffset: boolean): string {
    const key = `${withOffset ? "+" : ""}${address.toString(16)}`;
    let name = this.kernelNames.get(key);
    if (name === undefined) {
      if (this.kernel === undefined) this.kernel = Kallsyms.read();
      const symbol = this.kernel?.lookup(address);
      name = symbol ? symbol.name + (withOffset ? `+${symbol.offset}` : "") : hex(address);
      if (this.kernelNames.size >= MAX_NAMES) this.kernelNames.clear();
      this.kernelNames.set(key, name);
    }
    return name;
  }

  /** A kernel address in parts. */
  resolveKernel(address: bigint): ResolvedSymbol {
    if (this.kernel === undefined) this.kernel = Kallsyms.read();
    const symbol = this.kernel?.lookup(address);
    if (symbol === undefined) return { name: undefined, offset: address, module: undefined };
    return { name: symbol.name, offset: BigInt(symbol.offset), module: symbol.module ?? "kernel" };
  }

  /** An address of a process in parts. */
  resolveProcess(address: bigint, pid: number): ResolvedSymbol {
    const process = this.process(pid);
    const mapping = this.mappingOf(process, pid, address);
    if (mapping === undefined) return { name: undefined, offset: address, module: undefined };
    const symbol = this.lookup(process, pid, mapping, address);
    const module = mapping.path === "" ? undefined : mapping.path;
    if (symbol !== undefined) return { name: this.style(symbol.name), offset: BigInt(symbol.offset), module };
    if (module === undefined) return { name: undefined, offset: address, module };
    return { name: undefined, offset: address - mapping.start + BigInt(mapping.fileOffset), module };
  }

  /** Address of a kernel symbol; undefined when there is none or the kernel hides it. */
  findKernelSymbol(name: string): bigint | undefined {
    if (this.kernel === undefined) this.kernel = Kallsyms.read();
    return this.kernel?.find(name);
  }

  /** `name+offset`, `name`, and for perf ` (path)`; hexadecimal when unknown. */
  userSymbol(address: bigint, pid: number, withOffset: boolean, perf: boolean): string {
    const process = this.process(pid);
    const key = `${withOffset ? "+" : ""}${perf ? "p" : ""}${address.toString(16)}`;
    let name = process.names.get(key);
    if (name === undefined) {
      name = this.resolveUser(process, address, pid, withOffset, perf);
      if (process.names.size >= MAX_NAMES) process.names.clear();
      process.names.set(key, name);
    }
    return name;
  }

  /** Remembers a process' mappings now, so that its addresses can be named after it has ended. */
  sight(pid: number): void {
    this.process(pid);
  }

  private process(pid: number): Process {
    let process = this.processes.get(pid);
    if (!process) {
      process = {
        mappings: readMaps(pid) ?? [],
        // What was mapped when the process was sighted may be the program before its exec: the first miss looks again at once.
        readAtMs: -Infinity,
        isGone: false,
        perfMap: new PerfMap(`/tmp/perf-${pid}.map`),
        names: new Map(),
      };
      this.processes.set(pid, process);
      // Files are opened now as well: their names may be gone when the process is.
      for (const mapping of process.mappings) this.module(pid, mapping);
    }
    return process;
  }

  private resolveUser(process: Process, address: bigint, pid: number, withOffset: boolean, perf: boolean): string {
    const mapping = this.mappingOf(process, pid, address);
    if (!mapping && process.isGone) return this.resolveGone(address, withOffset, perf);
    const symbol = mapping && this.lookup(process, pid, mapping, address);
    if (!symbol) return hex(address) + (perf ? " ([unknown])" : "");
    const module = perf ? ` (${mapping!.path || "[anon]"})` : "";
    return this.style(symbol.name) + (withOffset ? `+${symbol.offset}` : "") + module;
  }

  /** What an address is mapped from; mappings are read again when none has it. */
  private mappingOf(process: Process, pid: number, address: bigint): Mapping | undefined {
    const mapping = findMapping(process.mappings, address);
    if (mapping || performance.now() - process.readAtMs <= REFRESH_MS) return mapping;
    const mappings = readMaps(pid);
    if (mappings && mappings.length > 0) process.mappings = mappings;
    else process.isGone = true;
    process.readAtMs = performance.now();
    return findMapping(process.mappings, address);
  }

  /** Of a process that ended before anybody looked: programs at fixed addresses are where their files say. */
  private resolveGone(address: bigint, withOffset: boolean, perf: boolean): string {
    this.fixed ??= this.binaries
      .map((path) => Module.open(path))
      .filter((module) => module.elf?.header.type === ElfType.EXEC);
    for (const module of this.fixed) {
      const symbol = module.lookupAddress(address);
      if (symbol) {
        return this.style(symbol.name) + (withOffset ? `+${symbol.offset}` : "") + (perf ? ` (${module.path})` : "");
      }
    }
    return hex(address) + (perf ? " ([unknown])" : "");
  }

  private lookup(
    process: Process,
    pid: number,
    mapping: Mapping,
    address: bigint,
  ): { readonly name: string; readonly offset: number } | undefined {
    if (mapping.identity === "" && mapping.path !== "[vdso]") return process.perfMap.lookup(address);
    return this.module(pid, mapping)?.lookup(Number(address - mapping.start) + mapping.fileOffset);
  }

  private module(pid: number, mapping: Mapping): Module | undefined {
    const key = mapping.identity || mapping.path;
    if (key === "" || (mapping.identity === "" && mapping.path !== "[vdso]")) return undefined;
    let module = this.modules.get(key);
    if (!module || !module.elf) {
      if (mapping.path === "[vdso]") {
        module = new Module(mapping.path, readProcessMemory(pid, mapping.start, mapping.end) ?? null);
      } else {
        module = Module.open(mapping.path, mappedFilePath(pid, mapping));
        // In the same mount namespace the name alone will do when the process is gone already.
        if (!module.elf && !mapping.isDeleted) module = Module.open(mapping.path);
      }
      this.modules.set(key, module);
    }
    return module;
  }
}

/** As C++ streams print a pointer: null is a bare 0. */
function hex(address: bigint): string {
  return address === 0n ? "0" : `0x${address.toString(16)}`;
}
