/** Values as bytes, and a map and a context without a kernel. */
import type { KernelMap } from "../../src/kernel/kernel.ts";
import type { PlannedMap } from "../../src/lang/bpftrace/plan.ts";
import { sizeOf, tupleOffsets } from "../../src/lang/bpftrace/types.ts";
import type { Type } from "../../src/lang/bpftrace/types.ts";
import type { Compat, FormatContext } from "../../src/runtime/format/context.ts";

/** What {@link encode} takes: an integer, text, bytes of a buffer or address, items of a tuple or array. */
export type Plain = number | bigint | boolean | string | Uint8Array | readonly Plain[];

/** Writes a value as lowering would. */
export function encode(type: Type, value: Plain): Uint8Array {
  const bytes = new Uint8Array(sizeOf(type));
  put(type, value, bytes, new DataView(bytes.buffer), 0);
  return bytes;
}

function put(type: Type, value: Plain, bytes: Uint8Array, view: DataView, at: number): void {
  switch (type.kind) {
    case "int":
      for (let i = 0; i < type.size; i++) bytes[at + i] = Number((BigInt(value as number) >> BigInt(8 * i)) & 0xffn);
      return;
    case "bool":
      bytes[at] = value ? 1 : 0;
      return;
    case "string":
      bytes.set(value instanceof Uint8Array ? value : new TextEncoder().encode(value as string), at);
      return;
    case "buffer":
      view.setUint32(at, (value as Uint8Array).length, true);
      bytes.set(value as Uint8Array, at + 4);
      return;
    case "array":
      (value as readonly Plain[]).forEach((item, i) => put(type.of, item, bytes, view, at + i * sizeOf(type.of)));
      return;
    case "tuple": {
      const { offsets } = tupleOffsets(type.items);
      type.items.forEach((item, i) => put(item, (value as readonly Plain[])[i]!, bytes, view, at + offsets[i]!));
      return;
    }
    case "mac":
      bytes.set(value as Uint8Array, at);
      return;
    case "inet": {
      const address = value as Uint8Array;
      view.setUint32(at, address.length === 4 ? 2 : 10, true);
      bytes.set(address, at + 4);
      return;
    }
    case "stack":
    case "usym": {
      const [first, pid] = value as readonly [number, number?];
      view.setBigInt64(at, BigInt(first), true);
      if (pid !== undefined) view.setUint32(at + 8, pid, true);
      return;
    }
    case "avg":
    case "stats":
    case "min":
    case "max": {
      const [first, second] = value as readonly [number, number];
      view.setBigInt64(at, BigInt(first), true);
      view.setBigInt64(at + 8, BigInt(second), true);
      return;
    }
    default:
      view.setBigInt64(at, BigInt.asIntN(64, BigInt(value as number)), true);
  }
}

/** A context whose symbols are their addresses' names. */
export function fakeContext(compat: Compat = "0.26", overrides: Partial<FormatContext> = {}): FormatContext {
  return {
    compat,
    strTruncTrailer: "..",
    probeNames: ["BEGIN", "tracepoint:sched:sched_switch"],
    possibleCpus: 2,
    kernelSymbol: (address, withOffset) => `k${address.toString(16)}${withOffset ? "+1" : ""}`,
    userSymbol: (address, pid, withOffset, perf) =>
      `u${address.toString(16)}@${pid}${withOffset ? "+1" : ""}${perf ? " (/bin/x)" : ""}`,
    stackAddresses: (_of, limit, id) => (id === 7 ? [0x10n, 0x20n, 0x30n].slice(0, limit) : null),
    userName: (uid) => (uid === 0 ? "root" : ""),
    cgroupPath: (id, filter) => `${filter}:/c${id}`,
    bootTimeNs: () => 1_700_000_000_000_000_000n,
    ...overrides,
  };
}

/** A kernel map that holds entries in the order given. */
export function fakeMap(
  planned: PlannedMap,
  entries: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[],
): KernelMap {
  const valueSize = entries[0]?.value.length ?? sizeOf(planned.value);
  const spec = {
    name: planned.kernelMap,
    type: 1,
    keySize: entries[0]?.key.length ?? 4,
    valueSize,
    maxEntries: 100,
    flags: 0,
  };
  const same = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, i) => byte === b[i]);
  return {
    spec,
    userValueSize: valueSize,
    lookup: (key) => entries.find((entry) => same(entry.key, key))?.value,
    update: () => {},
    updateIf: () => false,
    delete: () => false,
    take: () => undefined,
    hasValue: () => false,
    nextKey: () => undefined,
    updateMany: () => {},
    deleteMany: () => 0,
    entries: () => entries.map(({ key, value }) => ({ key: key.slice(), value: value.slice() })),
    keys: () => entries.map(({ key }) => key.slice()),
    chunks: () => entries.map(({ key, value }) => ({ count: 1, keys: key.slice(), values: value.slice() })),
    scan: function* () {
      yield* this.chunks();
    },
    takeChunks: () => [],
    clear: () => {},
    close: () => {},
    [Symbol.dispose]: () => {},
  };
}

/** A map of the script that is a hash. */
export function keyedMap(name: string, key: Type, value: Type, perCpu = false): PlannedMap {
  return { name, kernelMap: name.slice(1), key, value, perCpu, layout: "keyed", presentOffset: null };
}
