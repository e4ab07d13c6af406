/** From names to places: what a request to attach means on this machine. */
import { UnsupportedError, nearestNames } from "../../base/index.ts";
import { AttachType, ProgType } from "../../isa/index.ts";
import { BtfKind } from "../../btf/index.ts";
import { hasKernelBtf, kernelBtf } from "../../kernel/linux/index.ts";
import type { AttachRequest, AttachSpec, ProgramSpec } from "../../object/index.ts";
import { BinaryFile, findBinary } from "./binary-file.ts";
import { type AttachMachine, type TraceableFunction, requireArch } from "./machine.ts";

type RequestOf<Kind extends AttachRequest["kind"]> = Extract<AttachRequest, { kind: Kind }>;

/** Programs that the kernel attaches to many functions in one link. */
const kprobeMultiTypes: ReadonlySet<number> = new Set([AttachType.TRACE_KPROBE_MULTI, AttachType.TRACE_KPROBE_SESSION]);

/** Programs that the kernel attaches to many places of a binary in one link. */
const uprobeMultiTypes: ReadonlySet<number> = new Set([AttachType.TRACE_UPROBE_MULTI, AttachType.TRACE_UPROBE_SESSION]);

/** True when a program was loaded for many places of a binary at once. */
export function isUprobeMulti(program: ProgramSpec): boolean {
  return program.type === ProgType.KPROBE && uprobeMultiTypes.has(program.expectedAttachType);
}

function isKprobeMulti(program: ProgramSpec): boolean {
  return program.type === ProgType.KPROBE && kprobeMultiTypes.has(program.expectedAttachType);
}

/** A test for names: `*` is any text, `?` one character. */
export function globMatcher(pattern: string): (name: string) => boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*+/g, ".*")
    .replaceAll("?", ".");
  const regexp = new RegExp(`^${source}$`, "s");
  return (name) => regexp.test(name);
}

/** Prefixes of system call handlers, the one of today's kernels first. */
const syscallPrefixes: Readonly<Record<string, readonly string[]>> = {
  x86_64: ["__x64_sys_", "__se_sys_", "sys_"],
  aarch64: ["__arm64_sys_", "__se_sys_", "sys_"],
};

type Resolver<Kind extends AttachRequest["kind"]> = (
  program: ProgramSpec,
  request: RequestOf<Kind>,
  machine: AttachMachine,
) => AttachSpec[];

/** The cookie of a request, as lists have it. */
function cookiesOf(cookie: number | undefined, count: number): { cookies?: number[] } {
  return cookie === undefined || cookie === 0 ? {} : { cookies: Array.from({ length: count }, () => cookie) };
}

/** Handlers of system calls as kernels before Linux 4.17 called them, or those of another architecture call them. */
const syscallFunction = /^(?:__(?:x64|arm64|ia32|x32_compat|ia32_compat|s390x|s390|riscv|se)_)?sys_(\w+)$/;

/**
 * The function that a name means: that of the name where the kernel has one, or else the handler of the system call that it names, as
 * `sys_clone` is `__x64_sys_clone` today. Anything else stays as it is, for the kernel to refuse.
 */
export function kernelFunctionOf(name: string, machine: AttachMachine): string {
  const syscall = syscallFunction.exec(name)?.[1];
  const prefixes = machine.arch === undefined ? undefined : syscallPrefixes[machine.arch];
  if (syscall === undefined || prefixes === undefined) return name;
  const functions = machine.kernelFunctions();
  if (functions.has(name)) return name;
  const prefix = prefixes.find((each) => functions.has(each + syscall));
  return prefix === undefined ? name : prefix + syscall;
}

function kprobe(program: ProgramSpec, request: RequestOf<"kprobe">, machine: AttachMachine): AttachSpec[] {
  const func = kernelFunctionOf(request.func, machine);
  if (!isKprobeMulti(program) || request.offset !== 0) return [func === request.func ? request : { ...request, func }];
  const { isReturn, cookie } = request;
  return [{ kind: "kprobe-multi", funcs: [func], isReturn, ...cookiesOf(cookie, 1) }];
}

function kprobePattern(
  program: ProgramSpec,
  request: RequestOf<"kprobe-pattern">,
  machine: AttachMachine,
): AttachSpec[] {
  const { pattern, isReturn, cookie } = request;
  const what = `${isReturn ? "kretprobe" : "kprobe"} ${pattern}`;
  const multi = isKprobeMulti(program);
  if (!/[*?]/.test(pattern)) {
    const place = { func: pattern, offset: 0, isReturn, ...(cookie === undefined ? {} : { cookie }) };
    return kprobe(program, { kind: "kprobe", ...place }, machine);
  }
  if (machine.kprobesMissing !== undefined) throw new UnsupportedError(what, machine.kprobesMissing);
  const all = machine.traceableFunctions() ?? Array.from(machine.kernelFunctions(), (name) => ({ name }));
  if (all.length === 0) {
    const why =
      "this kernel tells no names of functions: neither available_filter_functions nor /proc/kallsyms can be read";
    throw new UnsupportedError(what, why);
  }
  const matches = globMatcher(pattern);
  // The first kernels with kprobe_multi find no functions of modules by name.
  const kernelOnly = multi && !machine.atLeast(6, 6);
  const wanted = ({ name, module }: TraceableFunction): boolean =>
    matches(name) && !(kernelOnly && module !== undefined);
  const funcs = [...new Set(all.filter(wanted).map(({ name }) => name))];
  if (funcs.length === 0) {
    const near = nearestNames(
      pattern.replace(/[*?]/g, ""),
      all.map(({ name }) => name),
    );
    const hint = near.length > 0 ? `; near are ${near.join(", ")}` : "";
    throw new UnsupportedError(what, `no function of this kernel that can be traced matches${hint}`);
  }
  if (multi) return [{ kind: "kprobe-multi", funcs, isReturn, ...cookiesOf(cookie, funcs.length) }];
  return funcs.map((func) => ({
    kind: "kprobe",
    func,
    offset: 0,
    isReturn,
    ...(cookie === undefined ? {} : { cookie }),
  }));
}

/** Functions of the kernel itself that a pattern names, and that both ftrace and the kernel's types know. */
function tracingPattern(
  _program: ProgramSpec,
  { pattern, cookie }: RequestOf<"tracing-pattern">,
  machine: AttachMachine,
): AttachSpec[] {
  const what = `traced functions ${pattern}`;
  const all = machine.traceableFunctions()?.filter(({ module }) => module === undefined);
  if (!/[*?]/.test(pattern)) return [{ kind: "tracing-multi", funcs: [pattern], ...cookiesOf(cookie, 1) }];
  if (all === undefined || !hasKernelBtf()) {
    throw new UnsupportedError(what, "this kernel does not tell which functions can be traced, or not their types");
  }
  const matches = globMatcher(pattern);
  const typed = new Set(kernelBtf().names(BtfKind.FUNC));
  const counts = new Map<string, number>();
  for (const { name } of all) if (matches(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
  // Of functions that share a name nobody knows which one the types tell.
  const funcs = [...counts].filter(([name, count]) => count === 1 && typed.has(name)).map(([name]) => name);
  if (funcs.length === 0) throw new UnsupportedError(what, "no function of this kernel that can be traced matches");
  return [{ kind: "tracing-multi", funcs, ...cookiesOf(cookie, funcs.length) }];
}

function ksyscall(program: ProgramSpec, request: RequestOf<"ksyscall">, machine: AttachMachine): AttachSpec[] {
  const { syscall, isReturn, cookie } = request;
  const what = `${isReturn ? "kretsyscall" : "ksyscall"} ${syscall}`;
  const prefixes = syscallPrefixes[requireArch(what, machine)]!;
  const functions = machine.kernelFunctions();
  const prefix = prefixes.find((each) => functions.has(each + syscall));
  if (prefix !== undefined) {
    const place = { func: prefix + syscall, offset: 0, isReturn, ...(cookie === undefined ? {} : { cookie }) };
    return kprobe(program, { kind: "kprobe", ...place }, machine);
  }
  const own = prefixes.find((each) => functions.has(`${each}read`));
  const calls =
    own === undefined
      ? []
      : [...functions].filter((name) => name.startsWith(own)).map((name) => name.slice(own.length));
  const near = nearestNames(syscall, calls);
  const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
  throw new UnsupportedError(what, `this kernel has no such system call${hint}`);
}

function uprobeSpec(program: ProgramSpec, request: RequestOf<"uprobe">): AttachSpec[] {
  if (!isUprobeMulti(program)) return [request];
  const { path, fileOffset, isReturn, pid, cookie, refCtrOffset } = request;
  return [
    {
      kind: "uprobe-multi",
      path,
      fileOffsets: [fileOffset],
      isReturn,
      ...(pid === undefined ? {} : { pid }),
      ...cookiesOf(cookie, 1),
      ...(refCtrOffset === undefined ? {} : { refCtrOffsets: [refCtrOffset] }),
    },
  ];
}

function uprobeSymbol(program: ProgramSpec, request: RequestOf<"uprobe-symbol">, machine: AttachMachine): AttachSpec[] {
  const { func, offset, isReturn, pid, cookie } = request;
  const place = func === "" ? `0x${offset.toString(16)}` : `${func}${offset > 0 ? `+${offset}` : ""}`;
  const what = `${isReturn ? "uretprobe" : "uprobe"} ${request.path}:${place}`;
  if (isReturn && offset !== 0 && func !== "")
    throw new UnsupportedError(what, "functions return from their start on: no offset with uretprobes");
  const path = findBinary(what, request.path, machine.arch ?? "", pid);
  using binary = new BinaryFile(what, path);
  let fileOffset: number;
  if (func === "") {
    const found = binary.codeOffset(BigInt(offset));
    if (found === undefined) throw new UnsupportedError(what, `${path} has no code at that address`);
    fileOffset = found;
  } else {
    const found = binary.requireFunction(what, func);
    if (found.size > 0 && offset >= found.size)
      throw new UnsupportedError(what, `${func} has ${found.size} bytes: the offset is outside of it`);
    fileOffset = found.fileOffset + offset;
  }
  return uprobeSpec(program, {
    kind: "uprobe",
    path,
    fileOffset,
    isReturn,
    ...(pid === undefined ? {} : { pid }),
    ...(cookie === undefined ? {} : { cookie }),
  });
}

function uprobePattern(
  program: ProgramSpec,
  request: RequestOf<"uprobe-pattern">,
  machine: AttachMachine,
): AttachSpec[] {
  const { pattern, isReturn, pid } = request;
  const what = `${isReturn ? "uretprobe" : "uprobe"} ${request.path}:${pattern}`;
  const path = findBinary(what, request.path, machine.arch ?? "", pid);
  using binary = new BinaryFile(what, path);
  const matches = globMatcher(pattern);
  const found = binary.functions().filter(({ name }) => matches(name));
  const fileOffsets = [...new Set(found.map(({ fileOffset }) => fileOffset))].toSorted((a, b) => a - b);
  if (fileOffsets.length === 0) {
    if (!/[*?]/.test(pattern)) binary.requireFunction(what, pattern);
    throw new UnsupportedError(what, `no function of ${path} matches`);
  }
  const process = pid === undefined ? {} : { pid };
  if (isUprobeMulti(program)) return [{ kind: "uprobe-multi", path, fileOffsets, isReturn, ...process }];
  return fileOffsets.map((fileOffset) => ({ kind: "uprobe", path, fileOffset, isReturn, ...process }));
}

/** Without the maps of `usdt.bpf.h` a program only learns that the probe was passed: `attachProgram` does the rest. */
function usdt(program: ProgramSpec, request: RequestOf<"usdt">, machine: AttachMachine): AttachSpec[] {
  const { provider, name, pid, cookie } = request;
  const what = `usdt ${request.path}:${provider}:${name}`;
  const path = findBinary(what, request.path, machine.arch ?? "", pid);
  using binary = new BinaryFile(what, path);
  const probes = binary.requireProbes(what, provider, name);
  const process = pid === undefined ? {} : { pid };
  if (isUprobeMulti(program)) {
    return [
      {
        kind: "uprobe-multi",
        path,
        fileOffsets: probes.map(({ fileOffset }) => fileOffset),
        refCtrOffsets: probes.map(({ semaphoreOffset }) => semaphoreOffset ?? 0),
        isReturn: false,
        ...process,
        ...cookiesOf(cookie, probes.length),
      },
    ];
  }
  return probes.map(({ fileOffset, semaphoreOffset }) => ({
    kind: "uprobe",
    path,
    fileOffset,
    isReturn: false,
    ...process,
    ...(cookie === undefined ? {} : { cookie }),
    ...(semaphoreOffset === undefined ? {} : { refCtrOffset: semaphoreOffset }),
  }));
}

/** Classifiers go to tcx where the kernel has it: what it holds is gone with the process, filters of netlink are not. */
function tc(program: ProgramSpec, request: RequestOf<"tc">, machine: AttachMachine): AttachSpec[] {
  const asksForFilter = request.priority !== undefined || request.handle !== undefined;
  if (asksForFilter || !machine.atLeast(6, 6)) return [request];
  return [{ kind: "tcx", device: request.device, direction: request.direction }];
}

const resolvers: { readonly [Kind in AttachRequest["kind"]]?: Resolver<Kind> } = {
  kprobe,
  "kprobe-pattern": kprobePattern,
  "tracing-pattern": tracingPattern,
  ksyscall,
  uprobe: uprobeSpec,
  "uprobe-symbol": uprobeSymbol,
  "uprobe-pattern": uprobePattern,
  usdt,
  tc,
};

/**
 * The places that a request stands for, for a program as it was loaded: functions of patterns, the handler of a system call, offsets of
 * functions in binaries. Several when the kernel attaches them one by one. Throws UnsupportedError, with near names, for what this machine
 * has not got.
 */
export function resolveAttachRequest(
  program: ProgramSpec,
  request: AttachRequest,
  machine: AttachMachine,
): AttachSpec[] {
  const resolve = resolvers[request.kind] as Resolver<AttachRequest["kind"]> | undefined;
  return resolve === undefined ? [request as AttachSpec] : resolve(program, request, machine);
}
