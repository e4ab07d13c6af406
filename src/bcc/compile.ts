/** From a source in BCC's dialect to a compiled program, for the kernel and machine that this process runs on. */
import { readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { SkepError, type SourceText } from "../base/index.ts";
import type { Btf } from "../btf/index.ts";
import { printModule } from "../compiler/print.ts";
import {
  type BccOptions,
  type CCompilation,
  type CCompileOptions,
  compileC,
  lowerC,
  preprocessC,
} from "../lang/c/index.ts";
import { cCompileOptions } from "../runtime/c-source.ts";
import { parseCflags } from "./cflags.ts";

/** What a source is compiled with. */
export interface BccCompileOptions {
  /** As clang takes them: `-D`, `-U`, `-I`, `-isystem`, `-include`; warnings and levels of optimisation change nothing. */
  readonly cflags?: readonly string[];
  /** Types of the kernel that the program will run on. Default: those of the running one. */
  readonly kernelTypes?: Btf;
  /** Places of arguments of static probes. */
  readonly usdtArgument?: BccOptions["usdtArgument"];
}

/** Reads a source: the path, or one beside the program that runs, as BCC looks for it. Throws SkepError (`no-file`). */
export function readSource(path: string): SourceText {
  const beside = join(dirname(process.argv[1] ?? ""), path);
  for (const candidate of [path, beside]) {
    try {
      return { name: candidate, text: readFileSync(candidate, "utf8") };
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code !== "ENOENT") throw new SkepError("no-file", `source ${candidate}: ${code}`, { cause, exitStatus: 2 });
    }
  }
  const where = resolve(path) === resolve(beside) ? path : `${path} and ${beside}`;
  throw new SkepError("no-file", `source ${basename(path)}: there is no such file (looked at ${where})`, {
    exitStatus: 2,
  });
}

function compileOptions(options: BccCompileOptions): CCompileOptions {
  const { kernelTypes, usdtArgument } = options;
  const common = cCompileOptions({
    ...parseCflags(options.cflags ?? []),
    dialect: "bcc",
    forThisMachine: true,
    ...(kernelTypes === undefined ? {} : { kernelTypes }),
  });
  return usdtArgument === undefined ? common : { ...common, bcc: { ...common.bcc, usdtArgument } };
}

/** Compiles a source of BCC's dialect for this machine. Throws CompileError with every message and its place. */
export function compileBcc(source: SourceText, options: BccCompileOptions = {}): CCompilation {
  return compileC(source, compileOptions(options));
}

/** A source after its preprocessor. Throws as {@link compileBcc}. */
export function preprocessBcc(source: SourceText, options: BccCompileOptions = {}): string {
  return preprocessC(source, compileOptions(options));
}

/** The compiler's intermediate form of a source, before any pass. Throws as {@link compileBcc}. */
export function listIr(source: SourceText, options: BccCompileOptions = {}): string {
  return printModule(lowerC(source, compileOptions(options)).module);
}
