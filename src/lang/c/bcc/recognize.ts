/** Tells BCC's dialect from libbpf's by what a source uses. */

/** What only BCC's programs have. */
const bcc = [
  /\bBPF_(?:TABLE|F_TABLE|TABLE_\w+|HASH|PERCPU_HASH|PERCPU_ARRAY|ARRAY|HISTOGRAM|LPM_TRIE|STACK_TRACE(?:_BUILDID)?|PERF_OUTPUT|RINGBUF_OUTPUT|PERF_ARRAY|CGROUP_ARRAY|PROG_ARRAY|DEVMAP|CPUMAP|XSKMAP|ARRAY_OF_MAPS|HASH_OF_MAPS|QUEUE|STACK|QUEUESTACK\w*|SK_STORAGE|INODE_STORAGE|TASK_STORAGE|SOCKMAP|SOCKHASH|CGROUP_STORAGE|PERCPU_CGROUP_STORAGE)\s*\(/,
  /\b(?:TRACEPOINT_PROBE|RAW_TRACEPOINT_PROBE|KFUNC_PROBE|KRETFUNC_PROBE|MODULE_KFUNC_PROBE|MODULE_KRETFUNC_PROBE|KMOD_RET|LSM_PROBE|BPF_ITER)\s*\(/,
  /^(?!\s*#)[^\n]*\b(?:kprobe|kretprobe|tracepoint|raw_tracepoint|kfunc|kretfunc|syscall)__\w+\s*\(/m,
  /#\s*include\s*[<"]bcc\//,
];

/** What only programs with sections have. */
const sections = [
  /\bSEC\s*\(/,
  // `__section("xdp")` and its like are macros of many projects.
  /\b_*section\w*\s*\(/i,
  /#\s*include\s*[<"](?:[^>"\n]*\/)?(?:vmlinux|bpf_helpers|bpf_core_read|bpf_tracing)\.h/,
  /#\s*include\s*[<"]bpf\//,
];

/** True for a source that is of BCC's dialect: it uses its macros, or it has functions and no sections. */
export function looksLikeBcc(text: string): boolean {
  const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, " ");
  if (sections.some((mark) => mark.test(code))) return false;
  return bcc.some((mark) => mark.test(code)) || /^(?!\s*(?:static|typedef)\b)[\w\s*]+\([^;{]*\)\s*\{/m.test(code);
}
