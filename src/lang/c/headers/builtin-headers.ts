/** Headers that come with the compiler: libbpf's by our own text, the kernel's by name alone, for their types come from BTF. */
import { nearestNames } from "../../../base/index.ts";
import type { CDialect } from "../compile.ts";
import type { Header, HeaderProvider, HeaderRequest } from "../preprocessor/headers.ts";
import { bpfCoreReadHeader } from "./bpf/core-read.ts";
import { bpfEndianHeader } from "./bpf/endian.ts";
import { bpfHelperDefsHeader, bpfHelpersHeader } from "./bpf/helpers.ts";
import { bpfTracingHeader } from "./bpf/tracing.ts";
import { bpfUsdtHeader } from "./bpf/usdt.ts";
import type { CArch } from "./registers.ts";

/** What decides contents. */
export interface BuiltinHeaderOptions {
  /** Whose registers `PT_REGS_*` name when the program does not say. Default x86_64. */
  readonly arch?: CArch;
  /** What `LINUX_VERSION_CODE` says. Default 6.12.0. */
  readonly kernelVersion?: readonly [number, number, number];
  /** BCC's programs include the kernel's own headers where libbpf's include those for user space. Default libbpf. */
  readonly dialect?: CDialect;
}

/** Where messages say that these headers are. */
const FOLDER = "<skep>/";

/** Tells the parser that the kernel's types are named as `vmlinux.h` names them: accesses are recorded for CO-RE. */
const vmlinuxHeader = `#pragma once
#define __VMLINUX_H__
#pragma skep kernel_types
`;

/** Finds the headers that come with the compiler. */
export class BuiltinHeaders implements HeaderProvider {
  private readonly options: BuiltinHeaderOptions;
  private readonly texts: ReadonlyMap<string, () => string>;

  constructor(options: BuiltinHeaderOptions = {}) {
    this.options = options;
    const { arch = "x86_64" } = options;
    this.texts = new Map<string, () => string>([
      ["vmlinux.h", () => vmlinuxHeader],
      ["bpf/bpf_helpers.h", () => bpfHelpersHeader],
      ["bpf/bpf_helper_defs.h", () => bpfHelperDefsHeader],
      ["bpf/bpf_endian.h", () => bpfEndianHeader],
      ["bpf/bpf_core_read.h", () => bpfCoreReadHeader],
      ["bpf/bpf_tracing.h", () => bpfTracingHeader(arch)],
      ["bpf/usdt.bpf.h", () => bpfUsdtHeader],
    ]);
  }

  find({ name, next }: HeaderRequest): Header | undefined {
    if (next) return undefined;
    // Programs in libbpf's own tree name them without the folder.
    const full = this.texts.has(name) ? name : `bpf/${name}`;
    const text = this.texts.get(full);
    if (text !== undefined) return { path: FOLDER + full, text: text(), system: true };
    return this.kernelHeader(name);
  }

  nearest(name: string): readonly string[] {
    return nearestNames(name, [...this.texts.keys()]);
  }

  private kernelHeader(name: string): Header | undefined {
    if (!/^(?:uapi\/)?(?:linux|net|asm|asm-generic|sys|uapi)\/[\w./-]+\.h$/.test(name)) return undefined;
    const [major, minor, patch] = this.options.kernelVersion ?? [6, 12, 0];
    const code = major * 65536 + minor * 256 + Math.min(patch, 255);
    return { path: FOLDER + name, text: `#pragma once\n#define LINUX_VERSION_CODE ${code}\n`, system: true };
  }
}
