/** C sources compiled for a machine: for the kernel that this process runs on, or for one whose types and version are given. */
import type { SourceText } from "../base/index.ts";
import type { Btf } from "../btf/index.ts";
import { kernelTarget } from "../compiler/index.ts";
import {
  hasKernelBtf,
  kernelBtf,
  machine,
  moduleBtf,
  modulesWithBtf,
  tracepointFormat,
} from "../kernel/linux/index.ts";
import {
  type BccTracepointField,
  type CCompilation,
  type CCompileOptions,
  compileC,
  type CompileError,
  dialectOf,
} from "../lang/c/index.ts";
import { parseTracepointFormat } from "./environment.ts";
import { HeaderFiles, type HeaderPlaces } from "./header-files.ts";

/** What a C compiler's command line says. */
export interface CSourceOptions extends HeaderPlaces {
  /** `-D` and `-U`, in order. */
  readonly macros?: CCompileOptions["macros"];
  /** Read before the source. */
  readonly include?: readonly string[];
  /** By what the source uses when absent. */
  readonly dialect?: CCompileOptions["dialect"];
  /** Default 2. */
  readonly optimize?: CCompileOptions["optimize"];
  /** Types of the kernel. Default: the running one's, where it has any. */
  readonly kernelTypes?: Btf;
  /** The oldest kernel that it is to run on. Default: of programs for this machine the running one, of others 5.12. */
  readonly kernelVersion?: readonly [major: number, minor: number];
  /** It runs here and now: offsets in the kernel's types are final, and readers of records want types. */
  readonly forThisMachine?: boolean;
  /** As of the compiler; with `forThisMachine` always. */
  readonly localTypes?: boolean;
}

function tracepointFields(category: string, event: string): readonly BccTracepointField[] | undefined {
  try {
    return parseTracepointFormat(tracepointFormat(category, event)).fields;
  } catch {
    // The compiler says that there is no such tracepoint, and where.
    return undefined;
  }
}

/** The types that a source is compiled against; undefined when it must declare all types itself. */
function typesFor({ kernelTypes }: CSourceOptions): Btf | undefined {
  return kernelTypes ?? (hasKernelBtf() ? kernelBtf() : undefined);
}

/**
 * The oldest kernel that programs for no particular one are for: the first whose instructions are those of clang's `-mcpu=v3`, with
 * atomic operations that give the old value.
 */
const OLDEST: readonly [number, number] = [5, 12];

/** Options of the compiler. */
export function cCompileOptions(options: CSourceOptions = {}): CCompileOptions {
  const { macros = [], include = [], dialect, optimize, kernelVersion, forThisMachine = false } = options;
  const [major, minor, patch] = machine.kernelVersion;
  const kernelTypes = typesFor(options);
  const version = kernelVersion ?? (forThisMachine ? ([major, minor] as const) : OLDEST);
  return {
    macros,
    include,
    headers: new HeaderFiles(options),
    arch: process.arch === "arm64" ? "arm64" : "x86_64",
    sameKernel: forThisMachine && options.kernelTypes === undefined,
    localTypes: forThisMachine || options.localTypes === true,
    ...(kernelTypes === undefined ? {} : { kernelTypes }),
    target: kernelTarget([version[0], version[1]]),
    kernelVersion: [version[0], version[1], kernelVersion === undefined && forThisMachine ? patch : 0],
    ...(dialect === undefined ? {} : { dialect }),
    ...(optimize === undefined ? {} : { optimize }),
    bcc: {
      tracepointFields,
      onlineCpus: machine.onlineCpus.length,
      ...(options.kernelTypes === undefined
        ? { moduleTypes: () => modulesWithBtf().map((name) => moduleBtf(name)) }
        : {}),
    },
  };
}

/** Compiles a source. Throws CompileError with every message and its place. */
export function compileSource(source: SourceText, options: CSourceOptions = {}): CCompilation {
  return compileC(source, cCompileOptions(options));
}

/** A variable that says the license, which every file of a program has. */
const LICENSE = /\b(\w+)\s*\[\s*\d*\s*\]\s*(?:SEC|__attribute__\s*\(\s*\(\s*section)\s*\(\s*"license"/;

/** Compiles several sources as one program: what one of them declares another may define. Throws as {@link compileSource}. */
export function compileSources(sources: readonly SourceText[], options: CSourceOptions = {}): CCompilation {
  const [first, ...more] = sources;
  if (first === undefined) throw new TypeError("compileSources: a source is wanted");
  if (more.length === 0) return compileSource(first, options);
  const lines = sources.flatMap(({ name, text }, i) => {
    const license = i === 0 ? undefined : LICENSE.exec(text)?.[1];
    const include = `#include ${JSON.stringify(name)}`;
    if (license === undefined) return [include];
    return [`#define ${license} ${license}_of_source_${i + 1}`, include, `#undef ${license}`];
  });
  const texts = new Map(sources.map(({ name, text }) => [name, text]));
  const compile = cCompileOptions(options);
  const files = new HeaderFiles(options);
  const text = `${lines.join("\n")}\n`;
  // By what all of them use.
  const dialect = options.dialect ?? dialectOf(sources.map((source) => source.text).join("\n"));
  return compileC(
    { name: TOGETHER, text },
    {
      ...compile,
      name: first.name,
      dialect,
      headers: {
        find: (request) => {
          const known = request.from === TOGETHER ? texts.get(request.name) : undefined;
          return known === undefined ? files.find(request) : { path: request.name, text: known, system: false };
        },
        nearest: (name) => files.nearest(name),
      },
    },
  );
}

/** What includes the sources of a command line. */
const TOGETHER = "<sources>";

/** What may be behind the errors of a source: this kernel does not tell its types, and none were given. Undefined when that is not it. */
export function lackOfTypes(error: CompileError, options: CSourceOptions): string | undefined {
  if (typesFor(options) !== undefined) return undefined;
  const asksForTypes = /not defined|not declared|unknown type|incomplete|has no size|is no type|vmlinux\.h/.test(
    error.message,
  );
  return asksForTypes
    ? "this kernel does not tell its types (/sys/kernel/btf/vmlinux), which vmlinux.h and the kernel's headers stand for"
    : undefined;
}

/** Types of records that a program of BCC's dialect sends, by table: what {@link Collection} takes as `events`. */
export function bccEvents({ bcc }: CCompilation): Record<string, string> {
  const events: Record<string, string> = {};
  for (const { name, event } of bcc?.tables ?? []) {
    if (event !== undefined && /^(?:(?:struct|union) )?\w+$/.test(event.type)) events[name] = event.type;
  }
  return events;
}
