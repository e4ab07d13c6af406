/** The running kernel as objects see it. */
import { SkepError, UnsupportedError } from "../../base/index.ts";
import { type Btf, BtfKind } from "../../btf/index.ts";
import type { KernelFacts, ModuleBtf } from "../../object/index.ts";
import { probeFeature, versionHas } from "./features.ts";
import { hasKernelBtf, kernelBtf, moduleBtf, modulesWithBtf } from "./kernel-btf.ts";
import { type Machine, machine } from "./machine.ts";
import { vmlinuxFileBtf } from "./vmlinux-file.ts";

/** Prefix of the functions that handle system calls where they take their registers by pointer, by Node's `process.arch`. */
const wrapperPrefixes: Readonly<Record<string, string>> = {
  x64: "__x64_sys_",
  arm64: "__arm64_sys_",
  riscv64: "__riscv_sys_",
  s390x: "__s390x_sys_",
};

/** Facts of this machine, read when asked for. */
export class LinuxFacts implements KernelFacts {
  private readonly machine: Machine;
  private symbols: Buffer | undefined;
  /** What was found in files of the kernel, once it was looked for. */
  private fileBtf: { readonly btf: Btf | undefined } | undefined;

  constructor(on: Machine = machine) {
    this.machine = on;
  }

  get btf(): Btf | undefined {
    if (hasKernelBtf()) return kernelBtf();
    this.fileBtf ??= { btf: vmlinuxFileBtf(this.machine.source.release) };
    return this.fileBtf.btf;
  }

  *moduleBtfs(): Iterable<ModuleBtf> {
    for (const name of modulesWithBtf()) yield { name, btf: moduleBtf(name) };
  }

  kernelOption(name: string): string | undefined {
    if (this.machine.kernelConfig === undefined) {
      throw new UnsupportedError(
        `kernel option ${name}`,
        `the configuration of this kernel cannot be read: there is neither /proc/config.gz (CONFIG_IKCONFIG_PROC) nor /boot/config-${this.machine.source.release}; give the options that the object asks for`,
      );
    }
    return this.machine.configuredValue(name);
  }

  get versionCode(): number {
    const [major, minor, patch] = this.machine.kernelVersion;
    return (major << 16) | (minor << 8) | Math.min(patch, 255);
  }

  get hasBpfCookie(): boolean {
    return probeFeature("attach_cookie").available ?? versionHas("attach_cookie", this.machine);
  }

  get hasSyscallWrapper(): boolean {
    const prefix = wrapperPrefixes[process.arch];
    if (prefix === undefined) return false;
    // Types know it in a few milliseconds; the list of symbols takes the kernel much longer to print.
    const typed = this.btf?.findByName(`${prefix}bpf`, BtfKind.FUNC) !== undefined;
    return typed || this.places(`${prefix}bpf`).length > 0;
  }

  symbolAddress(name: string): bigint | undefined {
    const addresses = [...new Set(this.places(name))];
    if (addresses.length > 1) {
      throw new SkepError(
        "extern",
        `kernel symbol ${name}: /proc/kallsyms has ${addresses.length} of that name: 0x${addresses.join(" and 0x")}`,
      );
    }
    if (addresses.length === 0) return undefined;
    const address = BigInt(`0x${addresses[0]}`);
    if (address === 0n) {
      throw new UnsupportedError(
        `kernel symbol ${name}`,
        "/proc/kallsyms hides addresses from this process: it needs CAP_SYSLOG, or kernel.kptr_restrict set to 0 with sysctl",
      );
    }
    return address;
  }

  /** Addresses of all symbols of a name, as /proc/kallsyms writes them. */
  private places(name: string): string[] {
    this.symbols ??= Buffer.from(this.machine.source.read("/proc/kallsyms") ?? new Uint8Array(0));
    const lines = this.symbols;
    const wanted = ` ${name}`;
    const found: string[] = [];
    for (let at = lines.indexOf(wanted); at !== -1; at = lines.indexOf(wanted, at + 1)) {
      const behind = at + wanted.length;
      const next = lines[behind];
      // Clang's ThinLTO renames static data; `d` is what libbpf takes such names for.
      const isRenamed = lines[at - 1] === 0x64 && lines.toString("latin1", behind, behind + 6) === ".llvm.";
      if (next !== 0x0a && next !== 0x09 && next !== undefined && !isRenamed) continue;
      const start = lines.lastIndexOf(0x0a, at) + 1;
      found.push(lines.toString("latin1", start, at - 2));
    }
    return found;
  }
}
