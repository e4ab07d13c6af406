/** The few `bpf(2)` commands that tests of BTF need, called directly: the kernel is the referee of what we write. */
import { existsSync } from "node:fs";
import koffi from "koffi";

const SYS_BPF = process.arch === "arm64" ? 280 : 321;
const BPF_MAP_CREATE = 0;
const BPF_PROG_LOAD = 5;
const BPF_BTF_LOAD = 18;

const libc = koffi.load(null);
const syscall = libc.func("long syscall(long number, long command, void *attr, unsigned int size)");
const closeFd = libc.func("int close(int fd)");

/** Outcome of one command: a descriptor to close, or errno and what the kernel logged. */
export interface BpfResult {
  readonly fd: number;
  readonly errno: number;
  readonly log: string;
}

/** `held` are the buffers whose addresses are in `attr`: they must outlive the call. */
function call(command: number, attr: Uint8Array, log?: Uint8Array, held: readonly Uint8Array[] = []): BpfResult {
  const fd = Number(syscall(SYS_BPF, command, attr, attr.length));
  const errno = fd < 0 ? koffi.errno() : 0;
  if (held.some((buffer) => buffer.length > 1 << 30)) throw new RangeError("a buffer of over 1 GiB");
  const text = log === undefined ? "" : Buffer.from(log).toString("latin1").split("\0")[0]!;
  return { fd, errno, log: text };
}

/** Closes a descriptor of {@link BpfResult}. */
export function close(fd: number): void {
  if (fd >= 0) closeFd(fd);
}

/** `BPF_BTF_LOAD` with the kernel's log. */
export function loadBtf(btf: Uint8Array): BpfResult {
  const data = Buffer.from(btf);
  const log = Buffer.alloc(1 << 20);
  const attr = Buffer.alloc(32);
  attr.writeBigUInt64LE(BigInt(koffi.address(data)), 0);
  attr.writeBigUInt64LE(BigInt(koffi.address(log)), 8);
  attr.writeUInt32LE(data.length, 16);
  attr.writeUInt32LE(log.length, 20);
  attr.writeUInt32LE(1, 24);
  return call(BPF_BTF_LOAD, attr, log, [data]);
}

/** `BPF_MAP_CREATE` with types of keys and values. */
export function createMap(map: {
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags?: number;
  btfFd: number;
  keyTypeId: number;
  valueTypeId: number;
}): BpfResult {
  const attr = Buffer.alloc(72);
  for (const [i, word] of [map.type, map.keySize, map.valueSize, map.maxEntries, map.flags ?? 0].entries()) {
    attr.writeUInt32LE(word, i * 4);
  }
  attr.writeUInt32LE(map.btfFd, 48);
  attr.writeUInt32LE(map.keyTypeId, 52);
  attr.writeUInt32LE(map.valueTypeId, 56);
  return call(BPF_MAP_CREATE, attr);
}

/** `BPF_PROG_LOAD` of a tracepoint program with function and line records, at log level 2. */
export function loadProgram(program: {
  code: Uint8Array;
  btfFd: number;
  funcInfo: Uint8Array;
  lineInfo: Uint8Array;
}): BpfResult {
  const code = Buffer.from(program.code);
  const license = Buffer.from("GPL\0");
  const log = Buffer.alloc(1 << 20);
  const funcInfo = Buffer.from(program.funcInfo);
  const lineInfo = Buffer.from(program.lineInfo);
  const attr = Buffer.alloc(120);
  attr.writeUInt32LE(5, 0); // BPF_PROG_TYPE_TRACEPOINT
  attr.writeUInt32LE(code.length / 8, 4);
  attr.writeBigUInt64LE(BigInt(koffi.address(code)), 8);
  attr.writeBigUInt64LE(BigInt(koffi.address(license)), 16);
  attr.writeUInt32LE(2, 24);
  attr.writeUInt32LE(log.length, 28);
  attr.writeBigUInt64LE(BigInt(koffi.address(log)), 32);
  attr.writeUInt32LE(program.btfFd, 72);
  attr.writeUInt32LE(8, 76);
  attr.writeBigUInt64LE(BigInt(koffi.address(funcInfo)), 80);
  attr.writeUInt32LE(funcInfo.length / 8, 88);
  attr.writeUInt32LE(16, 92);
  attr.writeBigUInt64LE(BigInt(koffi.address(lineInfo)), 96);
  attr.writeUInt32LE(lineInfo.length / 16, 104);
  return call(BPF_PROG_LOAD, attr, log, [code, license, funcInfo, lineInfo]);
}

/** Why this machine cannot ask the kernel; undefined when it can. */
export function noBpfReason(): string | undefined {
  if (process.platform !== "linux") return "not Linux";
  if (process.getuid?.() !== 0) return "not root";
  if (!existsSync("/sys/kernel/btf/vmlinux")) return "no /sys/kernel/btf/vmlinux";
  const probe = createMap({ type: 1, keySize: 4, valueSize: 4, maxEntries: 1, btfFd: 0, keyTypeId: 0, valueTypeId: 0 });
  close(probe.fd);
  return probe.fd < 0 ? `bpf(BPF_MAP_CREATE) gives errno ${probe.errno}` : undefined;
}
