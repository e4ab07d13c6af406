// Why Skep and libbpf may differ: the first entry that fits a difference explains it. What fits none fails the comparison.

/**
 * @typedef {{ what: RegExp, object?: RegExp, section?: RegExp, program?: RegExp, why?: RegExp, kernel?: RegExp, referee?: "debian" | "new",
 *   reason: string }} Reason
 * `what` is the difference; `section` that of the program; `why` what both sides said, `Skep | libbpf`; `kernel` the release.
 */

/** Sections that libbpf 1.1 has not yet. */
const YOUNG_SECTIONS =
  /^(tcx?\/|netkit\/|netfilter|kprobe\.session|uprobe\.(multi|session)|uretprobe\.multi|usdt\.s$|cgroup\/\w+_unix|sk_skb\/verdict|fsession|f(entry|exit)\.multi|(tp|tracepoint|raw_tp|raw_tracepoint|tp_btf)\.s\/)/;

/** @type {readonly Reason[]} */
export const reasons = [
  {
    what: /./,
    section: YOUNG_SECTIONS,
    why: /\| libbpf: prog '.*': missing BPF prog type/,
    referee: "debian",
    reason: "The name of the section is younger than libbpf 1.1",
  },
  {
    what: /^order of programs$/,
    object: /^sections\./,
    program: /^\(all\)$/,
    referee: "debian",
    reason: "libbpf 1.1 stops at the first section whose name is younger",
  },
  {
    what: /^opened: attachType$/,
    section: /^struct_ops/,
    referee: "debian",
    reason:
      "libbpf 1.1 tells the member of a struct_ops program by its place in the object's struct, later ones and Skep in the kernel's",
  },
  {
    what: /^(loads|handed to the kernel|order of programs)$/,
    why: /\| libbpf: extern \(func ksym\) '.*': func_proto \[\d+\] incompatible/,
    referee: "debian",
    reason:
      "A weak kernel function whose prototype does not fit is an error for libbpf 1.1, and missing for later ones and for Skep",
  },
  {
    what: /^instruction \d+ \(1 differ\)$/,
    program: /^kfunc_missing/,
    referee: "debian",
    reason: "A call of a kernel function that is missing is made invalid by another number",
  },
  {
    what: /^attachType$/,
    section: /^usdt/,
    reason:
      "Static probes: libbpf 1.3 and later load the program for uprobe_multi links where the kernel has them, Skep attaches single uprobes, as libbpf 1.1 does",
  },
  {
    what: /^map$/,
    program: /ringbuf/,
    reason:
      "Sizes of ring buffers are rounded to a power of two of pages when the map is made, not when the object is opened",
  },
  {
    what: /^attached by$/,
    section: /^u(ret)?probe(\.s)?\/\/proc\/self\/exe:/,
    reason: "The probe is in the loader's own binary: libbpf's is another one than Node's",
  },
  {
    what: /^maps$/,
    object: /^(bpf_syscall_macro|test_attach_probe|test_probe_user)\./,
    kernel: /^6\.18\./,
    reason:
      "LINUX_HAS_SYSCALL_WRAPPER: libbpf asks with a kprobe, which this kernel has not got, and takes that for no; Skep reads the kernel's symbols, and its system calls have the wrapper",
  },
  {
    what: /^opens$/,
    why: /\| libbpf: elf: legacy map definitions in 'maps' section are not supported/,
    reason: "Map definitions of the time before BTF (section maps): libbpf reads them no more since 1.0, Skep does",
  },
  {
    what: /^attached by$/,
    section: /^k(ret)?syscall\//,
    reason: "libbpf tries a kprobe when it first attaches to a system call, to learn how this kernel names them",
  },
  {
    what: /^maps$/,
    object: /^(linked_list|linked_list_fail|refcounted_kptr)\./,
    reason:
      "Contents with list heads, trees and locks: a lookup leaves them out, and what is read in their place differs from one time to the next, with either loader",
  },
  {
    what: /^attaches$/,
    section: /^f(entry|exit|session)\.multi(\.s)?\//,
    reason: "One link to many functions by their types (Linux 7.2): Skep loads programs for it, and has no such link",
  },
  {
    what: /^attached by$/,
    program: /^struct_ops /,
    reason:
      "Maps in .struct_ops: libbpf registers them by writing their value, which outlives a killed process; Skep by a link where the kernel has them",
  },
  {
    what: /^attaches$/,
    section: /^lsm(\.s)?\//,
    why: /boot it with lsm=/,
    reason:
      "The kernel was booted without BPF among its security modules: it attaches LSM programs and never calls them; Skep refuses, and says what to do",
  },
];
