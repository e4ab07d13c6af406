/** Kinds of tables, by the words of `BPF_TABLE`, and which methods each has. */
import { MapType } from "../../../isa/index.ts";

/** A kind of table. */
export interface TableKind {
  /** `MapType.*` */
  readonly mapType: number;
  /** Methods that it has, by {@link methodGroups}. */
  readonly methods: readonly (keyof typeof methodGroups)[];
  /** The map has no keys. */
  readonly keyless?: boolean;
  /** The map has neither keys nor values. */
  readonly typeless?: boolean;
  /** The kernel refuses BTF types for the map. */
  readonly withoutBtf?: boolean;
}

/** Methods that come together. */
export const methodGroups = {
  keyed: [
    "lookup",
    "lookup_or_init",
    "lookup_or_try_init",
    "update",
    "insert",
    "delete",
    "increment",
    "atomic_increment",
  ],
  stack: ["get_stackid"],
  program: ["call"],
  perf: ["perf_submit", "perf_submit_skb"],
  ring: ["ringbuf_output", "ringbuf_reserve", "ringbuf_submit", "ringbuf_discard", "ringbuf_query"],
  counter: ["perf_read", "perf_counter_value"],
  cgroup: ["check_current_task"],
  redirect: ["redirect_map"],
  queue: ["push", "pop", "peek"],
  socket: ["sk_storage_get", "sk_storage_delete"],
  inode: ["inode_storage_get", "inode_storage_delete"],
  task: ["task_storage_get", "task_storage_delete"],
  sockmap: ["sock_map_update"],
  sockhash: ["sock_hash_update", "msg_redirect_hash", "sk_redirect_hash"],
  local: ["get_local_storage"],
  lookup: ["lookup"],
  written: ["update", "delete"],
} as const;

/** All kinds, by their words. */
export const tableKinds: Readonly<Record<string, TableKind>> = {
  hash: { mapType: MapType.HASH, methods: ["keyed"] },
  array: { mapType: MapType.ARRAY, methods: ["keyed"] },
  percpu_hash: { mapType: MapType.PERCPU_HASH, methods: ["keyed"] },
  percpu_array: { mapType: MapType.PERCPU_ARRAY, methods: ["keyed"] },
  lru_hash: { mapType: MapType.LRU_HASH, methods: ["keyed"] },
  lru_percpu_hash: { mapType: MapType.LRU_PERCPU_HASH, methods: ["keyed"] },
  lpm_trie: { mapType: MapType.LPM_TRIE, methods: ["keyed"] },
  // An array when the key is an int.
  histogram: { mapType: MapType.HASH, methods: ["keyed"] },
  prog: { mapType: MapType.PROG_ARRAY, methods: ["program", "written"], withoutBtf: true },
  perf_output: { mapType: MapType.PERF_EVENT_ARRAY, methods: ["perf"], withoutBtf: true },
  ringbuf: { mapType: MapType.RINGBUF, methods: ["ring"], typeless: true, withoutBtf: true },
  perf_array: { mapType: MapType.PERF_EVENT_ARRAY, methods: ["counter"], withoutBtf: true },
  queue: { mapType: MapType.QUEUE, methods: ["queue"], keyless: true, withoutBtf: true },
  stack: { mapType: MapType.STACK, methods: ["queue"], keyless: true, withoutBtf: true },
  cgroup_array: { mapType: MapType.CGROUP_ARRAY, methods: ["cgroup"], withoutBtf: true },
  stacktrace: { mapType: MapType.STACK_TRACE, methods: ["stack", "lookup", "written"], withoutBtf: true },
  devmap: { mapType: MapType.DEVMAP, methods: ["redirect", "lookup"], withoutBtf: true },
  cpumap: { mapType: MapType.CPUMAP, methods: ["redirect", "lookup"], withoutBtf: true },
  xskmap: { mapType: MapType.XSKMAP, methods: ["redirect", "lookup"], withoutBtf: true },
  hash_of_maps: { mapType: MapType.HASH_OF_MAPS, methods: ["lookup", "written"], withoutBtf: true },
  array_of_maps: { mapType: MapType.ARRAY_OF_MAPS, methods: ["lookup", "written"], withoutBtf: true },
  sk_storage: { mapType: MapType.SK_STORAGE, methods: ["socket"] },
  inode_storage: { mapType: MapType.INODE_STORAGE, methods: ["inode"] },
  task_storage: { mapType: MapType.TASK_STORAGE, methods: ["task"] },
  sockmap: { mapType: MapType.SOCKMAP, methods: ["sockmap", "written", "lookup"], withoutBtf: true },
  sockhash: { mapType: MapType.SOCKHASH, methods: ["sockhash", "written", "lookup"], withoutBtf: true },
  cgroup_storage: { mapType: MapType.CGROUP_STORAGE, methods: ["local", "lookup", "written"] },
  percpu_cgroup_storage: { mapType: MapType.PERCPU_CGROUP_STORAGE, methods: ["local", "lookup", "written"] },
};

/** Tables of other programs, whose kind is found when the program is loaded: every method may be right. */
export const EXTERNAL_KIND = "extern";

/** Words that say who may use a table that was defined just before. */
export const visibilities: Readonly<Record<string, "public" | "shared">> = { export: "public", shared: "shared" };

/** Methods of a kind. */
export function methodsOf(kind: string): readonly string[] {
  if (kind === EXTERNAL_KIND) return allMethods();
  return (tableKinds[kind]?.methods ?? []).flatMap((group) => methodGroups[group]);
}

/** Every method that any table has. */
export function allMethods(): readonly string[] {
  return [...new Set(Object.values(methodGroups).flat())];
}

/** Kinds of tables that have a method. */
export function kindsWith(method: string): readonly string[] {
  return Object.keys(tableKinds).filter((kind) => methodsOf(kind).includes(method));
}
