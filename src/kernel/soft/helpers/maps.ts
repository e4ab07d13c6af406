/** Helpers on maps. */
import { Errno } from "../../errno.ts";
import { BloomFilter } from "../maps/queue.ts";
import { RingMap } from "../maps/ring.ts";
import type { Helper, HelperCall } from "./call.ts";

function ring(call: HelperCall, index: number): RingMap | undefined {
  const map = call.map(index);
  return map instanceof RingMap ? map : undefined;
}

/** A value that is given to user space or left for the program: into memory that it may write. */
function give(call: HelperCall, index: number, value: Uint8Array | number): number {
  if (typeof value === "number") return value;
  call.memory.bytes.set(value, call.pointer(index, value.length, true));
  return 0;
}

function commit(call: HelperCall, discard: boolean): void {
  const record = call.u32(0);
  const { records } = call.services;
  const owner = records.get(record);
  // What was not reserved stops the program, as anything that touches what it may not.
  if (owner === undefined) {
    call.pointer(0, 2 ** 30, true);
    return;
  }
  records.delete(record);
  owner.commit(record, call.u32(1), discard);
}

/** Callbacks end a walk with 1. */
const STOP = 1n;
/** Most rounds of `bpf_loop` (BPF_MAX_LOOPS of the kernel). */
const MOST_ROUNDS = 8 * 1024 * 1024;

/** By their names without `bpf_`. */
export const mapHelpers: Readonly<Record<string, Helper>> = {
  map_lookup_elem(call) {
    const map = call.map(0);
    return call.address(map.lookup(call.bytes(1, map.spec.keySize)));
  },
  map_update_elem(call) {
    const map = call.map(0);
    return map.update(call.bytes(1, map.spec.keySize).slice(), call.bytes(2, map.spec.valueSize), call.u32(3));
  },
  map_delete_elem(call) {
    const map = call.map(0);
    return map.delete(call.bytes(1, map.spec.keySize));
  },
  map_lookup_percpu_elem(call) {
    const map = call.map(0);
    return call.address(map.lookupCpu(call.bytes(1, map.spec.keySize), call.u32(2)));
  },
  map_push_elem(call) {
    const map = call.map(0);
    return map.push(call.bytes(1, map.spec.valueSize), call.u32(2));
  },
  map_pop_elem: (call) => give(call, 1, call.map(0).pop(true)),
  map_peek_elem(call) {
    const map = call.map(0);
    if (map instanceof BloomFilter) return map.has(call.bytes(1, map.spec.valueSize));
    return give(call, 1, map.pop(false));
  },
  for_each_map_elem(call) {
    const map = call.map(0);
    const callback = call.func(1);
    const context = call.u64(2);
    if (call.u64(3) !== 0n) return -Errno.EINVAL;
    const mapAddress = call.u64(0);
    // All at once: callbacks may delete what they are shown.
    const slots = Array.from(map.slots());
    const keyAt = call.memory.allocate(Math.max(map.spec.keySize, 1), "read");
    let seen = 0;
    try {
      for (const { key, value } of slots) {
        call.memory.bytes.set(key, keyAt);
        seen++;
        const args = [mapAddress, call.address(keyAt), call.address(value), context];
        if (call.machine.callback(callback, args) === STOP) break;
      }
    } finally {
      call.memory.release(keyAt, Math.max(map.spec.keySize, 1));
    }
    return seen;
  },
  loop(call) {
    const rounds = call.u32(0);
    const callback = call.func(1);
    const context = call.u64(2);
    if (call.u64(3) !== 0n) return -Errno.EINVAL;
    if (rounds > MOST_ROUNDS) return -Errno.E2BIG;
    let round = 0;
    while (round < rounds) if (call.machine.callback(callback, [BigInt(round++), context]) === STOP) break;
    return round;
  },
  ringbuf_reserve(call) {
    const record = ring(call, 0)?.reserve(call.u32(1)) ?? 0;
    if (record !== 0) call.services.records.set(record, ring(call, 0)!);
    return call.address(record);
  },
  ringbuf_submit: (call) => commit(call, false),
  ringbuf_discard: (call) => commit(call, true),
  ringbuf_output(call) {
    const size = call.u32(2);
    return ring(call, 0)?.output(call.pointer(1, size), size, call.u32(3)) ?? -Errno.EINVAL;
  },
  ringbuf_query: (call) => ring(call, 0)?.query(call.u32(1)) ?? 0,
  perf_event_output(call) {
    const size = call.u32(4);
    const flags = call.u32(2);
    const cpu = flags === 0xffff_ffff ? call.services.environment.cpu : flags;
    return call.services.perfOutput(call.map(1), cpu, call.bytes(3, size));
  },
};
