/** What kernels can do besides having types of things: each ability with its first version and a way to ask for it. */
import { AttachType, BpfCmd, LinkType, MapFlags, MapType, ProgFlags, ProgType, StatsType } from "../../../isa/index.ts";
import { bpf } from "../bpf.ts";
import { EnableStatsAttr, MapBatchAttr, TokenCreateAttr } from "../bpf-attr.ts";
import { testRunProg } from "../bpf-prog.ts";
import { Errno } from "../../errno.ts";
import { OwnedFd } from "../fd.ts";
import { hasKernelBtf, modulesWithBtf } from "../kernel-btf.ts";
import { callAttributes } from "../scratch.ts";
import { type ProbeAnswer, type Requirement, answerOf, attempt, no, yes } from "./answer.ts";
import { probeAttachType } from "./attach-types.ts";
import { probeHelper } from "./helpers.ts";
import { probeKfunc } from "./kfuncs.ts";
import { probeLinkType } from "./links.ts";
import { openTrial, tryTrial } from "./load.ts";
import { probeMapType, withMapTrial } from "./map-types.ts";
import { probeProgramType } from "./program-types.ts";
import { returning, waysOf } from "./variants.ts";

/** An ability of kernels. */
export type AbilityName =
  | "kernel-btf"
  | "module-btf"
  | "program-names"
  | "global-variables-mmap"
  | "map-batch"
  | "ringbuf"
  | "user-ringbuf"
  | "bloom-filter"
  | "task-storage"
  | "arena"
  | "memcg-accounting"
  | "perf-link"
  | "cookies"
  | "func-ip"
  | "kprobe-multi"
  | "kprobe-session"
  | "uprobe-multi"
  | "uprobe-session"
  | "fentry"
  | "raw-tracepoint-btf"
  | "raw-tracepoint-test-run"
  | "iterators"
  | "lsm"
  | "freplace"
  | "struct-ops"
  | "struct-ops-link"
  | "sleepable"
  | "xdp-frags"
  | "tcx"
  | "netkit"
  | "netfilter"
  | "kfuncs"
  | "open-coded-iterators"
  | "exceptions"
  | "dynptrs"
  | "timers"
  | "loop-helper"
  | "for-each-map-elem"
  | "run-time-statistics"
  | "tokens"
  | "program-streams";

/** What it is, since when, and how to ask. */
export interface Ability {
  /** First mainline version. */
  readonly since: string;
  readonly summary: string;
  probe(requirement: Requirement): ProbeAnswer;
}

function helper(name: string, type: number): () => ProbeAnswer {
  return () => probeHelper(name, type);
}

function map(type: number): () => ProbeAnswer {
  return () => probeMapType(type);
}

function attach(type: number): () => ProbeAnswer {
  return () => probeAttachType(type);
}

function kfunc(name: string): () => ProbeAnswer {
  return () => probeKfunc(name);
}

function batchLookup(requirement: Requirement): ProbeAnswer {
  const what = "a batch lookup in an empty hash";
  let made = false;
  const errno = withMapTrial({ type: MapType.HASH, valueSize: 8 }, (fd) => {
    made = true;
    const attributes = callAttributes(MapBatchAttr.SIZE).u32(MapBatchAttr.MAP_FD, fd).u32(MapBatchAttr.COUNT, 1);
    attributes.output(MapBatchAttr.OUT_BATCH, 8);
    attributes.output(MapBatchAttr.KEYS, 4);
    attributes.output(MapBatchAttr.VALUES, 8);
    return Math.max(0, -bpf(BpfCmd.MAP_LOOKUP_BATCH, attributes));
  });
  const answer = answerOf(errno, made ? what : "creating a hash", requirement);
  return made && errno === Errno.ENOENT ? yes(answer.evidence) : answer;
}

function token(requirement: Requirement): ProbeAnswer {
  const attributes = callAttributes(TokenCreateAttr.SIZE).u32(TokenCreateAttr.BPFFS_FD, 0xffff_ffff);
  const errno = Math.max(0, -bpf(BpfCmd.TOKEN_CREATE, attributes));
  const answer = answerOf(errno, "a token of no bpffs", requirement);
  return errno === Errno.EBADF ? yes(`${answer.evidence}, so the kernel knows the command`) : answer;
}

/** Offsets in the attributes of `BPF_PROG_STREAM_READ_BY_FD`. */
const Stream = { BUFFER: 0, LENGTH: 8, STREAM_ID: 12, PROG_FD: 16, SIZE: 24 } as const;

function streams(requirement: Requirement): ProbeAnswer {
  const attributes = callAttributes(Stream.SIZE).u32(Stream.STREAM_ID, 1).u32(Stream.PROG_FD, 0xffff_ffff);
  const errno = Math.max(0, -bpf(BpfCmd.PROG_STREAM_READ_BY_FD, attributes));
  const answer = answerOf(errno, "reading a stream of no program", requirement);
  return errno === Errno.EBADF ? yes(`${answer.evidence}, so the kernel knows the command`) : answer;
}

function statistics(requirement: Requirement): ProbeAnswer {
  const attributes = callAttributes(EnableStatsAttr.SIZE).u32(EnableStatsAttr.TYPE, StatsType.RUN_TIME);
  const result = bpf(BpfCmd.ENABLE_STATS, attributes);
  if (result >= 0) new OwnedFd(result, "probing statistics").close();
  return answerOf(Math.max(0, -result), "turning on statistics and off again", requirement);
}

function rawTracepointTestRun(requirement: Requirement): ProbeAnswer {
  return attempt("a test run of a raw tracepoint program", requirement, () => {
    const opened = openTrial({ type: ProgType.RAW_TRACEPOINT, code: returning(0) });
    if (typeof opened === "number") return;
    try {
      testRunProg(opened.value, "skep_probe", ProgType.RAW_TRACEPOINT);
    } finally {
      opened.close();
    }
  });
}

function sleepable(requirement: Requirement): ProbeAnswer {
  for (const type of [ProgType.SYSCALL, ProgType.KPROBE, ProgType.LSM, ProgType.TRACING]) {
    const { ready } = waysOf(type);
    const found = ready.find(({ trial }) => ((trial.flags ?? 0) & ProgFlags.SLEEPABLE) !== 0);
    if (found !== undefined) return yes(`loading a sleepable program (${found.label}): success`);
  }
  const errno = tryTrial({ type: ProgType.KPROBE, flags: ProgFlags.SLEEPABLE, code: returning(0) });
  return answerOf(errno, "loading a sleepable program", requirement);
}

function kernelBtf(): ProbeAnswer {
  return hasKernelBtf()
    ? yes("/sys/kernel/btf/vmlinux is there")
    : no("/sys/kernel/btf/vmlinux is missing", { since: "5.4", options: ["CONFIG_DEBUG_INFO_BTF"] });
}

function moduleBtf(requirement: Requirement): ProbeAnswer {
  const modules = modulesWithBtf();
  return modules.length > 0
    ? yes(`/sys/kernel/btf has ${modules.length} modules`)
    : no("/sys/kernel/btf has no module", {
        ...requirement,
        options: ["CONFIG_DEBUG_INFO_BTF_MODULES", "CONFIG_MODULES"],
      });
}

const table: Readonly<Record<AbilityName, Ability>> = {
  "kernel-btf": { since: "5.4", summary: "types of the kernel (BTF)", probe: kernelBtf },
  "module-btf": { since: "5.11", summary: "types of modules", probe: moduleBtf },
  "program-names": {
    since: "4.15",
    summary: "names of programs and maps",
    probe: (requirement) =>
      answerOf(
        tryTrial({ type: ProgType.SOCKET_FILTER, code: returning(0) }),
        "loading a program with a name",
        requirement,
      ),
  },
  "global-variables-mmap": {
    since: "5.5",
    summary: "arrays mapped into memory",
    probe: (requirement) =>
      answerOf(
        withMapTrial({ type: MapType.ARRAY, valueSize: 8, flags: MapFlags.MMAPABLE }, () => 0),
        "creating an array that can be mapped",
        requirement,
      ),
  },
  "map-batch": { since: "5.6", summary: "batch operations on maps", probe: batchLookup },
  ringbuf: { since: "5.8", summary: "ring buffers", probe: map(MapType.RINGBUF) },
  "user-ringbuf": { since: "6.1", summary: "ring buffers that user space fills", probe: map(MapType.USER_RINGBUF) },
  "bloom-filter": { since: "5.16", summary: "bloom filters", probe: map(MapType.BLOOM_FILTER) },
  "task-storage": { since: "5.11", summary: "storage beside tasks", probe: map(MapType.TASK_STORAGE) },
  arena: { since: "6.9", summary: "memory shared with user space (arena)", probe: map(MapType.ARENA) },
  "memcg-accounting": {
    since: "5.11",
    summary: "memory counted by cgroups, not as locked",
    // The helper came in the same release, and no call tells how memory is counted.
    probe: helper("ktime_get_coarse_ns", ProgType.SOCKET_FILTER),
  },
  "perf-link": { since: "5.15", summary: "links of perf events", probe: () => probeLinkType(LinkType.PERF_EVENT) },
  cookies: {
    since: "5.15",
    summary: "numbers of attachments (bpf_get_attach_cookie)",
    probe: helper("get_attach_cookie", ProgType.KPROBE),
  },
  "func-ip": {
    since: "5.15",
    summary: "address of the probed function (bpf_get_func_ip)",
    probe: helper("get_func_ip", ProgType.KPROBE),
  },
  "kprobe-multi": {
    since: "5.18",
    summary: "many functions in one link",
    probe: attach(AttachType.TRACE_KPROBE_MULTI),
  },
  "kprobe-session": {
    since: "6.10",
    summary: "entry and return in one program",
    probe: attach(AttachType.TRACE_KPROBE_SESSION),
  },
  "uprobe-multi": {
    since: "6.6",
    summary: "many user functions in one link",
    probe: attach(AttachType.TRACE_UPROBE_MULTI),
  },
  "uprobe-session": {
    since: "6.13",
    summary: "entry and return of user functions in one program",
    probe: attach(AttachType.TRACE_UPROBE_SESSION),
  },
  fentry: {
    since: "5.5",
    summary: "entry and return of kernel functions by trampoline",
    // Loading is not enough: the trampoline is made at attaching.
    probe: () => probeLinkType(LinkType.TRACING),
  },
  "raw-tracepoint-btf": {
    since: "5.5",
    summary: "tracepoints with typed arguments (tp_btf)",
    probe: attach(AttachType.TRACE_RAW_TP),
  },
  "raw-tracepoint-test-run": {
    since: "5.10",
    summary: "test runs of raw tracepoint programs",
    probe: rawTracepointTestRun,
  },
  iterators: {
    since: "5.8",
    summary: "programs that walk the kernel's objects",
    probe: () => probeLinkType(LinkType.ITER),
  },
  lsm: { since: "5.7", summary: "programs as a security module", probe: attach(AttachType.LSM_MAC) },
  freplace: {
    since: "5.6",
    summary: "functions of loaded programs replaced",
    probe: () => probeProgramType(ProgType.EXT),
  },
  "struct-ops": {
    since: "5.6",
    summary: "the kernel's structs of functions implemented",
    probe: () => probeProgramType(ProgType.STRUCT_OPS),
  },
  "struct-ops-link": { since: "6.4", summary: "links of struct_ops", probe: () => probeLinkType(LinkType.STRUCT_OPS) },
  sleepable: { since: "5.10", summary: "programs that may sleep", probe: sleepable },
  "xdp-frags": {
    since: "5.18",
    summary: "XDP on packets in several buffers",
    probe: (requirement) =>
      answerOf(
        tryTrial({ type: ProgType.XDP, flags: ProgFlags.XDP_HAS_FRAGS, code: returning(0) }),
        "loading an xdp program with BPF_F_XDP_HAS_FRAGS",
        requirement,
      ),
  },
  tcx: { since: "6.6", summary: "links of tc", probe: attach(AttachType.TCX_INGRESS) },
  netkit: { since: "6.7", summary: "netkit devices", probe: attach(AttachType.NETKIT_PRIMARY) },
  netfilter: { since: "6.4", summary: "programs as netfilter hooks", probe: attach(AttachType.NETFILTER) },
  kfuncs: {
    since: "5.13",
    summary: "calls of kernel functions (kfuncs)",
    probe: (requirement) => anyKfunc(requirement),
  },
  "open-coded-iterators": { since: "6.4", summary: "iterators inside programs", probe: kfunc("bpf_iter_num_new") },
  exceptions: { since: "6.7", summary: "exceptions (bpf_throw)", probe: kfunc("bpf_throw") },
  dynptrs: {
    since: "5.19",
    summary: "pointers with bounds checked at run time",
    probe: helper("dynptr_read", ProgType.SOCKET_FILTER),
  },
  timers: { since: "5.15", summary: "timers", probe: helper("timer_init", ProgType.SCHED_CLS) },
  "loop-helper": {
    since: "5.17",
    summary: "loops over a function (bpf_loop)",
    probe: helper("loop", ProgType.RAW_TRACEPOINT),
  },
  "for-each-map-elem": {
    since: "5.13",
    summary: "loops over a map's entries",
    probe: helper("for_each_map_elem", ProgType.RAW_TRACEPOINT),
  },
  "run-time-statistics": { since: "5.8", summary: "run-time statistics of programs", probe: statistics },
  tokens: { since: "6.9", summary: "rights delegated through a bpffs", probe: token },
  "program-streams": { since: "6.17", summary: "output of a program itself", probe: streams },
};

/** The congestion control functions were the first; later kernels have general ones. */
function anyKfunc(requirement: Requirement): ProbeAnswer {
  let last = no("no kfunc was found", requirement);
  for (const name of [
    "bpf_iter_num_new",
    "bpf_rdonly_cast",
    "bpf_kfunc_call_test1",
    "tcp_slow_start",
    "tcp_reno_ssthresh",
  ]) {
    const answer = probeKfunc(name);
    if (answer.answer === "yes") return answer;
    last = answer;
  }
  return last;
}

/** All names, in the order of the table. */
export const abilityNames: readonly AbilityName[] = Object.keys(table) as AbilityName[];

/** First mainline version and what it is, in a few words. */
export function abilityEntry(name: AbilityName): { readonly since: string; readonly summary: string } {
  const { since, summary } = table[name];
  return { since, summary };
}

/** Can the kernel, and this machine, do this? */
export function probeAbility(name: AbilityName): ProbeAnswer {
  const { since, probe } = table[name];
  return probe({ since });
}
