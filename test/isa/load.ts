/** The few bpf(2) calls that tests of instructions need: load a program with the verifier's log, find its id, close it. */
import koffi from "koffi";
import { BpfCmd } from "../../src/isa/index.ts";

const SYS_BPF = process.arch === "arm64" ? 280 : 321;
const libc = koffi.load(null);
const syscall = libc.func("int64 syscall(int64 number, int command, void *attr, uint32 size)");
const closeFd = libc.func("int close(int fd)");

/** Closes a descriptor. */
export function close(fd: number): void {
  closeFd(fd);
}

/** What the kernel said of a program. */
export interface Loaded {
  /** Negative when refused. */
  readonly fd: number;
  readonly errno: number;
  readonly log: string;
}

/** `BPF_PROG_LOAD` under the GPL with the log of every instruction. */
export function loadProgram(code: Uint8Array, type: number): Loaded {
  const insns = Buffer.from(code);
  const license = Buffer.from("GPL\0");
  const log = Buffer.alloc(1 << 20);
  const attr = Buffer.alloc(120);
  attr.writeUInt32LE(type, 0);
  attr.writeUInt32LE(insns.length / 8, 4);
  attr.writeBigUInt64LE(BigInt(koffi.address(insns)), 8);
  attr.writeBigUInt64LE(BigInt(koffi.address(license)), 16);
  attr.writeUInt32LE(2, 24);
  attr.writeUInt32LE(log.length, 28);
  attr.writeBigUInt64LE(BigInt(koffi.address(log)), 32);
  attr.write("skep_isa_test", 48);
  const fd = Number(syscall(SYS_BPF, BpfCmd.PROG_LOAD, attr, attr.length));
  const errno = fd < 0 ? koffi.errno() : 0;
  // The buffers are read after the call, so that they live until it is over.
  const held = insns.length + license.length;
  return { fd, errno, log: held > 0 ? log.toString("latin1", 0, log.indexOf(0)) : "" };
}

/** Id of a loaded program. */
export function programId(fd: number): number {
  const info = Buffer.alloc(256);
  const attr = Buffer.alloc(16);
  attr.writeInt32LE(fd, 0);
  attr.writeUInt32LE(info.length, 4);
  attr.writeBigUInt64LE(BigInt(koffi.address(info)), 8);
  if (Number(syscall(SYS_BPF, BpfCmd.OBJ_GET_INFO_BY_FD, attr, attr.length)) < 0) throw new Error("no program info");
  return info.readUInt32LE(4);
}

/** A hash map of 8-byte keys and values. */
export function createHash(): number {
  const attr = Buffer.alloc(72);
  for (const [i, value] of [1, 8, 8, 16].entries()) attr.writeUInt32LE(value, i * 4);
  const fd = Number(syscall(SYS_BPF, BpfCmd.MAP_CREATE, attr, attr.length));
  if (fd < 0) throw new Error(`BPF_MAP_CREATE: errno ${koffi.errno()}`);
  return fd;
}
