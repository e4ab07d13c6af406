/** `skep trace --info`: what this machine can do, in the words that bpftrace's own test suite looks for. */
import { arch } from "node:os";
import {
  checkPrivileges,
  featureNames,
  hasKernelBtf,
  kprobesMissing,
  machine,
  probeFeature,
} from "../kernel/linux/index.ts";
import type { FeatureName } from "../kernel/linux/index.ts";
import { packageVersion } from "./version.ts";

/** What bpftrace calls the features, and what is shown of the others by their own names. */
const LABELS: Partial<Record<FeatureName, string>> = {
  bounded_loops: "Loop support",
  iterators: "iter",
  ktime_get_boot_ns: "get_boot_ns",
  loop_helper: "bpf_loop",
  fentry: "fentry",
  map_batch: "map batch",
};

/** Text of the report. */
export function machineInfo(): string {
  const privileges = checkPrivileges();
  const lines = [
    "System",
    `  OS: Linux ${machine.source.release} ${machine.source.version}`,
    `  Arch: ${arch() === "x64" ? "x86_64" : arch()}`,
    "",
    "Build",
    `  version: ${packageVersion()}`,
    `  Node.js: ${process.version}`,
    "  LLVM: none",
    "  libdw (DWARF support): no",
    "",
    "Kernel",
  ];
  if (!privileges.ok) {
    lines.push(`  cannot be asked: missing ${privileges.missing}: ${privileges.mend}`);
    return `${lines.join("\n")}\n`;
  }
  lines.push(`  btf: ${hasKernelBtf() ? "yes" : "no"}`);
  const kprobes = kprobesMissing();
  lines.push(`  kprobe: ${kprobes === undefined ? "yes" : `no (${kprobes})`}`);
  for (const name of featureNames) {
    const answer = probeFeature(name);
    const verdict = answer.available ? "yes" : answer.available === false ? "no" : "unknown";
    lines.push(`  ${LABELS[name] ?? name}: ${verdict}${answer.available ? "" : ` (${answer.evidence})`}`);
  }
  return `${lines.join("\n")}\n`;
}
