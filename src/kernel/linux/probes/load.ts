/** Programs loaded only to see what the kernel says. No log is asked for: errno decides, and it costs a fraction. */
import { BpfCmd, LogLevel, OBJ_NAME_LENGTH, assemble, encode } from "../../../isa/index.ts";
import { bpf } from "../bpf.ts";
import { ProgLoadAttr as A } from "../bpf-attr.ts";
import { Errno } from "../../errno.ts";
import { OwnedFd } from "../fd.ts";
import { machine } from "../machine.ts";
import { raiseMemlock } from "../memlock.ts";
import { type NativeSpan, callAttributes } from "../scratch.ts";
import { withoutSignals } from "../signals.ts";

/** A program to be tried. */
export interface Trial {
  readonly type: number;
  readonly code: Uint8Array;
  readonly expectedAttachType?: number | undefined;
  /** `ProgFlags.*` */
  readonly flags?: number;
  readonly attachBtfId?: number | undefined;
  /** A module's BTF, or the program that an extension replaces. */
  readonly attachFd?: number | undefined;
  readonly btfFd?: number;
  readonly funcInfo?: Uint8Array;
  /** Modules' BTF that calls of kfuncs refer to, from number 1 on. */
  readonly moduleFds?: readonly number[];
}

/** Code from assembly text in the kernel's notation. */
export function codeOf(text: string): Uint8Array {
  return encode(assemble(text));
}

function attributesOf(trial: Trial) {
  const modules = trial.moduleFds ?? [];
  const attributes = callAttributes(A.SIZE_WITH_LOG_TRUE_SIZE)
    .u32(A.PROG_TYPE, trial.type)
    .u32(A.INSN_CNT, trial.code.length / 8)
    .input(A.INSNS, trial.code)
    .string(A.LICENSE, "GPL")
    .u32(A.PROG_FLAGS, trial.flags ?? 0)
    .name(A.PROG_NAME, OBJ_NAME_LENGTH, "skep_probe")
    .u32(A.EXPECTED_ATTACH_TYPE, trial.expectedAttachType ?? 0)
    .u32(A.ATTACH_BTF_ID, trial.attachBtfId ?? 0)
    .u32(A.ATTACH_BTF_OBJ_FD, trial.attachFd ?? 0);
  // Kprobes before 5.0 carry the version they were made for.
  if (!machine.atLeast(5, 0)) {
    const [major, minor, patch] = machine.kernelVersion;
    attributes.u32(A.KERN_VERSION, (major << 16) | (minor << 8) | Math.min(patch, 255));
  }
  if (trial.btfFd !== undefined) attributes.u32(A.PROG_BTF_FD, trial.btfFd);
  if (trial.funcInfo !== undefined)
    attributes
      .u32(A.FUNC_INFO_REC_SIZE, 8)
      .input(A.FUNC_INFO, trial.funcInfo)
      .u32(A.FUNC_INFO_CNT, trial.funcInfo.length / 8);
  if (modules.length > 0) attributes.input(A.FD_ARRAY, new Uint8Array(Int32Array.from([0, ...modules]).buffer));
  return attributes;
}

/** Loads a program. A descriptor with its owner, or the errno. */
export function openTrial(trial: Trial): OwnedFd | number {
  raiseMemlock();
  const load = (): number => bpf(BpfCmd.PROG_LOAD, attributesOf(trial));
  const first = load();
  const result = first === -Errno.EAGAIN ? withoutSignals(load) : first;
  return result >= 0 ? new OwnedFd(result, "probing program") : -result;
}

/** Loads a program and lets it go. 0 or the errno. */
export function tryTrial(trial: Trial): number {
  const opened = openTrial(trial);
  if (typeof opened === "number") return opened;
  opened.close();
  return 0;
}

/** Loads a program, hands it over and closes it. Resolves the errno when it cannot be loaded. */
export function withTrial<T>(trial: Trial, body: (fd: number) => T): T | number {
  const opened = openTrial(trial);
  if (typeof opened === "number") return opened;
  try {
    return body(opened.value);
  } finally {
    opened.close();
  }
}

const LOG_BYTES = 1 << 14;
const text = new TextDecoder();

/** Loads a program with the verifier's log, to be compared with another log and never to be read. */
export function tryLogged(trial: Trial): { readonly errno: number; readonly log: string } {
  raiseMemlock();
  const load = (): { readonly result: number; readonly said: string } => {
    const attributes = attributesOf(trial);
    const log: NativeSpan = attributes.output(A.LOG_BUF, LOG_BYTES);
    attributes.u32(A.LOG_SIZE, LOG_BYTES).u32(A.LOG_LEVEL, LogLevel.LEVEL1);
    const result = bpf(BpfCmd.PROG_LOAD, attributes);
    const end = log.bytes.indexOf(0);
    return { result, said: text.decode(log.bytes.slice(0, end === -1 ? log.bytes.length : end)) };
  };
  const first = load();
  const { result, said } = first.result === -Errno.EAGAIN ? withoutSignals(load) : first;
  if (result >= 0) new OwnedFd(result, "probing program").close();
  return { errno: Math.max(0, -result), log: said };
}
