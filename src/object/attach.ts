/**
 * Where a program is attached. Names are the kernel's. A `cookie` is what `bpf_get_attach_cookie` answers there (kernel 5.15), 0
 * without one.
 */
export type AttachSpec =
  /** tracefs event through perf_event_open. */
  | { readonly kind: "tracepoint"; readonly category: string; readonly name: string; readonly cookie?: number }
  /** `BPF_RAW_TRACEPOINT_OPEN` by name; for programs of type TRACING (tp_btf) the name is in the program. */
  | { readonly kind: "raw-tracepoint"; readonly name: string }
  /** Loaded with `attachTo`: tp_btf, fentry, fexit, iterators. */
  | { readonly kind: "tracing" }
  /** Kernel function entry, entry plus an offset in bytes, or return. */
  | {
      readonly kind: "kprobe";
      readonly func: string;
      readonly offset: number;
      readonly isReturn: boolean;
      readonly cookie?: number;
    }
  /** Many kernel functions at once through `BPF_TRACE_KPROBE_MULTI` (kernel 5.18 with FPROBE). */
  | {
      readonly kind: "kprobe-multi";
      readonly funcs: readonly string[];
      readonly isReturn: boolean;
      /** As long as `funcs`. */
      readonly cookies?: readonly number[];
    }
  /** A file offset (bytes) in a binary; every process when `pid` is absent. */
  | {
      readonly kind: "uprobe";
      readonly path: string;
      readonly fileOffset: number;
      readonly isReturn: boolean;
      readonly pid?: number;
      readonly cookie?: number;
      /** File offset of a USDT semaphore that the kernel increments while attached. */
      readonly refCtrOffset?: number;
    }
  /** Many places of one binary at once through `BPF_TRACE_UPROBE_MULTI` (kernel 6.6); the program is loaded for that attach type. */
  | {
      readonly kind: "uprobe-multi";
      readonly path: string;
      /** Bytes from the start of the file. */
      readonly fileOffsets: readonly number[];
      /** File offsets of USDT semaphores, 0 where there is none; as long as `fileOffsets`. */
      readonly refCtrOffsets?: readonly number[];
      readonly isReturn: boolean;
      readonly pid?: number;
    }
  /** `perf_event_open` of any type: software, hardware, and the clocks of profile and interval. One event a CPU in `cpus` (default: every online CPU). */
  | {
      readonly kind: "perf-event";
      /** `PERF_TYPE_*` and its config. */
      readonly type: number;
      readonly config: number | bigint;
      /** Exactly one of these: events between samples, or samples a second. */
      readonly period?: number;
      readonly frequencyHz?: number;
      readonly pid?: number;
      readonly cpus?: readonly number[];
    };
