/** What a test needs of the machine, and what is missing: a skipped test always says why, and CI fails on reasons that it does not expect. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe } from "vitest";

/** A precondition of tests. */
export type Need =
  | "linux"
  | "root"
  | "bpf"
  | "tracefs"
  | "kprobes"
  | "uprobes"
  | "vmlinuxBtf"
  | "bpftrace"
  | "bpftool"
  | "clang"
  | "iproute2"
  | "gcc"
  | "libbpf"
  | "sdt"
  | "llvmObjdump";

/** Effective capabilities of this process, as the bits of `CapEff`. */
function capabilities(): bigint {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(
    existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "",
  );
  return BigInt(`0x${line?.[1] ?? "0"}`);
}

const CAP_SYS_ADMIN = 21n;

function tool(name: string, versionFlag: string, from: string): () => string | undefined {
  return () =>
    spawnSync(name, [versionFlag]).error ? `${name} is not installed (apt-get install ${from})` : undefined;
}

/** Each says what is missing, or undefined. */
const checks: Readonly<Record<Need, () => string | undefined>> = {
  linux: () => (process.platform === "linux" ? undefined : `needs Linux, this is ${process.platform}`),
  root: () => (process.getuid?.() === 0 ? undefined : "needs root"),
  bpf: () => ((capabilities() >> CAP_SYS_ADMIN) & 1n ? undefined : "needs CAP_SYS_ADMIN for bpf(2)"),
  tracefs: () =>
    existsSync("/sys/kernel/tracing/events")
      ? undefined
      : "needs tracefs (mount -t tracefs tracefs /sys/kernel/tracing)",
  kprobes: () =>
    existsSync("/sys/kernel/tracing/kprobe_events") ? undefined : "this kernel has no kprobes (CONFIG_KPROBE_EVENTS)",
  uprobes: () =>
    existsSync("/sys/kernel/tracing/uprobe_events") ? undefined : "this kernel has no uprobes (CONFIG_UPROBE_EVENTS)",
  vmlinuxBtf: () =>
    existsSync("/sys/kernel/btf/vmlinux") ? undefined : "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)",
  bpftrace: tool("bpftrace", "--version", "bpftrace"),
  bpftool: tool("bpftool", "version", "bpftool"),
  gcc: tool("gcc", "--version", "gcc"),
  libbpf: () =>
    existsSync("/usr/include/bpf/libbpf.h")
      ? undefined
      : "libbpf's headers are not installed (apt-get install libbpf-dev)",
  clang: tool("clang", "--version", "clang"),
  sdt: () =>
    ["", "x86_64-linux-gnu/", "aarch64-linux-gnu/"].some((directory) =>
      existsSync(`/usr/include/${directory}sys/sdt.h`),
    )
      ? undefined
      : "sys/sdt.h is not installed (apt-get install systemtap-sdt-dev)",
  iproute2: tool("ip", "-V", "iproute2"),
  llvmObjdump: tool("llvm-objdump", "--version", "llvm"),
};

const answers = new Map<Need, string | undefined>();

/** What of `needs` this machine lacks, as one sentence, or undefined when it has everything. */
export function missing(...needs: Need[]): string | undefined {
  const lacking = needs.map((need) => {
    if (!answers.has(need)) answers.set(need, checks[need]());
    return answers.get(need);
  });
  return lacking.filter((reason) => reason !== undefined).join("; ") || undefined;
}

/**
 * `describe` for tests that need something of the machine. When it is missing, the tests are skipped and the reason is in the
 * group's name, where every reporter shows it: `name [skipped: reason]`.
 */
export function describeWith(needs: readonly Need[], name: string, body: () => void): void {
  describeUnless(missing(...needs), name, body);
}

/** `describe`, skipped with its reason in its name when there is one. */
export function describeUnless(reason: string | undefined, name: string, body: () => void): void {
  if (reason) describe.skip(`${name} [skipped: ${reason}]`, body);
  else describe(name, body);
}
