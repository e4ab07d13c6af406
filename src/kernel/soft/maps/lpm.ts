/** Tries of prefixes: `BPF_MAP_TYPE_LPM_TRIE`. A key is the length of its prefix, 32 bits, and its bytes, the most significant bit first. */
import type { MapSpec } from "../../../object/index.ts";
import { Errno } from "../../errno.ts";
import { type MapHost, SoftMap, checkUpdateFlags } from "./map.ts";

interface Node {
  readonly prefix: number;
  /** Bytes of the key behind the length; bits behind the prefix as they were given. */
  data: Uint8Array;
  /** Offset of the value; 0 for a node that only branches. */
  value: number;
  readonly children: [Node | undefined, Node | undefined];
}

/** A trie. The longest prefix of a key that is in it is what a lookup finds. */
export class LpmTrie extends SoftMap {
  private root: Node | undefined;
  private entries = 0;
  private readonly bits: number;

  constructor(spec: MapSpec, id: number, host: MapHost) {
    super(spec, id, host);
    this.bits = (spec.keySize - 4) * 8;
  }

  private parse(key: Uint8Array): { readonly prefix: number; readonly data: Uint8Array } {
    const prefix = (key[0]! | (key[1]! << 8) | (key[2]! << 16) | (key[3]! << 24)) >>> 0;
    return { prefix, data: key.subarray(4, this.spec.keySize) };
  }

  /** How many leading bits a node and a key share, within both prefixes. */
  private shared(node: Node, prefix: number, data: Uint8Array): number {
    const limit = Math.min(node.prefix, prefix);
    let at = 0;
    for (; at + 8 <= limit && node.data[at >> 3] === data[at >> 3]; at += 8);
    while (at < limit && bitAt(node.data, at) === bitAt(data, at)) at++;
    return at;
  }

  private match(key: Uint8Array): Node | undefined {
    const { prefix, data } = this.parse(key);
    let found: Node | undefined;
    for (let node = this.root; node !== undefined;) {
      const same = this.shared(node, prefix, data);
      // The whole key: no longer prefix can match.
      if (same === this.bits) {
        if (node.value !== 0) found = node;
        break;
      }
      if (same < node.prefix) break;
      if (node.value !== 0) found = node;
      node = node.children[bitAt(data, node.prefix)];
    }
    return found;
  }

  lookup(key: Uint8Array): number {
    if (this.parse(key).prefix > this.bits) return 0;
    return this.match(key)?.value ?? 0;
  }

  private newNode(prefix: number, data: Uint8Array, value: number): Node {
    return { prefix, data: data.slice(), value, children: [undefined, undefined] };
  }

  private store(value: Uint8Array): number {
    const { memory } = this.host;
    const at = memory.allocate(this.spec.valueSize);
    memory.bytes.set(value.subarray(0, this.spec.valueSize), at);
    return at;
  }

  update(key: Uint8Array, value: Uint8Array, flags: number): number {
    if (flags > 2) return -Errno.EINVAL;
    const { prefix, data } = this.parse(key);
    if (prefix > this.bits) return -Errno.EINVAL;
    let parent: Node | undefined;
    let side: 0 | 1 = 0;
    let node = this.root;
    let same = 0;
    while (node !== undefined) {
      same = this.shared(node, prefix, data);
      if (node.prefix !== same || node.prefix === prefix) break;
      parent = node;
      side = bitAt(data, node.prefix);
      node = node.children[side];
    }
    const exact = node !== undefined && node.prefix === prefix && same === prefix ? node : undefined;
    const error = checkUpdateFlags(flags, exact !== undefined && exact.value !== 0);
    if (error !== 0) return error;
    if (exact !== undefined && exact.value !== 0) {
      const old = exact.value;
      exact.data = data.slice();
      exact.value = this.store(value);
      this.host.memory.release(old, this.spec.valueSize);
      return 0;
    }
    if (this.entries === this.spec.maxEntries) return -Errno.ENOSPC;
    this.entries++;
    if (exact !== undefined) {
      exact.data = data.slice();
      exact.value = this.store(value);
      return 0;
    }
    const put = (made: Node): void => {
      if (parent === undefined) this.root = made;
      else parent.children[side] = made;
    };
    const made = this.newNode(prefix, data, this.store(value));
    if (node === undefined) put(made);
    else if (same === prefix) {
      // The new prefix is the start of the old one.
      made.children[bitAt(node.data, prefix)] = node;
      put(made);
    } else {
      const branch = this.newNode(same, data, 0);
      branch.children[bitAt(data, same)] = made;
      branch.children[bitAt(node.data, same)] = node;
      put(branch);
    }
    return 0;
  }

  delete(key: Uint8Array): number {
    const { prefix, data } = this.parse(key);
    if (prefix > this.bits) return -Errno.EINVAL;
    const path: { readonly node: Node; readonly side: 0 | 1 }[] = [];
    let node = this.root;
    for (;;) {
      if (node === undefined) return -Errno.ENOENT;
      const same = this.shared(node, prefix, data);
      if (node.prefix !== same || node.prefix === prefix) break;
      const side = bitAt(data, node.prefix);
      path.push({ node, side });
      node = node.children[side];
    }
    if (node.prefix !== prefix || this.shared(node, prefix, data) !== prefix || node.value === 0) return -Errno.ENOENT;
    this.host.memory.release(node.value, this.spec.valueSize);
    node.value = 0;
    this.entries--;
    this.prune(node, path);
    return 0;
  }

  /** Takes a node without a value out when it does not branch, and then its parent when that does not either. */
  private prune(node: Node, path: readonly { readonly node: Node; readonly side: 0 | 1 }[]): void {
    const [left, right] = node.children;
    if (left !== undefined && right !== undefined) return;
    const above = path.at(-1);
    const only = left ?? right;
    if (above === undefined) this.root = only;
    else {
      above.node.children[above.side] = only;
      if (only === undefined && above.node.value === 0) this.prune(above.node, path.slice(0, -1));
    }
  }

  read(key: Uint8Array): Uint8Array | number {
    const at = this.lookup(key);
    return at === 0 ? -Errno.ENOENT : this.host.memory.bytes.slice(at, at + this.spec.valueSize);
  }

  /** In postorder: longer prefixes before the shorter ones that they begin with. */
  private *nodes(node: Node | undefined): Generator<Node> {
    if (node === undefined) return;
    yield* this.nodes(node.children[0]);
    yield* this.nodes(node.children[1]);
    if (node.value !== 0) yield node;
  }

  nextKey(key: Uint8Array | undefined): Uint8Array | undefined {
    const wanted = key === undefined ? undefined : this.parse(key);
    let first: Node | undefined;
    let previous: Node | undefined;
    for (const node of this.nodes(this.root)) {
      first ??= node;
      if (previous !== undefined) return this.keyOf(node);
      if (
        wanted !== undefined &&
        node.prefix === wanted.prefix &&
        this.shared(node, wanted.prefix, wanted.data) === node.prefix
      )
        previous = node;
    }
    // A key that is not there starts from the beginning.
    return previous === undefined && first !== undefined ? this.keyOf(first) : undefined;
  }

  private keyOf(node: Node): Uint8Array {
    const key = new Uint8Array(this.spec.keySize);
    new DataView(key.buffer).setUint32(0, node.prefix, true);
    key.set(node.data, 4);
    return key;
  }

  close(): void {
    for (const node of this.nodes(this.root)) this.host.memory.release(node.value, this.spec.valueSize);
    this.root = undefined;
  }
}

function bitAt(data: Uint8Array, bit: number): 0 | 1 {
  return ((data[bit >> 3]! >> (7 - (bit & 7))) & 1) as 0 | 1;
}
