/** One binary or library and its symbols, its separate debug file included. */
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Elf } from "../../object/index.ts";
import type { ElfSymbolTable } from "../../object/index.ts";
import { FileSource } from "./file.ts";

/** Where distributions put debug files. */
const DEBUG_ROOT = "/usr/lib/debug";

/** A file's symbols. Everything is read when it is asked for, and a damaged file has no symbols rather than ending the run. */
export class Module {
  /** As the process saw it. */
  readonly path: string;
  readonly elf: Elf | null;
  private readonly source: FileSource | Uint8Array | null;
  private readonly debugRoots: readonly string[];
  private tables: ElfSymbolTable[] | undefined;
  private debug: Elf | null | undefined;
  private debugSource: FileSource | undefined;

  /** Takes the file's bytes or an open file, which it then owns; null: it cannot be read. */
  constructor(path: string, source: FileSource | Uint8Array | null, debugRoots: readonly string[] = [DEBUG_ROOT]) {
    this.path = path;
    this.source = source;
    this.debugRoots = debugRoots;
    this.elf = source === null ? null : parseOrNull(source, path);
  }

  /** Opens a file, which for another mount namespace or a deleted name is read from below /proc; it has no symbols when that fails. */
  static open(path: string, readFrom: string = path): Module {
    return new Module(path, openOrNull(readFrom));
  }

  /** The function that a file offset is in. */
  lookup(fileOffset: number): { readonly name: string; readonly offset: number } | undefined {
    const address = this.elf?.fileOffsetToVirtual(fileOffset);
    return address === undefined ? undefined : this.lookupAddress(address);
  }

  /** The function that a virtual address of the file is in. */
  lookupAddress(address: bigint): { readonly name: string; readonly offset: number } | undefined {
    for (const table of this.symbolTables()) {
      const hit = table.lookup(address);
      if (hit) return hit;
    }
    return undefined;
  }

  /** The files that hold symbols: the debug file of a stripped binary first, then the binary. */
  files(): readonly Elf[] {
    const { elf } = this;
    if (!elf) return [];
    if (this.debug === undefined) this.debug = this.findDebugFile(elf);
    return this.debug ? [this.debug, elf] : [elf];
  }

  /** Functions by address of {@link files}. */
  symbolTables(): readonly ElfSymbolTable[] {
    if (this.tables) return this.tables;
    this.tables = [];
    for (const elf of this.files()) {
      try {
        this.tables.push(elf.functions);
      } catch {
        // A damaged table: the other file may do.
      }
    }
    return this.tables;
  }

  /** Gives the descriptor back once the tables are in memory: what was looked up stays. */
  close(): void {
    if (!(this.source instanceof FileSource)) return;
    if (this.elf) this.symbolTables();
    this.source.close();
  }

  /** Gives the descriptors back at once: what was not read yet cannot be any more. */
  discard(): void {
    if (this.source instanceof FileSource) this.source.close();
    this.debugSource?.close();
  }

  /** The debug file of a stripped binary: by build id, else by the name that it carries. */
  private findDebugFile(elf: Elf): Elf | null {
    try {
      if (elf.sectionByName(".symtab")) return null;
      for (const path of debugFileCandidates(elf, this.path, this.debugRoots)) {
        if (!existsSync(path)) continue;
        const source = openOrNull(path);
        const debug = source && parseOrNull(source, path);
        // A debug file of another build would give wrong names.
        if (debug && (debug.buildId ?? elf.buildId) === (elf.buildId ?? debug.buildId)) {
          this.debugSource = source ?? undefined;
          return debug;
        }
        source?.close();
      }
    } catch {
      // A damaged section table: the symbols that can be read are the binary's own.
    }
    return null;
  }
}

/** Paths at which the debug file of a binary may lie, in the order in which debuggers look. */
export function debugFileCandidates(elf: Elf, path: string, roots: readonly string[] = [DEBUG_ROOT]): string[] {
  const candidates: string[] = [];
  const id = elf.buildId;
  if (id && id.length > 2) {
    for (const root of roots) candidates.push(`${root}/.build-id/${id.slice(0, 2)}/${id.slice(2)}.debug`);
  }
  const link = elf.debugLink?.file;
  if (link) {
    const name = basename(link);
    const directory = dirname(path);
    candidates.push(join(directory, name), join(directory, ".debug", name));
    for (const root of roots) candidates.push(join(root, directory, name));
  }
  return candidates.filter((candidate) => candidate !== path);
}

function openOrNull(path: string): FileSource | null {
  try {
    return new FileSource(path);
  } catch {
    return null;
  }
}

function parseOrNull(source: FileSource | Uint8Array, name: string): Elf | null {
  try {
    return Elf.parse(source, name);
  } catch {
    if (source instanceof FileSource) source.close();
    return null;
  }
}
