/**
 * What a script means depends on where it runs: tracepoint formats, kernel types, symbols of binaries. The front end asks for all of that
 * here, so that it compiles for the running kernel, for a recorded one, or in a browser. Everything is asked lazily: a script without
 * tracepoints never lists any.
 */
import type { Btf } from "../../btf/index.ts";

/** One field of a tracefs `format` file. */
export interface TracepointField {
  /** C declaration without the name: `const char *`, `__data_loc char[]`, `char[16]`. */
  readonly ctype: string;
  readonly name: string;
  readonly byteOffset: number;
  readonly size: number;
  readonly signed: boolean;
}

/** A tracefs event's record. */
export interface TracepointFormat {
  readonly id: number;
  /** Common fields (`common_type`, ...) first, as in the file. */
  readonly fields: readonly TracepointField[];
}

/** A place in a binary that a uprobe goes to. */
export interface BinarySymbol {
  readonly name: string;
  /** Virtual address in the file's own numbering. */
  readonly address: bigint;
  /** Offset in the file: what `perf_event_open` takes. */
  readonly fileOffset: number;
  /** Bytes; 0 when the symbol table does not say. */
  readonly size: number;
}

/** A binary or shared library. */
export interface Binary {
  /** Absolute, as found. */
  readonly path: string;
  /** Functions of its symbol tables (.symtab, else .dynsym, else those of a separate debug file). */
  functions(): readonly BinarySymbol[];
  find(name: string): BinarySymbol | undefined;
  /** A variable of its symbol tables, or anything else that has a name and an address. */
  variable?(name: string): { readonly address: bigint; readonly size: number } | undefined;
  /** True when processes have it at addresses of their own: libraries and position-independent programs. */
  readonly isRelocatable?: boolean;
  /** File offset of a virtual address, or undefined when no executable segment holds it. */
  fileOffsetOf(address: bigint): number | undefined;
}

/** Everything that a script's meaning takes from its surroundings. */
export interface TraceEnvironment {
  readonly arch: "x86_64" | "aarch64";
  /** Kernel version, such as [6, 18, 44]. */
  readonly kernelVersion: readonly [number, number, number];
  /** Types of the kernel; null when it offers none. */
  readonly btf: Btf | null;
  /** Whether the kernel has types at all, known without reading them; absent: `btf` tells. */
  readonly hasBtf?: boolean;
  /** All tracefs events as `category:name`, sorted. Throws UnsupportedError when tracefs cannot be read. */
  tracepoints(): readonly string[];
  /** Undefined when there is no such event. */
  tracepointFormat(category: string, name: string): TracepointFormat | undefined;
  /** Functions that a kprobe may go to, all or those of a module (`vmlinux`: of the kernel itself); null when the kernel does not tell. */
  kernelFunctions(module?: string): readonly string[] | null;
  /** True when many functions can be attached to at once (`BPF_TRACE_KPROBE_MULTI`); asked only for patterns that find many. */
  readonly kprobeMulti?: boolean;
  /** Why kprobes cannot work here (with the mend), or null when they can. */
  readonly kprobeProblem: string | null;
  /** Events of system calls are each attached to, not told apart in one program at the entry of all calls. */
  readonly eachSyscall?: boolean;
  /** Address of a kernel symbol, for `kaddr`. */
  kernelSymbol(name: string): bigint | undefined;
  /** A binary by path, by name in $PATH, or a library name such as `libc`; `pid` looks it up in that process' root. Undefined when there is none; several for a wildcard path. */
  binaries(pattern: string, pid?: number): readonly Binary[];
  /** The namespace in which process ids are counted, when it is not that of the whole machine. */
  readonly pidNamespace?: { readonly device: bigint; readonly inode: bigint } | null;
  /** Id of a cgroup by path; undefined when there is none. */
  cgroupId(path: string): bigint | undefined;
  /** `$1 ...` */
  readonly positional: readonly string[];
  /** Options given to the script behind `--`, for `getopt`: `--name=value`; empty text without a value. */
  readonly named?: ReadonlyMap<string, string>;
  /** `-p PID` or the pid of `-c COMMAND`. */
  readonly pid?: number;
  readonly possibleCpus: number;
  /** `BPFTRACE_*` environment variables by lower-case config key (`max_strlen`); they win over the script's `config` block. */
  readonly config: ReadonlyMap<string, string>;
}
