/** What this machine is and permits, read from /proc and /sys when asked for and not before. */
import { readFileSync } from "node:fs";
import { release, version } from "node:os";

/** A kernel version: major, minor, patch. */
export type KernelVersion = readonly [major: number, minor: number, patch: number];

/** Where {@link Machine} reads from: the files of the running system, or a test's own. */
export interface MachineSource {
  /** The file's bytes, undefined when it is missing or may not be read. */
  read(path: string): Uint8Array | undefined;
  /** `uname -r`. */
  readonly release: string;
  /** `uname -v`. */
  readonly version: string;
  /** Effective user id. */
  readonly uid: number;
}

/** The system that this process runs on. */
export const runningSystem: MachineSource = {
  read(path: string): Uint8Array | undefined {
    try {
      return readFileSync(path);
    } catch {
      return undefined;
    }
  },
  get release(): string {
    return release();
  },
  get version(): string {
    return version();
  },
  get uid(): number {
    return process.geteuid?.() ?? -1;
  },
};

/** Capabilities that tracing asks for, with their bit in `CapEff`. */
export const Capability = {
  CAP_DAC_READ_SEARCH: 2,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
  CAP_SYSLOG: 34,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

/** Name of a capability. */
export type CapabilityName = keyof typeof Capability;

/** `/sys/kernel/security/lockdown`. */
export type Lockdown = "none" | "integrity" | "confidentiality";

const text = new TextDecoder();

/**
 * The version that the kernel's own code has. Ubuntu's `uname -r` hides the patch level (`5.15.0-91-generic`), which
 * /proc/version_signature tells; Debian's is in `uname -v` (`#1 SMP Debian 5.10.209-2`).
 */
export function parseKernelVersion(uname: string, unameVersion: string, signature: string | undefined): KernelVersion {
  const ubuntu = signature === undefined ? null : /^\S+ \S+ (\d+)\.(\d+)\.(\d+)/.exec(signature);
  const debian = /Debian (\d+)\.(\d+)\.(\d+)/.exec(unameVersion);
  const found = ubuntu ?? debian ?? /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(uname);
  return found === null ? [0, 0, 0] : [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)];
}

/** Numbers of a kernel list such as `0-3,8`. */
export function parseCpuList(list: string): number[] {
  const cpus: number[] = [];
  for (const part of list.trim().split(",")) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
    if (range === null) continue;
    for (let cpu = Number(range[1]); cpu <= Number(range[2] ?? range[1]); cpu++) cpus.push(cpu);
  }
  return cpus;
}

/** The state of a machine that decides what tracing may do. Each fact is read once. */
export class Machine {
  readonly source: MachineSource;
  private readonly files = new Map<string, string | undefined>();
  private config: string | null | undefined;

  constructor(source: MachineSource = runningSystem) {
    this.source = source;
  }

  /** Text of a small file, remembered; undefined when missing or unreadable. */
  file(path: string): string | undefined {
    if (!this.files.has(path)) {
      const bytes = this.source.read(path);
      this.files.set(path, bytes === undefined ? undefined : text.decode(bytes));
    }
    return this.files.get(path);
  }

  private number(path: string): number | undefined {
    const content = this.file(path);
    return content === undefined ? undefined : Number(content.trim());
  }

  private status(field: string): string | undefined {
    return new RegExp(`^${field}:\\s*(.*)$`, "m").exec(this.file("/proc/self/status") ?? "")?.[1];
  }

  get kernelVersion(): KernelVersion {
    return parseKernelVersion(this.source.release, this.source.version, this.file("/proc/version_signature"));
  }

  /** True from this version on. */
  atLeast(major: number, minor: number): boolean {
    const [haveMajor, haveMinor] = this.kernelVersion;
    return haveMajor > major || (haveMajor === major && haveMinor >= minor);
  }

  get isRoot(): boolean {
    return this.source.uid === 0;
  }

  /** True when the effective set holds it; undefined when /proc does not tell. */
  hasCapability(name: CapabilityName): boolean | undefined {
    const effective = this.status("CapEff");
    return effective === undefined ? undefined : ((BigInt(`0x${effective}`) >> BigInt(Capability[name])) & 1n) === 1n;
  }

  /** True in a user namespace other than the first, where capabilities mean nothing to bpf(2). */
  get inUserNamespace(): boolean {
    const map = this.file("/proc/self/uid_map");
    return map !== undefined && !/^\s*0\s+0\s+4294967295\s*$/.test(map);
  }

  /** A seccomp filter is in force, as in most containers. */
  get hasSeccompFilter(): boolean {
    return this.status("Seccomp") === "2";
  }

  get isContainer(): boolean {
    return this.file("/.dockerenv") !== undefined || this.file("/run/.containerenv") !== undefined;
  }

  /** `kernel.unprivileged_bpf_disabled`: 0 allowed, 1 and 2 refused. */
  get unprivilegedBpfDisabled(): number | undefined {
    return this.number("/proc/sys/kernel/unprivileged_bpf_disabled");
  }

  get perfEventParanoid(): number | undefined {
    return this.number("/proc/sys/kernel/perf_event_paranoid");
  }

  get lockdown(): Lockdown {
    const mode = /\[(\w+)\]/.exec(this.file("/sys/kernel/security/lockdown") ?? "")?.[1];
    return mode === "integrity" || mode === "confidentiality" ? mode : "none";
  }

  /** Soft limit on locked memory in bytes, Infinity when unlimited. */
  get memlockLimit(): number | undefined {
    const soft = /^Max locked memory\s+(\S+)/m.exec(this.file("/proc/self/limits") ?? "")?.[1];
    if (soft === undefined) return undefined;
    return soft === "unlimited" ? Infinity : Number(soft);
  }

  /** CPUs that may ever be online; their count is the number of slots of per-CPU values. */
  get possibleCpus(): number[] {
    const cpus = parseCpuList(this.file("/sys/devices/system/cpu/possible") ?? "0");
    return cpus.length > 0 ? cpus : [0];
  }

  /** CPUs that are online now. Not remembered. */
  get onlineCpus(): number[] {
    const bytes = this.source.read("/sys/devices/system/cpu/online");
    const cpus = bytes === undefined ? [] : parseCpuList(text.decode(bytes));
    return cpus.length > 0 ? cpus : this.possibleCpus;
  }

  /**
   * Value of a build option such as `CONFIG_KPROBES`: `y`, `m`, text; `n` when it is not set; undefined when the kernel's
   * configuration cannot be read.
   */
  kernelOption(name: string): string | undefined {
    if (this.kernelConfig === undefined) return undefined;
    return this.configuredValue(name)?.replace(/^"(.*)"$/, "$1") ?? "n";
  }

  /** As {@link kernelOption}, spelt as in `.config`: text in its quotes. Undefined when it is not set, or nothing can be read. */
  configuredValue(name: string): string | undefined {
    const config = this.kernelConfig;
    if (config === undefined) return undefined;
    const start = config.indexOf(`\n${name}=`);
    if (start === -1) return undefined;
    const end = config.indexOf("\n", start + 1);
    return config.slice(start + name.length + 2, end === -1 ? undefined : end).trimEnd();
  }

  /** The kernel's configuration, a line break before each line; undefined when it cannot be read. Read once. */
  get kernelConfig(): string | undefined {
    if (this.config === undefined) this.config = this.readConfig();
    return this.config ?? undefined;
  }

  private readConfig(): string | null {
    const packed = this.source.read("/proc/config.gz");
    if (packed !== undefined) {
      // zlib is fetched here and not imported: its loading would cost every run three milliseconds.
      return `\n${text.decode(process.getBuiltinModule("node:zlib").gunzipSync(packed))}`;
    }
    const uname = this.source.release;
    for (const path of [`/boot/config-${uname}`, `/lib/modules/${uname}/config`]) {
      const plain = this.source.read(path);
      if (plain !== undefined) return `\n${text.decode(plain)}`;
    }
    return null;
  }
}

/** The machine that this process runs on. */
export const machine: Machine = new Machine();
