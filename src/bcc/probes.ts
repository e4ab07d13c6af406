/** Attaching functions to what happens in the kernel and in programs, and taking them off again. */
import { fstatSync, readdirSync } from "node:fs";
import { SkepError, UnsupportedError, nearestNames } from "../base/index.ts";
import { AttachFlags, AttachType, ProgType } from "../isa/index.ts";
import type { Kernel } from "../kernel/index.ts";
import { describeMap, openRawSocket } from "../kernel/linux/index.ts";
import type { BccProgram, BccUnit } from "../lang/c/index.ts";
import type { AttachRequest } from "../object/index.ts";
import { BinaryFile } from "../runtime/attachment/index.ts";
import { type AttachedProgram, attachProgram } from "../runtime/index.ts";
import { Attachments, type PlaceKind, checkProbeQuota } from "./attachments.ts";
import { XDPFlags } from "./constants.ts";
import {
  type Pattern,
  findBinaryFile,
  getKprobeFunctions,
  getTracepoints,
  getUserAddresses,
  probedFunction,
} from "./discovery.ts";
import { type BpfFunction, Loader, type LoadLog, typeName } from "./loader.ts";
import type { CompiledBpf } from "./compiled.ts";
import { MachineFacts } from "./facts.ts";
import type { EnabledProbe } from "./usdt/usdt.ts";

/** Where a function is attached in the kernel: `event`, or all functions that `eventRe` names. */
export interface KprobePlace {
  /** A function of the kernel; handlers of system calls by the names that any kernel has for them. */
  readonly event?: string;
  /** A regular expression for whole names. */
  readonly eventRe?: Pattern;
}

/** Where and what {@link Probes.attachKprobe} attaches. */
export interface KprobeOptions extends KprobePlace {
  readonly fnName: string;
  /** Bytes behind the function's start. */
  readonly eventOff?: number;
}

/** Where and what {@link Probes.attachKretprobe} attaches. */
export interface KretprobeOptions extends KprobePlace {
  readonly fnName: string;
  /** Calls that may be under way at once; more are missed. Default: the kernel's. */
  readonly maxactive?: number;
}

/** Where a function is attached in a program or library. */
export interface UprobePlace {
  /** A path, a program in `PATH`, or a library without its `lib`: `c`. */
  readonly name: string;
  /** A function of the file. */
  readonly sym?: string;
  /** Virtual address in the file's own numbering, instead of a function. */
  readonly addr?: number | bigint;
  /** Only this process, and the file as it sees it. */
  readonly pid?: number;
  /** Bytes behind the function's start. */
  readonly symOff?: number;
}

/** Where and what {@link Probes.attachUprobe} and {@link Probes.attachUretprobe} attach. */
export interface UprobeOptions extends UprobePlace {
  readonly fnName: string;
  /** All functions whose names begin with a match of this regular expression. */
  readonly symRe?: Pattern;
}

/** Samples that {@link Probes.attachPerfEvent} asks for. */
export interface PerfEventOptions {
  /** `PerfType.*` */
  readonly evType: number;
  /** `PerfSWConfig.*`, `PerfHWConfig.*`, or what the type has. */
  readonly evConfig: number | bigint;
  readonly fnName: string;
  /** Events between two samples. */
  readonly samplePeriod?: number;
  /** Samples a second, instead of a period. */
  readonly sampleFreq?: number;
  /** Only this process. */
  readonly pid?: number;
  /** Only this CPU. */
  readonly cpu?: number;
  /** Descriptor of the event that leads the group. */
  readonly groupFd?: number;
}

/** An event as `struct perf_event_attr` describes it, as far as programs can be attached to it. */
export interface PerfEventAttr {
  /** `PerfType.*`, or that of another event source. */
  readonly type: number;
  readonly config: number | bigint;
  readonly samplePeriod?: number;
  readonly sampleFreq?: number;
  /** Breakpoints (`PerfType.BREAKPOINT`): 1 read, 2 write, 4 execute; their address and length. */
  readonly bpType?: number;
  readonly bpAddr?: number;
  readonly bpLen?: number;
  /** Of event sources that take more. */
  readonly config1?: number;
  readonly config2?: number;
  readonly excludeUser?: boolean;
  readonly excludeKernel?: boolean;
}

/** What {@link Probes.attachPerfEventRaw} attaches, and to which events. */
export interface PerfEventRawOptions {
  readonly attr: PerfEventAttr;
  readonly fnName: string;
  readonly pid?: number;
  readonly cpu?: number;
  readonly groupFd?: number;
}

/** What runs where: the part of a program that attaches. */
export abstract class Probes extends MachineFacts {
  protected readonly loader: Loader;
  protected readonly kernel: Kernel;
  protected readonly unit: BccUnit;
  protected readonly attachments: Attachments = new Attachments();

  constructor(compiled: CompiledBpf, unit: BccUnit, kernel: Kernel, log?: LoadLog) {
    super();
    this.kernel = kernel;
    this.unit = unit;
    this.loader = new Loader(compiled.object, unit, kernel, log);
  }

  /**
   * Loads a function as a program of a type (`BPF.XDP`); again, it is what was loaded before. Throws SkepError (`no-function`) with near
   * names, VerifierError with the log and the C line.
   */
  loadFunc(fnName: string, progType: number, attachType?: number): BpfFunction {
    return this.loader.load(fnName, progType, attachType);
  }

  /** Loads all functions as programs of one type. */
  loadFuncs(progType: number = ProgType.KPROBE): BpfFunction[] {
    return this.loader.functionNames.map((name) => this.loader.load(name, progType));
  }

  protected attach(kind: PlaceKind, event: string, fn: BpfFunction, request: AttachRequest): AttachedProgram {
    const attached = attachProgram(this.kernel, this.loader.loadedObject(fn.name), fn.name, request);
    this.attachments.add(kind, event, { fn: fn.name, place: attached });
    return attached;
  }

  /** Attaches to all of several places, leaving out those that the kernel refuses unless it refuses all. */
  private attachEach<T>(what: string, places: Iterable<T>, attach: (place: T) => void): void {
    let count = 0;
    let first: unknown;
    let attached = 0;
    for (const place of places) {
      count++;
      try {
        attach(place);
        attached++;
      } catch (error) {
        first ??= error;
      }
    }
    if (attached > 0) return;
    if (first !== undefined) throw first;
    if (count === 0) throw new UnsupportedError(what, "nothing of this machine matches");
  }

  private kernelProbe(kind: "kprobe" | "kretprobe", options: KprobeOptions & KretprobeOptions): this {
    const { event, eventRe, fnName } = options;
    if (eventRe !== undefined) {
      this.loader.known(fnName);
      const found = getKprobeFunctions(eventRe);
      checkProbeQuota(found.size);
      const { eventRe: _, ...rest } = options;
      this.attachEach(`${kind}s ${String(eventRe)}`, found, (one) => this.kernelProbe(kind, { ...rest, event: one }));
      return this;
    }
    if (event === undefined || event === "") throw usage(`${kind}: event or eventRe must be given`);
    const { func, offset } = placeOf(event, options.eventOff);
    checkProbeQuota(1);
    const fn = this.loadFunc(fnName, ProgType.KPROBE);
    this.attach(kind, keyOf(func, offset), fn, {
      kind: "kprobe",
      func,
      offset,
      isReturn: kind === "kretprobe",
      ...(options.maxactive === undefined || options.maxactive === 0 ? {} : { maxActive: options.maxactive }),
    });
    return this;
  }

  /**
   * Runs a function whenever a function of the kernel is entered. Throws UnsupportedError with near names when there is none of that name or
   * it cannot be probed, and for a kernel without kprobes.
   */
  attachKprobe(options: KprobeOptions): this {
    return this.kernelProbe("kprobe", options);
  }

  /** Runs a function whenever a function of the kernel returns. Throws as {@link attachKprobe}. */
  attachKretprobe(options: KretprobeOptions): this {
    return this.kernelProbe("kretprobe", options);
  }

  /** Takes off what `attachKprobe` attached: all functions there, or one. Throws SkepError (`not-attached`) with near names. */
  detachKprobe(options: { readonly event: string; readonly fnName?: string; readonly eventOff?: number }): void {
    const { func, offset } = placeOf(options.event, options.eventOff);
    this.attachments.detach("kprobe", keyOf(func, offset), options.fnName);
  }

  /** Takes off what `attachKretprobe` attached. */
  detachKretprobe(options: { readonly event: string; readonly fnName?: string }): void {
    this.attachments.detach("kretprobe", keyOf(placeOf(options.event).func, 0), options.fnName);
  }

  /** Runs a function at a tracepoint (`sched:sched_switch`), or at all that begin with a match. */
  attachTracepoint(options: { readonly tp?: string; readonly tpRe?: Pattern; readonly fnName: string }): this {
    const { tp, tpRe, fnName } = options;
    if (tpRe !== undefined) {
      this.loader.known(fnName);
      const attach = (one: string): unknown => this.attachTracepoint({ tp: one, fnName });
      this.attachEach(`tracepoints ${String(tpRe)}`, getTracepoints(tpRe), attach);
      return this;
    }
    const [, category, name] = /^([^:]+):([^:]+)$/.exec(tp ?? "") ?? [];
    if (category === undefined || name === undefined)
      throw usage(`tracepoint ${tp ?? ""}: a category and a name are wanted: sched:sched_switch`);
    const fn = this.loadFunc(fnName, ProgType.TRACEPOINT);
    this.attach("tracepoint", `${category}:${name}`, fn, { kind: "tracepoint", category, name });
    return this;
  }

  /** Takes off what `attachTracepoint` attached. */
  detachTracepoint(options: { readonly tp: string; readonly fnName?: string }): void {
    this.attachments.detach("tracepoint", options.tp, options.fnName);
  }

  /** Runs a function at a tracepoint, with the tracepoint's own arguments: `sched_switch`. */
  attachRawTracepoint(options: { readonly tp: string; readonly fnName: string }): this {
    const { tp, fnName } = options;
    if (this.attachments.has("raw tracepoint", tp)) throw attachedAlready("raw tracepoint", tp);
    const fn = this.loadFunc(fnName, ProgType.RAW_TRACEPOINT);
    this.attach("raw tracepoint", tp, fn, { kind: "raw-tracepoint", name: tp });
    return this;
  }

  /** Takes off what `attachRawTracepoint` attached. */
  detachRawTracepoint(options: { readonly tp: string }): void {
    this.attachments.detach("raw tracepoint", options.tp);
  }

  private userProbe(kind: "uprobe" | "uretprobe", options: UprobeOptions): this {
    const { symRe, fnName, name } = options;
    if (symRe !== undefined) {
      this.loader.known(fnName);
      const addresses = getUserAddresses(name, symRe);
      checkProbeQuota(addresses.size);
      const { symRe: _, sym: __, ...rest } = options;
      const attach = (addr: bigint): unknown => this.userProbe(kind, { ...rest, addr });
      this.attachEach(`${kind}s ${name}:${String(symRe)}`, addresses, attach);
      return this;
    }
    const place = userPlace(kind, options);
    checkProbeQuota(1);
    const fn = this.loadFunc(fnName, ProgType.KPROBE);
    this.attach(kind, place.key, fn, {
      kind: "uprobe",
      path: place.path,
      fileOffset: place.fileOffset,
      isReturn: kind === "uretprobe",
      ...(place.pid === undefined ? {} : { pid: place.pid }),
    });
    return this;
  }

  /** Runs a function whenever a function of a program or library is entered. Throws UnsupportedError with near names. */
  attachUprobe(options: UprobeOptions): this {
    return this.userProbe("uprobe", options);
  }

  /** Runs a function whenever a function of a program or library returns. */
  attachUretprobe(options: UprobeOptions): this {
    return this.userProbe("uretprobe", options);
  }

  /** Takes off what `attachUprobe` attached. */
  detachUprobe(options: UprobePlace & { readonly fnName?: string }): void {
    this.attachments.detach("uprobe", userPlace("uprobe", options).key, options.fnName);
  }

  /** Takes off what `attachUretprobe` attached. */
  detachUretprobe(options: UprobePlace & { readonly fnName?: string }): void {
    this.attachments.detach("uretprobe", userPlace("uretprobe", options).key, options.fnName);
  }

  /** Runs the functions of enabled static probes at all their places. */
  protected attachUsdt({ probe, fn: fnName, pid }: EnabledProbe): void {
    const fn = this.loadFunc(fnName, ProgType.KPROBE);
    for (const { binPath, fileOffset, probe: place } of probe.places) {
      checkProbeQuota(1);
      this.attach("uprobe", uprobeKey(binPath, fileOffset, pid < 0 ? undefined : pid), fn, {
        kind: "uprobe",
        path: binPath,
        fileOffset,
        isReturn: false,
        ...(pid < 0 ? {} : { pid }),
        ...(place.semaphoreOffset === undefined ? {} : { refCtrOffset: place.semaphoreOffset }),
      });
    }
  }

  /** Runs a function at samples: of clocks and counters, on each CPU. Throws UnsupportedError for counters that the machine has not. */
  attachPerfEvent(options: PerfEventOptions): this {
    const { evType, evConfig, samplePeriod, sampleFreq, ...rest } = options;
    const attr = {
      type: evType,
      config: evConfig,
      ...(samplePeriod === undefined ? {} : { samplePeriod }),
      ...(sampleFreq === undefined ? {} : { sampleFreq }),
    };
    return this.attachPerfEventRaw({ attr, ...rest });
  }

  /** As {@link attachPerfEvent}, with all that an event may be: breakpoints, sources with more configuration, one side only. */
  attachPerfEventRaw({ attr, fnName, pid = -1, cpu = -1, groupFd = -1 }: PerfEventRawOptions): this {
    const { type, config, samplePeriod = 0, sampleFreq = 0, bpType, excludeUser, excludeKernel } = attr;
    if (samplePeriod > 0 === sampleFreq > 0) throw usage("perf event: either samplePeriod or sampleFreq must be given");
    const [config1, config2] = [attr.bpAddr ?? attr.config1, attr.bpLen ?? attr.config2];
    const fn = this.loadFunc(fnName, ProgType.PERF_EVENT);
    this.attach("perf event", `${type}:${config}`, fn, {
      kind: "perf-event",
      type,
      config,
      ...(samplePeriod > 0 ? { period: samplePeriod } : { frequencyHz: sampleFreq }),
      ...(pid < 0 ? {} : { pid }),
      ...(cpu < 0 ? {} : { cpus: [cpu] }),
      ...(groupFd < 0 ? {} : { groupFd }),
      ...(config1 === undefined ? {} : { config1 }),
      ...(config2 === undefined ? {} : { config2 }),
      ...(bpType === undefined ? {} : { breakpointType: bpType }),
      ...(excludeUser === true ? { only: "kernel" } : excludeKernel === true ? { only: "user" } : {}),
    });
    return this;
  }

  /** Takes off what `attachPerfEvent` attached. */
  detachPerfEvent(options: { readonly evType: number; readonly evConfig: number | bigint }): void {
    this.attachments.detach("perf event", `${options.evType}:${options.evConfig}`);
  }

  private tracing(kind: "kfunc" | "kretfunc" | "fmod_ret" | "lsm", name: string): this {
    const prefix = tracingPrefixes[kind];
    const fnName = name.startsWith(prefix) ? name : prefix + name;
    if (this.attachments.has(kind, fnName)) throw attachedAlready(kind, fnName);
    const fn = this.loadFunc(this.functionOf(prefix, fnName), kind === "lsm" ? ProgType.LSM : ProgType.TRACING);
    this.attach(kind, fnName, fn, { kind: "tracing" });
    return this;
  }

  /** `kfunc__FN` where the function is called `kfunc__vmlinux__FN`. */
  private functionOf(prefix: string, fnName: string): string {
    const names = this.loader.functionNames;
    const long = fnName.replace(prefix, `${prefix}vmlinux__`);
    return !names.includes(fnName) && names.includes(long) ? long : fnName;
  }

  private detachTracing(kind: "kfunc" | "kretfunc" | "fmod_ret" | "lsm", name: string): void {
    const prefix = tracingPrefixes[kind];
    this.attachments.detach(kind, name.startsWith(prefix) ? name : prefix + name);
  }

  /** Attaches a `KFUNC_PROBE` by its function's name. */
  attachKfunc(options: { readonly fnName: string }): this {
    return this.tracing("kfunc", options.fnName);
  }

  /** Takes off what `attachKfunc` attached. */
  detachKfunc(options: { readonly fnName: string }): void {
    this.detachTracing("kfunc", options.fnName);
  }

  /** Attaches a `KRETFUNC_PROBE` by its function's name. */
  attachKretfunc(options: { readonly fnName: string }): this {
    return this.tracing("kretfunc", options.fnName);
  }

  /** Takes off what `attachKretfunc` attached. */
  detachKretfunc(options: { readonly fnName: string }): void {
    this.detachTracing("kretfunc", options.fnName);
  }

  /** Attaches a `KMOD_RET` by its function's name. */
  attachFmodRet(options: { readonly fnName: string }): this {
    return this.tracing("fmod_ret", options.fnName);
  }

  /** Takes off what `attachFmodRet` attached. */
  detachFmodRet(options: { readonly fnName: string }): void {
    this.detachTracing("fmod_ret", options.fnName);
  }

  /** Attaches an `LSM_PROBE` by its hook's name. */
  attachLsm(options: { readonly fnName: string }): this {
    return this.tracing("lsm", options.fnName);
  }

  /** Takes off what `attachLsm` attached. */
  detachLsm(options: { readonly fnName: string }): void {
    this.detachTracing("lsm", options.fnName);
  }

  /** Runs a function on the packets that a device receives. `flags` are `XDPFlags.*`: how it is attached. */
  attachXdp(dev: string, fn: BpfFunction, flags: number = 0): void {
    const modes = [
      ["generic", XDPFlags.SKB_MODE],
      ["driver", XDPFlags.DRV_MODE],
      ["offload", XDPFlags.HW_MODE],
    ] as const;
    const mode = modes.find(([, flag]) => (flags & flag) !== 0)?.[0];
    if ((flags & XDPFlags.REPLACE) !== 0 && this.attachments.has("xdp", dev)) this.removeXdp(dev);
    this.attach("xdp", dev, fn, { kind: "xdp", device: dev, ...(mode === undefined ? {} : { mode }) });
  }

  /** Takes off what `attachXdp` attached to a device. */
  removeXdp(dev: string): void {
    this.attachments.detach("xdp", dev);
  }

  /** Lets a function filter the packets of a device; `fn.sock` is the descriptor that gives those it lets through, and never blocks. */
  attachRawSocket(fn: BpfFunction, dev: string): void {
    requireType(fn, ProgType.SOCKET_FILTER);
    const socket = openRawSocket(dev);
    try {
      const attached = attachProgram(this.kernel, this.loader.loadedObject(fn.name), fn.name, {
        kind: "socket",
        fd: socket.value,
      });
      const close = (): void => {
        attached.close();
        socket.close();
      };
      this.attachments.add("raw socket", dev, { fn: fn.name, place: { links: attached.links, close } });
    } catch (error) {
      socket.close();
      throw error;
    }
    fn.sock = socket.value;
  }

  /**
   * Attaches a function to a cgroup (a path or descriptor of its directory) or a map of sockets (its descriptor), as `attachType`
   * (`AttachType.*`) says. `flags`: 1 may be overridden below, 2 runs beside others.
   */
  attachFunc(fn: BpfFunction, target: string | number, attachType: number, flags: number = 0): void {
    this.attach("function", functionKey(target, attachType), fn, functionPlace(fn, target, attachType, flags));
  }

  /** Takes off what `attachFunc` attached. */
  detachFunc(fn: BpfFunction, target: string | number, attachType: number): void {
    this.attachments.detach("function", functionKey(target, attachType), fn.name);
  }

  /** Attaches what its name says. */
  protected attachByName({ kind, name, target }: BccProgram): void {
    switch (kind) {
      case "kprobe":
        this.attachKprobe({ event: target, fnName: name });
        break;
      case "kretprobe":
        this.attachKretprobe({ event: target, fnName: name });
        break;
      case "tracepoint":
        this.attachTracepoint({ tp: target, fnName: name });
        break;
      case "raw_tracepoint":
        this.attachRawTracepoint({ tp: target, fnName: name });
        break;
      case "kfunc":
      case "kretfunc":
      case "lsm":
        this.tracing(kind, name);
        break;
      default:
        throw new TypeError(`function ${name}: its name does not say where it goes`);
    }
  }

  /** Functions of the kernel that are probed, entries and returns. */
  numOpenKprobes(): number {
    return this.attachments.count("kprobe", "kretprobe");
  }

  /** Places in programs and libraries that are probed. */
  numOpenUprobes(): number {
    return this.attachments.count("uprobe", "uretprobe");
  }

  /** Tracepoints that are attached to. */
  numOpenTracepoints(): number {
    return this.attachments.count("tracepoint");
  }
}

const tracingPrefixes = { kfunc: "kfunc__", kretfunc: "kretfunc__", fmod_ret: "kmod_ret__", lsm: "lsm__" } as const;

function usage(message: string): SkepError {
  return new SkepError("usage", message, { exitStatus: 2 });
}

function attachedAlready(kind: PlaceKind, event: string): SkepError {
  return new SkepError("attached", `${kind} ${event}: is attached already: detach it first`, { exitStatus: 2 });
}

function requireType(fn: BpfFunction, type: number): void {
  if (fn.type !== type)
    throw usage(`function ${fn.name}: was loaded as ${typeName(fn.type)}, and ${typeName(type)} is wanted`);
}

/** `func+0x10` and an offset. */
function placeOf(event: string, offset: number = 0): { readonly func: string; readonly offset: number } {
  const [, func = event, more = "0"] = /^([^+]+)\+(0x[0-9a-fA-F]+|\d+)$/.exec(event) ?? [];
  return { func, offset: offset + Number(more) };
}

/** The same for all names of one function. */
function keyOf(func: string, offset: number): string {
  const name = probedFunction(func);
  return offset === 0 ? name : `${name}+0x${offset.toString(16)}`;
}

function uprobeKey(path: string, fileOffset: number, pid: number | undefined): string {
  return `${path}:0x${fileOffset.toString(16)}${pid === undefined ? "" : ` of process ${pid}`}`;
}

/** Where in which file. */
function userPlace(
  kind: string,
  { name, sym = "", addr, pid: given = -1, symOff = 0 }: UprobePlace,
): { readonly path: string; readonly fileOffset: number; readonly pid: number | undefined; readonly key: string } {
  const what = `${kind} ${name}:${sym === "" ? `0x${(addr ?? 0).toString(16)}` : sym}`;
  if (symOff < 0) throw new RangeError(`${what}: symOff ${symOff} is before the function`);
  if (sym === "" && addr === undefined) throw usage(`${kind} ${name}: sym, symRe or addr must be given`);
  if (sym !== "" && addr !== undefined) throw usage(`${what}: either sym or addr may be given`);
  const pid = given < 0 ? undefined : given;
  const path = findBinaryFile(name, pid);
  if (path === undefined) throw new UnsupportedError(what, notFound(name, pid));
  using binary = new BinaryFile(what, path);
  let fileOffset: number | undefined;
  if (addr === undefined) {
    const found = binary.requireFunction(what, sym);
    if (found.size > 0 && symOff >= found.size)
      throw new UnsupportedError(what, `${sym} has ${found.size} bytes: the offset is outside of it`);
    fileOffset = found.fileOffset + symOff;
  } else {
    fileOffset = binary.codeOffset(BigInt(addr));
    if (fileOffset === undefined) throw new UnsupportedError(what, `${path} has no code at that address`);
  }
  return { path, fileOffset, pid, key: uprobeKey(path, fileOffset, pid) };
}

function notFound(name: string, pid: number | undefined): string {
  if (name.includes("/")) return "there is no such file";
  const where = pid === undefined ? "in the linker's cache or in PATH" : `among what process ${pid} has mapped`;
  const near = pid === undefined ? nearestNames(name, libraries()) : [];
  const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
  return `there is no library lib${name} and no program ${name} ${where}${hint}`;
}

/** Names of libraries in the usual directories, without `lib` and `.so`. */
function libraries(): string[] {
  return ["/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"].flatMap((directory) => {
    try {
      return readdirSync(directory).flatMap((file) => /^lib(.+?)\.so/.exec(file)?.[1] ?? []);
    } catch {
      return [];
    }
  });
}

function functionKey(target: string | number, attachType: number): string {
  return `${target} (attach type ${attachType})`;
}

const attachTypeNames: ReadonlyMap<number, string> = new Map(
  Object.entries(AttachType).map(([name, type]) => [type, name]),
);

function functionPlace(fn: BpfFunction, target: string | number, attachType: number, flags: number): AttachRequest {
  const name = attachTypeNames.get(attachType) ?? String(attachType);
  const what = `function ${fn.name} as ${name}`;
  if (typeof target === "number") {
    try {
      fstatSync(target);
    } catch (cause) {
      throw new SkepError("usage", `${what}: ${target} is no open descriptor`, { cause, exitStatus: 2 });
    }
  }
  if (/^(?:CGROUP_|LSM_CGROUP)/.test(name)) {
    const mode =
      (flags & AttachFlags.ALLOW_MULTI) !== 0
        ? "multi"
        : (flags & AttachFlags.ALLOW_OVERRIDE) !== 0
          ? "override"
          : "exclusive";
    return { kind: "cgroup", path: typeof target === "number" ? `/proc/self/fd/${target}` : target, mode };
  }
  if (/^SK_(?:SKB|MSG)_/.test(name) && typeof target === "number")
    return { kind: "sockmap", mapId: describeMap(target).id };
  if (attachType === AttachType.FLOW_DISSECTOR || attachType === AttachType.SK_LOOKUP) return { kind: "netns" };
  if (attachType === AttachType.LIRC_MODE2 && typeof target === "string") return { kind: "lirc", path: target };
  throw new UnsupportedError(what, "there is no place of this kind to attach a function to");
}
