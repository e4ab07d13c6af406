/** Maps that refer to other things of the kernel: descriptors go in, ids come out. */
import { SkepError, SyscallError, UnsupportedError } from "../../base/index.ts";
import type { KernelMap } from "../../kernel/index.ts";
import { type OwnedFd, openById, openLinuxMap } from "../../kernel/linux/index.ts";
import { type Descriptor, MapHandle, descriptorOf } from "./base.ts";
import { openDescriptor } from "./descriptors.ts";
import type { KeyCodec } from "./typed-map.ts";
import type { Given } from "../values/codec.ts";

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A map from keys to things that are given by their descriptors. The map holds them: the descriptor may be closed afterwards. */
export class ReferenceMap<K, In = Given<K>> extends MapHandle {
  private readonly keyCodec: KeyCodec<K, In>;

  constructor(map: KernelMap, key: KeyCodec<K, In>) {
    super(map);
    this.keyCodec = key;
  }

  protected encodeKey(key: In): Uint8Array {
    const bytes = new Uint8Array(this.spec.keySize);
    this.keyCodec.write(viewOf(bytes), 0, key);
    return bytes;
  }

  /** Puts something into the map, in place of what was at the key. */
  set(key: In, descriptor: Descriptor): void {
    this.setNumbers(key, [descriptorOf(descriptor)]);
  }

  protected setNumbers(key: In, numbers: readonly number[]): void {
    const bytes = new Uint8Array(this.spec.valueSize);
    numbers.forEach((number, i) => {
      if ((i + 1) * 4 <= bytes.length) viewOf(bytes).setUint32(i * 4, number, true);
    });
    this.kernelMap.update(this.encodeKey(key), bytes);
  }

  /** Takes what is at a key out of the map; false when nothing was. */
  delete(key: In): boolean {
    return this.kernelMap.delete(this.encodeKey(key));
  }

  /** Keys in the kernel's order. Of arrays all indexes, also those where nothing is. */
  *keys(): Generator<K, void, undefined> {
    // A key that goes away makes the kernel start over: each is told once.
    const seen = new Set<string>();
    const most = this.spec.maxEntries * 4 + 1024;
    let key = this.kernelMap.nextKey();
    for (let step = 0; key !== undefined && step < most; step++) {
      const name = Buffer.from(key).toString("latin1");
      if (!seen.has(name)) yield this.keyCodec.read(viewOf(key), 0);
      seen.add(name);
      key = this.kernelMap.nextKey(key);
    }
  }

  /** What the kernel shows of what is at a key. */
  protected lookupView(key: In): DataView | undefined {
    try {
      const bytes = this.kernelMap.lookup(this.encodeKey(key));
      return bytes === undefined ? undefined : viewOf(bytes);
    } catch (error) {
      if (!(error instanceof SyscallError) || !["ENOTSUPP", "EOPNOTSUPP"].includes(error.errnoName)) throw error;
      throw new UnsupportedError(`map ${this.name}`, "the kernel does not tell what is in maps of this type", {
        cause: error,
      });
    }
  }
}

/** A {@link ReferenceMap} whose things have ids. */
export abstract class IdMap<K, In = Given<K>> extends ReferenceMap<K, In> {
  /** Id of what is at a key; undefined when nothing is. */
  id(key: In): number | undefined {
    return this.lookupView(key)?.getUint32(0, true);
  }

  /** Keys where something is, with the ids. */
  *entries(): Generator<[K, number], void, undefined> {
    for (const key of this.keys()) {
      // A key as it was read may be given again, in every type of key there is.
      const id = this.id(key as unknown as In);
      if (id !== undefined) yield [key, id];
    }
  }

  [Symbol.iterator](): Generator<[K, number], void, undefined> {
    return this.entries();
  }
}

/** An array of programs, which `bpf_tail_call` jumps into. */
export class ProgramArrayMap extends IdMap<number> {
  /** A descriptor of the program at an index, for the caller to close; undefined when there is none. */
  get(index: number): OwnedFd | undefined {
    const id = this.id(index);
    return id === undefined ? undefined : openById("prog", id);
  }
}

/** A map of maps. `M` is what {@link MapOfMaps.get} makes of an inner map. */
export class MapOfMaps<K, M, In = Given<K>> extends IdMap<K, In> {
  private readonly wrap: (map: KernelMap) => M;

  constructor(map: KernelMap, key: KeyCodec<K, In>, wrap: (map: KernelMap) => M) {
    super(map, key);
    this.wrap = wrap;
  }

  /** Puts a map at a key: one as users hold it, or a descriptor. Throws SyscallError (EINVAL) for one that is not like the inner map of the spec. */
  override set(key: In, map: Descriptor | MapHandle): void {
    if (!(map instanceof MapHandle)) return super.set(key, map);
    const inner = map.kernelMap as unknown as Descriptor;
    if (typeof inner !== "object" || !("fd" in inner)) {
      throw new SkepError("unsupported", `map ${map.name}: has no descriptor`, { exitStatus: 3 });
    }
    super.set(key, inner);
  }

  /** The map at a key, for the caller to close; undefined when there is none. */
  get(key: In): M | undefined {
    const id = this.id(key);
    const map = id === undefined ? undefined : openLinuxMap(id);
    return map === undefined ? undefined : this.wrap(map);
  }
}

/** An array of cgroups, which programs ask whether a packet or task is under. The kernel does not tell what is in it. */
export class CgroupArrayMap extends ReferenceMap<number> {
  /** Puts a cgroup at an index: the path of its directory in cgroup2, or a descriptor of that. */
  override set(index: number, cgroup: string | Descriptor): void {
    if (typeof cgroup !== "string") return super.set(index, cgroup);
    using opened = openDescriptor("cgroup", cgroup);
    super.set(index, opened.value);
  }
}

/** What is at a key of a map that packets are redirected through. */
export interface RedirectTarget {
  /** Of devices the interface's index, of CPUs the length of their queue. */
  readonly value: number;
  /** The program that runs there on each packet; undefined for none. Linux 5.8 (devices), 5.9 (CPUs). */
  readonly programId: number | undefined;
}

/** A map of network devices or of CPUs, for `bpf_redirect_map`. */
class RedirectMap extends ReferenceMap<number> {
  protected setTarget(key: number, value: number, program: Descriptor | undefined): void {
    if (program !== undefined && this.spec.valueSize < 8) {
      throw new RangeError(
        `map ${this.name}: values of ${this.spec.valueSize} bytes have no room for a program: 8 are needed`,
      );
    }
    this.setNumbers(key, [value, program === undefined ? 0 : descriptorOf(program)]);
  }

  /** What is at a key; undefined when nothing is. */
  get(key: number): RedirectTarget | undefined {
    const view = this.lookupView(key);
    if (view === undefined) return undefined;
    const programId = view.byteLength < 8 ? 0 : view.getUint32(4, true);
    return { value: view.getUint32(0, true), programId: programId === 0 ? undefined : programId };
  }

  /** Keys where something is. */
  *entries(): Generator<[number, RedirectTarget], void, undefined> {
    for (const key of this.keys()) {
      const target = this.get(key);
      if (target !== undefined) yield [key, target];
    }
  }

  [Symbol.iterator](): Generator<[number, RedirectTarget], void, undefined> {
    return this.entries();
  }
}

/** Network devices by index or by any number (`DEVMAP`, `DEVMAP_HASH`). */
export class DeviceMap extends RedirectMap {
  /** Puts an interface at a key, by its index (`/sys/class/net/NAME/ifindex`), with the program that runs on each packet sent there. */
  override set(key: number, ifindex: number, options: { readonly program?: Descriptor } = {}): void {
    this.setTarget(key, ifindex, options.program);
  }
}

/** CPUs that packets are handed to, each with a queue. */
export class CpuMap extends RedirectMap {
  /** Starts a queue of `queueSize` packets on a CPU, with the program that runs there on each. */
  override set(cpu: number, queueSize: number, options: { readonly program?: Descriptor } = {}): void {
    this.setTarget(cpu, queueSize, options.program);
  }
}

/** AF_XDP sockets, by index. The kernel does not tell what is in it. */
export class XskMap extends ReferenceMap<number> {}

/** Sockets, by key: `SOCKMAP`, `SOCKHASH` and `REUSEPORT_SOCKARRAY`. */
export class SocketMap<K, In = Given<K>> extends ReferenceMap<K, In> {
  /** Cookie of the socket at a key; undefined when there is none. Throws UnsupportedError when values have 4 bytes: then the kernel has no room to tell. */
  cookie(key: In): bigint | undefined {
    if (this.spec.valueSize < 8) {
      throw new UnsupportedError(
        `cookies of map ${this.name}`,
        "the kernel tells them in maps with values of 8 bytes (u64) only",
      );
    }
    return this.lookupView(key)?.getBigUint64(0, true);
  }
}
