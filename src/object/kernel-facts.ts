/** What an object must know of the kernel that will run it, before it can be loaded there. */
import type { Btf } from "../btf/index.ts";

/** Types of a kernel module, above those of vmlinux. */
export interface ModuleBtf {
  readonly name: string;
  readonly btf: Btf;
}

/** A kernel as objects see it: the running one, one described by files, or the software kernel. Members are asked for only when needed. */
export interface KernelFacts {
  /** Types of vmlinux; undefined without. */
  readonly btf: Btf | undefined;
  /** Types of the modules, read one after the other as the search goes on. */
  moduleBtfs(): Iterable<ModuleBtf>;
  /** Value of a kernel option as in `.config` (`y`, `m`, `"text"`, `0x10`); undefined when it is not set. Throws UnsupportedError when no configuration can be read. */
  kernelOption(name: string): string | undefined;
  /** `LINUX_KERNEL_VERSION`: major << 16 | minor << 8 | patch (at most 255). */
  readonly versionCode: number;
  /** `bpf_get_attach_cookie` works (`LINUX_HAS_BPF_COOKIE`). */
  readonly hasBpfCookie: boolean;
  /** System call handlers take their registers by pointer (`LINUX_HAS_SYSCALL_WRAPPER`). */
  readonly hasSyscallWrapper: boolean;
  /** Address of a symbol of `/proc/kallsyms`; undefined when there is none. */
  symbolAddress(name: string): bigint | undefined;
}
