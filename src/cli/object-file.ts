/** Files that commands are given: objects, and kernels' types. */
import { type SourceText, UsageError } from "../base/index.ts";
import { Btf } from "../btf/index.ts";
import type { CCompilation } from "../lang/c/index.ts";
import type { CSourceOptions } from "../runtime/c-source.ts";
import { type BpfObject, Elf, linkObjects, readObject, writeElf } from "../object/index.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { compileInputs, isCName, looksLikeC, type SayOptions } from "./c-input.ts";
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

/** The files that a command line names; several become one object. Throws as {@link readObjectOperand} does. */
export function readLinkedOperands(
  args: Arguments,
  command: string,
  options: InputOptions = {},
): Omit<ObjectInput, "path" | "bytes"> {
  const [path, ...more] = args.operands;
  if (path === undefined || more.length === 0) return readObjectOperand(args, command, options);
  const made: CCompilation[] = [];
  const files = args.operands.map((file) => inputOf(file, args, command));
  const object = objectOfSources(files, command, (texts) => {
    const compilation = compileInputs(texts, sourceOptions(args, command, options), options);
    made.push(compilation);
    return compilation.object;
  });
  const [compilation] = made;
  return { object, ...(compilation === undefined ? {} : { compilation }) };
}

/** A file as it was read. */
interface InputFile {
  readonly path: string;
  /** For messages. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** One object of several files: sources are compiled together, and linked to the object files. */
export function objectOfSources(
  files: readonly InputFile[],
  command: string,
  compile: (sources: readonly SourceText[]) => BpfObject,
): BpfObject {
  const texts = files
    .filter(({ bytes }) => !isElf(bytes))
    .map(({ name, path, bytes }) => ({ name, text: textOfInput(path, bytes, command) }));
  const objects = files.filter(({ bytes }) => isElf(bytes));
  if (objects.length === 0) return compile(texts);
  const inputs = objects.map(({ name, bytes }) => ({ name: baseName(name), bytes }));
  if (texts.length > 0) {
    inputs.unshift({ name: baseName(texts[0]!.name), bytes: writeElf(compile(texts), { libbpfMinor: 8 }) });
  }
  return inputs.length === 1 ? readObject(inputs[0]!.bytes, { name: inputs[0]!.name }) : linkObjects(inputs);
}

/** A file that is an object, or C by its name, its contents or an option. */
function inputOf(path: string, args: Arguments, command: string): InputFile {
  const bytes = readInput(path, command);
  const isC = isCName(path) || args.options.has("dialect") || (path === "-" && looksLikeC(textOf(bytes)));
  if (!isElf(bytes) && !isC) throw noObject(path, bytes, command);
  return { path, name: path === "-" ? "<stdin>" : path, bytes };
}

function sourceOptions(args: Arguments, command: string, options: InputOptions): CSourceOptions {
  const btf = textOption(args, "btf");
  return {
    ...cSourceOptions(args, command),
    forThisMachine: options.forThisMachine === true,
    localTypes: options.localTypes === true,
    ...(btf === undefined ? {} : { kernelTypes: readBtfFile(btf, command) }),
  };
}

function readOne(path: string, args: Arguments, command: string, options: InputOptions): ObjectInput {
  const { name, bytes } = inputOf(path, args, command);
  if (isElf(bytes)) return { path, bytes, object: readObject(bytes, { name: baseName(path) }) };
  const text = textOfInput(path, bytes, command);
  const compilation = compileInputs([{ name, text }], sourceOptions(args, command, options), options);
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
