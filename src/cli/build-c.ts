/** `skep build` of C sources: an object file that libbpf and all others load, or a stage on the way there. */
import { rmSync, statSync } from "node:fs";
import { UsageError } from "../base/index.ts";
import { printModule } from "../compiler/print.ts";
import { listDisassembly } from "../inspect/index.ts";
import { CompileError, lowerC, preprocessC } from "../lang/c/index.ts";
import { writeElf } from "../object/index.ts";
import { cCompileOptions, type CSourceOptions } from "../runtime/c-source.ts";
import { FdOutput } from "../runtime/output.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { compileInputs, isCName, looksLikeC, sayCompileError } from "./c-input.ts";
import { cSourceOptions, versionOption } from "./c-options.ts";
import { readInput, textOfInput } from "./input.ts";
import { isElf, objectOfSources, readBtfFile } from "./object-file.ts";
import { writeOut } from "./write.ts";

/** A file of the command line. */
interface Source {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * The C sources (and object files to link with them) that a command line names; undefined when it names a script. Standard input is read
 * only when nothing else is named.
 */
export function cSources(args: Arguments): readonly Source[] | undefined {
  const { operands } = args;
  if (args.options.has("execute") || operands.length === 0) return undefined;
  const isC = args.options.has("dialect") || operands.some((path) => isCName(path));
  const [path] = operands;
  if (!isC && path !== "-") return undefined;
  const sources = operands.map((file) => ({ path: file, bytes: readInput(file, "build") }));
  return isC || looksLikeC(new TextDecoder().decode(sources[0]!.bytes)) ? sources : undefined;
}

/** Compiles the sources, and writes what `--emit` asks for. Resolves with the exit status. */
export async function buildC(args: Arguments, sources: readonly Source[]): Promise<number> {
  const file = textOption(args, "output");
  const emit = textOption(args, "emit") ?? (file === undefined ? "asm" : "object");
  if (emit === "object" && file === undefined && process.stdout.isTTY) {
    throw new UsageError("skep build: an object file is no text for a terminal: give -o FILE");
  }
  const json = args.options.has("json");
  try {
    const content = contentOf(emit, sources, args, json);
    if (file === undefined) writeOut(content);
    else writeFile(file, content);
    return 0;
  } catch (error) {
    if (error instanceof CompileError) return sayCompileError(error, json);
    throw error;
  }
}

function sourceOptions(args: Arguments): CSourceOptions {
  const btf = textOption(args, "btf");
  const kernelVersion = versionOption(args, "kernel", "build");
  return {
    ...cSourceOptions(args, "build"),
    // A little more than clang writes: who reads the records of the object has their types.
    localTypes: true,
    ...(btf === undefined ? {} : { kernelTypes: readBtfFile(btf, "build") }),
    ...(kernelVersion === undefined ? {} : { kernelVersion }),
  };
}

function contentOf(emit: string, sources: readonly Source[], args: Arguments, json: boolean): string | Uint8Array {
  const options = sourceOptions(args);
  const say = { json, warnings: !args.options.has("no-warnings") };
  const text = ({ path, bytes }: Source): string => textOfInput(path, bytes, "build");
  const nameOf = ({ path }: Source): string => (path === "-" ? "<stdin>" : path);
  if (emit === "preprocessed" || emit === "ir") {
    const compile = cCompileOptions(options);
    const stage = (source: Source): string => {
      if (isElf(source.bytes)) throw new UsageError(`skep build: ${source.path}: --emit ${emit}: is no source`);
      const input = { name: nameOf(source), text: text(source) };
      return emit === "ir" ? printModule(lowerC(input, compile).module) : preprocessC(input, compile);
    };
    return sources.map(stage).join("\n");
  }
  const object = objectOfSources(
    sources.map((source) => ({ ...source, name: nameOf(source) })),
    "build",
    (texts) => compileInputs(texts, options, say).object,
  );
  return emit === "object" ? writeElf(object, { libbpfMinor: 8 }) : listDisassembly(object, { dialect: "kernel" });
}

/** Writes a file whole or not at all: half an object would be taken for one. */
function writeFile(file: string, content: string | Uint8Array): void {
  const output = FdOutput.file(file);
  try {
    output.write(typeof content === "string" ? new TextEncoder().encode(content) : content);
  } catch (error) {
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === true) rmSync(file);
    throw error;
  } finally {
    output.close();
  }
}
