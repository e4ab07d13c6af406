/** The C compiler's front door: a source file becomes an object. */
import type { SourceText } from "../../base/index.ts";
import type { Btf } from "../../btf/index.ts";
import { DEFAULT_TARGET, LimitError, compileModule, references } from "../../compiler/index.ts";
import type { KernelTarget, Module, OptimizeLevel } from "../../compiler/index.ts";
import { objectName } from "../../object/index.ts";
import type { BpfObject } from "../../object/index.ts";
import { bccDialect } from "./bcc/dialect.ts";
import type { BccOptions } from "./bcc/options.ts";
import { looksLikeBcc } from "./bcc/recognize.ts";
import type { BccUnit } from "./bcc/unit.ts";
import type { Dialect } from "./dialect.ts";
import { Diagnostics } from "./diagnostics.ts";
import { BuiltinHeaders } from "./headers/index.ts";
import { NameTable } from "./names.ts";
import { KernelDeclarations } from "./outer.ts";
import { parseUnit } from "./parser/unit.ts";
import type { Header, HeaderProvider, HeaderRequest } from "./preprocessor/headers.ts";
import { predefinedMacros } from "./preprocessor/predefined.ts";
import { Preprocessor } from "./preprocessor/preprocessor.ts";
import { type Token, TokenKind, tokensToText } from "./preprocessor/token.ts";
import { isKnown } from "./parser/known.ts";
import { SourceMap } from "./source-map.ts";
import { KernelTypes } from "./types/kernel-types.ts";
import { type LoweredUnit, lowerUnit } from "./unit/unit.ts";

/** Which C it is: libbpf's (`SEC("…")`, maps as structs) or BCC's (`BPF_HASH`, tables with methods). */
export type CDialect = "libbpf" | "bcc";

/** What the compiler may be told. */
export interface CCompileOptions {
  /** Types of the kernel: what `vmlinux.h` and the kernel's headers stand for. Without them a program declares its types itself. */
  readonly kernelTypes?: Btf;
  /** True when the object will run on the very kernel of `kernelTypes`: offsets in its types are final and need no CO-RE record. */
  readonly sameKernel?: boolean;
  /** The user's files; headers that come with the compiler are found behind them. */
  readonly headers?: HeaderProvider;
  /** `-D NAME`, `-D NAME=VALUE`, `-U NAME`, in the order given. */
  readonly macros?: readonly ({ readonly define: string } | { readonly undefine: string })[];
  /** `-include FILE`: read before the source. */
  readonly include?: readonly string[];
  /** Of the object. Default: that of the source, without folder and ending. */
  readonly name?: string;
  /** By what the source uses when absent. */
  readonly dialect?: CDialect;
  /** Machine whose registers `PT_REGS_*` name. Default x86_64. */
  readonly arch?: "x86_64" | "arm64";
  readonly target?: KernelTarget;
  readonly optimize?: OptimizeLevel;
  /** `LINUX_VERSION_CODE` for programs that ask: the target's when absent. */
  readonly kernelVersion?: readonly [number, number, number];
  /** Structs that only functions use are in the object's types, too, and `locals` of the object tells whose they are. */
  readonly localTypes?: boolean;
  /** What BCC's dialect asks of the machine. */
  readonly bcc?: BccOptions;
}

/** What became of a source. */
export interface CCompilation {
  readonly object: BpfObject;
  readonly dialect: CDialect;
  /** Warnings; `format()` shows them as C compilers do. */
  readonly diagnostics: Diagnostics;
  /** Files that `#include` brought in, in order, without those of the compiler. */
  readonly includes: readonly string[];
  /** Of programs of BCC's dialect: tables, events and programs as user space needs them. */
  readonly bcc?: BccUnit;
}

/** A source before code is generated: for listings of the IR. */
export interface CLowered {
  readonly module: Module;
  readonly dialect: CDialect;
  readonly diagnostics: Diagnostics;
}

/** Signature of `compileC`. Throws CompileError (every message with its place) when the source has errors. */
export type CompileC = (source: SourceText, options?: CCompileOptions) => CCompilation;

/** How a dialect is recognised and made for a compilation. */
interface DialectEntry {
  readonly name: CDialect;
  /** True when a source is of this dialect by what it uses. */
  recognises(text: string): boolean;
  make(options: CCompileOptions, types: KernelTypes | undefined): Dialect;
}

/** Dialects beside libbpf's; the first that recognises a source is taken when none is named. */
const dialects: readonly DialectEntry[] = [
  {
    name: "bcc",
    recognises: looksLikeBcc,
    make: (options, types) =>
      bccDialect({
        arch: options.arch ?? "x86_64",
        syscallWrapper: hasSyscallWrapper(options),
        machine: options.bcc ?? {},
        kernel: new KernelDeclarations(types),
      }),
  },
];

/** Kernels whose handlers of system calls get a pointer to registers: 4.17 on x86-64, 4.19 on arm64. */
function hasSyscallWrapper({ arch = "x86_64", kernelVersion, target = DEFAULT_TARGET }: CCompileOptions): boolean {
  const [major, minor] = kernelVersion ?? target.version;
  return major > 4 || (major === 4 && minor >= (arch === "x86_64" ? 17 : 19));
}

/**
 * Compiles a source file to an object. Throws CompileError with every message when the source has errors, and SkepError when a program
 * exceeds what the kernel gives it.
 */
export function compileC(source: SourceText, options: CCompileOptions = {}): CCompilation {
  const front = new FrontEnd(source, options);
  const lowered = front.lower();
  const { module, kernelVersion, bcc, locals } = lowered;
  const { variables = [], externs = [] } = module;
  const object = generate(lowered, front.diagnostics, options);
  return {
    object: {
      ...object,
      name: front.objectName,
      byteOrder: "little",
      variables,
      externs,
      ...(kernelVersion === undefined ? {} : { kernelVersion }),
      ...(locals === undefined ? {} : { locals }),
    },
    dialect: front.dialectName,
    diagnostics: front.diagnostics,
    includes: front.includes,
    ...(bcc === undefined ? {} : { bcc }),
  };
}

/** Code of all programs. What exceeds a limit is an error like those of the source. */
function generate({ module, btf, files }: LoweredUnit, diagnostics: Diagnostics, options: CCompileOptions): BpfObject {
  try {
    return compileModule(reachable(module), {
      btf,
      target: options.target ?? DEFAULT_TARGET,
      ...(options.optimize === undefined ? {} : { optimize: options.optimize }),
    });
  } catch (error) {
    const limit = error instanceof Error && error.cause instanceof LimitError ? error.cause : undefined;
    const position = limit?.position ?? undefined;
    const file = position === undefined ? undefined : files[position.source];
    if (limit === undefined || position === undefined || file === undefined) throw error;
    diagnostics.fatal(file.locationAt(position), limit.what);
  }
}

/** The module without functions that no program reaches: they were lowered for what is wrong in them. */
function reachable(module: Module): Module {
  const byName = new Map(module.funcs.map((func) => [func.name, func]));
  const reached = new Set(module.funcs.filter((func) => func.role === "entry"));
  for (const func of reached) {
    const handler = func.program?.exceptionCallback;
    for (const name of [...references(func), ...(handler === undefined ? [] : [handler])]) {
      const callee = byName.get(name);
      if (callee !== undefined) reached.add(callee);
    }
  }
  return { ...module, funcs: module.funcs.filter((func) => reached.has(func)) };
}

/** The IR of a source, before any pass. Throws CompileError when the source has errors. */
export function lowerC(source: SourceText, options: CCompileOptions = {}): CLowered {
  const front = new FrontEnd(source, options);
  const { module } = front.lower();
  return { module, dialect: front.dialectName, diagnostics: front.diagnostics };
}

/** What the parser sees of a source: macros expanded, headers read. Throws CompileError when the source has errors. */
export function preprocessC(source: SourceText, options: CCompileOptions = {}): string {
  const front = new FrontEnd(source, options);
  const { preprocessor } = front;
  const tokens: Token[] = [];
  for (let token = preprocessor.next(); token.kind !== TokenKind.END; token = preprocessor.next()) tokens.push(token);
  front.diagnostics.throwIfErrors();
  return `${tokensToText(tokens, true)}\n`;
}

/** Where parts of a compilation meet. */
class FrontEnd {
  readonly diagnostics: Diagnostics;
  readonly dialectName: CDialect;
  readonly preprocessor: Preprocessor;
  readonly objectName: string;
  private readonly options: CCompileOptions;
  private readonly dialect: Dialect | undefined;
  private readonly types: KernelTypes | undefined;
  private readonly kernel: KernelDeclarations;
  private readonly names = new NameTable();
  private readonly headers: HeaderChain;

  constructor(source: SourceText, options: CCompileOptions) {
    const sources = new SourceMap();
    this.options = options;
    this.diagnostics = new Diagnostics(sources);
    this.objectName = objectName(options.name ?? source.name).replace(/\W/g, "_");
    this.types = options.kernelTypes === undefined ? undefined : new KernelTypes(options.kernelTypes);
    const { arch, kernelVersion, target = DEFAULT_TARGET } = options;
    this.kernel = new KernelDeclarations(this.types, { arch, kernelVersion: kernelVersion ?? [...target.version, 0] });
    const entry = chooseDialect(source.text, options.dialect);
    this.dialectName = entry?.name ?? "libbpf";
    this.dialect = entry?.make(options, this.types);
    this.headers = new HeaderChain(options, this.dialect, this.dialectName);
    this.preprocessor = new Preprocessor(source.name, source.text, {
      sources,
      names: this.names,
      diagnostics: this.diagnostics,
      headers: this.headers,
      prelude: prelude(options, this.dialect),
      known: isKnown,
      macroValue: (name) => this.kernel.macroValue(name),
    });
  }

  get includes(): readonly string[] {
    return [...this.headers.found];
  }

  lower(): LoweredUnit {
    const { diagnostics, dialect, options } = this;
    const outer = dialect?.outer ?? this.kernel;
    const unit = parseUnit(this.preprocessor, diagnostics, this.names, outer);
    diagnostics.throwIfErrors();
    const transformed = dialect?.transform(unit, diagnostics, this.names);
    diagnostics.throwIfErrors();
    const lowered = lowerUnit(transformed?.unit ?? unit, diagnostics, {
      name: this.objectName,
      target: options.target ?? DEFAULT_TARGET,
      sameKernel: options.sameKernel === true,
      localTypes: options.localTypes === true,
      ...(transformed === undefined ? {} : { dialect: transformed }),
    });
    diagnostics.throwIfErrors();
    return lowered;
  }
}

/** The dialect that a source is of, by what it uses. */
export function dialectOf(text: string): CDialect {
  return chooseDialect(text, undefined)?.name ?? "libbpf";
}

function chooseDialect(text: string, wanted: CDialect | undefined): DialectEntry | undefined {
  if (wanted !== undefined) return dialects.find(({ name }) => name === wanted);
  return dialects.find((dialect) => dialect.recognises(text));
}

const TARGET_ARCH: Readonly<Record<"x86_64" | "arm64", string>> = { x86_64: "x86", arm64: "arm64" };

/** Macros and headers that come before the source. */
function prelude(options: CCompileOptions, dialect: Dialect | undefined): string {
  const { target = DEFAULT_TARGET, arch = "x86_64", macros = [], include = [] } = options;
  const lines = [
    predefinedMacros({ cpu: Number(target.cpu.slice(1)) as 1 | 2 | 3 | 4 }),
    `#define __TARGET_ARCH_${TARGET_ARCH[arch]} 1`,
    dialect?.prelude ?? "",
  ];
  for (const macro of macros) {
    if ("undefine" in macro) lines.push(`#undef ${macro.undefine}`);
    else {
      const equals = macro.define.indexOf("=");
      if (equals === -1) lines.push(`#define ${macro.define} 1`);
      else lines.push(`#define ${macro.define.slice(0, equals)} ${macro.define.slice(equals + 1)}`);
    }
  }
  for (const file of include) lines.push(`#include "${file}"`);
  return `${lines.join("\n")}\n`;
}

/** The user's headers, then those of the dialect, then those of the compiler. */
class HeaderChain implements HeaderProvider {
  /** Paths of the user's headers that were read. */
  readonly found = new Set<string>();
  private readonly user: HeaderProvider | undefined;
  private readonly dialect: Dialect | undefined;
  readonly shipped: string;
  private readonly builtin: BuiltinHeaders;

  constructor(options: CCompileOptions, dialect: Dialect | undefined, name: CDialect) {
    const { arch, kernelVersion, target = DEFAULT_TARGET } = options;
    this.user = options.headers;
    this.dialect = dialect;
    this.builtin = new BuiltinHeaders({
      dialect: name,
      kernelVersion: kernelVersion ?? [...target.version, 0],
      ...(arch === undefined ? {} : { arch }),
    });
    this.shipped = this.builtin.shipped;
  }

  find(request: HeaderRequest): Header | undefined {
    const users = this.user?.find(request);
    if (users !== undefined) {
      this.found.add(users.path);
      return users;
    }
    const text = request.next ? undefined : this.dialect?.header(request.name);
    if (text !== undefined) return { path: `<skep>/${request.name}`, text, system: true };
    return this.builtin.find(request);
  }

  nearest(name: string): readonly string[] {
    return [...new Set([...(this.user?.nearest?.(name) ?? []), ...this.builtin.nearest(name)])];
  }
}
