/** Options of the kernel's configuration, as far as the kernel's types tell them: programs ask with `#ifdef CONFIG_…`. */
import type { OuterDeclarations } from "../parser/scope.ts";
import type { BccArch } from "./prelude.ts";

/** Options by a member that a struct has with them. */
const byMember: readonly (readonly [option: string, record: string, member: string])[] = [
  ["CONFIG_NET_NS", "possible_net_t", "net"],
  ["CONFIG_NUMA", "zone", "node"],
  ["CONFIG_SLUB", "kmem_cache", "cpu_slab"],
  ["CONFIG_MEMCG", "mem_cgroup", "css"],
  ["CONFIG_CGROUPS", "css_set", "subsys"],
];

/** Every kernel that has eBPF for tracing has these. */
const always = ["CONFIG_BPF_SYSCALL", "CONFIG_64BIT", "CONFIG_MMU", "CONFIG_NET", "CONFIG_INET", "CONFIG_PERF_EVENTS"];

const byArch: Readonly<Record<BccArch, readonly string[]>> = {
  x86_64: ["CONFIG_X86", "CONFIG_X86_64"],
  arm64: ["CONFIG_ARM64"],
};

function hasMember(kernel: OuterDeclarations, name: string, member: string): boolean {
  let record = kernel.record(false, name);
  if (record === undefined) {
    const binding = kernel.ordinary(name);
    let type = binding?.kind === "typedef" ? binding.type : undefined;
    while (type?.kind === "typedef") type = type.to;
    record = type?.kind === "record" ? type : undefined;
  }
  return record?.contents?.fields.some((field) => field.name === member) === true;
}

/** The options that are set, as names of macros. */
export function kernelConfig(kernel: OuterDeclarations, arch: BccArch): readonly string[] {
  const told = byMember.filter(([, record, member]) => hasMember(kernel, record, member)).map(([option]) => option);
  return [...always, ...byArch[arch], ...told];
}
