/** Binaries and libraries that uprobes go to: finding them as a user names them, and their functions. */
import { existsSync, readdirSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { ElfSegmentFlag, ElfSegmentType, ElfType } from "../object/index.ts";
import type { Binary, BinarySymbol } from "../lang/bpftrace/environment.ts";
import { findLibrary } from "./ld-cache.ts";
import { Module } from "./symbols/module.ts";
import { readMaps } from "./symbols/process.ts";

/** A file on disk as the front end sees it. */
export class ElfBinary implements Binary {
  readonly path: string;
  private readonly module: Module;
  private known: readonly BinarySymbol[] | undefined;

  constructor(path: string, readFrom: string = path) {
    this.path = path;
    this.module = Module.open(path, readFrom);
  }

  /** False when the file is no ELF file or cannot be read. */
  get isElf(): boolean {
    return this.module.elf !== null;
  }

  functions(): readonly BinarySymbol[] {
    if (this.known) return this.known;
    const found = new Map<string, BinarySymbol>();
    for (const table of this.module.symbolTables()) {
      for (let i = 0; i < table.count; i++) {
        const { name, address, size } = table.at(i);
        const fileOffset = this.fileOffsetOf(address);
        if (fileOffset !== undefined && !found.has(name)) found.set(name, { name, address, size, fileOffset });
      }
    }
    this.known = [...found.values()];
    return this.known;
  }

  find(name: string): BinarySymbol | undefined {
    for (const elf of this.module.files()) {
      const symbol = elf.findSymbol(name);
      const fileOffset = symbol?.isFunction ? this.fileOffsetOf(symbol.value) : undefined;
      if (symbol && fileOffset !== undefined) return { name, address: symbol.value, size: symbol.size, fileOffset };
    }
    return undefined;
  }

  variable(name: string): { readonly address: bigint; readonly size: number } | undefined {
    for (const elf of this.module.files()) {
      const symbol = elf.findSymbol(name);
      if (symbol && symbol.sectionIndex !== 0) return { address: symbol.value, size: symbol.size };
    }
    return undefined;
  }

  get isRelocatable(): boolean {
    return this.module.elf?.header.type === ElfType.DYN;
  }

  fileOffsetOf(address: bigint): number | undefined {
    const { elf } = this.module;
    if (!elf) return undefined;
    for (const segment of elf.segments) {
      if (segment.type !== ElfSegmentType.LOAD || (segment.flags & ElfSegmentFlag.EXECUTE) === 0) continue;
      const into = address - segment.virtualAddress;
      if (into >= 0n && into < BigInt(segment.fileSize)) return segment.offset + Number(into);
    }
    return undefined;
  }
}

/** A pattern with `*` as a regular expression over one path component. */
function componentPattern(pattern: string): RegExp {
  return new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "[^/]*")}$`);
}

/** Files whose absolute path matches a pattern with `*`, sorted. A `*` does not match `/`. */
export function globFiles(pattern: string, root = ""): string[] {
  let found = [""];
  for (const part of pattern.split("/").slice(1)) {
    if (!part.includes("*")) {
      found = found.map((directory) => `${directory}/${part}`);
      continue;
    }
    const matcher = componentPattern(part);
    found = found.flatMap((directory) => {
      try {
        return readdirSync(`${root}${directory}/`)
          .filter((name) => matcher.test(name))
          .map((name) => `${directory}/${name}`);
      } catch {
        return [];
      }
    });
  }
  return found.filter((path) => isFile(`${root}${path}`)).toSorted();
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Prefix through which a process' files are seen from here; empty when it shares our mount namespace. */
function processRoot(pid: number | undefined): string {
  if (pid === undefined) return "";
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`) === readlinkSync("/proc/self/ns/mnt") ? "" : `/proc/${pid}/root`;
  } catch {
    return "";
  }
}

/** Files that a process has mapped as code, whose path or name matches a pattern with `*`. */
export function mappedBinaries(pid: number, pattern: string): string[] {
  const matcher = componentPattern(pattern);
  const root = processRoot(pid);
  const paths = new Set<string>();
  for (const { path, identity, isDeleted } of readMaps(pid) ?? []) {
    if (identity !== "" && !isDeleted && matcher.test(path.slice(path.lastIndexOf("/") + 1))) paths.add(root + path);
  }
  return [...paths].filter(isFile).toSorted();
}

/** Paths that a name stands for: a path, a program in $PATH, or a library of the linker's cache; wildcards give several. */
export function resolveBinaryPaths(
  pattern: string,
  options: { readonly arch: string; readonly pid?: number | undefined; readonly searchPath?: string },
): string[] {
  const root = processRoot(options.pid);
  const absolute = (path: string): string[] =>
    (path.includes("*") ? globFiles(path, root) : isFile(root + path) ? [path] : []).map((found) => root + found);
  if (pattern.startsWith("/")) return absolute(pattern);
  if (pattern.includes("/")) return absolute(`${process.cwd()}/${pattern}`);
  const directories = (options.searchPath ?? process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin").split(":");
  const found = new Set<string>();
  for (const directory of directories) {
    if (!directory.startsWith("/")) continue;
    for (const path of absolute(`${directory}/${pattern}`)) {
      // /bin and /usr/bin are often one directory.
      found.add(root === "" ? realpathSync(path) : path);
      if (!pattern.includes("*")) return [...found];
    }
  }
  if (found.size > 0) return [...found].toSorted();
  const library = findLibrary(pattern, options.arch, root ? `${root}/etc/ld.so.cache` : undefined);
  return library && existsSync(root + library) ? [root + library] : [];
}
