/** What a BTF-attached program (tp_btf, fentry, iterators, LSM) is loaded against: the kernel's type behind `attachTo`. */
import { BtfKind } from "../../btf/index.ts";
import { UnsupportedError, nearestNames } from "../../base/index.ts";
import { AttachType, ProgType } from "../../isa/index.ts";
import type { ProgramSpec } from "../../object/index.ts";
import { findKernelType, hasKernelBtf, kernelBtf, openModuleBtf } from "./kernel-btf.ts";
import type { OwnedFd } from "./fd.ts";

/** How the kernel names the types of an attach type. */
interface TargetKind {
  readonly prefix: string;
  readonly kind: BtfKind;
  /** For messages: "raw tracepoint". */
  readonly noun: string;
}

const functionTarget: TargetKind = { prefix: "", kind: BtfKind.FUNC, noun: "kernel function" };

const targetKinds: ReadonlyMap<number, TargetKind> = new Map([
  [AttachType.TRACE_RAW_TP, { prefix: "btf_trace_", kind: BtfKind.TYPEDEF, noun: "raw tracepoint" }],
  [AttachType.TRACE_ITER, { prefix: "bpf_iter_", kind: BtfKind.FUNC, noun: "iterator" }],
  [AttachType.LSM_MAC, { prefix: "bpf_lsm_", kind: BtfKind.FUNC, noun: "LSM hook" }],
  [AttachType.TRACE_FENTRY, functionTarget],
  [AttachType.TRACE_FEXIT, functionTarget],
  [AttachType.MODIFY_RETURN, functionTarget],
]);

/** Program types whose target is named at load. */
const targetedTypes: ReadonlySet<number> = new Set([ProgType.TRACING, ProgType.LSM]);

/** The resolved target of a program. */
export interface AttachTarget {
  readonly btfId: number;
  /** BTF of the module that holds it; the caller closes it after loading. */
  readonly moduleFd?: OwnedFd;
}

/** Finds the target of a program; undefined when its type has none. Throws UnsupportedError with near names when the kernel lacks it. */
export function resolveAttachTarget(spec: ProgramSpec): AttachTarget | undefined {
  if (!targetedTypes.has(spec.type)) return undefined;
  const target = targetKinds.get(spec.expectedAttachType);
  if (target === undefined || spec.attachTo === undefined) {
    throw new TypeError(
      `program ${spec.name}: type ${spec.type} needs attachTo and an attach type that names a target`,
    );
  }
  const feature = `${target.noun} ${spec.attachTo}`;
  if (!hasKernelBtf()) {
    throw new UnsupportedError(
      feature,
      "needs the kernel's type information (CONFIG_DEBUG_INFO_BTF), which this kernel lacks",
    );
  }
  const type = findKernelType(target.prefix + spec.attachTo, target.kind);
  if (type === undefined) throw missing(feature, spec.attachTo, target);
  if (type.module === undefined) return { btfId: type.id };
  const moduleFd = openModuleBtf(type.module);
  if (moduleFd === undefined)
    throw new UnsupportedError(feature, `module ${type.module}, which holds it, is being unloaded`);
  return { btfId: type.id, moduleFd };
}

function missing(feature: string, name: string, target: TargetKind): UnsupportedError {
  const candidates: string[] = [];
  for (const candidate of kernelBtf().names(target.kind)) {
    if (candidate.startsWith(target.prefix)) candidates.push(candidate.slice(target.prefix.length));
  }
  const near = nearestNames(name, candidates);
  return new UnsupportedError(
    feature,
    `this kernel has none of that name${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""}`,
  );
}
