/**
 * Why did it fail? errno says little: EPERM is a missing capability, a sysctl, lockdown, a container or a memory limit. The
 * rules below look at the machine and name the one that holds, with its mend. They are asked in order; the first that holds
 * speaks.
 */
import { SyscallError, UnsupportedError } from "../../base/index.ts";
import { Errno, errnoMeaning, errnoName } from "../errno.ts";
import { type CapabilityName, type Machine, machine as thisMachine } from "./machine.ts";

/** What was asked for when it failed. */
export type Operation =
  | "map-create"
  | "prog-load"
  | "btf-load"
  | "link-create"
  | "perf-event-open"
  /** Looking for objects of others by their ids. */
  | "ids"
  | "other";

/** A failed request. */
export interface Failure {
  /** As shown, such as `bpf(BPF_MAP_CREATE, counts)`. */
  readonly call: string;
  readonly operation: Operation;
  readonly errno: number;
}

/** What keeps this process from tracing, and what to do about it. */
export interface MissingPrivilege {
  readonly ok: false;
  /** What is missing, such as `CAP_BPF and CAP_PERFMON`. */
  readonly missing: string;
  /** What to do, in one sentence. */
  readonly mend: string;
}

/** One thing that makes requests fail. `why` answers when it applies. */
interface Rule {
  readonly errnos: readonly number[];
  readonly operations?: readonly Operation[];
  /** The machine or user cannot do it: exit status 3. */
  readonly unsupported: boolean;
  why(machine: Machine, failure: Failure): string | undefined;
}

const runAsRoot = "run as root, for instance with sudo";

/** Capabilities that bpf(2) tracing needs on this version: CAP_BPF and CAP_PERFMON exist since 5.8. */
function neededCapabilities(machine: Machine): CapabilityName[] {
  return machine.atLeast(5, 8) ? ["CAP_BPF", "CAP_PERFMON"] : ["CAP_SYS_ADMIN"];
}

function missingCapabilities(machine: Machine): CapabilityName[] {
  if (machine.hasCapability("CAP_SYS_ADMIN") === true) return [];
  return neededCapabilities(machine).filter((name) => machine.hasCapability(name) === false);
}

function container(machine: Machine): string {
  return machine.isContainer
    ? "; this is a container: start it with --privileged, or with these capabilities added"
    : "";
}

const rules: readonly Rule[] = [
  {
    errnos: [Errno.ENOSYS],
    unsupported: true,
    why: (machine, { operation }) => {
      if (operation === "perf-event-open") return "this kernel was built without perf events (CONFIG_PERF_EVENTS)";
      if (machine.kernelOption("CONFIG_BPF_SYSCALL") === "n")
        return "this kernel was built without bpf(2) (CONFIG_BPF_SYSCALL)";
      if (machine.hasSeccompFilter) {
        return "a seccomp filter hides the system call from this process (in a container: --security-opt seccomp=unconfined)";
      }
      return "this kernel has no bpf(2): it was built without CONFIG_BPF_SYSCALL";
    },
  },
  {
    errnos: [Errno.EPERM, Errno.EACCES],
    unsupported: true,
    why: (machine) => {
      if (!machine.inUserNamespace || machine.hasCapability("CAP_SYS_ADMIN") !== true) return undefined;
      return "root in a user namespace may not trace the kernel (rootless container?): run as root of the host";
    },
  },
  {
    errnos: [Errno.EPERM, Errno.EACCES],
    unsupported: true,
    why: (machine, { operation }) => {
      const missing = missingCapabilities(machine);
      if (missing.length === 0) return undefined;
      if (operation === "perf-event-open" && !missing.includes("CAP_PERFMON") && machine.atLeast(5, 8))
        return undefined;
      return `this process lacks ${missing.join(" and ")}: ${runAsRoot}${container(machine)}`;
    },
  },
  {
    errnos: [Errno.EPERM],
    operations: ["ids"],
    unsupported: true,
    why: (machine) =>
      machine.hasCapability("CAP_SYS_ADMIN") === false
        ? `looking at objects of others needs CAP_SYS_ADMIN: ${runAsRoot}${container(machine)}`
        : undefined,
  },
  {
    errnos: [Errno.EPERM, Errno.EACCES],
    unsupported: true,
    why: (machine, { operation }) => {
      if (machine.lockdown === "confidentiality") {
        return "the kernel is locked down (confidentiality), which forbids tracing that reads kernel memory: boot with lockdown=integrity or none";
      }
      if (machine.lockdown === "integrity" && operation !== "map-create") {
        return "the kernel is locked down (integrity), which forbids writing user memory and opening some events: boot with lockdown=none, or leave these out";
      }
      return undefined;
    },
  },
  {
    errnos: [Errno.EPERM, Errno.ENOMEM],
    operations: ["map-create", "prog-load", "btf-load"],
    unsupported: false,
    why: (machine) => {
      const limit = machine.memlockLimit;
      if (machine.atLeast(5, 11) || limit === undefined || limit === Infinity) return undefined;
      return `before Linux 5.11 BPF memory counts as locked, and only ${limit} bytes may be: raise it with ulimit -l unlimited`;
    },
  },
  {
    errnos: [Errno.EPERM, Errno.EACCES],
    unsupported: true,
    why: (machine) => {
      if (!machine.hasSeccompFilter) return undefined;
      return `a seccomp filter is in force and likely refuses the call (in a container: --security-opt seccomp=unconfined)`;
    },
  },
  {
    errnos: [Errno.EPERM, Errno.EACCES],
    operations: ["perf-event-open"],
    unsupported: true,
    why: (machine) => {
      const level = machine.perfEventParanoid;
      if (level === undefined || level < 1 || machine.hasCapability("CAP_PERFMON") !== false) return undefined;
      return `kernel.perf_event_paranoid is ${level}: ${runAsRoot}, or set it to -1 with sysctl`;
    },
  },
  {
    errnos: [Errno.EPERM],
    operations: ["prog-load", "map-create", "link-create", "perf-event-open", "btf-load"],
    unsupported: true,
    why: (machine) => {
      if (missingCapabilities(machine).length > 0) return undefined;
      const modules = machine.file("/sys/kernel/security/lsm")?.trim();
      const active = modules === undefined || modules === "" ? "" : ` (active: ${modules})`;
      return `this process has the capabilities, so a security module or the machine's owner forbids it${active}`;
    },
  },
  {
    errnos: [Errno.EMFILE],
    unsupported: false,
    why: () =>
      "too many descriptors are open in this process: raise the limit with ulimit -n, or attach to fewer places",
  },
  {
    errnos: [Errno.ENOMEM],
    unsupported: false,
    why: () => "the kernel has not enough memory for it: ask for smaller maps or buffers",
  },
  {
    errnos: [Errno.E2BIG],
    operations: ["map-create", "prog-load", "link-create", "btf-load"],
    unsupported: false,
    why: (machine, { operation }) => {
      if (operation === "map-create")
        return "the map is larger than the kernel allows: lower its number of entries or its value size";
      const [major, minor] = machine.kernelVersion;
      return `too large, or Linux ${major}.${minor} does not know one of the attributes`;
    },
  },
  {
    errnos: [Errno.EOPNOTSUPP, Errno.ENOTSUPP],
    unsupported: true,
    why: (machine) => {
      const [major, minor] = machine.kernelVersion;
      return `Linux ${major}.${minor}, as built here, does not support it`;
    },
  },
];

/** The likely reason of a failure on this machine; falls back on what errno says in general. */
export function explainFailure(
  failure: Failure,
  machine: Machine = thisMachine,
): { why: string; unsupported: boolean } {
  for (const rule of rules) {
    if (!rule.errnos.includes(failure.errno)) continue;
    if (rule.operations !== undefined && !rule.operations.includes(failure.operation)) continue;
    const why = rule.why(machine, failure);
    if (why !== undefined) return { why, unsupported: rule.unsupported };
  }
  return { why: errnoMeaning(failure.errno), unsupported: false };
}

/** The error of a failed system call: SyscallError, with exit status 3 when this machine or user cannot do it at all. */
export function syscallFailure(failure: Failure, machine: Machine = thisMachine): SyscallError {
  const { why, unsupported } = explainFailure(failure, machine);
  return new SyscallError(failure.call, failure.errno, errnoName(failure.errno), why, {
    exitStatus: unsupported ? 3 : 1,
  });
}

/**
 * May this process load and attach tracing programs at all? Asked before any work, so that the answer names what is missing
 * instead of the first call that happens to fail. `ok` is true when /proc does not tell.
 */
export function checkPrivileges(machine: Machine = thisMachine): { readonly ok: true } | MissingPrivilege {
  const missing = missingCapabilities(machine);
  if (missing.length > 0) {
    const own = machine.unprivilegedBpfDisabled === 0 ? " (what unprivileged users may load does not trace)" : "";
    return { ok: false, missing: missing.join(" and "), mend: `${runAsRoot}${own}${container(machine)}` };
  }
  if (machine.inUserNamespace) {
    return {
      ok: false,
      missing: "root of the host (this is a user namespace)",
      mend: "run as root of the host, not in a rootless container",
    };
  }
  return { ok: true };
}

/** Throws UnsupportedError with what is missing, when {@link checkPrivileges} says so. */
export function requirePrivileges(machine: Machine = thisMachine): void {
  const privileges = checkPrivileges(machine);
  if (!privileges.ok) throw new UnsupportedError("tracing", `missing ${privileges.missing}: ${privileges.mend}`);
}

/** Why kernel functions cannot be probed here, undefined when nothing speaks against it. */
export function kprobesMissing(machine: Machine = thisMachine): string | undefined {
  if (machine.file("/sys/bus/event_source/devices/kprobe/type") !== undefined) return undefined;
  if (machine.kernelOption("CONFIG_KPROBES") === "n")
    return "this kernel was built without kprobes (CONFIG_KPROBES is not set)";
  if (machine.kernelOption("CONFIG_KPROBE_EVENTS") === "n")
    return "this kernel was built without kprobe events (CONFIG_KPROBE_EVENTS is not set)";
  return undefined;
}
