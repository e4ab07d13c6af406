/** Binaries as requests name them, opened for the time of a look-up: paths, functions with versions, static probes. */
import { accessSync, constants, existsSync } from "node:fs";
import { UnsupportedError, nearestNames } from "../../base/index.ts";
import {
  type Elf,
  ElfSegmentFlag,
  ElfSegmentType,
  type UsdtProbe,
  findVersionedSymbol,
  usdtProbes,
} from "../../object/index.ts";
import { resolveBinaryPaths } from "../binary.ts";
import { Module } from "../symbols/module.ts";

/** Directories of libraries where the linker's cache has none, by architecture: what libbpf looks through. */
const libraryDirectories: Readonly<Record<string, readonly string[]>> = {
  x86_64: ["/usr/lib64", "/usr/lib", "/lib/x86_64-linux-gnu", "/lib64", "/lib"],
  aarch64: ["/usr/lib64", "/usr/lib", "/lib/aarch64-linux-gnu", "/lib"],
};

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** Names of shared libraries: `libc.so`, `libc.so.6`. */
const LIBRARY = /\.so(\.|$)/;

/**
 * The file that a name stands for: a path; a library in `LD_LIBRARY_PATH`, the linker's cache or the usual directories; a program in
 * `PATH`. With a pid, as that process sees files. Throws UnsupportedError that says where was looked.
 */
export function findBinary(what: string, name: string, arch: string, pid?: number): string {
  const isLibrary = LIBRARY.test(name) && !name.includes("/");
  const own = (process.env["LD_LIBRARY_PATH"] ?? "").split(":").filter((directory) => directory.startsWith("/"));
  const first = isLibrary && pid === undefined ? own.map((directory) => `${directory}/${name}`) : [];
  const known = first.find(isReadable) ?? resolveBinaryPaths(name, { arch, pid })[0];
  if (known !== undefined) return known;
  const last = isLibrary ? (libraryDirectories[arch] ?? []).map((directory) => `${directory}/${name}`) : [];
  const found = last.find(isReadable);
  if (found !== undefined) return found;
  const seen = pid === undefined ? "" : ` (as process ${pid} sees files)`;
  if (name.includes("/")) {
    const why = existsSync(name) ? "is no file" : "there is no such file";
    throw new UnsupportedError(what, `${name}: ${why}${seen}`);
  }
  const places = isLibrary
    ? "LD_LIBRARY_PATH, the linker's cache and the usual directories"
    : "PATH and the linker's cache";
  throw new UnsupportedError(what, `no ${name} in ${places}${seen}: give its path`);
}

/** A place of a function in a file. */
export interface FunctionPlace {
  readonly name: string;
  /** Bytes from the start of the file. */
  readonly fileOffset: number;
  /** Bytes of code; 0 when the table does not say. */
  readonly size: number;
}

/** A place of a static probe that is in the file. */
export type PlacedProbe = UsdtProbe & { readonly fileOffset: number };

/** An open binary. Close it after looking. */
export class BinaryFile {
  readonly path: string;
  readonly elf: Elf;
  private readonly module: Module;

  /** Throws UnsupportedError when the file cannot be read or is no ELF file. */
  constructor(what: string, path: string) {
    this.path = path;
    this.module = Module.open(path);
    const { elf } = this.module;
    if (elf === null) {
      this.module.discard();
      throw new UnsupportedError(what, `${path} ${isReadable(path) ? "is no ELF file" : "cannot be read"}`);
    }
    this.elf = elf;
  }

  /** Offset in the file of an address of its code; undefined elsewhere. */
  codeOffset(address: bigint): number | undefined {
    for (const segment of this.elf.segments) {
      if (segment.type !== ElfSegmentType.LOAD || (segment.flags & ElfSegmentFlag.EXECUTE) === 0) continue;
      const into = address - segment.virtualAddress;
      if (into >= 0n && into < BigInt(segment.fileSize)) return segment.offset + Number(into);
    }
    return undefined;
  }

  /** A function by name, which may have a version (`memcpy@GLIBC_2.2.5`). Looks into the separate debug file too. */
  findFunction(name: string): FunctionPlace | undefined {
    for (const elf of this.module.files()) {
      const symbol = findVersionedSymbol(elf, name);
      const fileOffset = symbol?.isFunction === true ? this.codeOffset(symbol.value) : undefined;
      if (symbol !== undefined && fileOffset !== undefined) return { name, fileOffset, size: symbol.size };
    }
    return undefined;
  }

  /** Address of a symbol of any kind, in the file's own numbering. */
  symbolAddress(name: string): bigint | undefined {
    for (const elf of this.module.files()) {
      const symbol = findVersionedSymbol(elf, name);
      if (symbol !== undefined) return symbol.value;
    }
    return undefined;
  }

  /** All functions, each place once, by address. */
  functions(): FunctionPlace[] {
    const found = new Map<string, FunctionPlace>();
    for (const table of this.module.symbolTables()) {
      for (let i = 0; i < table.count; i++) {
        const { name, address, size } = table.at(i);
        const fileOffset = this.codeOffset(address);
        if (fileOffset !== undefined && !found.has(name)) found.set(name, { name, fileOffset, size });
      }
    }
    return [...found.values()];
  }

  /** The function that a request names. Throws UnsupportedError with near names. */
  requireFunction(what: string, name: string): FunctionPlace {
    const found = this.findFunction(name);
    if (found !== undefined) return found;
    const all = this.functions();
    if (all.length === 0) throw new UnsupportedError(what, `${this.path} has no symbols: give an address instead`);
    if (this.symbolAddress(name) !== undefined)
      throw new UnsupportedError(what, `${name} of ${this.path} is no function`);
    const near = nearestNames(
      name,
      all.map((each) => each.name),
    );
    const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
    throw new UnsupportedError(what, `${this.path} has no function ${name}${hint}`);
  }

  /** The places of a static probe. Throws UnsupportedError with near names when there is none. */
  requireProbes(what: string, provider: string, name: string): PlacedProbe[] {
    const all = usdtProbes(this.elf);
    const found = all.filter((probe) => probe.provider === provider && probe.name === name);
    const placed = found.filter((probe): probe is PlacedProbe => probe.fileOffset !== undefined);
    if (placed.length > 0) return placed;
    if (found.length > 0)
      throw new UnsupportedError(what, `${this.path} has only its note: the linker dropped the code that it was in`);
    if (all.length === 0) throw new UnsupportedError(what, `${this.path} has no static probes (no .note.stapsdt)`);
    const names = [...new Set(all.map((probe) => `${probe.provider}:${probe.name}`))];
    const near = nearestNames(`${provider}:${name}`, names);
    const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : `it has ${names.slice(0, 10).join(", ")}`;
    throw new UnsupportedError(what, `${this.path} has no such static probe; ${hint}`);
  }

  close(): void {
    this.module.discard();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
