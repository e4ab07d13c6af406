/** System call numbers of the architectures that Skep runs on, by Node's `process.arch`. */

/** The calls that the Linux kernel room makes. */
export interface SyscallNumbers {
  readonly close: number;
  readonly mmap: number;
  readonly munmap: number;
  readonly ioctl: number;
  readonly read: number;
  readonly fcntl: number;
  readonly prlimit64: number;
  readonly perf_event_open: number;
  readonly bpf: number;
  readonly memfd_create: number;
  readonly write: number;
  readonly clock_gettime: number;
  readonly pidfd_open: number;
  readonly socket: number;
  readonly bind: number;
  readonly sendto: number;
  readonly recvfrom: number;
  readonly setsockopt: number;
  readonly unshare: number;
  readonly setns: number;
  readonly rt_sigprocmask: number;
}

/** arm64 and riscv64 share the kernel's generic table (include/uapi/asm-generic/unistd.h). */
const generic: SyscallNumbers = {
  close: 57,
  mmap: 222,
  munmap: 215,
  ioctl: 29,
  read: 63,
  fcntl: 25,
  prlimit64: 261,
  perf_event_open: 241,
  bpf: 280,
  memfd_create: 279,
  write: 64,
  clock_gettime: 113,
  pidfd_open: 434,
  socket: 198,
  bind: 200,
  sendto: 206,
  recvfrom: 207,
  setsockopt: 208,
  unshare: 97,
  setns: 268,
  rt_sigprocmask: 135,
};

/** Numbers by architecture. */
export const syscallNumbers: Readonly<Record<string, SyscallNumbers>> = {
  x64: {
    close: 3,
    mmap: 9,
    munmap: 11,
    ioctl: 16,
    read: 0,
    fcntl: 72,
    prlimit64: 302,
    perf_event_open: 298,
    bpf: 321,
    memfd_create: 319,
    write: 1,
    clock_gettime: 228,
    pidfd_open: 434,
    socket: 41,
    bind: 49,
    sendto: 44,
    recvfrom: 45,
    setsockopt: 54,
    unshare: 272,
    setns: 308,
    rt_sigprocmask: 14,
  },
  arm64: generic,
  riscv64: generic,
};
