/** bpf(2) on programs: loading with the verifier's log, loading BTF, test runs. */
import {
  ATTACH_TYPE_SINCE,
  AttachType,
  BpfCmd,
  LogLevel,
  OBJ_NAME_LENGTH,
  PROG_TYPE_SINCE,
  ProgFlags,
  ProgType,
  TestRunFlags,
} from "../../isa/index.ts";
import { UnsupportedError, VerifierError } from "../../base/index.ts";
import type { ProgramSpec } from "../../object/index.ts";
import { bpf, bpfFailure } from "./bpf.ts";
import { BtfLoadAttr, ProgBindMapAttr, ProgLoadAttr, TestRunAttr } from "./bpf-attr.ts";
import { Errno, errnoName } from "../errno.ts";
import { OwnedFd } from "./fd.ts";
import { machine } from "./machine.ts";
import { raiseMemlock } from "./memlock.ts";
import { kernelObjectName } from "./object-name.ts";
import { type Attributes, type NativeSpan, callAttributes } from "./scratch.ts";
import { withoutSignals } from "./signals.ts";
import { summarizeLog } from "./verifier-log.ts";

/** Most programs' logs fit; grown when the kernel says ENOSPC. */
const FIRST_LOG_BYTES = 1 << 18;
/** The kernel refuses more (`UINT_MAX >> 2`); so does good sense. */
const LAST_LOG_BYTES = 1 << 28;

/** All that one load takes besides the program's spec. */
export interface ProgLoad {
  readonly spec: ProgramSpec;
  /** Code with its relocations applied. */
  readonly code: Uint8Array;
  readonly license: string;
  /** Descriptor of the object's BTF; func_info and line_info are left out without. */
  readonly btfFd?: number;
  /** Id of the type that `attachTo` names: in vmlinux, or in what `attachFd` stands for, a module's BTF or a program. */
  readonly attachBtfId?: number | undefined;
  readonly attachFd?: number | undefined;
  /** Instead of the spec's: programs of struct_ops name a member of the kernel's struct here. */
  readonly expectedAttachType?: number | undefined;
  readonly tokenFd?: number | undefined;
  /** Descriptors of the modules' BTF that calls refer to, from number 1 of `fd_array` on. */
  readonly moduleBtfFds?: readonly number[];
  /** Log wanted even on success. */
  readonly logLevel?: number;
  /** What a log of refusal says, for the error's message. */
  readonly explain?: (log: string) => string;
}

interface Attempt {
  /** Descriptor or negative errno. */
  readonly result: number;
  readonly log: string;
  /** Bytes that the whole log takes, 0 when the kernel does not say (before 6.4). */
  readonly wholeLogBytes: number;
}

const text = new TextDecoder();

function logText(log: NativeSpan): string {
  const end = log.bytes.indexOf(0);
  return text.decode(log.bytes.slice(0, end === -1 ? log.bytes.length : end));
}

function attempt(load: ProgLoad, level: number, logBytes: number): Attempt {
  const { spec, code, tokenFd } = load;
  const A = ProgLoadAttr;
  const modules = load.moduleBtfFds ?? [];
  const sizeForLog = level > 0 ? A.SIZE_WITH_LOG_TRUE_SIZE : modules.length > 0 ? A.SIZE_WITH_FD_ARRAY : A.SIZE;
  const size = tokenFd === undefined ? sizeForLog : A.SIZE_WITH_TOKEN;
  let flags = (spec.flags ?? 0) | (spec.sleepable === true ? ProgFlags.SLEEPABLE : 0);
  if (tokenFd !== undefined) flags |= ProgFlags.TOKEN_FD;
  const attributes = callAttributes(size)
    .u32(A.PROG_TYPE, spec.type)
    .u32(A.INSN_CNT, code.length / 8)
    .input(A.INSNS, code)
    .string(A.LICENSE, load.license)
    .u32(A.PROG_FLAGS, flags)
    .name(A.PROG_NAME, OBJ_NAME_LENGTH, kernelObjectName(spec.name))
    .u32(A.EXPECTED_ATTACH_TYPE, load.expectedAttachType ?? spec.expectedAttachType);
  if (tokenFd !== undefined) attributes.u32(A.PROG_TOKEN_FD, tokenFd);
  // Kernels before 5.0 compare it with their own version for kprobes.
  if (spec.type === ProgType.KPROBE && !machine.atLeast(5, 0)) attributes.u32(A.KERN_VERSION, versionCode());
  if (load.btfFd !== undefined && spec.funcInfo.length > 0) {
    attributes
      .u32(A.PROG_BTF_FD, load.btfFd)
      .u32(A.FUNC_INFO_REC_SIZE, 8)
      .input(A.FUNC_INFO, spec.funcInfo)
      .u32(A.FUNC_INFO_CNT, spec.funcInfo.length / 8);
    if (spec.lineInfo.length > 0) {
      attributes
        .u32(A.LINE_INFO_REC_SIZE, 16)
        .input(A.LINE_INFO, spec.lineInfo)
        .u32(A.LINE_INFO_CNT, spec.lineInfo.length / 16);
    }
  }
  if (load.attachBtfId !== undefined) attributes.u32(A.ATTACH_BTF_ID, load.attachBtfId);
  if (load.attachFd !== undefined) attributes.u32(A.ATTACH_BTF_OBJ_FD, load.attachFd);
  if (modules.length > 0) attributes.input(A.FD_ARRAY, new Uint8Array(Int32Array.from([0, ...modules]).buffer));
  if (level === 0) return { result: bpf(BpfCmd.PROG_LOAD, attributes), log: "", wholeLogBytes: 0 };
  const log = attributes.output(A.LOG_BUF, logBytes);
  attributes.u32(A.LOG_LEVEL, level).u32(A.LOG_SIZE, logBytes);
  const result = bpf(BpfCmd.PROG_LOAD, attributes);
  return { result, log: logText(log), wholeLogBytes: attributes.view.getUint32(A.LOG_TRUE_SIZE, true) };
}

function versionCode(): number {
  const [major, minor, patch] = machine.kernelVersion;
  return (major << 16) | (minor << 8) | Math.min(patch, 255);
}

/** The verifier gives up with EAGAIN when a signal waits: then once more, with signals kept away. */
function patiently(load: ProgLoad, level: number, logBytes: number): Attempt {
  const first = attempt(load, level, logBytes);
  return first.result === -Errno.EAGAIN ? withoutSignals(() => attempt(load, level, logBytes)) : first;
}

/** Loads with the whole log, in a buffer that grows until the log fits. */
function attemptWithLog(load: ProgLoad, level: number): Attempt {
  for (let size = FIRST_LOG_BYTES; ;) {
    const last = patiently(load, level, size);
    if (last.result !== -Errno.ENOSPC || size >= LAST_LOG_BYTES) return last;
    size = Math.min(LAST_LOG_BYTES, Math.max(size * 4, last.wholeLogBytes + 1));
  }
}

/** A loaded program. */
export interface LoadedProg {
  readonly fd: OwnedFd;
  /** The verifier's log, empty unless asked for. */
  readonly log: string;
}

/** The kernel is too old for attach types, and the program can do without. */
function isFromBeforeAttachTypes({ spec, expectedAttachType }: ProgLoad): boolean {
  return (
    spec.attachTypeOptional === true && (expectedAttachType ?? spec.expectedAttachType) !== 0 && !machine.atLeast(4, 17)
  );
}

function saysNothing(log: string): boolean {
  return log.split("\n").every((line) => line.trim() === "" || line.startsWith("processed "));
}

/** Throws UnsupportedError when the program's type, or what it attaches to, is younger than the kernel. */
function checkAge({ spec, expectedAttachType }: ProgLoad): void {
  const nameIn = (table: Readonly<Record<string, number>>, value: number): string =>
    Object.entries(table).find(([, number]) => number === value)?.[0] ?? "";
  const typeName = nameIn(ProgType, spec.type);
  const attachName = expectedAttachType === undefined ? nameIn(AttachType, spec.expectedAttachType) : "";
  for (const [what, since] of [
    [`type ${typeName}`, PROG_TYPE_SINCE[typeName]],
    [`attach type ${attachName}`, ATTACH_TYPE_SINCE[attachName]],
  ] as const) {
    const [major, minor] = (since ?? "0.0").split(".").map(Number);
    if (machine.atLeast(major!, minor!)) continue;
    const [has, hasMinor] = machine.kernelVersion;
    throw new UnsupportedError(
      `program ${spec.name} of ${what}`,
      `needs Linux ${since}, and this is ${has}.${hasMinor}`,
    );
  }
}

/** What the verifier does not answer with. */
const noVerdict: ReadonlySet<number> = new Set([Errno.EPERM, Errno.EMFILE, Errno.ENFILE, Errno.ENOMEM]);

/**
 * Loads a program: without a log at first, since writing one slows the verifier, and once more with it when the kernel refuses.
 * Throws VerifierError with the whole log, or SyscallError when it never came to verification.
 */
export function loadProg(load: ProgLoad): LoadedProg {
  raiseMemlock();
  const wanted = load.logLevel ?? LogLevel.NONE;
  let last = wanted === 0 ? patiently(load, 0, 0) : attemptWithLog(load, wanted);
  if (last.result === -Errno.EINVAL && last.log === "" && isFromBeforeAttachTypes(load))
    return loadProg({ ...load, expectedAttachType: 0 });
  // EPERM is a missing privilege: the verifier was never asked.
  if (last.result < 0 && wanted === 0 && last.result !== -Errno.EPERM) last = attemptWithLog(load, LogLevel.LEVEL1);
  if (last.result >= 0)
    return { fd: new OwnedFd(last.result, `program ${load.spec.name}`), log: wanted === 0 ? "" : last.log };
  const errno = -last.result;
  if (errno === Errno.EINVAL && saysNothing(last.log)) checkAge(load);
  // A program that passed may still get no descriptor or memory: the log then only counts instructions.
  if (last.log === "" || noVerdict.has(errno)) throw bpfFailure(BpfCmd.PROG_LOAD, errno, `program ${load.spec.name}`);
  const explain = load.explain ?? summarizeLog;
  throw new VerifierError(load.spec.name, errnoName(errno), last.log, explain(last.log));
}

/** A loaded BTF object, or why the kernel refused it. */
export type LoadedBtf = { readonly fd: OwnedFd } | { readonly errno: number; readonly log: string };

/** Loads BTF. What the kernel refuses is an answer, not an error: programs also load without. */
export function loadBtf(bytes: Uint8Array, tokenFd?: number): LoadedBtf {
  raiseMemlock();
  const attributes = (): Attributes => {
    const { SIZE, SIZE_WITH_TOKEN, BTF, BTF_SIZE, FLAGS, TOKEN_FD } = BtfLoadAttr;
    const made = callAttributes(tokenFd === undefined ? SIZE : SIZE_WITH_TOKEN)
      .input(BTF, bytes)
      .u32(BTF_SIZE, bytes.length);
    return tokenFd === undefined ? made : made.u32(FLAGS, ProgFlags.TOKEN_FD).u32(TOKEN_FD, tokenFd);
  };
  const fd = bpf(BpfCmd.BTF_LOAD, attributes());
  if (fd >= 0) return { fd: new OwnedFd(fd, "BTF") };
  const again = attributes();
  const log = again.output(BtfLoadAttr.LOG_BUF, FIRST_LOG_BYTES);
  again.u32(BtfLoadAttr.LOG_SIZE, FIRST_LOG_BYTES).u32(BtfLoadAttr.LOG_LEVEL, LogLevel.LEVEL1);
  const result = bpf(BpfCmd.BTF_LOAD, again);
  if (result >= 0) return { fd: new OwnedFd(result, "BTF") };
  return { errno: -result, log: logText(log) };
}

/**
 * Makes a program hold a map that its code does not name, such as the `.rodata` of metadata. Linux 5.10; a kernel without it leaves the map
 * to its other holders.
 */
export function bindMap(progFd: number, mapFd: number): void {
  const attributes = callAttributes(ProgBindMapAttr.SIZE);
  bpf(BpfCmd.PROG_BIND_MAP, attributes.u32(ProgBindMapAttr.PROG_FD, progFd).u32(ProgBindMapAttr.MAP_FD, mapFd));
}

/** What a test run takes and how often. */
export interface TestRunRequest {
  /** Context, or the packet for programs that take one. */
  readonly context?: Uint8Array;
  /** Runs, 1 by default; only packet programs repeat. */
  readonly repeat?: number;
  /** Raw tracepoints: the CPU to run on, any by default. */
  readonly cpu?: number;
}

/** What a test run answered. */
export interface TestRunResult {
  /** r0, 32 bits unsigned. */
  readonly returnValue: number;
  /** Nanoseconds a run, 0 where the kernel does not measure. */
  readonly durationNs: number;
  /** The packet or context afterwards; empty where the kernel gives none back. */
  readonly output: Uint8Array;
}

/** Program types whose input is a packet, and the least that the kernel takes (an Ethernet header). */
const packetTypes: ReadonlySet<number> = new Set([
  ProgType.SOCKET_FILTER,
  ProgType.SCHED_CLS,
  ProgType.SCHED_ACT,
  ProgType.XDP,
  ProgType.CGROUP_SKB,
  ProgType.LWT_IN,
  ProgType.LWT_OUT,
  ProgType.LWT_XMIT,
  ProgType.FLOW_DISSECTOR,
]);
const DEFAULT_PACKET_BYTES = 64;
/** Twelve arguments of 8 bytes, the most that a raw tracepoint has (`MAX_BPF_FUNC_ARGS`). */
const RAW_TRACEPOINT_CONTEXT_BYTES = 96;
const OUTPUT_BYTES = 1 << 16;

/**
 * Runs a program once in the kernel without attaching it. Socket, packet and XDP programs: since 4.12; raw tracepoints: 5.10;
 * syscall programs: 5.14. Throws UnsupportedError for types that the kernel cannot run so (kprobes, tracepoints, perf events).
 */
export function testRunProg(fd: number, name: string, type: number, request: TestRunRequest = {}): TestRunResult {
  const A = TestRunAttr;
  const attributes = callAttributes(A.SIZE).u32(A.PROG_FD, fd);
  let output: NativeSpan | undefined;
  if (packetTypes.has(type)) {
    const packet = request.context ?? new Uint8Array(DEFAULT_PACKET_BYTES);
    output = attributes.u32(A.DATA_SIZE_IN, packet.length).input(A.DATA_IN, packet).output(A.DATA_OUT, OUTPUT_BYTES);
    attributes.u32(A.DATA_SIZE_OUT, OUTPUT_BYTES).u32(A.REPEAT, request.repeat ?? 1);
  } else {
    const size = type === ProgType.RAW_TRACEPOINT ? RAW_TRACEPOINT_CONTEXT_BYTES : 0;
    const context = request.context ?? new Uint8Array(size);
    if (context.length > 0) attributes.u32(A.CTX_SIZE_IN, context.length).input(A.CTX_IN, context);
    if (request.cpu !== undefined) attributes.u32(A.FLAGS, TestRunFlags.ON_CPU).u32(A.CPU, request.cpu);
  }
  const result = bpf(BpfCmd.PROG_TEST_RUN, attributes);
  if (result === -Errno.ENOTSUPP) {
    throw new UnsupportedError(
      "test run",
      `the kernel cannot run program ${name} of type ${type} without an event: attach it instead`,
    );
  }
  if (result < 0) throw bpfFailure(BpfCmd.PROG_TEST_RUN, -result, `program ${name}`);
  return {
    returnValue: attributes.view.getUint32(A.RETVAL, true),
    durationNs: attributes.view.getUint32(A.DURATION, true),
    output:
      output === undefined
        ? new Uint8Array(0)
        : output.bytes.slice(0, attributes.view.getUint32(A.DATA_SIZE_OUT, true)),
  };
}
