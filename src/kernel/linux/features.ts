/**
 * What the compiler and the front ends ask of the running kernel. A feature is a value: its name, the first version that has it, and a
 * test that asks the kernel itself (see probes). Versions decide where startup time counts, tests where the answer does: distributions
 * move features to older versions, and leave out what their configuration lacks.
 */
import { SkepError } from "../../base/index.ts";
import { hasKernelBtf, kernelBtf } from "./kernel-btf.ts";
import { type Machine, machine } from "./machine.ts";
import { type AbilityName, probeAbility } from "./probes/abilities.ts";
import type { ProbeAnswer } from "./probes/answer.ts";
import { no, unknown, yes } from "./probes/answer.ts";
import { type IsaName, probeIsa } from "./probes/isa.ts";

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

function feature(major: number, minor: number, ask: () => ProbeAnswer): Feature {
  return {
    since: [major, minor],
    test: () => {
      const { answer, evidence, reason } = ask();
      return {
        available: answer === "cannot tell" ? undefined : answer === "yes",
        evidence: reason === undefined ? evidence : `${evidence}: ${reason}`,
      };
    },
  };
}

function isa(major: number, minor: number, name: IsaName): Feature {
  return feature(major, minor, () => probeIsa(name));
}

function ability(major: number, minor: number, name: AbilityName): Feature {
  return feature(major, minor, () => probeAbility(name));
}

/** A helper that the kernel's BTF lists. What program types may call it is the verifier's to say (`probeHelper`). */
function helper(major: number, minor: number, name: string): Feature {
  return feature(major, minor, () => {
    const constant = `BPF_FUNC_${name}`;
    if (!hasKernelBtf()) return unknown(constant, "the kernel has no BTF to look in");
    return kernelBtf().enumValue(constant) === undefined
      ? no(`${constant} is not in the kernel's BTF`)
      : yes(`${constant} is in the kernel's BTF`);
  });
}

/** All features that Skep asks for, by name. */
export const features: Readonly<Record<FeatureName, Feature>> = {
  cpu_v2: isa(4, 14, "v2"),
  cpu_v3: isa(5, 1, "v3"),
  cpu_v4: isa(6, 6, "v4"),
  atomic_fetch: isa(5, 12, "atomic-fetch"),
  bounded_loops: isa(5, 3, "bounded-loops"),
  may_goto: isa(6, 9, "may-goto"),
  ringbuf: ability(5, 8, "ringbuf"),
  map_batch: ability(5, 6, "map-batch"),
  raw_tp_test_run: ability(5, 10, "raw-tracepoint-test-run"),
  perf_link: ability(5, 15, "perf-link"),
  attach_cookie: ability(5, 15, "cookies"),
  kprobe_multi: ability(5, 18, "kprobe-multi"),
  uprobe_multi: ability(6, 6, "uprobe-multi"),
  tp_btf: ability(5, 5, "raw-tracepoint-btf"),
  fentry: ability(5, 5, "fentry"),
  iterators: ability(5, 8, "iterators"),
  get_func_ip: helper(5, 15, "get_func_ip"),
  for_each_map_elem: helper(5, 13, "for_each_map_elem"),
  loop_helper: helper(5, 17, "loop"),
  ktime_get_boot_ns: helper(5, 8, "ktime_get_boot_ns"),
  get_current_task_btf: helper(5, 11, "get_current_task_btf"),
  probe_read_kernel: helper(5, 5, "probe_read_kernel"),
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
