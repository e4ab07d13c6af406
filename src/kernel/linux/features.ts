/**
 * What the running kernel can do. A feature is a value: its name, the first version that has it, and a test that asks the kernel
 * itself. Versions decide where startup time counts, tests where the answer does: distributions move features to older versions,
 * and leave out what their configuration lacks.
 */
import { AttachType, BpfCmd, MapType, ProgType, assemble, encode } from "../../isa/index.ts";
import type { MapSpec, ProgramSpec } from "../../object/index.ts";
import { SkepError, SyscallError, VerifierError } from "../../base/index.ts";
import { bpf } from "./bpf.ts";
import { LinkCreateAttr, MapBatchAttr } from "./bpf-attr.ts";
import { openRawTracepoint } from "./bpf-link.ts";
import { createMap } from "./bpf-map.ts";
import { loadProg, testRunProg } from "./bpf-prog.ts";
import { checkPrivileges } from "./diagnose.ts";
import { Errno, errnoName } from "./errno.ts";
import type { OwnedFd } from "./fd.ts";
import { hasKernelBtf, kernelBtf } from "./kernel-btf.ts";
import { type Machine, machine } from "./machine.ts";
import { resolveAttachTarget } from "./attach-target.ts";
import { type Attributes, callAttributes } from "./scratch.ts";

/** An answer: there, not there, or not to be told on this machine. `evidence` says what was asked and what came back. */
export interface FeatureAnswer {
  readonly available: boolean | undefined;
  readonly evidence: string;
}

/** Name of a feature. */
export type FeatureName =
  | "cpu_v2"
  | "cpu_v3"
  | "cpu_v4"
  | "atomic_fetch"
  | "bounded_loops"
  | "may_goto"
  | "ringbuf"
  | "map_batch"
  | "raw_tp_test_run"
  | "perf_link"
  | "attach_cookie"
  | "kprobe_multi"
  | "uprobe_multi"
  | "tp_btf"
  | "fentry"
  | "iterators"
  | "get_func_ip"
  | "for_each_map_elem"
  | "loop_helper"
  | "ktime_get_boot_ns"
  | "get_current_task_btf"
  | "probe_read_kernel";

/** Something that kernels can do from some version on. */
export interface Feature {
  /** First mainline version. */
  readonly since: readonly [major: number, minor: number];
  test(): FeatureAnswer;
}

/** errnos that say nothing about the feature, only about this moment. */
const passing: ReadonlySet<number> = new Set([Errno.ENOMEM, Errno.EMFILE, Errno.ENFILE, Errno.EAGAIN]);

function answer(result: number, what: string, available: boolean): FeatureAnswer {
  const said = result < 0 ? errnoName(-result) : "success";
  // EPERM tells of this user, unless the user may do everything: then the machine forbids it to all.
  const open = passing.has(-result) || (result === -Errno.EPERM && !checkPrivileges().ok);
  return { available: open ? undefined : available, evidence: `${what}: ${said}` };
}

/** Tries something that throws; there when it does not. */
function attempt(what: string, body: () => void): FeatureAnswer {
  try {
    body();
    return { available: true, evidence: `${what}: success` };
  } catch (error) {
    if (error instanceof SyscallError) return answer(-error.errno, what, false);
    if (error instanceof VerifierError) return { available: false, evidence: `${what}: ${error.message}` };
    if (error instanceof SkepError) return { available: false, evidence: error.message };
    throw error;
  }
}

function programOf(text: string, options: Partial<ProgramSpec>): ProgramSpec {
  return {
    name: "skep_probe",
    type: ProgType.SOCKET_FILTER,
    expectedAttachType: 0,
    code: encode(assemble(text)),
    relocations: [],
    funcInfo: new Uint8Array(0),
    lineInfo: new Uint8Array(0),
    ...options,
  };
}

const NOTHING = "r0 = 0\nexit";

function withProgram<T>(text: string, options: Partial<ProgramSpec>, body: (fd: OwnedFd) => T): T {
  const spec = programOf(text, options);
  const target = resolveAttachTarget(spec);
  const { fd } = loadProg({
    spec,
    code: spec.code,
    license: "GPL",
    ...(target === undefined ? {} : { attachBtfId: target.btfId }),
  });
  try {
    return body(fd);
  } finally {
    fd.close();
    target?.moduleFd?.close();
  }
}

function loads(what: string, text: string, options: Partial<ProgramSpec> = {}): () => FeatureAnswer {
  return () => attempt(`loading ${what}`, () => withProgram(text, options, () => undefined));
}

function withMap<T>(spec: Partial<MapSpec> & { readonly type: number }, body: (fd: OwnedFd) => T): T {
  const fd = createMap({ name: "skep_probe", keySize: 4, valueSize: 8, maxEntries: 1, flags: 0, ...spec });
  try {
    return body(fd);
  } finally {
    fd.close();
  }
}

/** Makes a link that cannot be; the kernel's complaint tells whether it knows the kind. */
function refusedLink(
  what: string,
  attachType: number,
  type: number,
  size: number,
  fill: (attributes: Attributes) => Attributes,
  expected: number,
): () => FeatureAnswer {
  return () => {
    try {
      return withProgram(
        NOTHING,
        { type, expectedAttachType: attachType === AttachType.PERF_EVENT ? 0 : attachType },
        (fd) => {
          const attributes = callAttributes(size)
            .u32(LinkCreateAttr.PROG_FD, fd.value)
            .u32(LinkCreateAttr.ATTACH_TYPE, attachType);
          const result = bpf(BpfCmd.LINK_CREATE, fill(attributes));
          return answer(result, what, result === -expected);
        },
      );
    } catch (error) {
      // Old kernels refuse the program's expected attach type already.
      return attempt(what, () => {
        throw error;
      });
    }
  };
}

/** A helper that the kernel's BTF lists. What program types may call it is the verifier's to say. */
function helper(name: string): () => FeatureAnswer {
  return () => {
    const constant = `BPF_FUNC_${name}`;
    if (!hasKernelBtf()) return { available: undefined, evidence: "the kernel has no BTF to look in" };
    const found = kernelBtf().enumValue(constant) !== undefined;
    return { available: found, evidence: `${constant} is ${found ? "" : "not "}in the kernel's BTF` };
  };
}

const rawTracepoint = { type: ProgType.RAW_TRACEPOINT } as const;
const NO_FD = 0xffff_ffff;

/** All features that Skep asks for, by name. */
export const features: Readonly<Record<FeatureName, Feature>> = {
  cpu_v2: { since: [4, 14], test: loads("a jump if less", "r0 = 0\nif r0 < 5 goto +0\nexit") },
  cpu_v3: { since: [5, 1], test: loads("a 32-bit jump", "r0 = 0\nif w0 == 5 goto +0\nexit") },
  cpu_v4: { since: [6, 6], test: loads("a sign-extending move", "r0 = 0\nr0 = (s8)r0\nexit") },
  atomic_fetch: {
    since: [5, 12],
    test: loads(
      "an atomic fetch and add",
      "r1 = 1\n*(u64 *)(r10 - 8) = r1\nr1 = atomic_fetch_add((u64 *)(r10 - 8), r1)\nr0 = 0\nexit",
    ),
  },
  bounded_loops: { since: [5, 3], test: loads("a loop", "r0 = 0\nagain:\nr0 += 1\nif r0 < 5 goto again\nexit") },
  // Not a distance of zero: kernels before 6.14 know the instruction and refuse that.
  may_goto: { since: [6, 9], test: loads("may_goto", "r0 = 0\nmay_goto +1\nr0 = 1\nexit") },
  ringbuf: {
    since: [5, 8],
    test: () =>
      attempt("creating a ring buffer", () =>
        withMap({ type: MapType.RINGBUF, keySize: 0, valueSize: 0, maxEntries: 65536 }, () => undefined),
      ),
  },
  map_batch: {
    since: [5, 6],
    test: () =>
      withMap({ type: MapType.HASH }, (fd) => {
        const attributes = callAttributes(MapBatchAttr.SIZE)
          .u32(MapBatchAttr.MAP_FD, fd.value)
          .u32(MapBatchAttr.COUNT, 1);
        attributes.output(MapBatchAttr.OUT_BATCH, 8);
        attributes.output(MapBatchAttr.KEYS, 4);
        attributes.output(MapBatchAttr.VALUES, 8);
        const result = bpf(BpfCmd.MAP_LOOKUP_BATCH, attributes);
        return answer(result, "a batch lookup in an empty hash", result === -Errno.ENOENT || result === 0);
      }),
  },
  raw_tp_test_run: {
    since: [5, 10],
    test: () =>
      attempt("a test run of a raw tracepoint program", () =>
        withProgram(NOTHING, rawTracepoint, (fd) => void testRunProg(fd.value, "skep_probe", ProgType.RAW_TRACEPOINT)),
      ),
  },
  perf_link: {
    since: [5, 15],
    test: refusedLink(
      "a link to no perf event",
      AttachType.PERF_EVENT,
      ProgType.TRACEPOINT,
      LinkCreateAttr.SIZE_PLAIN,
      (attributes) => attributes.u32(LinkCreateAttr.TARGET_FD, NO_FD),
      Errno.EBADF,
    ),
  },
  attach_cookie: {
    since: [5, 15],
    test: loads("a call of bpf_get_attach_cookie", "call 174\nr0 = 0\nexit", { type: ProgType.TRACEPOINT }),
  },
  kprobe_multi: {
    since: [5, 18],
    // Addresses that cannot be read: a kernel with FPROBE says EFAULT, one without EOPNOTSUPP, an older one EINVAL.
    test: refusedLink(
      "a link to functions at a bad address",
      AttachType.TRACE_KPROBE_MULTI,
      ProgType.KPROBE,
      LinkCreateAttr.SIZE_KPROBE_MULTI,
      (attributes) => attributes.u32(LinkCreateAttr.KPROBE_COUNT, 1).u64(LinkCreateAttr.KPROBE_ADDRS, 1),
      Errno.EFAULT,
    ),
  },
  uprobe_multi: {
    since: [6, 6],
    // A directory is no binary.
    test: refusedLink(
      "a link to places in a directory",
      AttachType.TRACE_UPROBE_MULTI,
      ProgType.KPROBE,
      LinkCreateAttr.SIZE_UPROBE_MULTI,
      (attributes) =>
        attributes
          .string(LinkCreateAttr.UPROBE_PATH, "/")
          .u64s(LinkCreateAttr.UPROBE_OFFSETS, [1])
          .u32(LinkCreateAttr.UPROBE_COUNT, 1),
      Errno.EBADF,
    ),
  },
  tp_btf: {
    since: [5, 5],
    test: loads("a program for tp_btf sched_switch", NOTHING, {
      type: ProgType.TRACING,
      expectedAttachType: AttachType.TRACE_RAW_TP,
      attachTo: "sched_switch",
    }),
  },
  fentry: {
    since: [5, 5],
    // Loading is not enough: the trampoline is made at attaching. The function is there for tests and does nothing.
    test: () =>
      attempt("attaching to the entry of bpf_fentry_test1", () =>
        withProgram(
          NOTHING,
          { type: ProgType.TRACING, expectedAttachType: AttachType.TRACE_FENTRY, attachTo: "bpf_fentry_test1" },
          (fd) => openRawTracepoint(fd.value, undefined, "bpf_fentry_test1").close(),
        ),
      ),
  },
  iterators: {
    since: [5, 8],
    test: loads("a program for iter bpf_map", NOTHING, {
      type: ProgType.TRACING,
      expectedAttachType: AttachType.TRACE_ITER,
      attachTo: "bpf_map",
    }),
  },
  get_func_ip: { since: [5, 15], test: helper("get_func_ip") },
  for_each_map_elem: { since: [5, 13], test: helper("for_each_map_elem") },
  loop_helper: { since: [5, 17], test: helper("loop") },
  ktime_get_boot_ns: { since: [5, 8], test: helper("ktime_get_boot_ns") },
  get_current_task_btf: { since: [5, 11], test: helper("get_current_task_btf") },
  probe_read_kernel: { since: [5, 5], test: helper("probe_read_kernel") },
};

/** Names of all features. */
export const featureNames: readonly FeatureName[] = Object.keys(features) as FeatureName[];

const known = new Map<FeatureName, FeatureAnswer>();

/** Asks the running kernel for a feature. A conclusive answer is remembered for the life of the process. */
export function probeFeature(name: FeatureName): FeatureAnswer {
  const before = known.get(name);
  if (before !== undefined) return before;
  let found: FeatureAnswer;
  try {
    found = features[name].test();
  } catch (error) {
    if (!(error instanceof SkepError)) throw error;
    found = { available: undefined, evidence: error.message };
  }
  if (found.available !== undefined) known.set(name, found);
  return found;
}

/** What the kernel's version promises, without asking it: no system call. */
export function versionHas(name: FeatureName, on: Machine = machine): boolean {
  const [major, minor] = features[name].since;
  return on.atLeast(major, minor);
}

/** Instructions that the running kernel was seen to take: what a version number hides where a distribution moved them back. */
export interface MeasuredInstructions {
  readonly cpu: "v1" | "v2" | "v3" | "v4";
  readonly mayGoto: boolean;
  readonly atomicFetch: boolean;
}

/**
 * Tries the instruction sets, newest first: up to five program loads. Not for startup, where the version suffices (the compiler's
 * `kernelTarget`); for kernels whose version says less than they can.
 */
export function measureInstructions(): MeasuredInstructions {
  const has = (name: FeatureName): boolean => probeFeature(name).available ?? versionHas(name);
  return {
    cpu: has("cpu_v4") ? "v4" : has("cpu_v3") ? "v3" : has("cpu_v2") ? "v2" : "v1",
    mayGoto: has("may_goto"),
    atomicFetch: has("atomic_fetch"),
  };
}
