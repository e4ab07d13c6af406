/** Longest-prefix tries: routing tables and lists of networks. */
import { parseIpAddress } from "../../lang/bpftrace/checker/ip-address.ts";
import type { Codec } from "../values/codec.ts";
import { formatIpv4, formatIpv6 } from "../format/inet.ts";
import type { KeyCodec } from "./typed-map.ts";
import { TypedMap } from "./typed-map.ts";

/** Bytes of the prefix length that starts each key (`struct bpf_lpm_trie_key`). */
const LENGTH_BYTES = 4;

/** A network: the first `prefixLength` bits of an address. */
export interface LpmPrefix {
  /** Bits. */
  readonly prefixLength: number;
  /** In network order, all bytes of the key's data. */
  readonly address: Uint8Array;
  /** `10.0.0.0/8`, `2001:db8::/32`; hexadecimal where the data is no address of 4 or 16 bytes. */
  readonly text: string;
}

/**
 * A network as it may be given: text (`10.0.0.0/8`; an address alone means all its bits), length and address, or an object of the key's
 * own type.
 */
export type LpmInput = string | { readonly prefixLength: number; readonly address: Uint8Array | string } | object;

/** An IP address, or bytes in hexadecimal. */
function parseAddress(text: string, size: number): Uint8Array {
  const ip = parseIpAddress(text);
  const bytes = ip ?? (/^(?:[0-9a-f]{2})+$/i.test(text) ? Uint8Array.from(Buffer.from(text, "hex")) : undefined);
  if (bytes === undefined) throw new TypeError(`${JSON.stringify(text)} is no address`);
  if (bytes.length !== size)
    throw new RangeError(`${text} has ${bytes.length} bytes, addresses of this map have ${size}`);
  return bytes;
}

function textOf(address: Uint8Array, prefixLength: number): string {
  if (address.length === 4) return `${formatIpv4(address, 0)}/${prefixLength}`;
  if (address.length === 16) return `${formatIpv6(address, 0)}/${prefixLength}`;
  return `${Buffer.from(address).toString("hex")}/${prefixLength}`;
}

/** Keys of a trie of `keySize` bytes; `struct` is the key's own type, where it is known. */
export function lpmCodec(keySize: number, struct: Codec | undefined): KeyCodec<LpmPrefix, LpmInput> {
  const size = keySize - LENGTH_BYTES;
  const put = (view: DataView, offset: number, prefixLength: number, address: Uint8Array): void => {
    if (!Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > size * 8) {
      throw new RangeError(`prefix length ${prefixLength}: from 0 to ${size * 8} in this map`);
    }
    if (address.length !== size)
      throw new RangeError(`an address has ${size} bytes in this map, not ${address.length}`);
    view.setUint32(offset, prefixLength, true);
    new Uint8Array(view.buffer, view.byteOffset + offset + LENGTH_BYTES, size).set(address);
  };
  return {
    size: keySize,
    read: (view, offset) => {
      const prefixLength = view.getUint32(offset, true);
      const address = new Uint8Array(view.buffer, view.byteOffset + offset + LENGTH_BYTES, size).slice();
      return { prefixLength, address, text: textOf(address, prefixLength) };
    },
    write: (view, offset, key) => {
      if (typeof key === "string") {
        const [, text = "", length] = /^([^/]*)(?:\/(\d+))?$/.exec(key) ?? [];
        if (text === "") throw new TypeError(`${JSON.stringify(key)} is no prefix such as 10.0.0.0/8`);
        put(view, offset, length === undefined ? size * 8 : Number(length), parseAddress(text, size));
        return;
      }
      if (typeof key !== "object" || key === null)
        throw new TypeError(`a prefix such as 10.0.0.0/8 is wanted, not ${key}`);
      if ("prefixLength" in key && "address" in key) {
        const { prefixLength, address } = key as { prefixLength: number; address: Uint8Array | string };
        put(view, offset, prefixLength, typeof address === "string" ? parseAddress(address, size) : address);
        return;
      }
      if (struct === undefined)
        throw new TypeError("a prefix is wanted: text such as 10.0.0.0/8, or prefixLength and address");
      struct.write(view, offset, key);
    },
  };
}

/**
 * A trie whose lookups find the longest prefix that an address begins with. `get("10.1.2.3")` asks as programs do; iteration gives the
 * prefixes that are in the map. `delete` wants the very prefix.
 */
export class LpmTrieMap<V> extends TypedMap<LpmPrefix, V, LpmInput> {}
