/** What a program of BCC's dialect tells those who load and read it, beside the object: plain data. */

/** The struct (or other type) of the records that a table sends. */
export interface BccEvent {
  /** In the object's BTF. */
  readonly typeId: number;
  /** As C writes it, such as `struct data_t`. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
}

/** A table: a map of the object, and what its macro says beyond the map. */
export interface BccTable {
  /** Of the variable and the map. */
  readonly name: string;
  /** As the macros name it: `hash`, `histogram`, `perf_output`, `stacktrace`… */
  readonly kind: string;
  /** `MapType.*`; 0 for a table of another program (`extern`). */
  readonly mapType: number;
  /** Types in the object's BTF and as C writes them; 0 and empty where the map has none. */
  readonly keyTypeId: number;
  readonly keyType: string;
  readonly leafTypeId: number;
  readonly leafType: string;
  /** `BPF_TABLE_PINNED`: the file that the map is taken from or else pinned at. */
  readonly pinPath?: string;
  /** Maps of maps: the table of this program that shows what inner maps look like. */
  readonly inner?: string;
  /** Not made here but found by name: of any program of the process (`extern`). */
  readonly external?: true;
  /** Others may refer to it: all (`BPF_TABLE_PUBLIC`), or those of one namespace (`BPF_TABLE_SHARED`). */
  readonly visibility?: "public" | "shared";
  /** What `perf_submit`, `ringbuf_output` and `ringbuf_submit` send, by the last call that has a struct. */
  readonly event?: BccEvent;
}

/** How a program's name says that it is attached. */
export type BccProgramKind =
  | "kprobe"
  | "kretprobe"
  | "tracepoint"
  | "raw_tracepoint"
  | "kfunc"
  | "kretfunc"
  | "kmod_ret"
  | "lsm"
  | "iter"
  /** `syscall__NAME`: a kprobe on a system call, attached by the caller. */
  | "syscall"
  /** The caller says, by how the function is attached or loaded. */
  | "any";

/** A program: a function that is not static. */
export interface BccProgram {
  readonly name: string;
  readonly kind: BccProgramKind;
  /** What the name says behind its prefix: a function, `category:event`, a hook; empty for `any`. */
  readonly target: string;
  /** The module of the function, for `MODULE_KFUNC_PROBE`. */
  readonly module?: string;
  /** Attached as soon as the program is loaded, as BCC does; false where the caller does it. */
  readonly autoAttach: boolean;
  /** Type of the first parameter as C writes it, such as `struct pt_regs *`. */
  readonly contextType: string;
  /** The program's type in the object is a guess by its context: whoever attaches it may load it as another that takes this context. */
  readonly typeIsGuess: boolean;
}

/** All that BCC's dialect says about a compiled program. */
export interface BccUnit {
  readonly tables: readonly BccTable[];
  readonly programs: readonly BccProgram[];
}
