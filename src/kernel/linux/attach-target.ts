/**
 * What a BTF-attached program (tp_btf, fentry, iterators, LSM, freplace) is loaded against: the type behind `attachTo`, of the kernel,
 * a module or a loaded program.
 */
import { BtfKind } from "../../btf/index.ts";
import { SkepError, UnsupportedError, nearestNames } from "../../base/index.ts";
import { AttachType, ProgType } from "../../isa/index.ts";
import { LaterAttachType, type ProgramSpec } from "../../object/index.ts";
import { describeProg, openById } from "./bpf.ts";
import {
  findKernelType,
  findModuleType,
  hasKernelBtf,
  kernelBtf,
  moduleBtf,
  modulesWithBtf,
  openModuleBtf,
} from "./kernel-btf.ts";
import type { OwnedFd } from "./fd.ts";
import { programBtf } from "./program-btf.ts";

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
  [AttachType.LSM_CGROUP, { prefix: "bpf_lsm_", kind: BtfKind.FUNC, noun: "LSM hook" }],
  [AttachType.TRACE_FENTRY, functionTarget],
  [AttachType.TRACE_FEXIT, functionTarget],
  [AttachType.MODIFY_RETURN, functionTarget],
  [LaterAttachType.TRACE_FSESSION, functionTarget],
]);

/** Programs of these name no target when they are loaded: their link names many functions. */
const linkTargets: ReadonlySet<number> = new Set([
  LaterAttachType.TRACE_FENTRY_MULTI,
  LaterAttachType.TRACE_FEXIT_MULTI,
  LaterAttachType.TRACE_FSESSION_MULTI,
]);

/** Program types whose target is named at load. */
const targetedTypes: ReadonlySet<number> = new Set([ProgType.TRACING, ProgType.LSM, ProgType.EXT]);

/** The resolved target of a program. The caller closes the descriptors after loading. */
export interface AttachTarget {
  readonly btfId: number;
  /** BTF of the module that holds it. */
  readonly moduleFd?: OwnedFd;
  /** The program whose function it is. */
  readonly programFd?: OwnedFd;
}

/**
 * Finds the target of a program; undefined when its type has none. `targetProgram` is the id of the loaded program whose function
 * `attachTo` names. Throws UnsupportedError with near names when the kernel lacks it, SkepError (`target`) when the spec does not say.
 */
export function resolveAttachTarget(spec: ProgramSpec, targetProgram?: number): AttachTarget | undefined {
  if (!targetedTypes.has(spec.type) || linkTargets.has(spec.expectedAttachType)) return undefined;
  const { attachTo } = spec;
  if (attachTo === undefined || attachTo === "") {
    const section = spec.section === undefined ? "" : ` (section ${spec.section})`;
    throw new SkepError(
      "target",
      `program ${spec.name}${section}: nothing says what it attaches to: set attachTo before loading, or name it in the section, as in SEC("fentry/do_unlinkat")`,
      { exitStatus: 2 },
    );
  }
  if (targetProgram !== undefined) return programTarget(spec, attachTo, targetProgram);
  if (spec.type === ProgType.EXT) {
    throw new SkepError(
      "target",
      `program ${spec.name}: replaces function ${attachTo} of a loaded program: say of which (targetPrograms)`,
      { exitStatus: 2 },
    );
  }
  const target = targetKinds.get(spec.expectedAttachType);
  if (target === undefined) {
    throw new TypeError(
      `program ${spec.name}: type ${spec.type} needs an attach type that names a target, not ${spec.expectedAttachType}`,
    );
  }
  return kernelTarget(attachTo, target);
}

/** `module:function` looks in that module alone, `vmlinux:function` in the kernel itself. */
function kernelTarget(attachTo: string, target: TargetKind): AttachTarget {
  const feature = `${target.noun} ${attachTo}`;
  if (!hasKernelBtf()) {
    throw new UnsupportedError(
      feature,
      "needs the kernel's type information (CONFIG_DEBUG_INFO_BTF), which this kernel lacks",
    );
  }
  const colon = attachTo.indexOf(":");
  const [place, name] = colon === -1 ? [undefined, attachTo] : [attachTo.slice(0, colon), attachTo.slice(colon + 1)];
  const typeName = target.prefix + name;
  if (place !== undefined && place !== "vmlinux" && !modulesWithBtf().includes(place)) {
    const near = nearestNames(place, modulesWithBtf());
    const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
    throw new UnsupportedError(feature, `module ${place} is not loaded, or was built without BTF${hint}`);
  }
  const type =
    place === undefined
      ? findKernelType(typeName, target.kind)
      : place === "vmlinux"
        ? found(kernelBtf().findByName(typeName, target.kind))
        : findModuleType(place, typeName, target.kind);
  if (type === undefined) throw missing(feature, name, target, place);
  if (type.module === undefined) return { btfId: type.id };
  const moduleFd = openModuleBtf(type.module);
  if (moduleFd === undefined)
    throw new UnsupportedError(feature, `module ${type.module}, which holds it, is being unloaded`);
  return { btfId: type.id, moduleFd };
}

function found(id: number | undefined): { readonly id: number; readonly module?: string } | undefined {
  return id === undefined ? undefined : { id };
}

function missing(feature: string, name: string, target: TargetKind, place: string | undefined): UnsupportedError {
  const candidates: string[] = [];
  const btf = place === undefined || place === "vmlinux" ? kernelBtf() : moduleBtf(place);
  for (const candidate of btf.names(target.kind)) {
    if (candidate.startsWith(target.prefix)) candidates.push(candidate.slice(target.prefix.length));
  }
  const near = nearestNames(name, candidates);
  const who = place === undefined ? "this kernel" : place === "vmlinux" ? "vmlinux" : `module ${place}`;
  return new UnsupportedError(
    feature,
    `${who} has none of that name${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""}`,
  );
}

function programTarget(spec: ProgramSpec, func: string, programId: number): AttachTarget {
  const programFd = openById("prog", programId);
  const refuse = (why: string): SkepError =>
    new SkepError("target", `program ${spec.name}: target program ${programId}: ${why}`);
  if (programFd === undefined) throw refuse("there is none of that id (it may have been unloaded)");
  try {
    const { btfId, name } = describeProg(programFd.value);
    if (btfId === 0) throw refuse(`${name} was loaded without BTF, which tells its functions: compile it with -g`);
    const types = programBtf(programFd.value);
    if (types === undefined) throw refuse(`${name} is being unloaded`);
    const id = types.findByName(func, BtfKind.FUNC);
    if (id === undefined) {
      const functions = [...types.names(BtfKind.FUNC)];
      const near = nearestNames(func, functions);
      const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : `it has ${functions.join(", ")}`;
      throw refuse(`${name} has no function ${func}: ${hint}`);
    }
    return { btfId: id, programFd };
  } catch (error) {
    programFd.close();
    throw error;
  }
}
