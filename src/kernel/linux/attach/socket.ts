/** Attaches to sockets, to maps of sockets, and to remote control receivers. */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { SyscallError, UnsupportedError } from "../../../base/index.ts";
import { AttachType, ProgType } from "../../../isa/index.ts";
import { queryPrograms, tryProgAttach, tryProgDetach, tryTargetLink } from "../bpf-link.ts";
import { syscallFailure } from "../diagnose.ts";
import { Errno } from "../../errno.ts";
import { OwnedFd } from "../fd.ts";
import { LinuxLink } from "../link.ts";
import { machine } from "../machine.ts";
import type { LinuxProgram } from "../programs.ts";
import { callAttributes } from "../scratch.ts";
import { syscall6 } from "../sys.ts";
import { type SpecOf, attachFailure, builtWithout, onlyLink, withoutLink } from "./common.ts";
import { namePrograms } from "./occupants.ts";
import { openMap } from "./tracing.ts";

const SOL_SOCKET = 1;
/** Socket options (asm-generic/socket.h). */
const SocketOption = { DETACH_BPF: 27, ATTACH_BPF: 50, ATTACH_REUSEPORT_EBPF: 52, DETACH_REUSEPORT_BPF: 68 } as const;

function setOption(fd: number, option: number, value: number): number {
  const attributes = callAttributes(4).u32(0, value);
  return syscall6("setsockopt", fd, SOL_SOCKET, option, attributes.address, 4);
}

/** Attaches to a socket of this process; the program is gone with the socket. */
export function attachSocket(program: LinuxProgram, spec: SpecOf<"socket">): LinuxLink {
  const what = `socket ${spec.fd}`;
  const isReuseport = spec.reuseport ?? program.spec.type === ProgType.SK_REUSEPORT;
  const { type } = program.spec;
  if (type !== ProgType.SOCKET_FILTER && !(isReuseport && type === ProgType.SK_REUSEPORT))
    throw new TypeError(`${what}: program ${program.spec.name} is of another type (SEC("socket") is wanted)`);
  const option = isReuseport ? SocketOption.ATTACH_REUSEPORT_EBPF : SocketOption.ATTACH_BPF;
  const result = setOption(spec.fd, option, program.fd.value);
  if (result < 0) throw socketFailure(what, isReuseport, -result);
  // Numbers of descriptors are used again: what is detached later must be this socket.
  const { ino } = fstatSync(spec.fd, { bigint: true });
  const fds = withoutLink(program, what, "the socket itself", () => {
    try {
      if (fstatSync(spec.fd, { bigint: true }).ino !== ino) return;
    } catch {
      // Closed, and the program with it.
      return;
    }
    setOption(spec.fd, isReuseport ? SocketOption.DETACH_REUSEPORT_BPF : SocketOption.DETACH_BPF, 0);
  });
  return new LinuxLink(spec, fds);
}

function socketFailure(what: string, isReuseport: boolean, errno: number): Error {
  const call = `setsockopt(${isReuseport ? "SO_ATTACH_REUSEPORT_EBPF" : "SO_ATTACH_BPF"}, ${what})`;
  const cause = syscallFailure({ call, operation: "other", errno });
  if (errno === Errno.EBADF || errno === Errno.ENOTSOCK)
    return new UnsupportedError(what, "the descriptor is no socket of this process", { cause });
  if (errno === Errno.EINVAL && isReuseport)
    return new UnsupportedError(what, "the socket shares its port with nobody: set SO_REUSEPORT and bind it", {
      cause,
    });
  if (errno === Errno.EPERM) return new UnsupportedError(what, "its filters are locked (SO_LOCK_FILTER)", { cause });
  return cause;
}

/** Attaches to a map of sockets; the program is gone with the map. */
export function attachSockmap(program: LinuxProgram, spec: SpecOf<"sockmap">): LinuxLink {
  const what = `sockets of map ${spec.mapId}`;
  const { type, name, expectedAttachType } = program.spec;
  if (type !== ProgType.SK_SKB && type !== ProgType.SK_MSG)
    throw new TypeError(
      `${what}: program ${name} is of another type (SEC("sk_skb/verdict") or SEC("sk_msg") is wanted)`,
    );
  const attachType = type === ProgType.SK_MSG ? AttachType.SK_MSG_VERDICT : expectedAttachType;
  if (attachType === 0) {
    const why = `program ${name} does not say what it is: load it as sk_skb/stream_parser, stream_verdict or verdict`;
    throw new TypeError(`${what}: ${why}`);
  }
  const missing = builtWithout(what, "CONFIG_BPF_STREAM_PARSER");
  if (missing !== undefined) throw missing;
  const map = openMap(what, spec.mapId);
  try {
    const target = { target: map.value, progFd: program.fd.value, attachType };
    if (machine.atLeast(6, 10)) {
      const result = tryTargetLink(target);
      if (result < 0) throw sockmapFailure(what, map.value, attachType, -result);
      map.close();
      return new LinuxLink(spec, onlyLink(new OwnedFd(result, `link ${what}`)));
    }
    const result = tryProgAttach(target);
    if (result < 0) throw sockmapFailure(what, map.value, attachType, -result);
    const fds = withoutLink(program, what, "the map itself (links came with Linux 6.10)", () => {
      tryProgDetach({ target: map.value, progFd: fds.holders[0]!.value, attachType });
    });
    return new LinuxLink(spec, { ...fds, holders: [...fds.holders, map] });
  } catch (error) {
    map.close();
    throw error;
  }
}

function sockmapFailure(what: string, map: number, attachType: number, errno: number): Error {
  const cause = attachFailure(what, errno);
  if (errno === Errno.EBUSY) {
    const ids = queryPrograms(map, attachType)?.ids ?? [];
    const who = ids.length > 0 ? namePrograms(ids) : "another program";
    return new UnsupportedError(what, `${who} is there, or one that excludes it (verdict and stream_verdict)`, {
      cause,
    });
  }
  if (errno === Errno.EINVAL) return new UnsupportedError(what, "the map is no sockmap or sockhash", { cause });
  return cause;
}

/**
 * Attaches to a remote control receiver. There are no links to them: what a killed process left runs until it is detached (`ir-keytable
 * -p`) or the receiver is unplugged.
 */
export function attachLirc(program: LinuxProgram, spec: SpecOf<"lirc">): LinuxLink {
  const what = `receiver ${spec.path}`;
  if (program.spec.type !== ProgType.LIRC_MODE2)
    throw new TypeError(`${what}: program ${program.spec.name} is of another type (SEC("lirc_mode2") is wanted)`);
  const missing = builtWithout(what, "CONFIG_BPF_LIRC_MODE2");
  if (missing !== undefined) throw missing;
  let device: number;
  try {
    device = openSync(spec.path, constants.O_RDWR);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new UnsupportedError(what, code === "ENOENT" ? "there is no such device" : `cannot be opened (${code})`, {
      cause,
    });
  }
  const attachType = AttachType.LIRC_MODE2;
  const result = tryProgAttach({ target: device, progFd: program.fd.value, attachType });
  if (result < 0) {
    const ids = queryPrograms(device, attachType)?.ids ?? [];
    closeSync(device);
    throw lircFailure(what, ids, attachFailure(what, -result), -result);
  }
  const held = new OwnedFd(device, what);
  const fds = withoutLink(program, what, "the receiver itself", () => {
    tryProgDetach({ target: held.value, progFd: fds.holders[0]!.value, attachType });
  });
  return new LinuxLink(spec, { ...fds, holders: [...fds.holders, held] });
}

function lircFailure(what: string, ids: readonly number[], cause: Error, errno: number): Error {
  if (errno === Errno.EEXIST) return new UnsupportedError(what, "this program is attached there already", { cause });
  if (errno === Errno.E2BIG)
    return new UnsupportedError(what, `it has 64 programs, the most that it takes: ${namePrograms(ids)}`, { cause });
  if (errno === Errno.EINVAL || errno === Errno.ENODEV)
    return new UnsupportedError(what, "that is no receiver of raw pulses (LIRC_MODE_MODE2)", { cause });
  return cause instanceof SyscallError ? cause : new UnsupportedError(what, cause.message, { cause });
}
