/** What BCC's dialect asks of the machine that a program is for. */
import type { Btf } from "../../../btf/index.ts";
import type { UsdtArgument } from "../../../object/index.ts";

/** A field of a tracepoint's record, as the `format` file of tracefs has it. */
export interface BccTracepointField {
  readonly name: string;
  /** C declaration without the name: `const char *`, `__data_loc char[]`, `char[16]`. */
  readonly ctype: string;
  readonly byteOffset: number;
  /** Bytes. */
  readonly size: number;
  readonly signed: boolean;
}

/** Where an argument of a static probe is, at one of the places that the probe has in its binary. */
export interface BccUsdtPlace {
  /** The instruction pointer at the place, in the traced process; undefined when the argument is in one place whatever the address. */
  readonly address?: bigint;
  readonly argument: UsdtArgument;
}

/** Answers to what programs of BCC's dialect ask. All are optional: what cannot be answered is an error where it is used. */
export interface BccOptions {
  /** Fields of a tracepoint (the common ones too), for `TRACEPOINT_PROBE`; undefined when there is no such tracepoint. */
  readonly tracepointFields?: (category: string, event: string) => readonly BccTracepointField[] | undefined;
  /** Places of argument `index` (from 1) of the static probes that `func` is enabled on, for `bpf_usdt_readarg`. */
  readonly usdtArgument?: (func: string, index: number) => readonly BccUsdtPlace[] | undefined;
  /** Types of modules, on top of those of the kernel: asked for structs that the kernel itself only points to. */
  readonly moduleTypes?: () => Iterable<Btf>;
  /** What `bpf_num_cpus()` answers: CPUs that are online. Default 1. */
  readonly onlineCpus?: number;
  /** Machine whose registers `struct pt_regs` holds; the compiler says it. */
  readonly arch?: "x86_64" | "arm64";
}
