/** Which functions are programs, and what their names and contexts say about them. */
import { sectionMeaning } from "../../../object/index.ts";
import type { FunctionDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import type { DialectProgram } from "../dialect.ts";
import { shapeOf, typeText } from "../types/types.ts";
import { TRACEPOINT_PREFIX } from "./outer.ts";
import type { Space } from "./provenance.ts";
import type { BccProgram, BccProgramKind } from "./unit.ts";

/** What a prefix of a function's name means. */
interface Prefix {
  readonly prefix: string;
  readonly kind: BccProgramKind;
  /** Section that says the same to libbpf; its target goes behind a slash. */
  readonly section: string;
  /** Whose memory arguments are in; undefined where the kernel checks accesses by types. */
  readonly space?: Space;
  readonly autoAttach: boolean;
}

/** Longer ones before those that they begin with. */
const prefixes: readonly Prefix[] = [
  { prefix: "kprobe__", kind: "kprobe", section: "kprobe", space: "trace", autoAttach: true },
  { prefix: "kretprobe__", kind: "kretprobe", section: "kretprobe", space: "trace", autoAttach: true },
  { prefix: TRACEPOINT_PREFIX, kind: "tracepoint", section: "tp", space: "trace", autoAttach: true },
  { prefix: "raw_tracepoint__", kind: "raw_tracepoint", section: "raw_tp", space: "trace", autoAttach: true },
  { prefix: "kfunc__", kind: "kfunc", section: "fentry", autoAttach: true },
  { prefix: "kretfunc__", kind: "kretfunc", section: "fexit", autoAttach: true },
  { prefix: "kmod_ret__", kind: "kmod_ret", section: "fmod_ret", autoAttach: false },
  { prefix: "lsm__", kind: "lsm", section: "lsm", autoAttach: true },
  { prefix: "bpf_iter__", kind: "iter", section: "iter", autoAttach: false },
  { prefix: "syscall__", kind: "syscall", section: "kprobe", space: "either", autoAttach: false },
];

/** Sections by the tag of the struct that the context is, for programs whose names say nothing. */
const contexts: Readonly<Record<string, { readonly section: string; readonly space?: Space }>> = {
  pt_regs: { section: "kprobe", space: "either" },
  user_pt_regs: { section: "kprobe", space: "either" },
  bpf_raw_tracepoint_args: { section: "raw_tp", space: "trace" },
  bpf_perf_event_data: { section: "perf_event", space: "either" },
  __sk_buff: { section: "socket" },
  xdp_md: { section: "xdp" },
  sk_msg_md: { section: "sk_msg" },
  bpf_sock_ops: { section: "sockops" },
  bpf_sock_addr: { section: "cgroup/connect4" },
  bpf_sock: { section: "cgroup/sock_create" },
  bpf_sockopt: { section: "cgroup/getsockopt" },
  bpf_sysctl: { section: "cgroup/sysctl" },
  bpf_cgroup_dev_ctx: { section: "cgroup/dev" },
  bpf_sk_lookup: { section: "sk_lookup" },
  sk_reuseport_md: { section: "sk_reuseport" },
};

/** A program of the file. */
export interface Program {
  readonly func: FunctionDecl;
  readonly described: BccProgram;
  readonly section: string;
  /** Whose memory the context's members and the arguments are in; undefined where they are not foreign. */
  readonly space: Space | undefined;
  /** Arguments are those of a system call, in registers that the context points to. */
  readonly isSyscall: boolean;
}

/** The struct that a program's first parameter points to; empty for `void *` and none. */
function contextTag(func: FunctionDecl): string {
  const type = func.params[0]?.type;
  const pointer = type === undefined ? undefined : shapeOf(type);
  const to = pointer?.kind === "pointer" ? shapeOf(pointer.to) : undefined;
  return to?.kind === "record" ? (to.tag ?? "") : "";
}

/** Function and module of a name such as `vmlinux__do_exit`. */
function moduleTarget(rest: string): { readonly target: string; readonly module?: string } {
  const at = rest.indexOf("__", 1);
  if (at === -1) return { target: rest };
  const module = rest.slice(0, at);
  const target = rest.slice(at + 2);
  return module === "vmlinux" ? { target } : { target, module };
}

function named(func: FunctionDecl, found: Prefix): Pick<BccProgram, "target" | "module"> & { readonly place: string } {
  const rest = func.name.slice(found.prefix.length);
  if (found.kind === "kfunc" || found.kind === "kretfunc") {
    const { target, module } = moduleTarget(rest);
    if (module === undefined) return { target, place: target };
    return { target, module, place: `${module}:${target}` };
  }
  if (found.kind === "tracepoint") {
    const at = rest.indexOf("__");
    const [category, event] = [rest.slice(0, at), rest.slice(at + 2)];
    return { target: `${category}:${event}`, place: `${category}/${event}` };
  }
  return { target: rest, place: rest };
}

/** What a function that is not static is. */
export function programOf(func: FunctionDecl): Program {
  const found = prefixes.find(({ prefix }) => func.name.startsWith(prefix) && func.name.length > prefix.length);
  const tag = contextTag(func);
  const contextType = func.params[0] === undefined ? "void" : typeText(func.params[0].type);
  if (found !== undefined) {
    const { target, module, place } = named(func, found);
    // As BCC takes them: wrappers of system calls on x86-64.
    const isSyscall = found.kind === "syscall" || func.name.startsWith("kprobe____x64_sys_");
    return {
      func,
      section: found.kind === "syscall" ? found.section : `${found.section}/${place}`,
      space: isSyscall ? "either" : found.space,
      isSyscall,
      described: {
        name: func.name,
        kind: found.kind,
        target,
        ...(module === undefined ? {} : { module }),
        autoAttach: found.autoAttach,
        contextType,
        typeIsGuess: false,
      },
    };
  }
  const isTracepoint = tag.startsWith(TRACEPOINT_PREFIX);
  const known = Object.hasOwn(contexts, tag) ? contexts[tag] : undefined;
  const isKernels = tag !== "" && isKernelRecord(func);
  // A struct of the program's own is a tracepoint's record; `void *` is anything, mostly a kprobe's registers.
  const section = known?.section ?? (isTracepoint || (tag !== "" && !isKernels) ? "tp" : "kprobe");
  const space = known === undefined ? (isKernels && !isTracepoint ? undefined : "either") : known.space;
  return {
    func,
    section,
    space,
    isSyscall: false,
    described: { name: func.name, kind: "any", target: "", autoAttach: false, contextType, typeIsGuess: true },
  };
}

function isKernelRecord(func: FunctionDecl): boolean {
  const pointer = shapeOf(func.params[0]!.type);
  const to = pointer.kind === "pointer" ? shapeOf(pointer.to) : undefined;
  return to?.kind === "record" && to.kernelTypeId !== 0;
}

/** How a program is loaded, as its section says to libbpf. */
export function loadedAs(program: Program, diagnostics: Diagnostics): DialectProgram {
  const { func, section } = program;
  const said = sectionMeaning(section);
  if (said?.problem !== undefined) diagnostics.warning(func.location, `${func.name}: ${said.problem}`);
  return {
    func,
    type: said?.type ?? 0,
    expectedAttachType: said?.expectedAttachType ?? 0,
    section,
    ...(said?.attachTo === undefined ? {} : { attachTo: said.attachTo }),
    ...(said?.attach === undefined || program.described.kind === "any" ? {} : { attach: said.attach }),
  };
}
