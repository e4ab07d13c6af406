/** Tells BCC's dialect from libbpf's by what a source uses. */

/** What only BCC's programs have. */
const bcc = [
  /\bBPF_(?:TABLE|F_TABLE|TABLE_\w+|HASH|PERCPU_HASH|PERCPU_ARRAY|ARRAY|HISTOGRAM|LPM_TRIE|STACK_TRACE(?:_BUILDID)?|PERF_OUTPUT|RINGBUF_OUTPUT|PERF_ARRAY|CGROUP_ARRAY|PROG_ARRAY|DEVMAP|CPUMAP|XSKMAP|ARRAY_OF_MAPS|HASH_OF_MAPS|QUEUE|STACK|QUEUESTACK\w*|SK_STORAGE|INODE_STORAGE|TASK_STORAGE|SOCKMAP|SOCKHASH|CGROUP_STORAGE|PERCPU_CGROUP_STORAGE)\s*\(/,
  /\b(?:TRACEPOINT_PROBE|RAW_TRACEPOINT_PROBE|KFUNC_PROBE|KRETFUNC_PROBE|MODULE_KFUNC_PROBE|MODULE_KRETFUNC_PROBE|KMOD_RET|LSM_PROBE|BPF_ITER)\s*\(/,
  /^(?![ \t]*#)[^\n]*\b(?:kprobe|kretprobe|tracepoint|raw_tracepoint|kfunc|kretfunc|syscall)__\w+\s*\(/m,
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

/** A function that others see and that gives a number, as BCC's programs do. */
const PROGRAM = /^(?![ \t]*(?:static|typedef)\b)[\w \t]*\b(?:int|long|[us]\d\d)\s+\w+\s*\([^;{]{0,2000}\)\s*\{/m;

/** True for a source that is of BCC's dialect: it uses its macros, or it has programs and no sections. */
export function looksLikeBcc(text: string): boolean {
  const code = withoutComments(text);
  if (sections.some((mark) => mark.test(code))) return false;
  return bcc.some((mark) => mark.test(code)) || PROGRAM.test(code);
}

/** A text with its comments taken out; in one pass, for texts may be of any kind. */
function withoutComments(text: string): string {
  const pieces: string[] = [];
  /** The next place of a mark, looked for again only when it is passed. */
  const next = (mark: string): ((from: number) => number) => {
    let at = -1;
    return (from) => {
      if (at < from) at = text.indexOf(mark, from);
      if (at === -1) at = text.length;
      return at;
    };
  };
  const [line, block] = [next("//"), next("/*")];
  let from = 0;
  while (from < text.length) {
    const at = Math.min(line(from), block(from));
    pieces.push(text.slice(from, at), " ");
    const end = at === line(from) ? text.indexOf("\n", at) : text.indexOf("*/", at + 2) + 2;
    // A comment that nothing closes is all that is left.
    from = end < at ? text.length : end;
  }
  return pieces.join("");
}
