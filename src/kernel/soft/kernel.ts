/** The software kernel: what runs the objects of the Linux kernel in this process, on any machine. */
import { SkepError, SyscallError, UnsupportedError } from "../../base/index.ts";
import type { Btf } from "../../btf/index.ts";
import { MapType, PseudoImm64, helperById } from "../../isa/index.ts";
import { needsResolving, resolveObject } from "../../object/index.ts";
import type { AttachSpec, BpfObject, MapSpec, ProgramSpec, Relocation } from "../../object/index.ts";
import {
  type Machine,
  TAIL_CALL,
  VmMemory,
  VmProgram,
  addressOf,
  argument,
  setResult,
  setSmallResult,
} from "../../vm/index.ts";
import { Errno, errnoName } from "../errno.ts";
import type {
  Kernel,
  KernelMap,
  KernelProgram,
  Link,
  LoadOptions,
  LoadedObject,
  Owner,
  RingReader,
} from "../kernel.ts";
import { Environment } from "./environment.ts";
import { basicHelpers } from "./helpers/basics.ts";
import { type ForeignMemory, type Helper, HelperCall, type HelperServices } from "./helpers/call.ts";
import { mapHelpers } from "./helpers/maps.ts";
import { packetHelpers } from "./helpers/packets.ts";
import { SoftMapHandle } from "./map-handle.ts";
import { ArrayMap, DescriptorArray } from "./maps/array.ts";
import { createSoftMap } from "./maps/create.ts";
import type { MapHost, SoftMap } from "./maps/map.ts";
import { RingMap } from "./maps/ring.ts";
import { Packet, type PacketOptions } from "./packets.ts";
import { type ExecutionMode, SoftProgram } from "./program.ts";

/** How to make a software kernel. */
export interface SoftKernelOptions {
  /** Default 4. */
  readonly possibleCpus?: number;
  /** Bytes of memory for maps, stacks and contexts; default 256 MiB. */
  readonly memory?: number;
  readonly environment?: Environment;
  /** Default compiled. */
  readonly mode?: ExecutionMode;
  /** Types that CO-RE relocations are resolved against; without them, objects that have some are refused. */
  readonly btf?: Btf;
  /** Major and minor of the kernel that programs see (`LINUX_KERNEL_VERSION`); default 6.18. */
  readonly version?: readonly [number, number];
  /** Lines that programs print. */
  readonly trace?: (text: string) => void;
  /** Records of perf event arrays. */
  readonly perfEvent?: (map: string, cpu: number, bytes: Uint8Array) => void;
}

const DEFAULT_VERSION = [6, 18] as const;
/** Most programs one after the other by tail calls (MAX_TAIL_CALL_CNT of the kernel). */
const MOST_TAIL_CALLS = 33;

const helpers: Readonly<Record<string, Helper>> = { ...basicHelpers, ...mapHelpers, ...packetHelpers };

/** `PERF_TYPE_SOFTWARE`. */
const PERF_TYPE_SOFTWARE = 1;
/** Bytes of `struct bpf_perf_event_data`, more than any machine has. */
const PERF_CONTEXT_BYTES = 512;

/** A program at a hook. */
export interface Attached {
  readonly program: SoftProgram;
  /** What `bpf_get_attach_cookie` answers. */
  readonly cookie: bigint;
}

/** What a program did with a packet. */
export interface PacketResult {
  /** r0, 32 bits unsigned. */
  readonly verdict: number;
  /** The packet from where programs see it. */
  readonly packet: Uint8Array;
  readonly redirect?: { readonly ifindex: number; readonly flags: number };
}

/** A clock that a program is attached to. */
interface Timer {
  readonly program: SoftProgram;
  /** Nanoseconds. */
  readonly period: bigint;
  /** When it strikes; unset until it is first looked at. */
  next: bigint | undefined;
}

/** Numbers of the helpers that exist here. */
function helperOf(id: number): Helper | undefined {
  const name = helperById(id)?.name.replace(/^bpf_/, "");
  return name === undefined ? undefined : helpers[name];
}

/** An object in the software kernel. */
class SoftObject implements LoadedObject {
  readonly object: BpfObject;
  private readonly maps: ReadonlyMap<string, SoftMapHandle>;
  private readonly programs: ReadonlyMap<string, SoftProgram>;

  constructor(object: BpfObject, maps: ReadonlyMap<string, SoftMapHandle>, programs: ReadonlyMap<string, SoftProgram>) {
    this.object = object;
    this.maps = maps;
    this.programs = programs;
  }

  map(name: string): SoftMapHandle {
    const map = this.maps.get(name);
    if (map === undefined) throw new RangeError(`map ${name}: the object has none of this name`);
    return map;
  }
  program(name: string): SoftProgram {
    const program = this.programs.get(name);
    if (program === undefined) throw new RangeError(`program ${name}: the object has none of this name`);
    return program;
  }
  close(): void {
    for (const program of this.programs.values()) program.close();
    for (const map of this.maps.values()) map.close();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

/** A software kernel. */
export class SoftKernel implements Kernel {
  readonly name: "soft" = "soft" as const;
  readonly possibleCpus: number;
  readonly memory: VmMemory;
  readonly environment: Environment;
  /** What probe reads find beside the memory of programs. Whoever fires hooks sets it before each. */
  foreignMemory: readonly ForeignMemory[] = [];
  private readonly mode: ExecutionMode;
  private readonly options: SoftKernelOptions;
  private readonly mapsById = new Map<number, SoftMap>();
  /** Maps by what programs know them as: the offset of bytes that nobody may touch. */
  private readonly mapsByToken = new Map<number, SoftMap>();
  private readonly tokens = new Map<number, number>();
  private readonly programsById = new Map<number, SoftProgram>();
  private readonly hooks = new Map<string, Set<Attached>>();
  private packet: Packet | undefined;
  private packetType = 0;
  private readonly timers = new Set<Timer>();
  /** Grows whenever something is attached or taken off. */
  generation = 0;
  private readonly services: HelperServices;
  private readonly mapHost: MapHost;
  private nextId = 1;
  private tailCalls = 0;
  private timed = 0;

  constructor(options: SoftKernelOptions = {}) {
    this.options = options;
    this.possibleCpus = options.possibleCpus ?? 4;
    this.memory = new VmMemory(options.memory === undefined ? {} : { limit: options.memory });
    this.environment = options.environment ?? new Environment();
    this.mode = options.mode ?? "compiled";
    this.mapHost = {
      memory: this.memory,
      possibleCpus: this.possibleCpus,
      cpu: () => this.environment.cpu,
      mapById: (id) => this.mapsById.get(id),
      tokenOf: (id) => this.tokens.get(id) ?? 0,
    };
    this.services = {
      environment: this.environment,
      records: new Map(),
      packet: () => this.packet,
      programType: () => this.packetType,
      foreign: () => this.foreignMemory,
      mapAt: (offset) => this.mapsByToken.get(offset),
      trace: (text) => options.trace?.(text),
      perfOutput: (map, cpu, bytes) => this.perfOutput(map, cpu, bytes),
    };
  }

  /**
   * Creates maps, fills them, and takes programs. All or nothing. Throws SyscallError for maps that the kernel would refuse,
   * ParseError for programs that are none, UnsupportedError for helpers and symbols that are not here.
   */
  load(unresolved: BpfObject, options: LoadOptions = {}): LoadedObject {
    const object = this.resolved(unresolved, options);
    const maps = new Map<string, SoftMapHandle>();
    const programs = new Map<string, SoftProgram>();
    const made: Owner[] = [];
    try {
      for (const spec of object.maps) {
        const reused = options.reuse?.get(spec.name);
        if (reused !== undefined && !(reused instanceof SoftMapHandle))
          throw new TypeError(`map ${spec.name}: belongs to another kernel`);
        const handle = reused ?? this.createMap(spec, options.maxEntries?.get(spec.name));
        if (reused === undefined) made.push(handle);
        maps.set(spec.name, handle);
      }
      for (const spec of object.programs) {
        if (spec.autoload === false) continue;
        const program = this.loadProgram(spec, maps);
        made.push(program);
        programs.set(spec.name, program);
      }
      for (const spec of object.maps) this.fillSlots(spec, maps, programs);
    } catch (error) {
      for (const owner of made) owner.close();
      throw error;
    }
    return new SoftObject(object, maps, programs);
  }

  /** The object with this kernel's answers to what it asks: CO-RE, options, symbols. */
  private resolved(object: BpfObject, options: LoadOptions): BpfObject {
    if (!needsResolving(object)) return object;
    const [major, minor] = this.options.version ?? DEFAULT_VERSION;
    const facts = {
      btf: options.coreBtf ?? this.options.btf,
      moduleBtfs: () => [],
      kernelOption: () => undefined,
      versionCode: (major << 16) | (minor << 8),
      hasBpfCookie: true,
      hasSyscallWrapper: true,
      symbolAddress: () => undefined,
    };
    const { coreBtf, kconfig } = options;
    return resolveObject(object, facts, {
      ...(coreBtf === undefined ? {} : { coreBtf }),
      ...(kconfig === undefined ? {} : { kconfig }),
    }).object;
  }

  private createMap(declared: MapSpec, maxEntries: number | undefined): SoftMapHandle {
    const wanted = maxEntries ?? declared.maxEntries;
    // As loaders do: one entry for each CPU.
    const entries = declared.type === MapType.PERF_EVENT_ARRAY && wanted === 0 ? this.possibleCpus : wanted;
    const spec = { ...declared, maxEntries: entries };
    const id = this.nextId++;
    const map = createSoftMap(spec, id, this.mapHost);
    if (typeof map === "number")
      throw new SyscallError("bpf(BPF_MAP_CREATE)", -map, errnoName(-map), `map ${spec.name}`);
    const token = this.memory.allocate(8);
    this.memory.forbid(token, 8);
    this.mapsById.set(id, map);
    this.mapsByToken.set(token, map);
    this.tokens.set(id, token);
    const handle = new SoftMapHandle(map, () => {
      this.mapsById.delete(id);
      this.mapsByToken.delete(token);
      this.tokens.delete(id);
      this.memory.release(token, 8);
      map.close();
    });
    if (spec.initialValue !== undefined) {
      const value = new Uint8Array(map.userValueSize);
      value.set(spec.initialValue.subarray(0, value.length));
      handle.update(new Uint8Array(4), value);
      if (spec.frozen === true && map instanceof ArrayMap) map.restrict("read");
    }
    return handle;
  }

  private fillSlots(
    spec: MapSpec,
    maps: ReadonlyMap<string, SoftMapHandle>,
    programs: ReadonlyMap<string, SoftProgram>,
  ): void {
    for (const slot of spec.slots ?? []) {
      const id = "map" in slot ? maps.get(slot.map)?.map.id : programs.get(slot.program)?.id;
      if (id === undefined) continue;
      const key = new Uint8Array(new Uint32Array([slot.index]).buffer);
      maps.get(spec.name)!.update(key, new Uint8Array(new Uint32Array([id]).buffer));
    }
  }

  private loadProgram(spec: ProgramSpec, maps: ReadonlyMap<string, SoftMapHandle>): SoftProgram {
    const relocations = new Map(spec.relocations.map((r) => [r.insnIndex, r]));
    const code = new VmProgram(spec.code, {
      name: `program ${spec.name}`,
      resolve: (insn, slot) => this.resolve(relocations.get(slot), insn.src, maps),
    });
    for (const [slot, insn] of code.insns.entries()) {
      if (insn?.opcode !== 0x85 || insn.src === 1) continue;
      const isKnown = insn.src === 0 && (insn.imm === TAIL_CALL || helperOf(insn.imm) !== undefined);
      if (isKnown) continue;
      const name = insn.src === 0 ? (helperById(insn.imm)?.name ?? `number ${insn.imm}`) : "a kernel function";
      throw new UnsupportedError(
        `program ${spec.name}`,
        `instruction ${slot} calls ${name}, which the software kernel has not`,
      );
    }
    const id = this.nextId++;
    const host = {
      helper: (helper: number, machine: Machine): boolean => this.helper(helper, machine),
      tailCall: (machine: Machine): boolean => this.tailCall(machine),
      packet: (_context: bigint, offset: number, size: 1 | 2 | 4): number | undefined => this.packetLoad(offset, size),
    };
    const program = new SoftProgram(spec, id, code, this.memory, host, this.mode, () => this.programsById.delete(id));
    program.timed = this.timed > 0;
    this.programsById.set(id, program);
    return program;
  }

  private resolve(
    relocation: Relocation | undefined,
    kind: number,
    maps: ReadonlyMap<string, SoftMapHandle>,
  ): bigint | undefined {
    if (relocation === undefined) return undefined;
    if (relocation.kind === "map") {
      const map = maps.get(relocation.map)?.map;
      const token = map === undefined ? undefined : this.tokens.get(map.id);
      if (token !== undefined) return addressOf(token);
    }
    if (relocation.kind === "map-value" && kind === PseudoImm64.MAP_VALUE) {
      const map = maps.get(relocation.map)?.map;
      if (map instanceof ArrayMap) return addressOf(map.base + relocation.offset);
    }
    return undefined;
  }

  private helper(id: number, machine: Machine): boolean {
    const helper = helperOf(id);
    if (helper === undefined) return false;
    const result = helper(new HelperCall(machine, this.services));
    if (typeof result === "bigint") setResult(this.memory, result);
    else setSmallResult(this.memory, result ?? 0);
    return true;
  }

  /** `bpf_tail_call(ctx, map, index)`. */
  private tailCall(machine: Machine): boolean {
    const map = new HelperCall(machine, this.services).map(1);
    const index = Number(argument(this.memory, 2) & 0xffff_ffffn);
    const id = map instanceof DescriptorArray && map.spec.type === MapType.PROG_ARRAY ? map.idAt(index) : 0;
    const program = this.programsById.get(id);
    if (program === undefined || this.tailCalls >= MOST_TAIL_CALLS) {
      setSmallResult(this.memory, -Errno.ENOENT);
      return false;
    }
    const context = argument(this.memory, 0);
    this.tailCalls++;
    try {
      setResult(this.memory, program.replace(context));
    } finally {
      this.tailCalls--;
    }
    return true;
  }

  /** LD_ABS and LD_IND: packet bytes in network order, as a number. */
  private packetLoad(offset: number, size: 1 | 2 | 4): number | undefined {
    const at = this.packet?.at(offset, size) ?? -1;
    if (at < 0) return undefined;
    const { view } = this.memory;
    return size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at) : view.getUint32(at);
  }

  private perfOutput(map: SoftMap, cpu: number, bytes: Uint8Array): number {
    if (cpu >= map.spec.maxEntries) return -Errno.E2BIG;
    if (!(map instanceof DescriptorArray) || this.options.perfEvent === undefined) return -Errno.ENOENT;
    this.options.perfEvent(map.spec.name, cpu, bytes.slice());
    return 0;
  }

  attach(program: KernelProgram, spec: AttachSpec): Link {
    if (!(program instanceof SoftProgram))
      throw new TypeError(`program ${program.spec.name}: was loaded into another kernel`);
    if (spec.kind === "perf-event") return this.attachTimer(program, spec);
    const places = hooksOf(program, spec);
    const cookies = "cookies" in spec ? spec.cookies : undefined;
    const cookie = "cookie" in spec ? (spec.cookie ?? 0) : 0;
    const attached = places.map((place, i) => ({ place, at: { program, cookie: BigInt(cookies?.[i] ?? cookie) } }));
    for (const { place, at } of attached) {
      let programs = this.hooks.get(place);
      if (programs === undefined) this.hooks.set(place, (programs = new Set()));
      programs.add(at);
    }
    this.generation++;
    const close = (): void => {
      for (const { place, at } of attached) this.hooks.get(place)?.delete(at);
      this.generation++;
    };
    return { spec, close, [Symbol.dispose]: close };
  }

  /** Clocks run with the time of the environment, when {@link tick} is called; there are no samples of what runs on each CPU. */
  private attachTimer(program: SoftProgram, spec: Extract<AttachSpec, { kind: "perf-event" }>): Link {
    if (spec.type !== PERF_TYPE_SOFTWARE || Number(spec.config) !== 0 || spec.cpus?.length !== 1)
      throw new UnsupportedError(
        `program ${program.spec.name}`,
        "the software kernel has clocks (interval), no samples and counters",
      );
    const hz = spec.frequencyHz;
    const period = hz === undefined ? BigInt(spec.period ?? 1) : 1_000_000_000n / BigInt(hz);
    const timer: Timer = { program, period, next: undefined };
    this.timers.add(timer);
    const close = (): void => void this.timers.delete(timer);
    return { spec, close, [Symbol.dispose]: close };
  }

  /** Runs the programs of clocks that have struck up to now. */
  tick(): void {
    if (this.timers.size === 0) return;
    const now = this.environment.ktime();
    for (const timer of this.timers) {
      timer.next ??= now + timer.period;
      for (; timer.next <= now; timer.next += timer.period) {
        const at = this.memory.allocate(PERF_CONTEXT_BYTES);
        try {
          timer.program.runAt(at);
        } finally {
          this.memory.release(at, PERF_CONTEXT_BYTES);
        }
      }
    }
  }

  /** How full the fullest ring buffer is: 0 to 1. */
  ringShare(): number {
    let share = 0;
    for (const map of this.mapsById.values())
      if (map instanceof RingMap) share = Math.max(share, map.query(0) / map.spec.maxEntries);
    return share;
  }

  detach(links: readonly Link[]): Promise<void> {
    for (const link of links) link.close();
    return Promise.resolve();
  }

  /**
   * Runs the programs of a hook, such as `tracepoint:sched:sched_switch` or `kprobe:vfs_read`, one after the other, on a context of these bytes. Returns what
   * each returned.
   */
  fire(hook: string, context: Uint8Array): bigint[] {
    const programs = this.hooks.get(hook);
    if (programs === undefined || programs.size === 0) return [];
    const at = this.memory.allocate(Math.max(context.length, 8));
    try {
      this.memory.bytes.set(context, at);
      return [...programs].map(({ program, cookie }) => {
        this.environment.cookie = cookie;
        return program.run(addressOf(at));
      });
    } finally {
      this.memory.release(at, Math.max(context.length, 8));
    }
  }

  /** Runs a program of a type that takes packets on one: its verdict, the packet afterwards, and where it was redirected. */
  runPacket(program: SoftProgram, bytes: Uint8Array, options: PacketOptions = {}): PacketResult {
    const packet = new Packet(this.memory, program.spec.type, bytes, options);
    const outer = this.packet;
    const outerType = this.packetType;
    this.packet = packet;
    this.packetType = program.spec.type;
    try {
      const verdict = Number(BigInt.asUintN(32, program.run(addressOf(packet.context))));
      return {
        verdict,
        packet: packet.bytes(),
        ...(packet.redirect === undefined ? {} : { redirect: packet.redirect }),
      };
    } finally {
      this.packet = outer;
      this.packetType = outerType;
      packet.close();
    }
  }

  /** What is attached to a hook, in the order of attaching. */
  attachedTo(hook: string): readonly Attached[] {
    const programs = this.hooks.get(hook);
    return programs === undefined ? [] : [...programs];
  }

  /** Hooks that programs are attached to. */
  attachedHooks(): string[] {
    return [...this.hooks].filter(([, programs]) => programs.size > 0).map(([hook]) => hook);
  }

  ringReader(map: KernelMap): RingReader {
    if (!(map instanceof SoftMapHandle) || !(map.map instanceof RingMap))
      throw new TypeError(`map ${map.spec.name}: is no ring buffer of this kernel`);
    const ring = map.map;
    const stops = new Set<() => void>();
    const close = (): void => {
      for (const stop of stops) stop();
    };
    return {
      drain: (handler, limit = Number.POSITIVE_INFINITY) => ring.drain(handler, limit),
      onReadable(callback) {
        const stop = ring.onRecord(callback);
        stops.add(stop);
        return stop;
      },
      close,
      [Symbol.dispose]: close,
    };
  }

  enableStats(): Owner {
    const set = (change: number): void => {
      this.timed += change;
      for (const program of this.programsById.values()) program.timed = this.timed > 0;
    };
    set(1);
    let closed = false;
    const close = (): void => {
      if (!closed) set(-1);
      closed = true;
    };
    return { close, [Symbol.dispose]: close };
  }

  close(): void {
    for (const program of this.programsById.values()) program.close();
    this.hooks.clear();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

/** The hooks that a place to attach to is. Throws UnsupportedError for what the software kernel has not. */
function hooksOf(program: SoftProgram, spec: AttachSpec): string[] {
  switch (spec.kind) {
    case "tracepoint":
      return [`tracepoint:${spec.category}:${spec.name}`];
    case "raw-tracepoint":
      return [`raw_tracepoint:${spec.name}`];
    case "kprobe":
      return [`${spec.isReturn ? "kretprobe" : "kprobe"}:${spec.func}${spec.offset === 0 ? "" : `+${spec.offset}`}`];
    case "kprobe-multi":
      return spec.funcs.map((func) => `${spec.isReturn ? "kretprobe" : "kprobe"}:${func}`);
    case "tracing": {
      const target = program.spec.attachTo;
      if (target !== undefined) return [`tracing:${target}`];
      break;
    }
    case "uprobe":
      return [`${spec.isReturn ? "uretprobe" : "uprobe"}:${spec.path}:${spec.fileOffset}`];
    case "xdp":
    case "tcx":
    case "tc":
      return [`${spec.kind}:${spec.device}${"direction" in spec ? `:${spec.direction}` : ""}`];
    default:
  }
  throw new SkepError(
    "unsupported",
    `program ${program.spec.name}: the software kernel has no ${spec.kind} to attach to`,
    {
      exitStatus: 3,
    },
  );
}
