/** bpf(2) on objects of any kind: ids, information, pins, iterators, statistics. Maps, programs and links have files of their own. */
import { BpfCmd, StatsType } from "../../isa/index.ts";
import {
  BtfInfo,
  EnableStatsAttr,
  IdAttr,
  InfoAttr,
  IterCreateAttr,
  LinkInfo,
  MapInfo,
  ObjAttr,
  ProgInfo,
} from "./bpf-attr.ts";
import { type Operation, syscallFailure } from "./diagnose.ts";
import { Errno } from "../errno.ts";
import { OwnedFd } from "./fd.ts";
import { getU64 } from "./memory.ts";
import { type Attributes, callAttributes } from "./scratch.ts";
import { bpfSyscall } from "./sys.ts";

const text = new TextDecoder();

const commandNames: ReadonlyMap<number, string> = new Map(
  Object.entries(BpfCmd)
    .filter(([name]) => name !== "PROG_RUN")
    .map(([name, value]) => [value, name]),
);

/** Name of a command as the kernel spells it, such as `BPF_MAP_CREATE`. */
export function commandName(command: number): string {
  return `BPF_${commandNames.get(command) ?? command}`;
}

const operations: ReadonlyMap<number, Operation> = new Map([
  [BpfCmd.MAP_CREATE, "map-create"],
  [BpfCmd.PROG_LOAD, "prog-load"],
  [BpfCmd.BTF_LOAD, "btf-load"],
  [BpfCmd.LINK_CREATE, "link-create"],
  [BpfCmd.RAW_TRACEPOINT_OPEN, "link-create"],
  [BpfCmd.PROG_GET_NEXT_ID, "ids"],
  [BpfCmd.MAP_GET_NEXT_ID, "ids"],
  [BpfCmd.BTF_GET_NEXT_ID, "ids"],
  [BpfCmd.LINK_GET_NEXT_ID, "ids"],
  [BpfCmd.PROG_GET_FD_BY_ID, "ids"],
  [BpfCmd.MAP_GET_FD_BY_ID, "ids"],
  [BpfCmd.BTF_GET_FD_BY_ID, "ids"],
  [BpfCmd.LINK_GET_FD_BY_ID, "ids"],
]);

/** Makes the call. Returns its result, or the negative errno. */
export function bpf(command: number, attributes: Attributes): number {
  return bpfSyscall(command, attributes.address, attributes.size);
}

/** Makes the call, or throws SyscallError with the likely reason. `what` names the object in the message. */
export function bpfOrThrow(command: number, attributes: Attributes, what: string): number {
  const result = bpf(command, attributes);
  if (result < 0) throw bpfFailure(command, -result, what);
  return result;
}

/** The error of a command that failed. */
export function bpfFailure(command: number, errno: number, what: string): Error {
  const call = `bpf(${commandName(command)}${what === "" ? "" : `, ${what}`})`;
  return syscallFailure({ call, operation: operations.get(command) ?? "other", errno });
}

/** Kinds of objects that the kernel numbers. */
export type ObjectKind = "prog" | "map" | "btf" | "link";

const nextIdCommands = {
  prog: BpfCmd.PROG_GET_NEXT_ID,
  map: BpfCmd.MAP_GET_NEXT_ID,
  btf: BpfCmd.BTF_GET_NEXT_ID,
  link: BpfCmd.LINK_GET_NEXT_ID,
} as const;

const fdByIdCommands = {
  prog: BpfCmd.PROG_GET_FD_BY_ID,
  map: BpfCmd.MAP_GET_FD_BY_ID,
  btf: BpfCmd.BTF_GET_FD_BY_ID,
  link: BpfCmd.LINK_GET_FD_BY_ID,
} as const;

/** The id after `id` (0 starts), undefined at the end. Needs CAP_SYS_ADMIN. Links: Linux 5.8. */
export function nextId(kind: ObjectKind, id: number): number | undefined {
  const attributes = callAttributes(IdAttr.SIZE).u32(IdAttr.ID, id);
  const result = bpf(nextIdCommands[kind], attributes);
  if (result === -Errno.ENOENT) return undefined;
  if (result < 0) throw bpfFailure(nextIdCommands[kind], -result, `${kind} after ${id}`);
  return attributes.view.getUint32(IdAttr.NEXT_ID, true);
}

/** Ids of all objects of a kind, ascending. */
export function* objectIds(kind: ObjectKind): Generator<number> {
  for (let id = nextId(kind, 0); id !== undefined; id = nextId(kind, id)) yield id;
}

/** A descriptor of an object by its id; undefined when it is gone. The caller closes it. Needs CAP_SYS_ADMIN. */
export function openById(kind: ObjectKind, id: number): OwnedFd | undefined {
  const result = bpf(fdByIdCommands[kind], callAttributes(IdAttr.SIZE).u32(IdAttr.ID, id));
  if (result === -Errno.ENOENT) return undefined;
  if (result < 0) throw bpfFailure(fdByIdCommands[kind], -result, `${kind} ${id}`);
  return new OwnedFd(result, `${kind} ${id}`);
}

const infoSizes = { prog: ProgInfo.SIZE, map: MapInfo.SIZE, btf: BtfInfo.SIZE, link: LinkInfo.SIZE } as const;

/** The info structure of an object, valid until the next call; fields that this kernel does not know are zero. */
function objectInfo(kind: ObjectKind, fd: number): { view: DataView; bytes: Uint8Array } {
  const size = infoSizes[kind];
  const attributes = callAttributes(InfoAttr.SIZE).u32(InfoAttr.BPF_FD, fd).u32(InfoAttr.INFO_LEN, size);
  const info = attributes.output(InfoAttr.INFO, size);
  bpfOrThrow(BpfCmd.OBJ_GET_INFO_BY_FD, attributes, kind);
  return info;
}

function textAt(bytes: Uint8Array, offset: number, room: number): string {
  const end = bytes.indexOf(0, offset);
  return text.decode(bytes.slice(offset, end === -1 || end > offset + room ? offset + room : end));
}

/** What the kernel tells of a program. Times and counts are zero without statistics. */
export interface ProgDescription {
  readonly id: number;
  readonly type: number;
  readonly name: string;
  /** Sixteen hexadecimal digits. */
  readonly tag: string;
  /** Bytes. */
  readonly jitedBytes: number;
  readonly translatedBytes: number;
  /** Nanoseconds since boot. */
  readonly loadTimeNs: number;
  readonly uid: number;
  readonly mapCount: number;
  readonly btfId: number;
  readonly runTimeNs: number;
  readonly runCount: number;
  readonly recursionMisses: number;
  readonly verifiedInsns: number;
}

/** Information on a program. */
export function describeProg(fd: number): ProgDescription {
  const { view, bytes } = objectInfo("prog", fd);
  let tag = "";
  for (let i = 0; i < 8; i++) tag += bytes[ProgInfo.TAG + i]!.toString(16).padStart(2, "0");
  return {
    id: view.getUint32(ProgInfo.ID, true),
    type: view.getUint32(ProgInfo.TYPE, true),
    name: textAt(bytes, ProgInfo.NAME, 16),
    tag,
    jitedBytes: view.getUint32(ProgInfo.JITED_PROG_LEN, true),
    translatedBytes: view.getUint32(ProgInfo.XLATED_PROG_LEN, true),
    loadTimeNs: getU64(view, ProgInfo.LOAD_TIME),
    uid: view.getUint32(ProgInfo.CREATED_BY_UID, true),
    mapCount: view.getUint32(ProgInfo.NR_MAP_IDS, true),
    btfId: view.getUint32(ProgInfo.BTF_ID, true),
    runTimeNs: getU64(view, ProgInfo.RUN_TIME_NS),
    runCount: getU64(view, ProgInfo.RUN_CNT),
    recursionMisses: getU64(view, ProgInfo.RECURSION_MISSES),
    verifiedInsns: view.getUint32(ProgInfo.VERIFIED_INSNS, true),
  };
}

/** The program as the kernel rewrote it: instructions of 8 bytes. Empty without CAP_SYS_ADMIN or CAP_PERFMON. */
export function translatedCode(fd: number): Uint8Array {
  const size = describeProg(fd).translatedBytes;
  const attributes = callAttributes(InfoAttr.SIZE).u32(InfoAttr.BPF_FD, fd).u32(InfoAttr.INFO_LEN, ProgInfo.SIZE);
  const info = attributes.output(InfoAttr.INFO, ProgInfo.SIZE);
  // A structure inside the structure: its buffer hangs off the info, not off the attributes.
  const code = attributes.output(InfoAttr.INFO, size);
  attributes.u64(InfoAttr.INFO, info.address);
  info.view.setUint32(ProgInfo.XLATED_PROG_LEN, size, true);
  info.view.setBigUint64(ProgInfo.XLATED_PROG_INSNS, BigInt(code.address), true);
  bpfOrThrow(BpfCmd.OBJ_GET_INFO_BY_FD, attributes, "prog");
  return code.bytes.slice(0, info.view.getUint32(ProgInfo.XLATED_PROG_LEN, true));
}

/** What the kernel tells of a map. */
export interface MapDescription {
  readonly id: number;
  readonly type: number;
  readonly name: string;
  /** Bytes. */
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly btfId: number;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
  /** Hash functions of a bloom filter, address of an arena. Linux 5.16; 0 before. */
  readonly mapExtra: bigint;
}

/** Information on a map. */
export function describeMap(fd: number): MapDescription {
  const { view, bytes } = objectInfo("map", fd);
  return {
    id: view.getUint32(MapInfo.ID, true),
    type: view.getUint32(MapInfo.TYPE, true),
    name: textAt(bytes, MapInfo.NAME, 16),
    keySize: view.getUint32(MapInfo.KEY_SIZE, true),
    valueSize: view.getUint32(MapInfo.VALUE_SIZE, true),
    maxEntries: view.getUint32(MapInfo.MAX_ENTRIES, true),
    flags: view.getUint32(MapInfo.MAP_FLAGS, true),
    btfId: view.getUint32(MapInfo.BTF_ID, true),
    keyTypeId: view.getUint32(MapInfo.BTF_KEY_TYPE_ID, true),
    valueTypeId: view.getUint32(MapInfo.BTF_VALUE_TYPE_ID, true),
    mapExtra: view.getBigUint64(MapInfo.MAP_EXTRA, true),
  };
}

/** What the kernel tells of a BTF object. */
export interface BtfDescription {
  readonly id: number;
  /** `vmlinux`, a module's name, or empty for a program's own. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly isKernel: boolean;
}

const BTF_NAME_ROOM = 128;

function describeOldBtf(fd: number): BtfDescription {
  const { view } = objectInfo("btf", fd);
  const [id, size] = [view.getUint32(BtfInfo.ID, true), view.getUint32(BtfInfo.BTF_SIZE, true)];
  return { id, name: "", size, isKernel: false };
}

/** Information on a BTF object. The name and its origin are known since 5.11. */
export function describeBtf(fd: number): BtfDescription {
  const attributes = callAttributes(InfoAttr.SIZE).u32(InfoAttr.BPF_FD, fd).u32(InfoAttr.INFO_LEN, BtfInfo.SIZE);
  const info = attributes.output(InfoAttr.INFO, BtfInfo.SIZE);
  const name = attributes.output(InfoAttr.INFO, BTF_NAME_ROOM);
  attributes.u64(InfoAttr.INFO, info.address);
  info.view.setBigUint64(BtfInfo.NAME, BigInt(name.address), true);
  info.view.setUint32(BtfInfo.NAME_LEN, BTF_NAME_ROOM, true);
  const result = bpf(BpfCmd.OBJ_GET_INFO_BY_FD, attributes);
  // Kernels before 5.11 refuse to be asked for a name.
  if (result === -Errno.E2BIG) return describeOldBtf(fd);
  if (result < 0) throw bpfFailure(BpfCmd.OBJ_GET_INFO_BY_FD, -result, "btf");
  return {
    id: info.view.getUint32(BtfInfo.ID, true),
    name: textAt(name.bytes, 0, BTF_NAME_ROOM),
    size: info.view.getUint32(BtfInfo.BTF_SIZE, true),
    isKernel: info.view.getUint32(BtfInfo.KERNEL_BTF, true) !== 0,
  };
}

/** What the kernel tells of a link, whatever its kind. */
export interface LinkDescription {
  readonly id: number;
  /** `LinkType.*` */
  readonly type: number;
  readonly progId: number;
}

/** Information on a link. */
export function describeLink(fd: number): LinkDescription {
  const { view } = objectInfo("link", fd);
  return {
    id: view.getUint32(LinkInfo.ID, true),
    type: view.getUint32(LinkInfo.TYPE, true),
    progId: view.getUint32(LinkInfo.PROG_ID, true),
  };
}

/** Keeps an object beyond this process under a path of a bpffs. Throws SyscallError; EINVAL is a path elsewhere. */
export function pinObject(fd: number, path: string): void {
  bpfOrThrow(BpfCmd.OBJ_PIN, callAttributes(ObjAttr.SIZE).string(ObjAttr.PATHNAME, path).u32(ObjAttr.BPF_FD, fd), path);
}

/** Opens a pinned object. The caller closes it. */
export function openPinned(path: string): OwnedFd {
  const fd = bpfOrThrow(BpfCmd.OBJ_GET, callAttributes(ObjAttr.SIZE).string(ObjAttr.PATHNAME, path), path);
  return new OwnedFd(fd, `pin ${path}`);
}

/** A descriptor whose reading runs an iterator program once over everything. Linux 5.8. */
export function createIterator(linkFd: number): OwnedFd {
  const fd = bpfOrThrow(
    BpfCmd.ITER_CREATE,
    callAttributes(IterCreateAttr.SIZE).u32(IterCreateAttr.LINK_FD, linkFd),
    "",
  );
  return new OwnedFd(fd, "iterator");
}

/** Turns on run-time statistics of all programs until closed. Linux 5.8. */
export function enableStatistics(): OwnedFd {
  const attributes = callAttributes(EnableStatsAttr.SIZE).u32(EnableStatsAttr.TYPE, StatsType.RUN_TIME);
  return new OwnedFd(bpfOrThrow(BpfCmd.ENABLE_STATS, attributes, "run time"), "statistics");
}
