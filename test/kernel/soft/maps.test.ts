/** Maps of the software kernel beside those of the running one: the same calls, the same answers. */
import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { SkepError, SyscallError } from "../../../src/base/index.ts";
import { MapFlags, MapType } from "../../../src/isa/index.ts";
import { LinuxKernel } from "../../../src/kernel/linux/linux.ts";
import type { KernelMap } from "../../../src/kernel/kernel.ts";
import { createSoftMap } from "../../../src/kernel/soft/maps/create.ts";
import type { MapHost, SoftMap } from "../../../src/kernel/soft/maps/map.ts";
import type { MapSpec } from "../../../src/object/index.ts";
import { VmMemory } from "../../../src/vm/index.ts";
import { describeWith } from "../../support/needs.ts";
import { Random } from "../../vm/machine/random-code.ts";

const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex");

function answer(call: () => Uint8Array | number | boolean | undefined | void): string {
  try {
    const result = call();
    return result instanceof Uint8Array ? hex(result) : String(result);
  } catch (error) {
    if (error instanceof SyscallError) return error.errnoName;
    if (error instanceof SkepError && error.code === "map-full") return "full";
    throw error;
  }
}

/** What the running kernel and the software kernel answer. */
interface Sides {
  readonly theirs: KernelMap;
  readonly ours: SoftMap;
}

const errnoNames: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  7: "full",
  17: "EEXIST",
  22: "EINVAL",
  28: "ENOSPC",
  524: "ENOTSUPP",
};
function ours(result: Uint8Array | number | undefined, whenMissing: string): string {
  if (result instanceof Uint8Array) return hex(result);
  if (result === -2) return whenMissing;
  return result === undefined ? "undefined" : result < 0 ? errnoNames[-result]! : "undefined";
}

type Operation = readonly [name: string, run: (sides: Sides, random: Random) => readonly [string, string]];

function bytes(random: Random, size: number, few: boolean): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = 0; i < size; i++) out[i] = few ? (i === 0 ? random.below(12) : 0) : random.below(256);
  return out;
}

const operations: readonly Operation[] = [
  [
    "update",
    ({ theirs, ours: map }, random) => {
      const key = keyFor(map.spec, random);
      const value = bytes(random, map.userValueSize, false);
      const flags = random.pick([0, 0, 0, 1, 2, 3, 4]);
      return [answer(() => theirs.update(key, value, flags)), ours(map.write(key, value, flags), "ENOENT")];
    },
  ],
  [
    "lookup",
    ({ theirs, ours: map }, random) => {
      const key = keyFor(map.spec, random);
      return [answer(() => theirs.lookup(key)), ours(map.read(key), "undefined")];
    },
  ],
  [
    "delete",
    ({ theirs, ours: map }, random) => {
      const key = keyFor(map.spec, random);
      const result = map.delete(key);
      return [answer(() => theirs.delete(key)), result === 0 ? "true" : ours(result, "false")];
    },
  ],
  [
    "next key",
    ({ theirs, ours: map }, random) => {
      // Where the order is the kernel's own affair, only whether there is one is.
      const key = random.below(2) === 0 ? undefined : keyFor(map.spec, random);
      const a = theirs.nextKey(key);
      const b = map.nextKey(key);
      if (map.spec.type === MapType.ARRAY || map.spec.type === MapType.LPM_TRIE)
        return [answer(() => a), answer(() => b)];
      if (map.spec.type === MapType.PERCPU_ARRAY) return [answer(() => a), answer(() => b)];
      return key === undefined ? [String(a === undefined), String(b === undefined)] : ["", ""];
    },
  ],
];

function keyFor(spec: MapSpec, random: Random): Uint8Array {
  const key = bytes(random, spec.keySize, true);
  if (spec.type === MapType.LPM_TRIE) {
    key[0] = random.pick([0, 1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33]);
    for (let i = 4; i < key.length; i++) key[i] = random.pick([0, 1, 0x80, 0xff, 0x7f]);
  }
  return key;
}

const base: MapSpec = { name: "m", type: 0, keySize: 4, valueSize: 8, maxEntries: 6, flags: 0 };
const specs: readonly (readonly [string, MapSpec])[] = [
  ["array", { ...base, type: MapType.ARRAY }],
  ["array of odd values", { ...base, type: MapType.ARRAY, valueSize: 13 }],
  ["per-CPU array", { ...base, type: MapType.PERCPU_ARRAY, valueSize: 12 }],
  ["hash", { ...base, type: MapType.HASH }],
  ["hash of odd keys", { ...base, type: MapType.HASH, keySize: 7, valueSize: 3 }],
  ["hash without preallocation", { ...base, type: MapType.HASH, keySize: 20, flags: MapFlags.NO_PREALLOC }],
  ["per-CPU hash", { ...base, type: MapType.PERCPU_HASH, valueSize: 20 }],
  ["LPM trie", { ...base, type: MapType.LPM_TRIE, keySize: 8, flags: MapFlags.NO_PREALLOC }],
  [
    "LPM trie of few bits",
    { ...base, type: MapType.LPM_TRIE, keySize: 6, maxEntries: 40, flags: MapFlags.NO_PREALLOC },
  ],
];

describeWith(["linux", "root", "bpf"], "beside the running kernel", () => {
  it.each(specs)("%s", (_, spec) => {
    using kernel = new LinuxKernel();
    const host: MapHost = {
      memory: new VmMemory(),
      possibleCpus: kernel.possibleCpus,
      cpu: () => 0,
      mapById: () => undefined,
      tokenOf: () => 0,
    };
    for (let seed = 1; seed <= 12; seed++) {
      const random = new Random(seed);
      const loaded = kernel.load({ license: "GPL", programs: [], maps: [spec] });
      const map = createSoftMap(spec, 1, host) as SoftMap;
      const sides: Sides = { theirs: loaded.map("m"), ours: map };
      for (let step = 0; step < 400; step++) {
        const [name, run] = random.pick(operations);
        const [a, b] = run(sides, random);
        expect(b, `seed ${seed}, step ${step}: ${name}`).toBe(a);
      }
      const sorted = (list: readonly string[]): string => list.toSorted().join("\n");
      const entries: string[] = [];
      for (let key = map.nextKey(undefined); key !== undefined; key = map.nextKey(key)) {
        const value = map.read(key);
        if (value instanceof Uint8Array) entries.push(`${hex(key)} ${hex(value)}`);
      }
      expect(sorted(entries)).toBe(
        sorted(
          loaded
            .map("m")
            .entries()
            .map(({ key, value }) => `${hex(key)} ${hex(value)}`),
        ),
      );
      loaded.close();
      map.close();
    }
  });

  // Which entry makes room depends on the CPU that asks: this thread stays on one.
  it.each([
    ["LRU hash of few entries", { ...base, type: MapType.LRU_HASH, maxEntries: 5 }],
    ["LRU hash", { ...base, type: MapType.LRU_HASH, maxEntries: 60 }],
    ["LRU hash of many entries", { ...base, type: MapType.LRU_HASH, maxEntries: 700 }],
    ["per-CPU LRU hash", { ...base, type: MapType.LRU_PERCPU_HASH, maxEntries: 40 }],
  ] satisfies (readonly [string, MapSpec])[])("%s gives up the same entries", (_, spec) => {
    const before = execFileSync("taskset", ["-p", String(process.pid)], { encoding: "utf8" });
    const mask = /mask: (\w+)/.exec(before)![1]!;
    execFileSync("taskset", ["-cp", "0", String(process.pid)]);
    try {
      using kernel = new LinuxKernel();
      const host: MapHost = {
        memory: new VmMemory(),
        possibleCpus: kernel.possibleCpus,
        cpu: () => 0,
        mapById: () => undefined,
        tokenOf: () => 0,
      };
      for (let seed = 1; seed <= 8; seed++) {
        const random = new Random(seed);
        const loaded = kernel.load({ license: "GPL", programs: [], maps: [spec] });
        const map = createSoftMap(spec, 1, host) as SoftMap;
        const theirs = loaded.map("m");
        const keyOf = (n: number): Uint8Array => new Uint8Array(new Uint32Array([n]).buffer);
        for (let step = 0; step < 6 * spec.maxEntries; step++) {
          const key = keyOf(random.below(2 * spec.maxEntries));
          if (random.below(8) === 0) {
            const gone = map.delete(key) === 0;
            expect(gone, `seed ${seed}, step ${step}: delete`).toBe(theirs.delete(key));
          } else {
            const value = bytes(random, map.userValueSize, false);
            const flags = random.pick([0, 0, 0, 1, 2]);
            expect(ours(map.write(key, value, flags), "ENOENT"), `seed ${seed}, step ${step}: update`).toBe(
              answer(() => theirs.update(key, value, flags)),
            );
          }
        }
        const left: string[] = [];
        for (let key = map.nextKey(undefined); key !== undefined; key = map.nextKey(key)) left.push(hex(key));
        expect(left.toSorted()).toEqual(theirs.keys().map(hex).toSorted());
        loaded.close();
        map.close();
      }
    } finally {
      execFileSync("taskset", ["-p", mask, String(process.pid)]);
    }
  });

  it.each([
    ["queue", MapType.QUEUE],
    ["stack", MapType.STACK],
  ])("%s", (_, type) => {
    using kernel = new LinuxKernel();
    const spec: MapSpec = { ...base, type, keySize: 0 };
    const host: MapHost = {
      memory: new VmMemory(),
      possibleCpus: 1,
      cpu: () => 0,
      mapById: () => undefined,
      tokenOf: () => 0,
    };
    const loaded = kernel.load({ license: "GPL", programs: [], maps: [spec] });
    const map = createSoftMap(spec, 1, host) as SoftMap;
    const theirs = loaded.map("m");
    const none = new Uint8Array();
    const random = new Random(7);
    for (let step = 0; step < 600; step++) {
      const value = bytes(random, 8, false);
      const flags = random.pick([0, 0, 0, 2, 1]);
      const [a, b] = random.pick<readonly [() => string, () => string]>([
        [() => answer(() => theirs.update(none, value, flags)), () => ours(map.write(none, value, flags), "ENOENT")],
        [() => answer(() => theirs.lookup(none)), () => ours(map.read(none), "undefined")],
        [() => answer(() => theirs.take(none)), () => ours(map.take(none), "undefined")],
      ]);
      expect(b(), `step ${step}`).toBe(a());
    }
    loaded.close();
  });

  it("Bloom filters forget nothing", () => {
    using kernel = new LinuxKernel();
    const spec: MapSpec = { ...base, type: MapType.BLOOM_FILTER, keySize: 0, maxEntries: 100 };
    const host: MapHost = {
      memory: new VmMemory(),
      possibleCpus: 1,
      cpu: () => 0,
      mapById: () => undefined,
      tokenOf: () => 0,
    };
    const loaded = kernel.load({ license: "GPL", programs: [], maps: [spec] });
    const map = createSoftMap(spec, 1, host) as SoftMap & { has(value: Uint8Array): number };
    const random = new Random(3);
    const wrong = { theirs: 0, ours: 0 };
    for (let i = 0; i < 100; i++) {
      const value = bytes(random, 8, false);
      loaded.map("m").update(new Uint8Array(), value);
      expect(map.write(new Uint8Array(), value, 0)).toBe(0);
      expect(map.has(value)).toBe(0);
      const other = bytes(random, 8, false);
      if (map.has(other) === 0) wrong.ours++;
      if (loaded.map("m").hasValue(other)) wrong.theirs++;
    }
    expect(wrong.ours).toBeLessThan(10);
    expect(wrong.theirs).toBeLessThan(10);
    loaded.close();
  });

  const refused: readonly (readonly [string, Partial<MapSpec>])[] = [
    ["array without entries", { type: MapType.ARRAY, maxEntries: 0 }],
    ["array of wide keys", { type: MapType.ARRAY, keySize: 8 }],
    ["array without values", { type: MapType.ARRAY, valueSize: 0 }],
    ["array of a flag of hashes", { type: MapType.ARRAY, flags: MapFlags.NO_PREALLOC }],
    ["hash without keys", { type: MapType.HASH, keySize: 0 }],
    ["hash without values", { type: MapType.HASH, valueSize: 0 }],
    ["hash of a flag of arrays", { type: MapType.HASH, flags: MapFlags.MMAPABLE }],
    ["per-CPU hash of large values", { type: MapType.PERCPU_HASH, valueSize: 40_000 }],
    ["per-CPU array of large values", { type: MapType.PERCPU_ARRAY, valueSize: 40_000 }],
    ["queue with keys", { type: MapType.QUEUE }],
    ["queue without entries", { type: MapType.QUEUE, keySize: 0, maxEntries: 0 }],
    ["trie with preallocation", { type: MapType.LPM_TRIE, keySize: 8 }],
    ["trie without data", { type: MapType.LPM_TRIE, keySize: 4, flags: MapFlags.NO_PREALLOC }],
    ["trie of long prefixes", { type: MapType.LPM_TRIE, keySize: 300, flags: MapFlags.NO_PREALLOC }],
  ];
  it.each(refused)("refuses: %s", (_, change) => {
    using kernel = new LinuxKernel();
    const spec = { ...base, ...change };
    const host: MapHost = {
      memory: new VmMemory(),
      possibleCpus: 2,
      cpu: () => 0,
      mapById: () => undefined,
      tokenOf: () => 0,
    };
    let theirs = "accepted";
    try {
      kernel.load({ license: "GPL", programs: [], maps: [spec] }).close();
    } catch (error) {
      theirs = (error as SyscallError).errnoName;
    }
    const made = createSoftMap(spec, 1, host);
    const name = typeof made === "number" ? errnoNames[-made]! : "accepted";
    expect(name === "full" ? "E2BIG" : name).toBe(theirs);
  });
});
