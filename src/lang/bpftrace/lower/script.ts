/** What all programs of a script share while they are lowered: the module, the plan as it grows, and the target kernel. */
import { lineColumnAt, SkepError, UnsupportedError } from "../../../base/index.ts";
import type { Span } from "../../../base/index.ts";
import { addMap, createModule } from "../../../compiler/builder.ts";
import type { Module, Position } from "../../../compiler/ir.ts";
import { helperByName, MapFlags, MapType } from "../../../isa/index.ts";
import type { CheckedScript, ProbeTarget } from "../checked.ts";
import type { TraceEnvironment } from "../environment.ts";
import { EVENT_RING, LOST_EVENTS } from "../plan.ts";
import type { EventAction, PlannedMap, PlannedProbe, PlannedStackMap } from "../plan.ts";
import { REGISTERS } from "./registers.ts";
import type { RegisterFile } from "./registers.ts";

/** The kernel that the programs will run on. */
export interface LowerTarget {
  /** Major and minor, such as `[6, 1]`. */
  readonly version: readonly [number, number];
}

/** A map of the script with its place in the object. */
export interface ScriptMap extends PlannedMap {
  /** Bytes of the key as the script's expression writes it, without what a bucketed map appends. */
  readonly keyBytes: number;
}

/**
 * Records that the event ring has room for when the script does not say how large it is, and bounds of its bytes. At a million lines a
 * second the records are a tenth of a second, which is what a reader on a busy machine may have to wait for a CPU.
 */
const RING_RECORDS = 100_000;
const MIN_RING_BYTES = 1 << 20;
const MAX_RING_BYTES = 8 << 20;
/** Events that a script prints by the million; of the others a few thousand may wait. */
const FREQUENT: ReadonlySet<string> = new Set(["printf", "errorf", "warnf", "print-value", "join"]);
/** Entries of a stack map: few enough to be ready at once, many enough that stacks of one program rarely collide. */
const STACK_ENTRIES = 16384;

/** State of one lowering. */
export class ScriptContext {
  readonly checked: CheckedScript;
  readonly env: TraceEnvironment;
  readonly target: LowerTarget;
  readonly module: Module;
  readonly registers: RegisterFile;
  readonly events: EventAction[] = [];
  readonly probes: PlannedProbe[] = [];
  readonly probeNames: string[] = [];
  readonly stackMaps: PlannedStackMap[] = [];
  /** By name with `@`. */
  readonly maps: Map<string, ScriptMap> = new Map();
  usesRing = false;
  /** Bytes. */
  largestRecord = 0;
  private readonly nameIndex = new Map<string, number>();
  private readonly functionNames = new Map<string, number>();
  private readonly lineStarts: number[] = [0];
  private readonly tables = new Map<string, string>();
  private constants = 0;

  constructor(checked: CheckedScript, env: TraceEnvironment, target: LowerTarget) {
    this.checked = checked;
    this.env = env;
    this.target = target;
    this.registers = REGISTERS[env.arch];
    this.module = createModule("script", checked.config.license);
    this.module.sources.push(checked.source);
    const { text } = checked.source;
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) this.lineStarts.push(at + 1);
  }

  /** True when the target kernel is of this version or later. */
  atLeast(major: number, minor: number): boolean {
    const [haveMajor, haveMinor] = this.target.version;
    return haveMajor > major || (haveMajor === major && haveMinor >= minor);
  }

  /** True when the target kernel has a helper of this name. */
  hasHelper(name: string): boolean {
    const [major = 0, minor = 0] = (helperByName(name)?.since ?? "999.0").split(".").map(Number);
    return this.atLeast(major, minor);
  }

  /** True when the target kernel knows its own types, so that helpers may return pointers to them. */
  get kernelHasBtf(): boolean {
    return this.env.hasBtf ?? this.env.btf !== null;
  }

  /** Id of a helper. @throws UnsupportedError when the target kernel lacks it. */
  helperId(name: string, span?: Span): number {
    const helper = helperByName(name);
    if (!helper) throw new RangeError(`helper ${name}: no such helper`);
    if (!this.hasHelper(name)) {
      const where = span ? `${this.place(span)}: ` : "";
      throw new UnsupportedError(
        helper.name,
        `${where}this needs Linux ${helper.since}, the kernel is ${this.target.version.join(".")}`,
      );
    }
    return helper.id;
  }

  /** Name, line and column of a span, for messages. */
  place(span: Span): string {
    const { line, column } = lineColumnAt(this.checked.source.text, span.start);
    return `${this.checked.source.name}:${line}:${column}`;
  }

  /** An error of lowering at a place in the script. */
  error(span: Span, message: string): SkepError {
    return new SkepError("script", `${this.place(span)}: ERROR: ${message}`, { exitStatus: 2 });
  }

  /** Line and column of an offset in the script. */
  position(offset: number): Position {
    let low = 0;
    let high = this.lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.lineStarts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return { source: 0, line: low + 1, column: offset - this.lineStarts[low]! + 1 };
  }

  /** Index of a probe's full name among those that `probe` values stand for. */
  probeName(name: string): number {
    let index = this.nameIndex.get(name);
    if (index === undefined) {
      index = this.probeNames.push(name) - 1;
      this.nameIndex.set(name, index);
    }
    return index;
  }

  /** A function name that is not taken, made of letters that the kernel allows in names. */
  functionName(base: string): string {
    const clean = base.replace(/[^A-Za-z0-9_]+/g, "_").replace(/^(?=\d)/, "_");
    const used = this.functionNames.get(clean) ?? 0;
    this.functionNames.set(clean, used + 1);
    return used === 0 ? clean : this.functionName(`${clean}_${used + 1}`);
  }

  /** Index of a new action for records. */
  event(action: EventAction): number {
    this.usesRing = true;
    return this.events.push(action) - 1;
  }

  /** Kernel map of stacks of a kind and depth, made at first use. */
  stackMap(of: "kernel" | "user", limit: number): string {
    const known = this.stackMaps.find((m) => m.of === of && m.limit === limit);
    if (known) return known.kernelMap;
    const kernelMap = `skep_${of === "kernel" ? "k" : "u"}stack_${limit}`;
    addMap(this.module, {
      name: kernelMap,
      type: MapType.STACK_TRACE,
      keySize: 4,
      valueSize: limit * 8,
      maxEntries: STACK_ENTRIES,
      flags: 0,
    });
    this.stackMaps.push({ of, limit, kernelMap });
    return kernelMap;
  }

  /** A map of one u64 that is always zero, which the verifier does not know. */
  zeroMap(): string {
    if (!this.module.maps.some((m) => m.name === ZERO)) {
      addMap(this.module, {
        name: ZERO,
        type: MapType.ARRAY,
        keySize: 4,
        valueSize: 8,
        maxEntries: 1,
        flags: MapFlags.RDONLY_PROG,
      });
    }
    return ZERO;
  }

  /** A frozen map of constant bytes, for tables that programs index. */
  constantMap(bytes: Uint8Array): string {
    const name = `skep_const_${this.constants++}`;
    addMap(this.module, {
      name,
      type: MapType.ARRAY,
      keySize: 4,
      valueSize: bytes.length,
      maxEntries: 1,
      flags: MapFlags.RDONLY_PROG,
      initialValue: bytes,
      frozen: true,
    });
    return name;
  }

  /** A frozen map of texts, each in `size` bytes; made once for a name. */
  textTable(name: string, texts: readonly string[], size: number): string {
    const known = this.tables.get(name);
    if (known !== undefined) return known;
    const bytes = new Uint8Array(texts.length * size);
    texts.forEach((text, i) => bytes.set(new TextEncoder().encode(text).subarray(0, size - 1), i * size));
    const map = this.constantMap(bytes);
    this.tables.set(name, map);
    return map;
  }

  /** Adds the maps that records need, once all programs are lowered. */
  finish(): void {
    if (!this.usesRing) return;
    const pages = this.checked.config.perfRbPages;
    addMap(this.module, {
      name: EVENT_RING,
      type: MapType.RINGBUF,
      keySize: 0,
      valueSize: 0,
      maxEntries: powerOfTwo(
        pages > 0
          ? pages * 4096
          : this.events.some((event) => FREQUENT.has(event.kind))
            ? Math.min(MAX_RING_BYTES, Math.max(MIN_RING_BYTES, RING_RECORDS * (this.largestRecord + 8)))
            : MIN_RING_BYTES,
      ),
      flags: 0,
    });
    addMap(this.module, {
      name: LOST_EVENTS,
      type: MapType.ARRAY,
      keySize: 4,
      valueSize: 8 * Math.max(1, this.probes.length),
      maxEntries: 1,
      flags: 0,
    });
  }
}

function powerOfTwo(size: number): number {
  return 2 ** Math.ceil(Math.log2(size));
}

/** The map behind {@link ScriptContext.zeroMap}. */
const ZERO = "skep_zero";

/** Where the time of the start is kept: an array of one u64. */
export const START_TIME = "skep_start";

/** What a program sees when it runs. */
export type SiteContext =
  /** BEGIN, END and signals: no context. */
  | "none"
  /** A tracefs record. */
  | "tracepoint"
  /** `sys_enter` or `sys_exit`, with the task's registers as the verifier knows them (`bpf_task_pt_regs`). */
  | "syscall-task"
  /** The same where the registers are an address. */
  | "syscall-raw"
  | "raw-tracepoint"
  | "raw-tracepoint-btf"
  | "registers"
  | "perf-event";

/** The place that a program is lowered for: one program, one kind of context, one or many targets. */
export interface Site {
  readonly context: SiteContext;
  readonly programType: number;
  readonly expectedAttachType: number;
  readonly attachTo?: string;
  /** The first of `targets`. */
  readonly target: ProbeTarget;
  readonly targets: readonly ProbeTarget[];
  /** System calls: targets by number, and the side. */
  readonly syscalls?: { readonly side: "enter" | "exit"; readonly numbers: ReadonlyMap<number, ProbeTarget> };
  /** The program asks the kernel for its attachment's cookie, which is the index of the probe's name. */
  readonly cookies?: boolean;
  /** Only events of this process, tested by the program. */
  readonly filterPid?: number;
}
