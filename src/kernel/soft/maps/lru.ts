/** `BPF_MAP_TYPE_LRU_HASH` and `_LRU_PERCPU_HASH`: a new entry takes the place of one that was not used for long. */
import { MapFlags, UpdateFlags } from "../../../isa/index.ts";
import type { MapSpec } from "../../../object/index.ts";
import { Errno } from "../../errno.ts";
import { HashMap } from "./hash.ts";
import { LruLists, type LruNode } from "./lru-list.ts";
import { type MapHost, checkUpdateFlags } from "./map.ts";

/** A hash table that is never full. */
export class LruHashMap extends HashMap {
  private readonly lists: LruLists;
  private readonly nodes = new Map<number, LruNode>();
  /** Elements that are in the table. */
  private readonly linked = new Set<number>();

  constructor(spec: MapSpec, id: number, host: MapHost) {
    super(spec, id, host);
    const evict = (node: LruNode): boolean => {
      if (!this.linked.has(node.element)) return false;
      this.takeOut(node.element);
      return true;
    };
    this.lists = new LruLists(spec.maxEntries, host.possibleCpus, evict);
  }

  protected override touched(element: number): void {
    this.nodes.get(element)!.used = true;
  }

  private takeNode(): LruNode | undefined {
    const node = this.lists.take(this.host.cpu());
    if (node !== undefined && node.element === 0) {
      node.element = this.newElement();
      this.nodes.set(node.element, node);
    }
    return node;
  }

  protected override put(key: Uint8Array, flags: number, fill: (element: number, old: number) => void): number {
    if (flags > UpdateFlags.EXIST) return -Errno.EINVAL;
    // As the kernel does: the element is found before the key is looked up, so that also an update may push another entry out.
    const needsNew = !this.isPerCpu || flags !== UpdateFlags.EXIST;
    const node = needsNew ? this.takeNode() : undefined;
    if (needsNew && node === undefined) return -Errno.ENOMEM;
    const hash = this.hash(key);
    const old = this.find(key, hash);
    const error = checkUpdateFlags(flags, old !== 0);
    if (error !== 0 || (old !== 0 && this.isPerCpu)) {
      if (node !== undefined) this.lists.give(node);
      if (error !== 0) return error;
      this.touched(old);
      fill(old, old);
      return 0;
    }
    const { element } = node!;
    this.host.memory.bytes.set(key.subarray(0, this.spec.keySize), element);
    fill(element, 0);
    this.linkElement(element, hash);
    this.linked.add(element);
    this.used++;
    if (old !== 0) {
      node!.used = true;
      this.remove(old);
    }
    return 0;
  }

  protected override remove(element: number): void {
    this.takeOut(element);
    this.lists.give(this.nodes.get(element)!);
  }

  private takeOut(element: number): void {
    this.unlink(element);
    this.linked.delete(element);
    this.used--;
  }
}

/** Flags that LRU maps know beside those of hash tables. */
export const LRU_FLAGS: number = MapFlags.NO_COMMON_LRU | MapFlags.ZERO_SEED;
