/** The C compiler's front door: a source file becomes an object. */
import type { SourceText } from "../../base/index.ts";
import type { Btf } from "../../btf/index.ts";
import type { KernelTarget, Module, OptimizeLevel } from "../../compiler/index.ts";
import type { BpfObject } from "../../object/index.ts";
import type { BccOptions } from "./bcc/options.ts";
import type { BccUnit } from "./bcc/unit.ts";
import type { Diagnostics } from "./diagnostics.ts";
import type { HeaderProvider } from "./preprocessor/headers.ts";

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
  /** By what the source uses when absent. */
  readonly dialect?: CDialect;
  /** Machine whose registers `PT_REGS_*` name. Default x86_64. */
  readonly arch?: "x86_64" | "arm64";
  readonly target?: KernelTarget;
  readonly optimize?: OptimizeLevel;
  /** `LINUX_VERSION_CODE` for programs that ask: the target's when absent. */
  readonly kernelVersion?: readonly [number, number, number];
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
