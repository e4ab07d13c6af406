/**
 * Where a program is attached. Names are the kernel's. A `cookie` is what `bpf_get_attach_cookie` answers there (kernel 5.15), 0
 * without one.
 */
export type AttachSpec =
  /** tracefs event through perf_event_open. */
  | { readonly kind: "tracepoint"; readonly category: string; readonly name: string; readonly cookie?: number }
  /** `BPF_RAW_TRACEPOINT_OPEN` by name; for programs of type TRACING (tp_btf) the name is in the program. */
  | { readonly kind: "raw-tracepoint"; readonly name: string; readonly cookie?: number }
  /** Loaded with `attachTo`: tp_btf, fentry, fexit, fmod_ret, LSM, iterators without parameters. */
  | { readonly kind: "tracing"; readonly cookie?: number }
  /** Many kernel functions at once through a link of tracing programs (`fentry.multi`, kernel 7.2). */
  | {
      readonly kind: "tracing-multi";
      readonly funcs: readonly string[];
      /** As long as `funcs`. */
      readonly cookies?: readonly number[];
    }
  /** Kernel function entry, entry plus an offset in bytes, or return. */
  | {
      readonly kind: "kprobe";
      readonly func: string;
      readonly offset: number;
      readonly isReturn: boolean;
      readonly cookie?: number;
      /** Returns: calls that may be under way at once; more are missed. Default: the kernel's. */
      readonly maxActive?: number;
    }
  /** Many kernel functions at once through `BPF_TRACE_KPROBE_MULTI` (kernel 5.18 with FPROBE), or as sessions when the program is loaded so. */
  | {
      readonly kind: "kprobe-multi";
      readonly funcs: readonly string[];
      /** Instead of names, which are then empty: functions that share their name, and places behind a function's start. */
      readonly addresses?: readonly bigint[];
      readonly isReturn: boolean;
      /** As long as `funcs` or `addresses`. */
      readonly cookies?: readonly number[];
    }
  /** A file offset (bytes) in a binary; every process when `pid` is absent. */
  | {
      readonly kind: "uprobe";
      readonly path: string;
      readonly fileOffset: number;
      readonly isReturn: boolean;
      readonly pid?: number;
      readonly cookie?: number;
      /** File offset of a USDT semaphore that the kernel increments while attached. */
      readonly refCtrOffset?: number;
    }
  /** Many places of one binary at once through `BPF_TRACE_UPROBE_MULTI` (kernel 6.6); the program is loaded for that attach type. */
  | {
      readonly kind: "uprobe-multi";
      readonly path: string;
      /** Bytes from the start of the file. */
      readonly fileOffsets: readonly number[];
      /** File offsets of USDT semaphores, 0 where there is none; as long as `fileOffsets`. */
      readonly refCtrOffsets?: readonly number[];
      readonly isReturn: boolean;
      readonly pid?: number;
      /** As long as `fileOffsets`. */
      readonly cookies?: readonly number[];
    }
  /** `perf_event_open` of any type: software, hardware, and the clocks of profile and interval. One event a CPU in `cpus` (default: every online CPU). */
  | {
      readonly kind: "perf-event";
      /** `PERF_TYPE_*` and its config. */
      readonly type: number;
      readonly config: number | bigint;
      /** Exactly one of these: events between samples, or samples a second. */
      readonly period?: number;
      readonly frequencyHz?: number;
      readonly pid?: number;
      readonly cpus?: readonly number[];
      readonly cookie?: number;
      /** Descriptor of the event that leads the group; on one CPU, since groups are. */
      readonly groupFd?: number;
      /** Of event sources that take more, or a breakpoint's address and length. */
      readonly config1?: number;
      readonly config2?: number;
      /** `HW_BREAKPOINT_*`: 1 read, 2 write, 4 execute. */
      readonly breakpointType?: number;
      /** Only what happens there is counted. */
      readonly only?: "user" | "kernel";
    }
  /** An iterator with what it walks: elements of a map (its id), or tasks, or cgroups below `cgroup` in an order. */
  | {
      readonly kind: "iterator";
      readonly mapId?: number;
      readonly tid?: number;
      readonly pid?: number;
      /** Path of a directory in cgroup2. */
      readonly cgroup?: string;
      readonly order?: "self-only" | "descendants-pre" | "descendants-post" | "ancestors-up" | "children";
    }
  /** Replaces the function `func` of a loaded program. */
  | { readonly kind: "freplace"; readonly programId: number; readonly func: string }
  /** A network interface, by name or index, through a BPF link. */
  | {
      readonly kind: "xdp";
      readonly device: string | number;
      /** Default: the driver's own way where it has one. */
      readonly mode?: "generic" | "driver" | "offload";
    }
  /** Kernel 6.6. */
  | {
      readonly kind: "tcx";
      readonly device: string | number;
      readonly direction: "ingress" | "egress";
      readonly anchor?: LinkAnchor;
    }
  /** A classifier (`clsact`) through netlink, for kernels before 6.6. */
  | {
      readonly kind: "tc";
      readonly device: string | number;
      readonly direction: "ingress" | "egress";
      /** Chosen by the kernel when absent. */
      readonly priority?: number;
      readonly handle?: number;
    }
  /** Kernel 6.7. */
  | {
      readonly kind: "netkit";
      readonly device: string | number;
      readonly anchor?: LinkAnchor;
    }
  /** Kernel 6.4. Numbers are `NFPROTO_*` and `NF_INET_*`. */
  | {
      readonly kind: "netfilter";
      readonly family: number;
      readonly hook: number;
      readonly priority: number;
      readonly defragment?: boolean;
    }
  /** A directory in cgroup2; what is hooked there is the program's expected attach type. */
  | {
      readonly kind: "cgroup";
      readonly path: string;
      /** Links run beside others; `override` and `exclusive` attach without a link, as before kernel 5.7. */
      readonly mode?: "multi" | "override" | "exclusive";
      readonly anchor?: LinkAnchor;
      /** Before the programs of child cgroups (kernel 6.15). */
      readonly preorder?: boolean;
    }
  /** sk_lookup and flow dissectors: a network namespace, that of the process when absent. */
  | { readonly kind: "netns"; readonly path?: string }
  /** sk_skb and sk_msg programs: a sockmap or sockhash. */
  | { readonly kind: "sockmap"; readonly mapId: number }
  /** A remote control receiver such as `/dev/lirc0`. */
  | { readonly kind: "lirc"; readonly path: string }
  /** A socket of this process: `SO_ATTACH_BPF`, or `SO_ATTACH_REUSEPORT_EBPF`. */
  | { readonly kind: "socket"; readonly fd: number; readonly reuseport?: boolean }
  /** A struct_ops map, by its name in the object: not a place of a program. */
  | { readonly kind: "struct-ops"; readonly map: string }
  /** A link that was opened where it is pinned; what it is attached to, its information tells. */
  | { readonly kind: "pinned"; readonly path: string };

/** A place among programs at the same hook. Absent: behind all. */
export type LinkAnchor =
  | { readonly place: "head" | "tail" }
  | { readonly place: "before" | "after"; readonly programId: number }
  | { readonly place: "before" | "after"; readonly linkId: number };

/**
 * Where a person or a section's name says that a program goes, in names: symbols, patterns, system calls, USDT probes. What runs
 * programs turns it into {@link AttachSpec}s of the machine.
 */
export type AttachRequest =
  | AttachSpec
  /** All kernel functions that a pattern with `*` and `?` names. */
  | {
      readonly kind: "kprobe-pattern";
      readonly pattern: string;
      readonly isReturn: boolean;
      readonly cookie?: number;
    }
  /** All kernel functions that a pattern names, for tracing programs of many functions. */
  | { readonly kind: "tracing-pattern"; readonly pattern: string; readonly cookie?: number }
  /** The handler of a system call, whatever the architecture calls it. */
  | { readonly kind: "ksyscall"; readonly syscall: string; readonly isReturn: boolean; readonly cookie?: number }
  /** A function of a binary; names without a slash are looked for as the dynamic linker and the shell do. */
  | {
      readonly kind: "uprobe-symbol";
      readonly path: string;
      readonly func: string;
      /** Bytes behind the function's start; with an empty `func` an address in the file. */
      readonly offset: number;
      readonly isReturn: boolean;
      readonly pid?: number;
      readonly cookie?: number;
    }
  /** All functions of a binary that a pattern names, in one link. */
  | {
      readonly kind: "uprobe-pattern";
      readonly path: string;
      readonly pattern: string;
      readonly isReturn: boolean;
      readonly pid?: number;
    }
  /** A static probe of a binary. */
  | {
      readonly kind: "usdt";
      readonly path: string;
      readonly provider: string;
      readonly name: string;
      readonly pid?: number;
      readonly cookie?: number;
    };
