/** The running kernel's BTF referees the numbers of the UAPI. */
import { execFileSync } from "node:child_process";
import { beforeAll, describe, expect, it } from "vitest";
import {
  ATTACH_TYPE_SINCE,
  AttachFlags,
  AttachType,
  BpfCmd,
  COMMAND_SINCE,
  LINK_TYPE_SINCE,
  LinkType,
  MAP_TYPE_SINCE,
  MapFlags,
  MapType,
  PROG_TYPE_SINCE,
  PerfEventFlags,
  PerfLinkType,
  ProgType,
  RingbufFlags,
  RingbufQuery,
  StackFlags,
  StatsType,
  TaskFdType,
  UpdateFlags,
  allHelpers,
  helperById,
  helperByName,
  helperNames,
} from "../../src/isa/index.ts";
import { describeWith } from "../support/needs.ts";

/** Our table, and how its members are named in the kernel. */
const tables: readonly (readonly [string, Readonly<Record<string, number | bigint>>, (name: string) => string])[] = [
  ["BpfCmd", BpfCmd, (name) => `BPF_${name}`],
  ["ProgType", ProgType, (name) => `BPF_PROG_TYPE_${name}`],
  ["AttachType", AttachType, (name) => `BPF_${name}`],
  ["MapType", MapType, (name) => `BPF_MAP_TYPE_${name}`],
  ["LinkType", LinkType, (name) => `BPF_LINK_TYPE_${name}`],
  ["MapFlags", MapFlags, (name) => `BPF_F_${name}`],
  ["UpdateFlags", UpdateFlags, (name) => (name === "LOCK" ? "BPF_F_LOCK" : `BPF_${name}`)],
  ["PerfEventFlags", PerfEventFlags, (name) => `BPF_F_${name}`],
  ["StackFlags", StackFlags, (name) => `BPF_F_${name}`],
  ["RingbufFlags", RingbufFlags, (name) => `BPF_RB_${name}`],
  ["RingbufQuery", RingbufQuery, (name) => `BPF_RB_${name}`],
  ["PerfLinkType", PerfLinkType, (name) => `BPF_PERF_EVENT_${name}`],
  ["TaskFdType", TaskFdType, (name) => `BPF_FD_TYPE_${name}`],
  ["StatsType", StatsType, (name) => `BPF_STATS_${name}`],
];

describeWith(["bpftool", "vmlinuxBtf"], "the running kernel's BTF", () => {
  const values = new Map<string, bigint>();
  beforeAll(() => {
    const args = ["btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c"];
    const text = execFileSync("bpftool", args, { encoding: "utf8", maxBuffer: 1 << 27 });
    for (const [, name = "", value = ""] of text.matchAll(/^\t(\w+) = (-?\d+)(?:U?LL)?,$/gm)) {
      values.set(name, BigInt(value));
    }
  });

  it.each(tables)("%s", (_, table, kernelName) => {
    const known = Object.entries(table).filter(([name]) => values.has(kernelName(name)));
    expect(known.length).toBeGreaterThan(0);
    for (const [name, value] of known) expect(`${name} ${value}`).toBe(`${name} ${values.get(kernelName(name))}`);
  });

  it("has no command, program, map, link or attach type that is missing here, up to Linux 6.18's last", () => {
    for (const [, table, kernelName] of tables.slice(0, 5)) {
      const prefix = kernelName("");
      const ours = new Set(Object.values(table).map(Number));
      const last = Math.max(...ours);
      const group = kernelName(Object.keys(table)[0]!);
      if (prefix === "BPF_") continue;
      for (const [name, value] of values) {
        if (name.startsWith(prefix) && value <= BigInt(last))
          expect(ours, `${group}: ${name}`).toContain(Number(value));
      }
    }
  });

  it("has every helper under its number, and no other", () => {
    const theirs = [...values]
      .filter(([name, value]) => name.startsWith("BPF_FUNC_") && value !== 0n)
      .map(([name, value]) => `${value} ${name.replace("BPF_FUNC_", "bpf_")}`)
      .toSorted();
    expect(
      allHelpers()
        .slice(0, theirs.length)
        .map(({ id, name }) => `${id} ${name}`)
        .toSorted(),
    ).toEqual(theirs);
  });
});

describe("helpers", () => {
  it("are numbered without gaps", () => {
    expect(allHelpers().map(({ id }) => id)).toEqual(allHelpers().map((_, i) => i + 1));
    expect(allHelpers()).toHaveLength(211);
  });

  it("are listed by name", () => {
    expect(helperNames()).toEqual(allHelpers().map(({ name }) => name));
  });

  it("are found by name, with and without prefix, and by number", () => {
    expect(helperByName("bpf_ktime_get_ns")?.id).toBe(5);
    expect(helperByName("ktime_get_ns")?.id).toBe(5);
    expect(helperById(131)?.name).toBe("bpf_ringbuf_reserve");
    expect([helperByName("bpf_nothing"), helperById(0), helperById(212), helperById(-1)]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("have a name for every argument", () => {
    const bare = allHelpers().filter(({ args }) => args.some(({ name, cType }) => name === "" || cType === ""));
    expect(bare.map(({ prototype }) => prototype)).toEqual([]);
  });

  it("follow memory with its size, or fix it", () => {
    const loose = allHelpers().flatMap(({ name, args }) =>
      args
        .filter((arg, i) => arg.kind === "mem" && arg.size === undefined && !args[i + 1]?.kind.startsWith("const_size"))
        .map((arg) => `${name} ${arg.name}`),
    );
    expect(loose).toEqual([]);
  });

  /** Helper, and `since flags return: arguments`. */
  const prototypes: readonly (readonly [string, string])[] = [
    ["bpf_map_lookup_elem", "3.19 map_value or null: map const_map_ptr, key map_key"],
    ["bpf_probe_read_kernel", "5.5 gpl integer: dst mem uninit write, size const_size_or_zero, unsafe_ptr anything"],
    [
      "bpf_ringbuf_reserve",
      "5.8 mem or null ringbuf: ringbuf const_map_ptr, size const_alloc_size_or_zero, flags anything",
    ],
    ["bpf_ringbuf_submit", "5.8 void: data ringbuf_mem release, flags anything"],
    ["bpf_get_current_task_btf", "5.11 gpl btf_id trusted: "],
    ["bpf_get_stackid", "4.6 gpl integer: ctx ctx, map const_map_ptr, flags anything"],
    ["bpf_strtol", "5.2 integer: buf mem readonly, buf_len const_size, flags anything, res mem uninit write aligned 8"],
    ["bpf_loop", "5.17 integer: nr_loops anything, callback_fn func, callback_ctx stack null, flags anything"],
    ["bpf_copy_from_user", "5.10 sleeps integer: dst mem uninit write, size const_size_or_zero, user_ptr anything"],
    ["bpf_trace_printk", "4.1 gpl integer: fmt mem readonly, fmt_size const_size, ..."],
  ];
  it.each(prototypes)("%s: %s", (name, shape) => {
    const helper = helperByName(name)!;
    const { returns } = helper;
    const marks = (pairs: Readonly<Record<string, unknown>>): string[] =>
      Object.entries(pairs).flatMap(([mark, on]) => (on ? [mark] : []));
    const args = helper.args.map((arg) =>
      [
        arg.name,
        arg.kind,
        ...marks({ null: arg.maybeNull, readonly: arg.readOnly, uninit: arg.uninit, write: arg.write }),
        ...marks({ aligned: arg.aligned, release: arg.release }),
        ...(arg.size === undefined ? [] : [arg.size]),
      ].join(" "),
    );
    if (helper.variadic) args.push("...");
    const head = [
      helper.since,
      ...marks({ gpl: helper.gplOnly, sleeps: helper.mightSleep }),
      returns.kind,
      ...marks({ "or null": returns.maybeNull, ringbuf: returns.ringbuf, trusted: returns.trusted }),
    ];
    expect(`${head.join(" ")}: ${args.join(", ")}`).toBe(shape);
  });
});

describe("first versions", () => {
  const groups: readonly (readonly [string, object, Readonly<Record<string, string>>])[] = [
    ["commands", BpfCmd, COMMAND_SINCE],
    ["program types", ProgType, PROG_TYPE_SINCE],
    ["attach types", AttachType, ATTACH_TYPE_SINCE],
    ["map types", MapType, MAP_TYPE_SINCE],
    ["link types", LinkType, LINK_TYPE_SINCE],
  ];
  it.each(groups)("are known of all %s, and of nothing else", (_, table, since) => {
    const names = Object.keys(table).filter((name) => name !== "UNSPEC");
    expect(Object.keys(since).toSorted()).toEqual(names.toSorted());
  });

  it("of flags that share a name agree", () => {
    expect(AttachFlags.LINK).toBe(MapFlags.LINK);
  });
});
