import { expect, test } from "vitest";
import { MapFlags, MapType } from "../../../src/isa/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import type { LinuxMap } from "../../../src/kernel/linux/maps.ts";
import type { MapSpec } from "../../../src/object/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeWith } from "../../support/needs.ts";
import { bytesOf, mapSpec, numberOf, object } from "./support.ts";

/** Loads one map and hands it to the body. */
function withMap(spec: MapSpec, body: (map: LinuxMap) => void): void {
  using kernel = openLinuxKernel();
  using loaded = kernel.load(object([], [spec]));
  body(loaded.map(spec.name));
}

/** Every slot of a per-CPU value set to the same number. */
function everyCpu(map: LinuxMap, value: number): Uint8Array {
  const bytes = new Uint8Array(map.userValueSize);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 8) view.setUint32(at, value, true);
  return bytes;
}

function numbersOf(map: LinuxMap): [number, number][] {
  return map
    .entries()
    .map(({ key, value }): [number, number] => [numberOf(key, 0, 4), numberOf(value, 0, 4)])
    .toSorted((a, b) => a[0] - b[0]);
}

const hashes = {
  HASH: MapType.HASH,
  LRU_HASH: MapType.LRU_HASH,
  PERCPU_HASH: MapType.PERCPU_HASH,
  LRU_PERCPU_HASH: MapType.LRU_PERCPU_HASH,
};

describeWith(["linux", "root", "bpf"], "maps of the running kernel", () => {
  guardLeaks();

  test.each(Object.entries(hashes))("%s: a model map and the kernel's agree over random operations", (name, type) => {
    withMap(mapSpec(name, type, { maxEntries: 1000 }), (map) => {
      const model = new Map<number, number>();
      let seed = 12345;
      const random = (below: number): number => {
        seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fff_ffff;
        return (seed >> 8) % below;
      };
      for (let step = 0; step < 3000; step++) {
        const key = random(200);
        if (random(3) === 0) {
          expect(map.delete(bytesOf(key, 4))).toBe(model.delete(key));
        } else {
          map.update(bytesOf(key, 4), everyCpu(map, step));
          model.set(key, step);
        }
        const probe = random(200);
        const value = map.lookup(bytesOf(probe, 4));
        expect(value === undefined ? undefined : numberOf(value, 0, 4)).toBe(model.get(probe));
      }
      expect(numbersOf(map)).toEqual([...model].toSorted((a, b) => a[0] - b[0]));
      expect(map.keys()).toHaveLength(model.size);
      map.clear();
      expect(map.entries()).toEqual([]);
    });
  });

  test("a hundred thousand entries come in batches, each once", () => {
    withMap(mapSpec("large", MapType.HASH, { maxEntries: 100_000 }), (map) => {
      for (let i = 0; i < 100_000; i++) map.update(bytesOf(i, 4), bytesOf(i * 3, 8));
      const entries = map.entries();
      expect(entries).toHaveLength(100_000);
      const seen = new Uint8Array(100_000);
      for (const { key, value } of entries) {
        const i = numberOf(key, 0, 4);
        seen[i]!++;
        if (numberOf(value) !== i * 3) throw new Error(`entry ${i}: value ${numberOf(value)}`);
      }
      expect(seen.every((count) => count === 1)).toBe(true);
      const chunks = map.takeChunks();
      expect(chunks.reduce((sum, chunk) => sum + chunk.count, 0)).toBe(100_000);
      expect(map.keys()).toEqual([]);
    });
  });

  test("on a kernel without batch commands keys are asked for one by one", () => {
    withMap(mapSpec("old", MapType.HASH, { maxEntries: 3000 }), (map) => {
      Object.assign(map, { hasBatch: false });
      for (let i = 0; i < 3000; i++) map.update(bytesOf(i, 4), bytesOf(i, 8));
      const listed = numbersOf(map);
      expect(listed).toEqual(Array.from({ length: 3000 }, (_, i) => [i, i]));
      expect(map.takeChunks()[0]!.count).toBe(3000);
      expect(map.entries()).toEqual([]);
    });
  });

  test.each([true, false])("many entries are set at once, and taken one at a time (batches: %s)", (batches) => {
    withMap(mapSpec("many", MapType.HASH, { maxEntries: 20_000 }), (map) => {
      if (!batches) Object.assign(map, { hasBatch: false });
      const count = 20_000;
      const keys = Uint32Array.from({ length: count }, (_, i) => i);
      const values = BigUint64Array.from({ length: count }, (_, i) => BigInt(i) * 2n);
      const chunk = { count, keys: new Uint8Array(keys.buffer), values: new Uint8Array(values.buffer) };
      map.updateMany(chunk);
      expect(numbersOf(map)).toEqual(Array.from({ length: count }, (_, i) => [i, i * 2]));
      if (machine.atLeast(5, 14)) {
        expect(numberOf(map.take(bytesOf(7, 4))!)).toBe(14);
        expect(map.take(bytesOf(7, 4))).toBeUndefined();
      }
      expect(() => map.updateMany({ ...chunk, count: 3 })).toThrow("3 entries have 12 bytes of keys and 24 of values");
      keys.forEach((key, i) => (keys[i] = key + 1_000_000));
      expect(() => map.updateMany(chunk)).toThrow("map many: full: it holds 20000 entries");
    });
  });

  test("arrays list every index in order, and clear to zeros", () => {
    withMap(mapSpec("array", MapType.ARRAY, { maxEntries: 10_000 }), (map) => {
      map.update(bytesOf(9_999, 4), bytesOf(7, 8));
      const entries = map.entries();
      expect(entries).toHaveLength(10_000);
      expect(entries.every(({ key }, i) => numberOf(key, 0, 4) === i)).toBe(true);
      expect(numberOf(entries[9_999]!.value)).toBe(7);
      map.clear();
      expect(numberOf(map.lookup(bytesOf(9_999, 4))!)).toBe(0);
      expect(() => map.takeChunks()).toThrow("an array keeps its entries");
    });
  });

  test("per-CPU values have an aligned slot for each possible CPU", () => {
    using kernel = openLinuxKernel();
    withMap(mapSpec("percpu", MapType.PERCPU_ARRAY, { valueSize: 12, maxEntries: 3 }), (map) => {
      expect(map.userValueSize).toBe(16 * kernel.possibleCpus);
      expect(map.lookup(bytesOf(0, 4))).toHaveLength(map.userValueSize);
      expect(map.entries()).toHaveLength(3);
    });
  });

  test.each([
    ["LPM_TRIE", mapSpec("trie", MapType.LPM_TRIE, { keySize: 8, flags: MapFlags.NO_PREALLOC })],
    ["STACK_TRACE", mapSpec("stacks", MapType.STACK_TRACE, { valueSize: 127 * 8 })],
  ])("%s lists without batch commands", (_, spec) => {
    withMap(spec, (map) => {
      expect(map.entries()).toEqual([]);
      if (spec.type !== MapType.LPM_TRIE) return;
      const key = new Uint8Array([32, 0, 0, 0, 10, 0, 0, 1]);
      map.update(key, bytesOf(5, 8));
      expect(map.entries()).toEqual([{ key, value: bytesOf(5, 8) }]);
      map.clear();
      expect(map.keys()).toEqual([]);
    });
  });

  test("names are cut to what the kernel takes", () => {
    withMap(mapSpec("@a-map, with a name too long", MapType.ARRAY), (map) => expect(map.fd.value).toBeGreaterThan(0));
  });

  test("a first value is written, and a frozen map refuses others", () => {
    const spec = mapSpec("rodata", MapType.ARRAY, {
      maxEntries: 1,
      flags: MapFlags.RDONLY_PROG,
      initialValue: bytesOf(42, 8),
      frozen: true,
    });
    withMap(spec, (map) => {
      expect(numberOf(map.lookup(bytesOf(0, 4))!)).toBe(42);
      expect(() => map.update(bytesOf(0, 4), bytesOf(1, 8))).toThrow("EPERM");
    });
  });

  test("misuse names the sizes; a full map says so; use after close throws", () => {
    withMap(mapSpec("small", MapType.HASH, { maxEntries: 1 }), (map) => {
      expect(() => map.lookup(new Uint8Array(5))).toThrow(new RangeError("map small: a key has 4 bytes, not 5"));
      expect(() => map.update(bytesOf(1, 4), new Uint8Array(4))).toThrow("a value has 8 bytes, not 4");
      map.update(bytesOf(1, 4), bytesOf(1, 8));
      expect(() => map.update(bytesOf(2, 4), bytesOf(1, 8))).toThrow("full: it holds 1 entries");
      expect(() => map.update(bytesOf(1, 4), bytesOf(1, 8), 1)).toThrow("EEXIST");
      map.close();
      map.close();
      expect(() => map.lookup(bytesOf(1, 4))).toThrow("map small: used after it was closed");
      expect(() => map.entries()).toThrow("used after it was closed");
    });
    withMap(mapSpec("ring", MapType.RINGBUF, { keySize: 0, valueSize: 0, maxEntries: 4096 }), (map) => {
      expect(() => map.entries()).toThrow("no entries to list");
    });
  });

  test("a map that the kernel refuses closes those made before", () => {
    using kernel = openLinuxKernel();
    const good = mapSpec("good", MapType.HASH);
    const bad = mapSpec("bad", MapType.HASH, { keySize: 0 });
    expect(() => kernel.load(object([], [good, bad]))).toThrow("bpf(BPF_MAP_CREATE, map bad): EINVAL");
  });
});
