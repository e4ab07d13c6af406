/** Headers that come with the compiler: libbpf's by our own text, the kernel's by name alone, for their types come from BTF. */
import { nearestNames } from "../../../base/index.ts";
import type { CDialect } from "../compile.ts";
import type { Header, HeaderProvider, HeaderRequest } from "../preprocessor/headers.ts";
import { bpfCoreReadHeader } from "./bpf/core-read.ts";
import { bpfEndianHeader } from "./bpf/endian.ts";
import { bpfHelperDefsHeader, bpfHelpersHeader } from "./bpf/helpers.ts";
import { bpfTracingHeader } from "./bpf/tracing.ts";
import { bpfUsdtHeader } from "./bpf/usdt.ts";
import { versionCode } from "./kernel/constants.ts";
import { kernelMacrosHeader, sharedMacrosHeader } from "./kernel/macros.ts";
import { libraryHeaderNames, uapiHeaderNames } from "./kernel/uapi-names.ts";
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

/** Folders of C's library. */
const USER_FOLDERS: ReadonlySet<string> = new Set(["sys", "netinet", "arpa", "bits", "gnu", "netpacket"]);

/** Folders whose headers stand for names that are known without them. */
const FOLDERS: ReadonlySet<string> = new Set([
  ...USER_FOLDERS,
  ..."linux net asm asm-generic trace generated crypto scsi rdma sound drm media video xen vdso misc mtd acpi kvm target".split(
    " ",
  ),
]);

/** Tells the parser that the kernel's types are named as `vmlinux.h` names them: accesses are recorded for CO-RE. */
const vmlinuxHeader = `#pragma once
#define __VMLINUX_H__
#pragma skep kernel_types
`;

/** Finds the headers that come with the compiler. */
export class BuiltinHeaders implements HeaderProvider {
  readonly shipped: string = "vmlinux.h, bpf/*.h, linux/*.h, net/*.h, asm/*.h, sys/*.h and those of C";
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
      ["skep/uapi.h", sharedMacrosHeader],
      ["skep/kernel.h", kernelMacrosHeader],
    ]);
  }

  find({ name, next }: HeaderRequest): Header | undefined {
    if (next) return undefined;
    const known = this.named(name);
    const text = known === undefined ? this.kernelHeader(name) : this.texts.get(known)!();
    return text === undefined ? undefined : { path: FOLDER + (known ?? name), text, system: true };
  }

  nearest(name: string): readonly string[] {
    const all = [...this.texts.keys()].filter((known) => !known.startsWith("skep/"));
    for (const uapi of uapiHeaderNames) all.push(`linux/${uapi}.h`);
    for (const library of libraryHeaderNames) all.push(`${library}.h`);
    return nearestNames(name, all);
  }

  /** Programs in the kernel's tree name headers of libbpf without its folder, and `vmlinux.h` from elsewhere. */
  private named(name: string): string | undefined {
    if (this.texts.has(name)) return name;
    const last = name.slice(name.lastIndexOf("/") + 1);
    if (last === "vmlinux.h") return last;
    return this.texts.has(`bpf/${last}`) && /^(?:\.\.?\/|lib\/)*(?:bpf\/)?[^/]+$/.test(name)
      ? `bpf/${last}`
      : undefined;
  }

  /** A header of the kernel or of C's library: types and numbers are known by name, macros with arguments are in two headers of ours. */
  private kernelHeader(name: string): string | undefined {
    const path = /(?:^|\/)include\/(.*)$/.exec(name)?.[1] ?? name;
    if (/^[\w-]+\.h$/.test(path)) return libraryHeaderNames.has(path.slice(0, -2)) ? kernelText(false) : undefined;
    const parts = /^(uapi\/)?([\w-]+)\/([\w./+-]+)\.h$/.exec(path);
    if (parts === null || !(FOLDERS.has(parts[2]!) || parts[1] !== undefined)) return undefined;
    if (parts[3]!.endsWith("version"))
      return `${kernelText(false)}#define LINUX_VERSION_CODE ${versionCode(this.options.kernelVersion)}\n`;
    return kernelText(this.isKernels(parts[1] !== undefined, parts[2]!, parts[3]!));
  }

  /** True for headers that are the kernel's own, whose macros user space does not see. */
  private isKernels(uapi: boolean, folder: string, name: string): boolean {
    if (uapi || USER_FOLDERS.has(folder)) return false;
    if (this.options.dialect === "bcc") return true;
    if (folder.startsWith("asm")) return false;
    return folder !== "linux" || (!name.includes("/") && !uapiHeaderNames.has(name));
  }
}

function kernelText(kernels: boolean): string {
  return `#pragma once\n#include <skep/uapi.h>\n${kernels ? "#include <skep/kernel.h>\n" : ""}`;
}
