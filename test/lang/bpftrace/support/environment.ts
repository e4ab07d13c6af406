/** A machine that is the same everywhere: a few tracepoints, kernel types, binaries and symbols. */
import { Btf, BtfBuilder, BtfIntEncoding } from "../../../../src/btf/index.ts";
import type {
  Binary,
  BinarySymbol,
  TraceEnvironment,
  TracepointField,
  TracepointFormat,
} from "../../../../src/lang/bpftrace/index.ts";

const COMMON = `
  unsigned short common_type @0 2 u
  unsigned char common_flags @2 1 u
  unsigned char common_preempt_count @3 1 u
  int common_pid @4 4 s`;

/** Formats in short: `type name @offset size sign`. */
const TRACEPOINTS: Readonly<Record<string, string>> = {
  "block:block_rq_issue": `
    dev_t dev @8 4 u
    sector_t sector @16 8 u
    unsigned int bytes @28 4 u
    char[8] rwbs @32 8 s
    char[16] comm @40 16 s
    __data_loc char[] cmd @56 4 u`,
  "raw_syscalls:sys_enter": `
    long id @8 8 s
    unsigned long[6] args @16 48 u`,
  "sched:sched_process_exec": `
    __data_loc char[] filename @8 4 u
    pid_t pid @12 4 s
    pid_t old_pid @16 4 s`,
  "sched:sched_switch": `
    char[16] prev_comm @8 16 u
    pid_t prev_pid @24 4 s
    int prev_prio @28 4 s
    long prev_state @32 8 s
    char[16] next_comm @40 16 u
    pid_t next_pid @56 4 s
    int next_prio @60 4 s`,
  "sock:inet_sock_set_state": `
    const void * skaddr @8 8 u
    int oldstate @16 4 s
    int newstate @20 4 s
    __u16 sport @24 2 u
    __u8[4] saddr @28 4 u
    __u8[16] saddr_v6 @36 16 u
    __rel_loc char[] note @52 4 u
    __data_loc u8[] raw @56 4 u`,
  "syscalls:sys_enter_open": `
    int __syscall_nr @8 4 s
    const char * filename @16 8 u
    int flags @24 8 u
    umode_t mode @32 8 u`,
  "syscalls:sys_enter_openat": `
    int __syscall_nr @8 4 s
    int dfd @16 8 u
    const char * filename @24 8 u
    int flags @32 8 u
    umode_t mode @40 8 u`,
  "syscalls:sys_enter_openat2": `
    int __syscall_nr @8 4 s
    int dfd @16 8 u
    const char * filename @24 8 u
    struct open_how * how @32 8 u
    size_t usize @40 8 u`,
  "syscalls:sys_enter_read": `
    int __syscall_nr @8 4 s
    unsigned int fd @16 8 u
    char * buf @24 8 u
    size_t count @32 8 u`,
  "syscalls:sys_exit_open": `
    int __syscall_nr @8 4 s
    long ret @16 8 s`,
  "syscalls:sys_exit_openat": `
    int __syscall_nr @8 4 s
    long ret @16 8 s`,
  "syscalls:sys_exit_read": `
    int __syscall_nr @8 4 s
    long ret @16 8 s`,
};

function format(text: string, id: number): TracepointFormat {
  const fields = `${COMMON}${text}`
    .trim()
    .split("\n")
    .map((line): TracepointField => {
      const [, ctype, name, offset, size, sign] = /^\s*(.*) (\w+) @(\d+) (\d+) ([us])$/.exec(line)!;
      return { ctype: ctype!, name: name!, byteOffset: Number(offset), size: Number(size), signed: sign === "s" };
    });
  return { id, fields };
}

function kernelTypes(): Btf {
  const b = new BtfBuilder();
  const { SIGNED, BOOL } = BtfIntEncoding;
  const int = b.int("int", 4, SIGNED);
  const uint = b.int("unsigned int", 4);
  const ulong = b.int("unsigned long", 8);
  const long = b.int("long", 8, SIGNED);
  const char = b.int("char", 1, SIGNED);
  const u8 = b.typedef("u8", b.int("unsigned char", 1));
  const bool = b.int("_Bool", 1, BOOL);
  const comm = b.array(char, 16);
  const state = b.enum("pid_type", 4, false, [
    { name: "PIDTYPE_PID", value: 0n },
    { name: "PIDTYPE_TGID", value: 1n },
  ]);
  const task = b.declareStruct("task_struct");
  const taskPointer = b.pointer(task);
  const mm = b.struct("mm_struct", 16, [
    { name: "owner", typeId: taskPointer, bitOffset: 0 },
    { name: "user", typeId: b.pointer(b.typeTag("user", char)), bitOffset: 64 },
  ]);
  const anonymous = b.union("", 8, [
    { name: "exit_code", typeId: int, bitOffset: 0 },
    { name: "flags", typeId: ulong, bitOffset: 0 },
  ]);
  b.defineStruct(task, 80, [
    { name: "pid", typeId: int, bitOffset: 0 },
    { name: "on_cpu", typeId: bool, bitOffset: 32 },
    { name: "type", typeId: state, bitOffset: 64 },
    { name: "low", typeId: uint, bitOffset: 96, bitfieldSize: 3 },
    { name: "high", typeId: uint, bitOffset: 99, bitfieldSize: 5 },
    { name: "comm", typeId: comm, bitOffset: 128 },
    { name: "mm", typeId: b.pointer(mm), bitOffset: 256 },
    { name: "real_parent", typeId: taskPointer, bitOffset: 320 },
    { name: "", typeId: anonymous, bitOffset: 384 },
    { name: "mac", typeId: b.array(u8, 6), bitOffset: 448 },
    { name: "callback", typeId: b.pointer(b.funcProto(0, [{ name: "", typeId: int }])), bitOffset: 512 },
    { name: "state", typeId: long, bitOffset: 576 },
  ]);
  b.typedef(
    "btf_trace_sched_switch",
    b.pointer(
      b.funcProto(0, [
        { name: "", typeId: b.pointer() },
        { name: "", typeId: bool },
        { name: "", typeId: taskPointer },
        { name: "", typeId: taskPointer },
      ]),
    ),
  );
  b.func(
    "__bpf_trace_sched_switch",
    b.funcProto(0, [
      { name: "__data", typeId: b.pointer() },
      { name: "preempt", typeId: bool },
      { name: "prev", typeId: taskPointer },
      { name: "next", typeId: taskPointer },
    ]),
  );
  return Btf.parse(b.finish());
}

function binary(path: string, functions: readonly BinarySymbol[]): Binary {
  return {
    path,
    functions: () => functions,
    find: (name) => functions.find((f) => f.name === name),
    fileOffsetOf: (address) => (address >= 0x1000n && address < 0x9000n ? Number(address) - 0x1000 : undefined),
  };
}

function symbol(name: string, address: number, size = 64): BinarySymbol {
  return { name, address: BigInt(address), fileOffset: address - 0x1000, size };
}

const LIBC = binary("/lib/libc.so.6", [
  symbol("malloc", 0x2000),
  symbol("calloc", 0x2100),
  symbol("__libc_malloc", 0x2000),
  symbol("free", 0x2200),
  symbol("counter", 0x8000, 4),
]);
const BASH = binary("/bin/bash", [
  symbol("readline", 0x3000),
  symbol("_ZN2ns4workEi", 0x3100),
  symbol("_Z4workv", 0x3200),
]);

const BINARIES: Readonly<Record<string, readonly Binary[]>> = {
  libc: [LIBC],
  "/lib/libc.so.6": [LIBC],
  "/bin/bash": [BASH],
  "/*": [BASH, LIBC],
};

let btf: Btf | undefined;

/** The environment; parts may be replaced. */
export function fakeEnvironment(over: Partial<TraceEnvironment> = {}): TraceEnvironment {
  btf ??= kernelTypes();
  const formats = new Map<string, TracepointFormat>();
  return {
    arch: "x86_64",
    kernelVersion: [6, 18, 0],
    btf,
    tracepoints: () => Object.keys(TRACEPOINTS),
    tracepointFormat: (category, name) => {
      const full = `${category}:${name}`;
      const text = TRACEPOINTS[full];
      if (text === undefined) return undefined;
      if (!formats.has(full)) formats.set(full, format(text, Object.keys(TRACEPOINTS).indexOf(full) + 1));
      return formats.get(full);
    },
    kernelFunctions: (module) =>
      module === "ext4"
        ? ["ext4_open"]
        : module
          ? []
          : ["ext4_open", "tcp_connect", "vfs_open", "vfs_read", "vfs_readv", "vfs_write"],
    kprobeProblem: null,
    kernelSymbol: (name) => (name === "jiffies_64" ? 0xffff_ffff_8200_0000n : undefined),
    binaries: (pattern) => BINARIES[pattern] ?? [],
    cgroupId: (path) => (path === "/sys/fs/cgroup" ? 1n : undefined),
    positional: [],
    possibleCpus: 4,
    config: new Map(),
    ...over,
  };
}
