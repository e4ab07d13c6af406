/** Helpers on time, tasks, memory and text. */
import { Errno } from "../../errno.ts";
import type { Helper, HelperCall } from "./call.ts";
import { formatText } from "./format.ts";

/** Nanoseconds of a jiffy at 250 a second, and where the kernel's counter starts: five minutes before it would wrap. */
const JIFFY_NS = 4_000_000n;
const FIRST_JIFFY = 0xffff_ffffn - 75_000n + 1n;
/** Most characters of a formatted line (MAX_PRINTF_BUF of the kernel). */
const MOST_TEXT = 1024;

/** Where an address leads in memory that programs may read; -1 elsewhere. */
function offsetOf(call: HelperCall, address: bigint, size: number): number {
  const at = call.memory.offsetOf(Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n)));
  return at >= 0 && call.memory.allows(at, size, false) ? at : -1;
}

/** The part of a piece of foreign memory from an address on; undefined when no piece holds it. */
function foreignAt(call: HelperCall, address: bigint): Uint8Array | undefined {
  for (const piece of call.services.foreign()) {
    const offset = address - piece.address;
    if (offset >= 0n && offset < BigInt(piece.bytes.length)) return piece.bytes.subarray(Number(offset));
  }
  return undefined;
}

/** Text at an address, its NUL not included, of at most `limit` bytes; undefined when a byte of it cannot be read. */
function textAt(call: HelperCall, address: bigint, limit: number): Uint8Array | undefined {
  const first = offsetOf(call, address, 1);
  if (first < 0) {
    const foreign = foreignAt(call, address)?.subarray(0, limit);
    const end = foreign?.indexOf(0) ?? -1;
    return end < 0 ? foreign : foreign?.subarray(0, end);
  }
  for (let at = first; at < first + limit; at++) {
    if (!call.memory.allows(at, 1, false)) return undefined;
    if (call.memory.bytes[at] === 0) return call.memory.bytes.slice(first, at);
  }
  return call.memory.bytes.slice(first, first + limit);
}

const probeRead: Helper = (call) => {
  const size = call.u32(1);
  const to = call.pointer(0, size, true);
  const from = offsetOf(call, call.u64(2), size);
  if (from < 0) {
    const foreign = foreignAt(call, call.u64(2));
    const there = foreign !== undefined && foreign.length >= size;
    if (there) call.memory.bytes.set(foreign.subarray(0, size), to);
    else call.memory.bytes.fill(0, to, to + size);
    return there ? 0 : -Errno.EFAULT;
  }
  call.memory.bytes.copyWithin(to, from, from + size);
  return 0;
};

const probeReadText: Helper = (call) => {
  const size = call.u32(1);
  if (size === 0) return 0;
  const to = call.pointer(0, size, true);
  const text = textAt(call, call.u64(2), size - 1);
  if (text === undefined) {
    call.memory.bytes.fill(0, to, to + size);
    return -Errno.EFAULT;
  }
  call.memory.bytes.set(text, to);
  call.memory.bytes[to + text.length] = 0;
  return text.length + 1;
};

/** Formats with arguments from memory or from the call's registers. */
function format(call: HelperCall, text: string, next: () => bigint): string | undefined {
  const decoder = new TextDecoder();
  return formatText(text, {
    next,
    text(address) {
      const bytes = textAt(call, address, 512);
      return bytes === undefined ? undefined : decoder.decode(bytes);
    },
  });
}

function fromArray(call: HelperCall, index: number, size: number): () => bigint {
  const at = size === 0 ? 0 : call.pointer(index, size);
  let used = 0;
  return () => (used + 8 <= size ? call.memory.view.getBigUint64(at + (used += 8) - 8, true) : 0n);
}

/** `bpf_strtol` and `bpf_strtoul`: how many characters were read, or an errno. */
function parseNumber(call: HelperCall, signed: boolean): number {
  const text = call.text(0, call.u32(1));
  const base = call.u32(2);
  const out = call.pointer(3, 8, true);
  if (call.u64(2) > 31n || ![0, 8, 10, 16].includes(base)) return -Errno.EINVAL;
  const [space = ""] = /^\s*/.exec(text)!;
  let rest = text.slice(space.length);
  const sign = /^[-+]/.exec(rest)?.[0] ?? "";
  if (sign === "-" && !signed) return -Errno.EINVAL;
  rest = rest.slice(sign.length);
  let radix = base;
  let prefix = "";
  if ((base === 0 || base === 16) && /^0x[\da-f]/i.test(rest)) {
    radix = 16;
    prefix = rest.slice(0, 2);
  } else if (base === 0) radix = rest.startsWith("0") ? 8 : 10;
  const digits = (radix === 16 ? /^[\da-f]+/i : radix === 8 ? /^[0-7]+/ : /^\d+/).exec(rest.slice(prefix.length))?.[0];
  if (digits === undefined) return -Errno.EINVAL;
  let value = radix === 16 ? BigInt(`0x${digits}`) : radix === 8 ? BigInt(`0o${digits}`) : BigInt(digits);
  if (sign === "-") value = -value;
  if (signed ? BigInt.asIntN(64, value) !== value : BigInt.asUintN(64, value) !== value) return -Errno.ERANGE;
  call.memory.view.setBigUint64(out, BigInt.asUintN(64, value), true);
  return space.length + sign.length + prefix.length + digits.length;
}

/** By their names without `bpf_`. */
export const basicHelpers: Readonly<Record<string, Helper>> = {
  ktime_get_ns: (call) => call.services.environment.ktime(),
  ktime_get_boot_ns: (call) => call.services.environment.ktime(),
  ktime_get_coarse_ns: (call) => (call.services.environment.ktime() / JIFFY_NS) * JIFFY_NS,
  ktime_get_tai_ns: (call) => call.services.environment.wallClock(),
  jiffies64: (call) => call.services.environment.ktime() / JIFFY_NS + FIRST_JIFFY,
  get_prandom_u32: (call) => BigInt(call.services.environment.random()),
  get_smp_processor_id: (call) => call.services.environment.cpu,
  get_attach_cookie: (call) => call.services.environment.cookie,
  get_numa_node_id: () => 0,
  get_current_pid_tgid(call) {
    const { pid, tgid } = call.services.environment;
    return (BigInt(tgid >>> 0) << 32n) | BigInt(pid >>> 0);
  },
  get_current_uid_gid(call) {
    const { uid, gid } = call.services.environment;
    return (BigInt(gid >>> 0) << 32n) | BigInt(uid >>> 0);
  },
  get_current_cgroup_id: (call) => call.services.environment.cgroupId,
  get_current_comm(call) {
    const size = call.u32(1);
    const to = call.pointer(0, size, true);
    const { comm } = call.services.environment;
    call.memory.bytes.set(size < comm.length ? comm.subarray(0, size) : comm, to);
    if (size > comm.length) call.memory.bytes.fill(0, to + comm.length, to + size);
    // As strscpy does.
    else if (size > 0) call.memory.bytes[to + size - 1] = 0;
    return 0;
  },
  probe_read: probeRead,
  probe_read_kernel: probeRead,
  probe_read_user: probeRead,
  probe_read_str: probeReadText,
  probe_read_kernel_str: probeReadText,
  probe_read_user_str: probeReadText,
  trace_printk(call) {
    const size = call.u32(1);
    const text = call.text(0, size);
    let used = 2;
    const out = format(call, text, () => call.u64(used++));
    if (out === undefined) return -Errno.EINVAL;
    call.services.trace(out);
    return out.length;
  },
  trace_vprintk(call) {
    const text = call.text(0, call.u32(1));
    const out = format(call, text, fromArray(call, 2, call.u32(3)));
    if (out === undefined) return -Errno.EINVAL;
    call.services.trace(out);
    return out.length;
  },
  snprintf(call) {
    const size = call.u32(1);
    const to = size === 0 ? 0 : call.pointer(0, size, true);
    const bytes = textAt(call, call.u64(2), MOST_TEXT);
    if (bytes === undefined || call.u32(4) % 8 !== 0) return -Errno.EINVAL;
    const out = format(call, new TextDecoder().decode(bytes), fromArray(call, 3, call.u32(4)));
    if (out === undefined) return -Errno.EINVAL;
    const written = new TextEncoder().encode(out);
    if (size > 0) {
      call.memory.bytes.set(written.subarray(0, size - 1), to);
      call.memory.bytes[to + Math.min(written.length, size - 1)] = 0;
    }
    // As snprintf(3): with the NUL, whether it fitted or not.
    return written.length + 1;
  },
  strtol: (call) => parseNumber(call, true),
  strtoul: (call) => parseNumber(call, false),
  strncmp(call) {
    const size = call.u32(1);
    const a = call.bytes(0, size);
    const b = textAt(call, call.u64(2), size) ?? new Uint8Array();
    for (let i = 0; i < size; i++) {
      const left = a[i]!;
      const right = b[i] ?? 0;
      if (left !== right) return left < right ? -1 : 1;
      if (left === 0) break;
    }
    return 0;
  },
  // Nothing else runs meanwhile.
  spin_lock: () => {},
  spin_unlock: () => {},
};
