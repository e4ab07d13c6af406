/** perf_event_open(2) and its ioctls: what tracepoints, probes of functions, counters and clocks hang on. */
import { syscallFailure } from "./diagnose.ts";
import { OwnedFd } from "./fd.ts";
import { type Attributes, callAttributes } from "./scratch.ts";
import { syscall3, syscall6 } from "./sys.ts";

/** `enum perf_type_id`; types of other event sources are in `/sys/bus/event_source/devices/NAME/type`. */
export const PerfType = { HARDWARE: 0, SOFTWARE: 1, TRACEPOINT: 2, HW_CACHE: 3, RAW: 4, BREAKPOINT: 5 } as const;

/** `enum perf_sw_ids`. */
export const PerfSoftware = {
  CPU_CLOCK: 0,
  TASK_CLOCK: 1,
  PAGE_FAULTS: 2,
  CONTEXT_SWITCHES: 3,
  CPU_MIGRATIONS: 4,
  PAGE_FAULTS_MIN: 5,
  PAGE_FAULTS_MAJ: 6,
  ALIGNMENT_FAULTS: 7,
  EMULATION_FAULTS: 8,
  DUMMY: 9,
  BPF_OUTPUT: 10,
  CGROUP_SWITCHES: 11,
} as const;

/** Bits of `sample_type`. */
export const PerfSample = { TIME: 0x4, RAW: 0x400 } as const;

/** Offsets in `struct perf_event_attr`. */
const PerfAttr = {
  TYPE: 0,
  SIZE: 4,
  CONFIG: 8,
  /** Or frequency, by the flag `FREQ`. */
  SAMPLE_PERIOD: 16,
  SAMPLE_TYPE: 24,
  /** Bit field. */
  FLAGS: 40,
  WAKEUP_EVENTS: 48,
  BP_TYPE: 52,
  /** Or address of the function's name, of the binary's path, or of a breakpoint. */
  CONFIG1: 56,
  /** Or offset in the function or binary, or length of a breakpoint. */
  CONFIG2: 64,
  /** With the flag `USE_CLOCKID`. */
  CLOCKID: 92,
  /** Up to `sample_max_stack`: known to all kernels since 4.8. */
  STRUCT_SIZE: 112,
} as const;

/** Bits of `FLAGS`. */
const PerfFlag = {
  DISABLED: 1 << 0,
  EXCLUDE_USER: 1 << 4,
  EXCLUDE_KERNEL: 1 << 5,
  FREQ: 1 << 10,
  USE_CLOCKID: 1 << 25,
} as const;

const CLOCK_MONOTONIC = 1;

const PERF_FLAG_FD_CLOEXEC = 8;

/** ioctl(2) requests, `_IO('$', n)`. */
const PerfIoctl = { ENABLE: 0x2400, SET_BPF: 0x4004_2408 } as const;

/** An event to open. */
export interface PerfEventRequest {
  /** `PerfType.*`, or the number of another event source. */
  readonly type: number;
  readonly config: number | bigint;
  /** Events between samples. */
  readonly period?: number | bigint;
  /** Samples a second, instead of a period. */
  readonly frequencyHz?: number;
  readonly sampleType?: number;
  readonly wakeupEvents?: number;
  /** Times of samples are those of CLOCK_MONOTONIC, which programs read too. */
  readonly monotonicTimes?: boolean;
  /** A number, or text whose address goes there. */
  readonly config1?: number | string;
  readonly config2?: number;
  /** -1 is every process. */
  readonly pid: number;
  /** -1 is every CPU; only together with a pid. */
  readonly cpu: number;
  /** Descriptor of the event that leads the group. */
  readonly groupFd?: number;
  readonly breakpointType?: number;
  /** Only what happens there is counted. */
  readonly only?: "user" | "kernel";
  /** Shown in errors. */
  readonly what: string;
}

function attributesOf(request: PerfEventRequest): Attributes {
  const isMonotonic = request.monotonicTimes === true;
  const attributes = callAttributes(PerfAttr.STRUCT_SIZE)
    .u32(PerfAttr.TYPE, request.type)
    .u32(PerfAttr.SIZE, PerfAttr.STRUCT_SIZE)
    .u64(PerfAttr.CONFIG, request.config)
    .u64(PerfAttr.SAMPLE_PERIOD, request.frequencyHz ?? request.period ?? 0)
    .u64(PerfAttr.SAMPLE_TYPE, request.sampleType ?? 0)
    .u32(
      PerfAttr.FLAGS,
      PerfFlag.DISABLED |
        (request.frequencyHz === undefined ? 0 : PerfFlag.FREQ) |
        (request.only === "kernel" ? PerfFlag.EXCLUDE_USER : 0) |
        (request.only === "user" ? PerfFlag.EXCLUDE_KERNEL : 0) |
        (isMonotonic ? PerfFlag.USE_CLOCKID : 0),
    )
    .u32(PerfAttr.CLOCKID, isMonotonic ? CLOCK_MONOTONIC : 0)
    .u32(PerfAttr.WAKEUP_EVENTS, request.wakeupEvents ?? 0)
    .u32(PerfAttr.BP_TYPE, request.breakpointType ?? 0)
    .u64(PerfAttr.CONFIG2, request.config2 ?? 0);
  if (typeof request.config1 === "string") attributes.string(PerfAttr.CONFIG1, request.config1);
  else attributes.u64(PerfAttr.CONFIG1, request.config1 ?? 0);
  return attributes;
}

/** Opens an event, disabled. Returns its descriptor, or the negative errno. */
export function tryPerfEventOpen(request: PerfEventRequest): OwnedFd | number {
  const attributes = attributesOf(request);
  const { pid, cpu, groupFd = -1 } = request;
  const result = syscall6("perf_event_open", attributes.address, pid, cpu, groupFd, PERF_FLAG_FD_CLOEXEC);
  return result < 0 ? result : new OwnedFd(result, `perf event ${request.what}`);
}

/** Opens an event, disabled, or throws SyscallError. */
export function perfEventOpen(request: PerfEventRequest): OwnedFd {
  const event = tryPerfEventOpen(request);
  if (typeof event === "number") throw perfFailure(request.what, -event);
  return event;
}

/** The error of an event that could not be opened. */
export function perfFailure(what: string, errno: number): Error {
  return syscallFailure({ call: `perf_event_open(${what})`, operation: "perf-event-open", errno });
}

function control(event: OwnedFd, request: number, name: string, argument: number): void {
  const result = syscall3("ioctl", event.value, request, argument);
  if (result < 0) throw syscallFailure({ call: `ioctl(${name}, ${event.what})`, operation: "other", errno: -result });
}

/** Lets an event count and sample. */
export function enablePerfEvent(event: OwnedFd): void {
  control(event, PerfIoctl.ENABLE, "PERF_EVENT_IOC_ENABLE", 0);
}

/** Attaches a program to an event for as long as the event is open; the way before BPF links (Linux 5.15). */
export function setPerfEventProg(event: OwnedFd, progFd: number): void {
  control(event, PerfIoctl.SET_BPF, "PERF_EVENT_IOC_SET_BPF", progFd);
}

/** Opens a counter of a CPU and lets it run, for programs that read it. `pid` -1 counts every process. The caller closes it. */
export function openPerfCounter(type: number, config: number | bigint, pid: number, cpu: number): OwnedFd {
  const event = perfEventOpen({ type, config, pid, cpu, what: `counter ${type}:${config} on CPU ${cpu}` });
  enablePerfEvent(event);
  return event;
}
