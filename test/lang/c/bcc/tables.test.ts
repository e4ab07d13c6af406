/** Macros of tables: the maps that they are, and what user space is told. */
import { describe, expect, test } from "vitest";
import { Btf } from "../../../../src/btf/index.ts";
import { MapFlags, MapType } from "../../../../src/isa/index.ts";
import { compile } from "./support.ts";

const KEY = "struct key_t { u32 pid; char comm[16]; };\n";

/** Macro; type, bytes of key and value, entries, flags. */
const macros: readonly (readonly [string, number, number, number, number, number?])[] = [
  ["BPF_HASH(t)", MapType.HASH, 8, 8, 10240],
  ["BPF_HASH(t, u32)", MapType.HASH, 4, 8, 10240],
  ["BPF_HASH(t, struct key_t, u32)", MapType.HASH, 20, 4, 10240],
  ["BPF_HASH(t, struct key_t, u32, 3 * 7)", MapType.HASH, 20, 4, 21],
  ["BPF_PERCPU_HASH(t, u32, u16, 5)", MapType.PERCPU_HASH, 4, 2, 5],
  ["BPF_ARRAY(t)", MapType.ARRAY, 4, 8, 10240],
  ["BPF_ARRAY(t, struct key_t, 2)", MapType.ARRAY, 4, 20, 2],
  ["BPF_PERCPU_ARRAY(t, u32)", MapType.PERCPU_ARRAY, 4, 4, 10240],
  ["BPF_HISTOGRAM(t)", MapType.ARRAY, 4, 8, 64],
  ["BPF_HISTOGRAM(t, struct key_t)", MapType.HASH, 20, 8, 64],
  ["BPF_HISTOGRAM(t, int, 100)", MapType.ARRAY, 4, 8, 100],
  ["BPF_HISTOGRAM(t, u32)", MapType.HASH, 4, 8, 64],
  ["#define BPF_F_NO_PREALLOC 1\nBPF_LPM_TRIE(t, u64)", MapType.LPM_TRIE, 8, 8, 10240, MapFlags.NO_PREALLOC],
  ["BPF_STACK_TRACE(t, 1000)", MapType.STACK_TRACE, 4, 1016, 1024],
  ["BPF_STACK_TRACE(t, 1024)", MapType.STACK_TRACE, 4, 1016, 1024],
  ["BPF_PERF_OUTPUT(t)", MapType.PERF_EVENT_ARRAY, 4, 4, 0],
  ["BPF_RINGBUF_OUTPUT(t, 8)", MapType.RINGBUF, 0, 0, 32768],
  ["BPF_PERF_ARRAY(t, 4)", MapType.PERF_EVENT_ARRAY, 4, 4, 4],
  ["BPF_CGROUP_ARRAY(t, 1)", MapType.CGROUP_ARRAY, 4, 4, 1],
  ["BPF_PROG_ARRAY(t, 9)", MapType.PROG_ARRAY, 4, 4, 9],
  ["BPF_DEVMAP(t, 3)", MapType.DEVMAP, 4, 4, 3],
  ["BPF_CPUMAP(t, 3)", MapType.CPUMAP, 4, 4, 3],
  ["BPF_XSKMAP(t, 3)", MapType.XSKMAP, 4, 4, 3],
  ["BPF_QUEUE(t, struct key_t, 12)", MapType.QUEUE, 0, 20, 12],
  ["BPF_STACK(t, u64, 12, 0)", MapType.STACK, 0, 8, 12],
  ['BPF_QUEUESTACK("stack", t, u32, 7, 0)', MapType.STACK, 0, 4, 7],
  [
    "#define BPF_F_NO_PREALLOC 1\nBPF_TASK_STORAGE(t, struct key_t)",
    MapType.TASK_STORAGE,
    4,
    20,
    0,
    MapFlags.NO_PREALLOC,
  ],
  ["#define BPF_F_NO_PREALLOC 1\nBPF_SK_STORAGE(t, u64)", MapType.SK_STORAGE, 4, 8, 0, MapFlags.NO_PREALLOC],
  ["#define BPF_F_NO_PREALLOC 1\nBPF_INODE_STORAGE(t, u64)", MapType.INODE_STORAGE, 4, 8, 0, MapFlags.NO_PREALLOC],
  ["BPF_SOCKMAP(t, 6)", MapType.SOCKMAP, 4, 4, 6],
  ["BPF_SOCKHASH(t, struct key_t, 6)", MapType.SOCKHASH, 20, 4, 6],
  ["BPF_SOCKHASH(t)", MapType.SOCKHASH, 4, 4, 10240],
  ['BPF_TABLE("lru_hash", u64, struct key_t, t, 5)', MapType.LRU_HASH, 8, 20, 5],
  ['BPF_TABLE("lru_percpu_hash", u32, u32, t, 5)', MapType.LRU_PERCPU_HASH, 4, 4, 5],
  ['BPF_F_TABLE("hash", u32, u32, t, 5, 1)', MapType.HASH, 4, 4, 5, 1],
  ['BPF_TABLE_PINNED("hash", u64, u64, t, 1024, "/sys/fs/bpf/x")', MapType.HASH, 8, 8, 1024],
  ['BPF_TABLE_PUBLIC("hash", u64, u64, t, 1024)', MapType.HASH, 8, 8, 1024],
  ['BPF_TABLE_SHARED("array", int, u64, t, 16, 0)', MapType.ARRAY, 4, 8, 16],
];

describe("macros of tables", () => {
  test.each(macros)("%s", (macro, type, keySize, valueSize, maxEntries, flags = 0) => {
    const { object } = compile(`${KEY}${macro};\nint f(void *ctx) { return 0; }`);
    expect(object.maps.find(({ name }) => name === "t")).toMatchObject({ type, keySize, valueSize, maxEntries, flags });
    expect(object.license).toBe("GPL");
  });

  test("maps of maps take their shape from another table", () => {
    const { object, bcc } = compile(`BPF_TABLE("hash", int, u64, shape, 4);
BPF_ARRAY_OF_MAPS(arrays, "shape", 10);
BPF_HASH_OF_MAPS(hashes, u64, "shape", 20);
int f(void *ctx) { return 0; }`);
    const inner = { type: MapType.HASH, keySize: 4, valueSize: 8, maxEntries: 4 };
    expect(object.maps.find(({ name }) => name === "arrays")).toMatchObject({ type: MapType.ARRAY_OF_MAPS, inner });
    expect(object.maps.find(({ name }) => name === "hashes")).toMatchObject({
      type: MapType.HASH_OF_MAPS,
      keySize: 8,
      maxEntries: 20,
      inner,
    });
    expect(bcc?.tables.map(({ inner: of }) => of)).toEqual([undefined, "shape", "shape"]);
  });

  test("what user space is told: kinds, types, places, who may use them", () => {
    const { object, bcc } = compile(`${KEY}
BPF_HISTOGRAM(dist, struct key_t);
BPF_TABLE_PINNED("hash", u64, u64, kept, 1024, "/sys/fs/bpf/x");
BPF_TABLE_PUBLIC("hash", u32, u64, open, 1024);
BPF_TABLE_SHARED("hash", u32, u64, ours, 1024);
BPF_TABLE("extern", u32, u64, theirs, 0);
int f(void *ctx) { return 0; }`);
    const [dist, kept, open, ours, theirs] = bcc!.tables;
    expect(dist).toMatchObject({
      name: "dist",
      kind: "histogram",
      mapType: MapType.HASH,
      keyType: "struct key_t",
      leafType: "u64",
    });
    const btf = Btf.parse(object.btf!);
    expect(btf.sizeOf(dist!.keyTypeId)).toBe(20);
    expect(btf.sizeOf(dist!.leafTypeId)).toBe(8);
    expect(kept!.pinPath).toBe("/sys/fs/bpf/x");
    expect(open!.visibility).toBe("public");
    expect(ours!.visibility).toBe("shared");
    expect(theirs).toMatchObject({ kind: "extern", external: true, mapType: 0 });
  });

  test("types of key and leaf are usable, in macros too", () => {
    const { object } = compile(`${KEY}BPF_HASH(t, struct key_t, u16);
#define FRESH(table) typeof(table.key) k = {}; typeof(table.leaf) v = 0
int f(void *ctx) { FRESH(t); return sizeof(k) * 100 + sizeof(v) + t.update(&k, &v); }`);
    expect(object.programs[0]!.name).toBe("f");
  });

  test("records of events: the struct that a call sends", () => {
    const { object, bcc } = compile(`struct data_t { u32 pid; char comm[16]; };
BPF_PERF_OUTPUT(events); BPF_PERF_OUTPUT(raw); BPF_RINGBUF_OUTPUT(ring, 1); BPF_RINGBUF_OUTPUT(out, 1);
#define SEND(table, what) table.perf_submit(ctx, &what, sizeof(what))
int f(void *ctx) {
  struct data_t data = {}; u64 number = 1;
  SEND(events, data);
  raw.perf_submit(ctx, &number, 8);
  struct data_t *place = ring.ringbuf_reserve(sizeof(struct data_t));
  if (place) { place->pid = 1; ring.ringbuf_submit(place, 0); }
  out.ringbuf_output(&data, sizeof(data), 0);
  return 0;
}`);
    const events = Object.fromEntries(bcc!.tables.map(({ name, event }) => [name, event]));
    expect(events["events"]).toMatchObject({ type: "struct data_t", size: 20 });
    expect(events["raw"]).toMatchObject({ type: "u64", size: 8 });
    expect(events["ring"]).toMatchObject({ type: "struct data_t" });
    expect(events["out"]).toMatchObject({ type: "struct data_t" });
    expect(Btf.parse(object.btf!).sizeOf(events["events"]!.typeId)).toBe(20);
  });
});
