/** Files that commands are given: objects, and kernels' types. */
import { readFileSync } from "node:fs";
import { UsageError } from "../base/index.ts";
import { Btf } from "../btf/index.ts";
import { type BpfObject, Elf, linkObjects, readObject } from "../object/index.ts";
import type { Arguments } from "./arguments.ts";

const READ_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EISDIR: "is a directory",
  EACCES: "may not be read",
  ENOTDIR: "part of its path is no directory",
};

/** Bytes of a file. Throws UsageError that names the command. */
export function readInput(path: string, command: string): Uint8Array {
  try {
    return readFileSync(path === "-" ? 0 : path);
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    throw new UsageError(`skep ${command}: ${path}: ${READ_FAILURES[code] ?? code}`);
  }
}

/** An object file, and its bytes. */
export interface ObjectInput {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly object: BpfObject;
}

/** The one object file that a command line names. Throws UsageError when it names none, several, or something else. */
export function readObjectOperand(args: Arguments, command: string): ObjectInput {
  const [path, ...more] = args.operands;
  if (path === undefined) {
    throw new UsageError(`skep ${command}: no object file (skep ${command} --help)`);
  }
  if (more.length > 0)
    throw new UsageError(`skep ${command}: one object file, not ${args.operands.length}: ${more.join(" ")}`);
  return readObjectFile(path, command);
}

/** The object files that a command line names; several are linked to one object. Throws UsageError as {@link readObjectOperand} does. */
export function readLinkedOperands(args: Arguments, command: string): BpfObject {
  const [path, ...more] = args.operands;
  if (path === undefined || more.length === 0) return readObjectOperand(args, command).object;
  return linkObjects(args.operands.map((file) => ({ name: baseName(file), bytes: readElf(file, command) })));
}

/** An object file. */
export function readObjectFile(path: string, command: string): ObjectInput {
  const bytes = readElf(path, command);
  return { path, bytes, object: readObject(bytes, { name: baseName(path) }) };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Bytes of a file that is ELF at least. */
function readElf(path: string, command: string): Uint8Array {
  const bytes = readInput(path, command);
  if (isElf(bytes)) return bytes;
  const text = new TextDecoder().decode(bytes.subarray(0, 4096));
  const hint = /\b(BEGIN|END|[ku](ret)?probe|tracepoint|interval|profile)\b[^]*\{/.test(text)
    ? " (to run a bpftrace script: skep trace)"
    : /#include|SEC\(/.test(text)
      ? " (compile it first: clang -target bpf -g -O2 -c)"
      : "";
  throw new UsageError(`skep ${command}: ${path}: is no object file${hint}`);
}

function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** Types of a raw BTF file or of the section `.BTF` of an ELF file. */
export function readBtfFile(path: string, command: string): Btf {
  const bytes = readInput(path, command);
  if (!isElf(bytes)) return Btf.parse(bytes, { section: path });
  const elf = Elf.parse(bytes, path);
  const section = elf.sectionByName(".BTF");
  if (section === undefined) throw new UsageError(`skep ${command}: ${path}: has no types (section .BTF)`);
  return Btf.parse(elf.sectionData(section), { section: `${path}: .BTF` });
}
