/** What the kernel tells of a link: `struct bpf_link_info`, decoded by kind, under the names that bpftool prints. */
import { LinkType, PerfLinkType, ProbeMultiFlags } from "../../isa/index.ts";
import { bpfOrThrow } from "./bpf.ts";
import { InfoAttr, LinkInfo as L } from "./bpf-attr.ts";
import { BpfCmd } from "../../isa/index.ts";
import { getU64 } from "./memory.ts";
import { type Attributes, callAttributes } from "./scratch.ts";

/** What all kinds of links tell. */
export interface LinkInfoBase {
  readonly id: number;
  /** Of the program; 0 of struct_ops. */
  readonly progId: number;
}

/** One place of a link to many. */
export interface ProbedPlace {
  /** Address of a kernel function, 0 when this process may not see it; or offset in the file. */
  readonly address: bigint;
  readonly cookie: bigint;
  /** File offset of a USDT semaphore; 0 for none. */
  readonly refCtrOffset: bigint;
}

/** A link as the kernel describes it. `type` is bpftool's name of `LinkType.*`. */
export type LinkInfo = LinkInfoBase &
  (
    | { readonly type: "raw_tracepoint"; readonly name: string; readonly cookie: bigint }
    | {
        readonly type: "tracing";
        /** `AttachType.*` */
        readonly attachType: number;
        /** BTF object or program, and the type in it. */
        readonly targetObjectId: number;
        readonly targetBtfId: number;
        readonly cookie: bigint;
      }
    | { readonly type: "cgroup"; readonly cgroupId: bigint; readonly attachType: number }
    | {
        readonly type: "iter";
        /** `task`, `bpf_map_elem`, `cgroup`, ... */
        readonly target: string;
        /** Ids of what it walks, where its target takes one; 0 for all. */
        readonly mapId?: number;
        readonly tid?: number;
        readonly pid?: number;
        readonly cgroupId?: bigint;
        /** `CgroupIterOrder.*` */
        readonly order?: number;
      }
    | { readonly type: "netns"; readonly netnsInode: number; readonly attachType: number }
    | { readonly type: "xdp"; readonly ifindex: number }
    | { readonly type: "tcx" | "netkit"; readonly ifindex: number; readonly attachType: number }
    | {
        readonly type: "netfilter";
        readonly family: number;
        readonly hook: number;
        readonly priority: number;
        readonly flags: number;
      }
    | {
        readonly type: "kprobe_multi";
        readonly isReturn: boolean;
        /** Runs left out because the program was running on that CPU. */
        readonly missed: number;
        readonly places: readonly ProbedPlace[];
      }
    | {
        readonly type: "uprobe_multi";
        readonly path: string;
        readonly isReturn: boolean;
        /** 0 is every process. */
        readonly pid: number;
        readonly places: readonly ProbedPlace[];
      }
    | {
        readonly type: "perf_event";
        readonly event: "uprobe" | "uretprobe" | "kprobe" | "kretprobe";
        /** The file or function. */
        readonly name: string;
        readonly offset: number;
        /** Of kernel functions; 0 when this process may not see it. */
        readonly address?: bigint;
        readonly missed?: number;
        readonly cookie: bigint;
      }
    | { readonly type: "perf_event"; readonly event: "tracepoint"; readonly name: string; readonly cookie: bigint }
    | {
        readonly type: "perf_event";
        readonly event: "event";
        /** `PERF_TYPE_*` */
        readonly eventType: number;
        readonly config: bigint;
        readonly cookie: bigint;
      }
    /** Kernels before 6.6 tell no more of perf events. */
    | { readonly type: "perf_event"; readonly event: "unknown" }
    | { readonly type: "struct_ops"; readonly mapId: number }
    | { readonly type: "sockmap"; readonly mapId: number; readonly attachType: number }
    /** A kind that is newer than this list. */
    | { readonly type: "unknown"; readonly number: number }
  );

const text = new TextDecoder();
/** Room for paths. */
const NAME_ROOM = 4096;

/** The structure with what it points to. Offsets of members, a pointer each, and bytes behind it. */
class InfoCall {
  readonly view: DataView;
  private readonly attributes: Attributes;
  private readonly room: { readonly at: number; readonly bytes: Uint8Array; readonly view: DataView }[] = [];

  constructor(fd: number) {
    this.attributes = callAttributes(InfoAttr.SIZE).u32(InfoAttr.BPF_FD, fd).u32(InfoAttr.INFO_LEN, L.SIZE);
    this.view = this.attributes.output(InfoAttr.INFO, L.SIZE).view;
  }

  /** Gives the kernel `size` bytes behind the pointer at `at`. */
  buffer(at: number, size: number): this {
    const info = getU64(this.attributes.view, InfoAttr.INFO);
    const span = this.attributes.output(InfoAttr.INFO, size);
    this.attributes.u64(InfoAttr.INFO, info);
    this.view.setBigUint64(at, BigInt(span.address), true);
    this.room.push({ at, bytes: span.bytes, view: span.view });
    return this;
  }

  u32(at: number, value: number): this {
    this.view.setUint32(at, value, true);
    return this;
  }

  run(): this {
    bpfOrThrow(BpfCmd.OBJ_GET_INFO_BY_FD, this.attributes, "link");
    return this;
  }

  get(at: number): number {
    return this.view.getUint32(at, true);
  }

  big(at: number): bigint {
    return this.view.getBigUint64(at, true);
  }

  name(at: number): string {
    const { bytes } = this.room.find((each) => each.at === at)!;
    const end = bytes.indexOf(0);
    return text.decode(bytes.slice(0, end === -1 ? bytes.length : end));
  }

  word(at: number, index: number): bigint {
    return this.room.find((each) => each.at === at)!.view.getBigUint64(index * 8, true);
  }
}

function call(fd: number): InfoCall {
  return new InfoCall(fd);
}

/** Asks again with room for a name at a pointer, its length beside it. */
function withName(
  fd: number,
  at: number,
  lengthAt: number,
  more: (call: InfoCall) => void = () => undefined,
): InfoCall {
  const again = call(fd).buffer(at, NAME_ROOM).u32(lengthAt, NAME_ROOM);
  more(again);
  return again.run();
}

/** Iterators whose target tells what it walks. Maps: `bpf_map_elem`, `bpf_sk_storage_map`, `sockmap`. */
function iteratorWalk(target: string, info: InfoCall): object {
  if (target === "cgroup") return { cgroupId: info.big(L.ITER_CGROUP_ID), order: info.get(L.ITER_CGROUP_ORDER) };
  if (target === "task" || target === "task_file" || target === "task_vma")
    return { tid: info.get(L.ITER_TASK_TID), pid: info.get(L.ITER_TASK_PID) };
  if (target === "bpf_map_elem" || target === "bpf_sk_storage_map" || target === "sockmap")
    return { mapId: info.get(L.ITER_MAP_ID) };
  return {};
}

function kprobeMulti(fd: number, first: InfoCall): object {
  const count = first.get(L.KPROBE_COUNT);
  const isReturn = (first.get(L.KPROBE_FLAGS) & ProbeMultiFlags.RETURN) !== 0;
  const missed = getU64(first.view, L.KPROBE_MISSED);
  const ask = (cookies: boolean): InfoCall => {
    const again = call(fd).u32(L.KPROBE_COUNT, count);
    if (count > 0) again.buffer(L.KPROBE_ADDRS, count * 8);
    if (count > 0 && cookies) again.buffer(L.KPROBE_COOKIES, count * 8);
    return again.run();
  };
  let cookies = true;
  let info: InfoCall;
  try {
    info = ask(true);
  } catch {
    // Cookies are told from Linux 6.9 on: before, the longer structure must be zero there.
    cookies = false;
    info = ask(false);
  }
  const places = Array.from({ length: count }, (_, i) => ({
    address: info.word(L.KPROBE_ADDRS, i),
    cookie: cookies ? info.word(L.KPROBE_COOKIES, i) : 0n,
    refCtrOffset: 0n,
  }));
  return { type: "kprobe_multi", isReturn, missed, places };
}

function uprobeMulti(fd: number, first: InfoCall): object {
  const count = first.get(L.UPROBE_COUNT);
  const info = call(fd).buffer(L.UPROBE_PATH, NAME_ROOM).u32(L.UPROBE_PATH_SIZE, NAME_ROOM).u32(L.UPROBE_COUNT, count);
  if (count > 0) {
    info
      .buffer(L.UPROBE_OFFSETS, count * 8)
      .buffer(L.UPROBE_REF_CTR_OFFSETS, count * 8)
      .buffer(L.UPROBE_COOKIES, count * 8);
  }
  info.run();
  return {
    type: "uprobe_multi",
    path: info.name(L.UPROBE_PATH),
    isReturn: (info.get(L.UPROBE_FLAGS) & ProbeMultiFlags.RETURN) !== 0,
    pid: info.get(L.UPROBE_PID),
    places: Array.from({ length: count }, (_, i) => ({
      address: info.word(L.UPROBE_OFFSETS, i),
      cookie: info.word(L.UPROBE_COOKIES, i),
      refCtrOffset: info.word(L.UPROBE_REF_CTR_OFFSETS, i),
    })),
  };
}

function perfEvent(fd: number, first: InfoCall): object {
  const kind = first.get(L.PERF_TYPE);
  if (kind === PerfLinkType.UNSPEC) return { type: "perf_event", event: "unknown" };
  if (kind === PerfLinkType.EVENT) {
    return {
      type: "perf_event",
      event: "event",
      eventType: first.get(L.PERF_EVENT_TYPE),
      config: first.big(L.PERF_EVENT_CONFIG),
      cookie: first.big(L.PERF_EVENT_COOKIE),
    };
  }
  const info = withName(fd, L.PERF_NAME, L.PERF_NAME_LEN);
  const name = info.name(L.PERF_NAME);
  if (kind === PerfLinkType.TRACEPOINT)
    return { type: "perf_event", event: "tracepoint", name, cookie: info.big(L.PERF_TRACEPOINT_COOKIE) };
  const offset = info.get(L.PERF_OFFSET);
  if (kind === PerfLinkType.UPROBE || kind === PerfLinkType.URETPROBE) {
    const event = kind === PerfLinkType.UPROBE ? "uprobe" : "uretprobe";
    return { type: "perf_event", event, name, offset, cookie: info.big(L.PERF_UPROBE_COOKIE) };
  }
  return {
    type: "perf_event",
    event: kind === PerfLinkType.KPROBE ? "kprobe" : "kretprobe",
    name,
    offset,
    address: info.big(L.PERF_KPROBE_ADDR),
    missed: getU64(info.view, L.PERF_KPROBE_MISSED),
    cookie: info.big(L.PERF_KPROBE_COOKIE),
  };
}

const device =
  (type: "tcx" | "netkit") =>
  (_fd: number, info: InfoCall): object => ({
    type,
    ifindex: info.get(L.IFINDEX),
    attachType: info.get(L.ATTACH_TYPE),
  });

const decoders: ReadonlyMap<number, (fd: number, info: InfoCall) => object> = new Map<
  number,
  (fd: number, info: InfoCall) => object
>([
  [
    LinkType.RAW_TRACEPOINT,
    (fd) => {
      const info = withName(fd, L.RAW_TP_NAME, L.RAW_TP_NAME_LEN);
      return { type: "raw_tracepoint", name: info.name(L.RAW_TP_NAME), cookie: info.big(L.RAW_TP_COOKIE) };
    },
  ],
  [
    LinkType.TRACING,
    (_, info) => ({
      type: "tracing",
      attachType: info.get(L.TRACING_ATTACH_TYPE),
      targetObjectId: info.get(L.TRACING_TARGET_OBJ_ID),
      targetBtfId: info.get(L.TRACING_TARGET_BTF_ID),
      cookie: info.big(L.TRACING_COOKIE),
    }),
  ],
  [
    LinkType.CGROUP,
    (_, info) => ({ type: "cgroup", cgroupId: info.big(L.CGROUP_ID), attachType: info.get(L.CGROUP_ATTACH_TYPE) }),
  ],
  [
    LinkType.ITER,
    (fd) => {
      const info = withName(fd, L.ITER_TARGET_NAME, L.ITER_TARGET_NAME_LEN);
      const target = info.name(L.ITER_TARGET_NAME);
      return { type: "iter", target, ...iteratorWalk(target, info) };
    },
  ],
  [
    LinkType.NETNS,
    (_, info) => ({ type: "netns", netnsInode: info.get(L.NETNS_INO), attachType: info.get(L.ATTACH_TYPE) }),
  ],
  [LinkType.XDP, (_, info) => ({ type: "xdp", ifindex: info.get(L.IFINDEX) })],
  [LinkType.PERF_EVENT, perfEvent],
  [LinkType.KPROBE_MULTI, kprobeMulti],
  [LinkType.STRUCT_OPS, (_, info) => ({ type: "struct_ops", mapId: info.get(L.MAP_ID) })],
  [
    LinkType.NETFILTER,
    (_, info) => ({
      type: "netfilter",
      family: info.get(L.NETFILTER_PF),
      hook: info.get(L.NETFILTER_HOOK),
      priority: info.get(L.NETFILTER_PRIORITY) | 0,
      flags: info.get(L.NETFILTER_FLAGS),
    }),
  ],
  [LinkType.TCX, device("tcx")],
  [LinkType.UPROBE_MULTI, uprobeMulti],
  [LinkType.NETKIT, device("netkit")],
  [
    LinkType.SOCKMAP,
    (_, info) => ({ type: "sockmap", mapId: info.get(L.MAP_ID), attachType: info.get(L.ATTACH_TYPE) }),
  ],
]);

/** Describes a link by its descriptor. Linux 5.8; fields that a kernel does not tell are 0. Throws SyscallError. */
export function linkInfo(fd: number): LinkInfo {
  const first = call(fd).run();
  const [number, id, progId] = [first.get(L.TYPE), first.get(L.ID), first.get(L.PROG_ID)];
  const decoded = decoders.get(number)?.(fd, first) ?? { type: "unknown", number };
  return { id, progId, ...decoded } as LinkInfo;
}
