/** Attaches programs that name their place in BTF: raw tracepoints, fentry and its kin, LSM hooks, iterators, replaced functions. */
import { existsSync } from "node:fs";
import { SyscallError, UnsupportedError, nearestNames } from "../../../base/index.ts";
import { BtfKind } from "../../../btf/index.ts";
import { AttachType, CgroupIterOrder, ProgType } from "../../../isa/index.ts";
import { LaterAttachType } from "../../../object/index.ts";
import { describeProg, openById } from "../bpf.ts";
import {
  type IteratorTarget,
  linkIterator,
  linkTracingMulti,
  openRawTracepoint,
  tryReplacementLink,
  tryTracingLink,
} from "../bpf-link.ts";
import { Errno } from "../../errno.ts";
import { OwnedFd } from "../fd.ts";
import { type LinkFds, LinuxLink } from "../link.ts";
import { kernelBtf } from "../kernel-btf.ts";
import { machine } from "../machine.ts";
import { programBtf } from "../program-btf.ts";
import type { LinuxProgram } from "../programs.ts";
import { listTracepoints } from "../tracefs.ts";
import { openCgroup } from "./cgroup-path.ts";
import { type SpecOf, attachFailure, builtWithout, onlyLink, tooOld } from "./common.ts";

/** Attaches to a tracepoint by name; programs of type TRACING name it themselves. */
export function attachRawTracepoint(program: LinuxProgram, spec: SpecOf<"raw-tracepoint">): LinuxLink {
  const name = program.spec.type === ProgType.TRACING ? undefined : spec.name;
  const what = `raw tracepoint ${spec.name}`;
  const old = spec.cookie === undefined || spec.cookie === 0 ? undefined : tooOld(`${what} with a cookie`, 6, 10);
  if (old !== undefined) throw old;
  try {
    return new LinuxLink(spec, onlyLink(openRawTracepoint(program.fd.value, name, what, spec.cookie)));
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    if (error.errno === Errno.EACCES) throw outOfBounds(what, error);
    if (error.errno !== Errno.ENOENT) throw error;
    const near = nearestNames(
      spec.name,
      listTracepoints().map((event) => event.name),
    );
    const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
    throw new UnsupportedError(what, `this kernel has none of that name${hint}`, { cause: error });
  }
}

function outOfBounds(what: string, cause: unknown): UnsupportedError {
  return new UnsupportedError(what, "the program reads arguments that this tracepoint has not got", { cause });
}

/** What the attach types of tracing programs are called in messages. */
const nouns: ReadonlyMap<number, string> = new Map([
  [AttachType.TRACE_RAW_TP, "raw tracepoint"],
  [AttachType.TRACE_FENTRY, "fentry"],
  [AttachType.TRACE_FEXIT, "fexit"],
  [AttachType.MODIFY_RETURN, "fmod_ret"],
  [AttachType.LSM_MAC, "LSM hook"],
  [AttachType.TRACE_ITER, "iterator"],
]);

/** Attach types that need the kernel to patch a call into functions. */
const trampolines: ReadonlySet<number> = new Set([
  AttachType.TRACE_FENTRY,
  AttachType.TRACE_FEXIT,
  AttachType.MODIFY_RETURN,
  AttachType.LSM_MAC,
  ...Object.values(LaterAttachType),
]);

/** Attaches to what the program was loaded for. */
export function attachTracing(program: LinuxProgram, spec: SpecOf<"tracing">): LinuxLink {
  const { attachTo, name, expectedAttachType } = program.spec;
  const what = `${nouns.get(expectedAttachType) ?? "tracing program"} ${attachTo ?? name}`;
  // With nothing said, an iterator walks all that there is.
  if (expectedAttachType === AttachType.TRACE_ITER) return new LinuxLink(spec, iteratorLink(program, {}));
  if (expectedAttachType === AttachType.LSM_MAC) requireBpfLsm(what);
  const cookie = spec.cookie ?? 0;
  const [major, minor] = expectedAttachType === AttachType.TRACE_RAW_TP ? [6, 10] : [5, 19];
  const old = cookie === 0 ? undefined : tooOld(`${what} with a cookie`, major!, minor!);
  if (old !== undefined) throw old;
  if (cookie !== 0) {
    const result = tryTracingLink(program.fd.value, expectedAttachType, cookie);
    if (result < 0) throw tracingFailure(program, what, -result, attachFailure(what, -result));
    return new LinuxLink(spec, onlyLink(new OwnedFd(result, `link ${what}`)));
  }
  try {
    return new LinuxLink(spec, onlyLink(openRawTracepoint(program.fd.value, undefined, what)));
  } catch (error) {
    throw error instanceof SyscallError ? tracingFailure(program, what, error.errno, error) : error;
  }
}

/** What sections say of tracing programs for many functions, by `LaterAttachType.*`. */
const multiNouns: ReadonlyMap<number, string> = new Map([
  [LaterAttachType.TRACE_FENTRY_MULTI, "fentry"],
  [LaterAttachType.TRACE_FEXIT_MULTI, "fexit"],
  [LaterAttachType.TRACE_FSESSION_MULTI, "fsession"],
]);

/** Attaches to many functions of the kernel in one link; all or none. */
export function attachTracingMulti(program: LinuxProgram, spec: SpecOf<"tracing-multi">): LinuxLink {
  const { name, expectedAttachType: attachType } = program.spec;
  const noun = multiNouns.get(attachType);
  if (noun === undefined) {
    throw new TypeError(
      `program ${name}: was not loaded for many functions: name its section fentry.multi or fexit.multi`,
    );
  }
  const { funcs, cookies } = spec;
  const what = `${noun} of ${funcs.length} functions`;
  if (cookies !== undefined && cookies.length !== funcs.length)
    throw new RangeError(`${what}: ${cookies.length} cookies for ${funcs.length} functions`);
  const old = tooOld(what, 7, 2, "attach one by one");
  if (old !== undefined) throw old;
  const btfIds = funcs.map((func) => {
    const id = kernelBtf().findByName(func, BtfKind.FUNC);
    if (id !== undefined) return id;
    const near = nearestNames(func, kernelBtf().names(BtfKind.FUNC));
    const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
    throw new UnsupportedError(`${noun} ${func}`, `this kernel's own types have no such function${hint}`);
  });
  try {
    const target = { attachType, btfIds, ...(cookies === undefined ? {} : { cookies }) };
    return new LinuxLink(spec, onlyLink(linkTracingMulti(program.fd.value, target, what)));
  } catch (error) {
    throw error instanceof SyscallError ? tracingFailure(program, what, error.errno, error) : error;
  }
}

/** Hooks of LSM programs are there in any kernel that was built so; they are called only where `bpf` is among the active modules. */
export function requireBpfLsm(what: string): void {
  const missing = builtWithout(what, "CONFIG_BPF_LSM");
  if (missing !== undefined) throw missing;
  const active = machine.file("/sys/kernel/security/lsm")?.trim();
  if (active === undefined || active.split(",").includes("bpf")) return;
  const why = `the kernel calls no programs at LSM hooks: boot it with lsm=${active},bpf`;
  throw new UnsupportedError(what, why);
}

function tracingFailure(program: LinuxProgram, what: string, errno: number, cause: Error): Error {
  const { expectedAttachType } = program.spec;
  if (errno === Errno.EACCES && expectedAttachType === AttachType.TRACE_RAW_TP) return outOfBounds(what, cause);
  if (!trampolines.has(expectedAttachType)) return cause;
  if (errno === Errno.EBUSY || errno === Errno.E2BIG) {
    const why =
      "the function has all the programs that it can take (38 of fentry, fexit and fmod_ret together), or is replaced by another";
    return new UnsupportedError(what, why, { cause });
  }
  if (errno === Errno.ENOTSUPP || errno === Errno.EOPNOTSUPP || errno === Errno.EPERM || errno === Errno.EINVAL) {
    const missing = builtWithout(what, "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS");
    if (missing !== undefined) return missing;
  }
  if (errno === Errno.EPERM && machine.isRoot) {
    const why =
      "the kernel may not change its own code here (read-only to itself, or kept so by a hypervisor): use a tracepoint instead";
    return new UnsupportedError(what, why, { cause });
  }
  if (errno === Errno.ENOTSUPP || errno === Errno.EOPNOTSUPP) {
    return new UnsupportedError(what, "this kernel's processor code has no BPF trampolines: use a kprobe instead", {
      cause,
    });
  }
  return cause;
}

const orders: Readonly<Record<NonNullable<SpecOf<"iterator">["order"]>, number>> = {
  "self-only": CgroupIterOrder.SELF_ONLY,
  "descendants-pre": CgroupIterOrder.DESCENDANTS_PRE,
  "descendants-post": CgroupIterOrder.DESCENDANTS_POST,
  "ancestors-up": CgroupIterOrder.ANCESTORS_UP,
  children: CgroupIterOrder.CHILDREN,
};

/** Attaches an iterator to what it shall walk. Reading the link runs it. */
export function attachIterator(program: LinuxProgram, spec: SpecOf<"iterator">): LinuxLink {
  return new LinuxLink(spec, iteratorLink(program, spec));
}

function iteratorLink(program: LinuxProgram, spec: Omit<SpecOf<"iterator">, "kind">): LinkFds {
  const what = `iterator ${program.spec.attachTo ?? program.spec.name}`;
  const given = [spec.mapId, spec.tid ?? spec.pid, spec.cgroup].filter((member) => member !== undefined);
  if (given.length > 1) throw new TypeError(`${what}: walks one of a map, a task or a cgroup`);
  if (spec.tid !== undefined && spec.pid !== undefined)
    throw new TypeError(`${what}: walks one thread or one process, not both`);
  if (spec.order !== undefined && spec.cgroup === undefined)
    throw new TypeError(`${what}: an order goes with a cgroup`);
  if (spec.mapId === undefined && given.length > 0) {
    const old = tooOld(`${what} over ${spec.cgroup === undefined ? "one task" : "cgroups"}`, 6, 1);
    if (old !== undefined) throw old;
  }
  const task = spec.tid ?? spec.pid;
  // The kernel takes any number, and walks nothing.
  if (task !== undefined && !existsSync(`/proc/${task}`)) throw new UnsupportedError(what, `there is no task ${task}`);
  let held: OwnedFd | undefined;
  try {
    const target: IteratorTarget = {
      ...(spec.mapId === undefined ? {} : { mapFd: (held = openMap(what, spec.mapId)).value }),
      ...(spec.tid === undefined ? {} : { tid: spec.tid }),
      ...(spec.pid === undefined ? {} : { pid: spec.pid }),
      ...(spec.cgroup === undefined
        ? {}
        : { cgroupFd: (held = openCgroup(what, spec.cgroup)).value, order: orders[spec.order ?? "descendants-pre"] }),
    };
    return onlyLink(linkIterator(program.fd.value, what, target));
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    if (error.errno === Errno.EBADF && given.length === 0)
      throw new TypeError(`${what}: say what it walks: a map's id`, { cause: error });
    if (error.errno === Errno.EINVAL && spec.mapId !== undefined) {
      const why =
        "the iterator takes no maps of this type, or the program reads more than the map's keys and values hold";
      throw new UnsupportedError(`${what} over map ${spec.mapId}`, why, { cause: error });
    }
    throw error;
  } finally {
    held?.close();
  }
}

/** A descriptor of a map by its id. Throws UnsupportedError when there is none. */
export function openMap(what: string, id: number): OwnedFd {
  const fd = openById("map", id);
  if (fd === undefined) throw new UnsupportedError(what, `there is no map with id ${id}`);
  return fd;
}

/** Replaces a function of a loaded program. */
export function attachReplacement(program: LinuxProgram, spec: SpecOf<"freplace">): LinuxLink {
  const what = `freplace of ${spec.func} in program ${spec.programId}`;
  using target = openById("prog", spec.programId);
  if (target === undefined) throw new UnsupportedError(what, `there is no program with id ${spec.programId}`);
  const btf = programBtf(target.value);
  if (btf === undefined)
    throw new UnsupportedError(what, "that program was loaded without BTF, which names its functions");
  const func = btf.findByName(spec.func, BtfKind.FUNC);
  if (func === undefined) {
    const names = [...btf.names(BtfKind.FUNC)];
    const near = nearestNames(spec.func, names);
    const known = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : `; it has ${names.join(", ")}`;
    throw new UnsupportedError(what, `program ${describeProg(target.value).name} has no such function${known}`);
  }
  const old = tooOld(what, 5, 10);
  if (old !== undefined) throw old;
  const result = tryReplacementLink(program.fd.value, target.value, func);
  if (result >= 0) return new LinuxLink(spec, onlyLink(new OwnedFd(result, `link ${what}`)));
  const cause = attachFailure(what, -result);
  if (result === -Errno.EBUSY) {
    const why =
      "the function is replaced already, or the program is traced: one replacement at a time, of what nobody traces";
    throw new UnsupportedError(what, why, { cause });
  }
  if (result === -Errno.EINVAL) {
    const why = `the kernel finds that ${program.spec.name} does not fit: it must be loaded for a function of the same type, and ${spec.func} be global, not static`;
    throw new UnsupportedError(what, why, { cause });
  }
  throw tracingFailure(program, what, -result, cause);
}
