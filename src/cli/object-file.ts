/** Files that commands are given: objects, and kernels' types. */
import { UsageError } from "../base/index.ts";
import { Btf } from "../btf/index.ts";
import type { CCompilation } from "../lang/c/index.ts";
import { type BpfObject, Elf, linkObjects, readObject, writeElf } from "../object/index.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { compileInput, isCName, looksLikeC, type SayOptions } from "./c-input.ts";
import { cSourceOptions } from "./c-options.ts";
import { readInput, textOfInput } from "./input.ts";

/** An object file or a C source, and what came of it. */
export interface ObjectInput {
  readonly path: string;
  /** Of the object file; a source's as it would be written. */
  readonly bytes: Uint8Array;
  readonly object: BpfObject;
  /** Of C sources. */
  readonly compilation?: CCompilation;
}

/** How C sources among the operands are compiled. */
export interface InputOptions extends SayOptions {
  /** For the running kernel, to be run now. */
  readonly forThisMachine?: boolean;
  /** Records of variables are told, too. */
  readonly localTypes?: boolean;
}

/** The one file that a command line names. Throws UsageError when it names none, several, or something else; CompileError for wrong C. */
export function readObjectOperand(args: Arguments, command: string, options: InputOptions = {}): ObjectInput {
  const [path, ...more] = args.operands;
  if (path === undefined) {
    throw new UsageError(`skep ${command}: no object file or C source (skep ${command} --help)`);
  }
  if (more.length > 0)
    throw new UsageError(`skep ${command}: one file, not ${args.operands.length}: ${more.join(" ")}`);
  return readOne(path, args, command, options);
}

/** The files that a command line names; several are linked to one object. Throws as {@link readObjectOperand} does. */
export function readLinkedOperands(
  args: Arguments,
  command: string,
  options: InputOptions = {},
): Omit<ObjectInput, "path"> {
  const [path, ...more] = args.operands;
  if (path === undefined || more.length === 0) return readObjectOperand(args, command, options);
  const inputs = args.operands.map((file) => readOne(file, args, command, options));
  const object = linkObjects(inputs.map(({ path: file, bytes }) => ({ name: baseName(file), bytes })));
  return { object, bytes: inputs[0]!.bytes };
}

function readOne(path: string, args: Arguments, command: string, options: InputOptions): ObjectInput {
  const bytes = readInput(path, command);
  if (isElf(bytes)) return { path, bytes, object: readObject(bytes, { name: baseName(path) }) };
  const isC = isCName(path) || args.options.has("dialect") || (path === "-" && looksLikeC(textOf(bytes)));
  if (!isC) throw noObject(path, bytes, command);
  const btf = textOption(args, "btf");
  const text = textOfInput(path, bytes, command);
  const compilation = compileInput(
    path,
    text,
    {
      ...cSourceOptions(args, command),
      forThisMachine: options.forThisMachine === true,
      localTypes: options.localTypes === true,
      ...(btf === undefined ? {} : { kernelTypes: readBtfFile(btf, command) }),
    },
    options,
  );
  const { object } = compilation;
  return {
    path,
    object,
    compilation,
    get bytes() {
      return writeElf(object, { libbpfMinor: 8 });
    },
  };
}

/** An object file. */
export function readObjectFile(path: string, command: string): ObjectInput {
  const bytes = readInput(path, command);
  if (!isElf(bytes)) throw noObject(path, bytes, command);
  return { path, bytes, object: readObject(bytes, { name: baseName(path) }) };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes.subarray(0, 4096));

function noObject(path: string, bytes: Uint8Array, command: string): UsageError {
  const text = textOf(bytes);
  const hint =
    /\b(BEGIN|END|[ku](ret)?probe|tracepoint|interval|profile)\b[^]*\{/.test(text) && !looksLikeC(text)
      ? " (to run a bpftrace script: skep trace)"
      : looksLikeC(text)
        ? " (C sources are called .c; --dialect libbpf or bcc says that this is one)"
        : "";
  return new UsageError(`skep ${command}: ${path}: is no object file and no C source${hint}`);
}

/** Whether bytes are an ELF file. */
export function isElf(bytes: Uint8Array): boolean {
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
