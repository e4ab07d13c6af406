/**
 * The one seam to native code: system calls, mapped memory and readiness, through koffi. Nothing else imports koffi.
 *
 * koffi is loaded at the first call, not at import: a command that never touches the kernel must not pay for it. Its platform
 * package is required directly, since koffi's own entry evaluates a probe of file names that costs 5 to 15 ms more.
 *
 * All arguments are plain numbers: user addresses are below 2^47 (2^52 with five-level tables, which mmap(2) only gives on
 * request), so a double holds them and no BigInt is made per call. Memory that the kernel reads or writes is always mapped
 * here: a JavaScript buffer whose address was handed over could be collected while the kernel still writes to it.
 */
import { createRequire } from "node:module";
import { UnsupportedError } from "../../base/index.ts";
import { Errno } from "../errno.ts";
import { type SyscallNumbers, syscallNumbers } from "./syscall-numbers.ts";

/** Calls native code with numbers, returns a number. */
type NativeFunction = (...args: number[]) => number;

/** A native function that can also run on one of libuv's threads. */
type ThreadedFunction = NativeFunction & {
  async(...args: [...args: number[], done: (error: Error | null, result: number) => void]): void;
};

/** A descriptor that libuv watches. */
interface KoffiPoll {
  start(options: { readable?: boolean; writable?: boolean }, callback: (status: number) => void): void;
  stop(): void;
  close(): void;
  ref(): void;
  unref(): void;
}

/** What this file uses of koffi. */
interface Koffi {
  load(path: string | null): { func(name: string, result: string, args: readonly string[]): ThreadedFunction };
  errno(): number;
  view(address: bigint, size: number): ArrayBuffer;
  readonly node: {
    poll(
      fd: number,
      options: { readable?: boolean; writable?: boolean },
      callback: (status: number) => void,
    ): KoffiPoll;
  };
}

interface Native {
  readonly koffi: Koffi;
  readonly numbers: SyscallNumbers;
  /** syscall(2) with three and with six arguments. */
  readonly call3: ThreadedFunction;
  readonly call6: NativeFunction;
  readonly pageSize: number;
}

/** Descriptors being closed at once: enough for libuv's four threads by default, and for more where they are configured. */
const CLOSE_LANES = 16;

let native: Native | undefined;

function requireKoffi(): Koffi {
  const require = createRequire(import.meta.url);
  const platform = `@koromix/koffi-${process.platform}-${process.arch}`;
  try {
    return require(platform) as Koffi;
  } catch {
    // Installed where only koffi itself can see its platform package, or built from source.
    try {
      return require("koffi") as Koffi;
    } catch (cause) {
      const why = `koffi's native part ${platform} cannot be loaded (install without --omit=optional, or rebuild koffi)`;
      throw new UnsupportedError("the running kernel", why, { cause });
    }
  }
}

function open(): Native {
  const numbers = syscallNumbers[process.arch];
  if (process.platform !== "linux" || numbers === undefined) {
    const known = Object.keys(syscallNumbers).join(", ");
    throw new UnsupportedError(
      "the running kernel",
      `this is ${process.platform} on ${process.arch}; needs Linux on ${known}`,
    );
  }
  const koffi = requireKoffi();
  const libc = koffi.load(null);
  const word = "int64";
  const opened: Native = {
    koffi,
    numbers,
    call3: libc.func("syscall", word, [word, word, word, word]),
    call6: libc.func("syscall", word, [word, word, word, word, word, word, word]),
    pageSize: libc.func("getpagesize", "int", [])(),
  };
  native = opened;
  return opened;
}

/** Loads koffi and declares the calls, or throws {@link UnsupportedError} with what is missing. Later calls cost nothing. */
export function loadNative(): void {
  if (native === undefined) open();
}

/** Answers of an empty map to `BPF_MAP_LOOKUP_ELEM`, `GET_NEXT_KEY` and `LOOKUP_BATCH`; the last is not there, as on old kernels. */
const EMPTY_MAP: ReadonlyMap<number, number> = new Map([
  [1, Errno.ENOENT],
  [4, Errno.ENOENT],
  [24, Errno.EINVAL],
]);

/**
 * From now on no call reaches the kernel: what is made has a descriptor that does not exist, maps are empty, memory is a buffer. For
 * the build, which runs a script so as to keep V8's compiled form of what a run needs, and may itself be allowed nothing.
 */
export function pretendCalls(): void {
  const numbers = syscallNumbers[process.arch];
  if (numbers === undefined) return;
  let next = 1 << 20;
  let errno = 0;
  const answer: NativeFunction = (number, command) => {
    errno = number === numbers.bpf ? (EMPTY_MAP.get(command ?? 0) ?? 0) : 0;
    if (errno !== 0) return -1;
    if (number === numbers.mmap) return (next += 1 << 20);
    return number === numbers.bpf || number === numbers.perf_event_open ? ++next : 0;
  };
  const later: ThreadedFunction["async"] = (...args) => {
    const done = args.pop() as (error: Error | null, result: number) => void;
    setImmediate(done, null, 0);
  };
  const threaded = Object.assign((...args: number[]) => answer(...args), { async: later });
  native = {
    koffi: {
      load: () => ({ func: () => threaded }),
      errno: () => errno,
      view: (_address, size) => new ArrayBuffer(size),
      node: { poll: () => ({ start() {}, stop() {}, close() {}, ref() {}, unref() {} }) },
    },
    numbers,
    call3: threaded,
    call6: answer,
    pageSize: 4096,
  };
}

/** Bytes of a page. */
export function pageSize(): number {
  return (native ?? open()).pageSize;
}

/** Makes a system call of up to three arguments. Returns its result, or the negative errno. */
export function syscall3(name: keyof SyscallNumbers, a: number, b = 0, c = 0): number {
  const { koffi, numbers, call3 } = native ?? open();
  const result = call3(numbers[name], a, b, c);
  return result === -1 ? -koffi.errno() : result;
}

/** Makes a system call of up to six arguments. Returns its result, or the negative errno. */
export function syscall6(name: keyof SyscallNumbers, a: number, b: number, c: number, d: number, e = 0, f = 0): number {
  const { koffi, numbers, call6 } = native ?? open();
  const result = call6(numbers[name], a, b, c, d, e, f);
  return result === -1 ? -koffi.errno() : result;
}

/**
 * Closes descriptors on libuv's threads, all in flight at once up to what koffi queues: for those whose closing waits in the
 * kernel. Resolves when all are closed. The process does not end before.
 */
export async function closeOnThreads(fds: readonly number[]): Promise<void> {
  const { numbers, call3 } = native ?? open();
  const waiting = fds.values();
  const lane = async (): Promise<void> => {
    for (const fd of waiting) await new Promise<void>((done) => call3.async(numbers.close, fd, 0, 0, () => done()));
  };
  await Promise.all(Array.from({ length: CLOSE_LANES }, lane));
}

/** bpf(2): command, address and size of the attributes. Returns its result, or the negative errno. EINTR is tried again. */
export function bpfSyscall(command: number, attrAddress: number, attrSize: number): number {
  const { koffi, numbers, call3 } = native ?? open();
  for (;;) {
    const result = call3(numbers.bpf, command, attrAddress, attrSize);
    if (result !== -1) return result;
    const errno = koffi.errno();
    if (errno !== Errno.EINTR) return -errno;
  }
}

/** Protection and flags of mmap(2), equal on all architectures named here. */
export const Mmap = {
  PROT_NONE: 0,
  PROT_READ: 1,
  PROT_WRITE: 2,
  MAP_SHARED: 1,
  MAP_PRIVATE: 2,
  MAP_FIXED: 0x10,
  MAP_ANONYMOUS: 0x20,
  MAP_NORESERVE: 0x4000,
  /** Linux 4.17. */
  MAP_FIXED_NOREPLACE: 0x10_0000,
} as const;

/** A view of mapped memory. It does not keep the mapping: reading it after munmap(2) crashes the process. */
export function viewMemory(address: number, size: number): ArrayBuffer {
  return (native ?? open()).koffi.view(BigInt(address), size);
}

/** Waits for a descriptor on Node's event loop. */
export interface PollHandle {
  /** Stops waiting; nothing is called afterwards. Call it before the descriptor is closed. */
  close(): void;
}

/** Handles in use: koffi stops polling without a word when its handle is collected. */
const polling = new Set<object>();

/**
 * Calls back while a descriptor is readable (level-triggered), and keeps the process alive until closed.
 *
 * koffi calls straight from libuv, where neither promises go on nor an exception finds anyone; the callback is therefore
 * run from an immediate, which comes right after in the same turn of the loop.
 */
export function pollReadable(fd: number, callback: () => void): PollHandle {
  let closed = false;
  const run = (): void => {
    if (!closed) callback();
  };
  const handle = (native ?? open()).koffi.node.poll(fd, { readable: true }, () => void setImmediate(run));
  polling.add(handle);
  return {
    close(): void {
      if (closed) return;
      closed = true;
      polling.delete(handle);
      handle.close();
    },
  };
}

/** Waits for one descriptor again and again. The process stays alive while it waits. */
export interface Readiness {
  /** Calls back once, when the descriptor is ready. */
  wait(callback: () => void): void;
  /** Forgets the wait. */
  cancel(): void;
  /** Call it before the descriptor is closed. */
  close(): void;
}

/**
 * Waits for a descriptor to become readable or writable. Between waits libuv does not watch it, so that what is left unread on purpose
 * does not keep the loop busy.
 */
export function readiness(fd: number, what: "readable" | "writable"): Readiness {
  const options = { [what]: true };
  let waiting: (() => void) | undefined;
  let handle: KoffiPoll | undefined;
  const run = (): void => {
    const callback = waiting;
    waiting = undefined;
    callback?.();
  };
  const ready = (): void => {
    handle?.stop();
    // As in pollReadable: nothing may be called from here.
    setImmediate(run);
  };
  return {
    wait(callback): void {
      waiting = callback;
      if (handle !== undefined) return handle.start(options, ready);
      handle = (native ?? open()).koffi.node.poll(fd, options, ready);
      polling.add(handle);
    },
    cancel(): void {
      waiting = undefined;
      handle?.stop();
    },
    close(): void {
      waiting = undefined;
      if (handle === undefined) return;
      polling.delete(handle);
      handle.close();
      handle = undefined;
    },
  };
}

/**
 * Watches a descriptor until closed, for those that say only once that they are ready (perf). The process stays alive while `hold` is on,
 * which it is not at first.
 */
export function watchReadable(fd: number, callback: () => void): PollHandle & { hold(on: boolean): void } {
  let closed = false;
  const run = (): void => {
    if (!closed) callback();
  };
  const handle = (native ?? open()).koffi.node.poll(fd, { readable: true }, () => void setImmediate(run));
  handle.unref();
  polling.add(handle);
  return {
    hold(on: boolean): void {
      if (closed) return;
      if (on) handle.ref();
      else handle.unref();
    },
    close(): void {
      if (closed) return;
      closed = true;
      polling.delete(handle);
      handle.close();
    },
  };
}
