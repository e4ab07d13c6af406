/** What the kernel tells of links: where each field is, by the kernel's own types, and the same as bpftool says. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { BtfKind } from "../../../src/btf/index.ts";
import { AttachType, ProgType } from "../../../src/isa/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import {
  IterLinkInfo,
  LinkCreateAttr,
  LinkInfo,
  LinkUpdateAttr,
  ProgAttachAttr,
  ProgQueryAttr,
  RawTracepointAttr,
} from "../../../src/kernel/linux/bpf-attr.ts";
import { kernelBtf } from "../../../src/kernel/linux/kernel-btf.ts";
import type { LinuxLink } from "../../../src/kernel/linux/link.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { PerfSoftware, PerfType } from "../../../src/kernel/linux/perf.ts";
import { type AttachSpec, Elf } from "../../../src/object/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeWith } from "../../support/needs.ts";
import { type ProgramOptions, object, program } from "./support.ts";

/** Byte offset of a member of a struct or union of the kernel, by the names that lead to it; members of anonymous ones count as its own. */
function offsetIn(typeName: string, kind: BtfKind, path: string): number {
  const btf = kernelBtf();
  let id = btf.findByName(typeName, kind)!;
  let offset = 0;
  for (const name of path.split(".")) {
    const found = search(id, name);
    if (found === undefined) return -1;
    offset += found.offset;
    id = found.typeId;
  }
  return offset;

  function search(within: number, name: string): { offset: number; typeId: number } | undefined {
    const type = btf.typeById(btf.stripModifiers(within));
    if (type.kind !== BtfKind.STRUCT && type.kind !== BtfKind.UNION) return undefined;
    for (const member of type.members) {
      const at = member.bitOffset / 8;
      if (member.name === name) return { offset: at, typeId: member.typeId };
      const inside = member.name === "" ? search(member.typeId, name) : undefined;
      if (inside !== undefined) return { offset: at + inside.offset, typeId: inside.typeId };
    }
    return undefined;
  }
}

const attr = (path: string): number => offsetIn("bpf_attr", BtfKind.UNION, path);
const info = (path: string): number => offsetIn("bpf_link_info", BtfKind.STRUCT, path);

const L = LinkInfo;
const C = LinkCreateAttr;
const offsets: readonly (readonly [ours: number, theirs: () => number, name: string])[] = [
  ...(
    [
      [RawTracepointAttr.COOKIE, "raw_tracepoint.cookie"],
      [C.TARGET_BTF_ID, "link_create.target_btf_id"],
      [C.TRACING_COOKIE, "link_create.tracing.cookie"],
      [C.ITER_INFO, "link_create.iter_info"],
      [C.ITER_INFO_LEN, "link_create.iter_info_len"],
      [C.NETFILTER_PF, "link_create.netfilter.pf"],
      [C.NETFILTER_HOOK, "link_create.netfilter.hooknum"],
      [C.NETFILTER_PRIORITY, "link_create.netfilter.priority"],
      [C.NETFILTER_FLAGS, "link_create.netfilter.flags"],
      [C.RELATIVE, "link_create.tcx.relative_id"],
      [C.RELATIVE, "link_create.netkit.relative_id"],
      [C.RELATIVE, "link_create.cgroup.relative_id"],
      [C.KPROBE_ADDRS, "link_create.kprobe_multi.addrs"],
      [C.UPROBE_COOKIES, "link_create.uprobe_multi.cookies"],
      [LinkUpdateAttr.NEW_FD, "link_update.new_prog_fd"],
      [LinkUpdateAttr.FLAGS, "link_update.flags"],
      [LinkUpdateAttr.OLD_FD, "link_update.old_prog_fd"],
    ] as const
  ).map(([ours, path]) => [ours, () => attr(path), path] as const),
  ...(
    [
      [ProgAttachAttr.TARGET_FD, "target_fd"],
      [ProgAttachAttr.PROG_FD, "attach_bpf_fd"],
      [ProgAttachAttr.ATTACH_TYPE, "attach_type"],
      [ProgAttachAttr.FLAGS, "attach_flags"],
      [ProgQueryAttr.PROG_IDS, "query.prog_ids"],
      [ProgQueryAttr.PROG_COUNT, "query.prog_cnt"],
      [ProgQueryAttr.ATTACH_FLAGS, "query.attach_flags"],
    ] as const
  ).map(([ours, path]) => [ours, () => attr(path), path] as const),
  ...(
    [
      [IterLinkInfo.MAP_FD, "map.map_fd"],
      [IterLinkInfo.CGROUP_ORDER, "cgroup.order"],
      [IterLinkInfo.CGROUP_FD, "cgroup.cgroup_fd"],
      [IterLinkInfo.TASK_TID, "task.tid"],
      [IterLinkInfo.TASK_PID, "task.pid"],
    ] as const
  ).map(([ours, path]) => [ours, () => offsetIn("bpf_iter_link_info", BtfKind.UNION, path), path] as const),
  ...(
    [
      [L.RAW_TP_NAME, "raw_tracepoint.tp_name"],
      [L.RAW_TP_NAME_LEN, "raw_tracepoint.tp_name_len"],
      [L.RAW_TP_COOKIE, "raw_tracepoint.cookie"],
      [L.TRACING_ATTACH_TYPE, "tracing.attach_type"],
      [L.TRACING_TARGET_OBJ_ID, "tracing.target_obj_id"],
      [L.TRACING_TARGET_BTF_ID, "tracing.target_btf_id"],
      [L.TRACING_COOKIE, "tracing.cookie"],
      [L.CGROUP_ID, "cgroup.cgroup_id"],
      [L.CGROUP_ATTACH_TYPE, "cgroup.attach_type"],
      [L.ITER_TARGET_NAME, "iter.target_name"],
      [L.ITER_TARGET_NAME_LEN, "iter.target_name_len"],
      [L.ITER_MAP_ID, "iter.map.map_id"],
      [L.ITER_CGROUP_ID, "iter.cgroup.cgroup_id"],
      [L.ITER_CGROUP_ORDER, "iter.cgroup.order"],
      [L.ITER_TASK_TID, "iter.task.tid"],
      [L.ITER_TASK_PID, "iter.task.pid"],
      [L.NETNS_INO, "netns.netns_ino"],
      [L.ATTACH_TYPE, "netns.attach_type"],
      [L.ATTACH_TYPE, "tcx.attach_type"],
      [L.ATTACH_TYPE, "netkit.attach_type"],
      [L.ATTACH_TYPE, "sockmap.attach_type"],
      [L.IFINDEX, "xdp.ifindex"],
      [L.IFINDEX, "tcx.ifindex"],
      [L.IFINDEX, "netkit.ifindex"],
      [L.MAP_ID, "struct_ops.map_id"],
      [L.MAP_ID, "sockmap.map_id"],
      [L.NETFILTER_PF, "netfilter.pf"],
      [L.NETFILTER_HOOK, "netfilter.hooknum"],
      [L.NETFILTER_PRIORITY, "netfilter.priority"],
      [L.NETFILTER_FLAGS, "netfilter.flags"],
      [L.KPROBE_ADDRS, "kprobe_multi.addrs"],
      [L.KPROBE_COUNT, "kprobe_multi.count"],
      [L.KPROBE_FLAGS, "kprobe_multi.flags"],
      [L.KPROBE_MISSED, "kprobe_multi.missed"],
      [L.KPROBE_COOKIES, "kprobe_multi.cookies"],
      [L.UPROBE_PATH, "uprobe_multi.path"],
      [L.UPROBE_OFFSETS, "uprobe_multi.offsets"],
      [L.UPROBE_REF_CTR_OFFSETS, "uprobe_multi.ref_ctr_offsets"],
      [L.UPROBE_COOKIES, "uprobe_multi.cookies"],
      [L.UPROBE_PATH_SIZE, "uprobe_multi.path_size"],
      [L.UPROBE_COUNT, "uprobe_multi.count"],
      [L.UPROBE_FLAGS, "uprobe_multi.flags"],
      [L.UPROBE_PID, "uprobe_multi.pid"],
      [L.PERF_TYPE, "perf_event.type"],
      [L.PERF_NAME, "perf_event.uprobe.file_name"],
      [L.PERF_NAME, "perf_event.kprobe.func_name"],
      [L.PERF_NAME, "perf_event.tracepoint.tp_name"],
      [L.PERF_NAME_LEN, "perf_event.uprobe.name_len"],
      [L.PERF_NAME_LEN, "perf_event.tracepoint.name_len"],
      [L.PERF_OFFSET, "perf_event.kprobe.offset"],
      [L.PERF_UPROBE_COOKIE, "perf_event.uprobe.cookie"],
      [L.PERF_UPROBE_REF_CTR_OFFSET, "perf_event.uprobe.ref_ctr_offset"],
      [L.PERF_KPROBE_ADDR, "perf_event.kprobe.addr"],
      [L.PERF_KPROBE_MISSED, "perf_event.kprobe.missed"],
      [L.PERF_KPROBE_COOKIE, "perf_event.kprobe.cookie"],
      [L.PERF_TRACEPOINT_COOKIE, "perf_event.tracepoint.cookie"],
      [L.PERF_EVENT_CONFIG, "perf_event.event.config"],
      [L.PERF_EVENT_TYPE, "perf_event.event.type"],
      [L.PERF_EVENT_COOKIE, "perf_event.event.cookie"],
    ] as const
  ).map(([ours, path]) => [ours, () => info(path), path] as const),
];

const libc = "/lib/x86_64-linux-gnu/libc.so.6";

function functionOffset(name: string): number {
  const elf = Elf.parse(readFileSync(libc));
  return elf.virtualToFileOffset(elf.findSymbol(name)!.value)!;
}

describeWith(["linux", "root", "bpf", "vmlinuxBtf", "tracefs", "uprobes"], "information on links", () => {
  guardLeaks();
  const kernel = openLinuxKernel();

  test("every offset is the running kernel's, of those that it knows", () => {
    const wrong = offsets
      .map(([ours, theirs, name]) => ({ name, ours, theirs: theirs() }))
      .filter(({ ours, theirs }) => theirs !== -1 && theirs !== ours);
    expect(wrong).toEqual([]);
    // All are known from 6.18 on.
    if (machine.atLeast(6, 18))
      expect(offsets.filter(([, theirs]) => theirs() === -1).map(([, , name]) => name)).toEqual([]);
  });

  function attached(options: ProgramOptions, spec: AttachSpec, check: (link: LinuxLink) => void): void {
    using loaded = kernel.load(object([program("p", "r0 = 0\nexit", options)]));
    using link = kernel.attach(loaded.program("p"), spec);
    check(link);
  }

  const modern = machine.atLeast(6, 6);

  test.each<[string, ProgramOptions, AttachSpec, object]>([
    [
      "raw tracepoint",
      {},
      { kind: "raw-tracepoint", name: "sched_switch" },
      { type: "raw_tracepoint", name: "sched_switch", cookie: 0n },
    ],
    ...(machine.atLeast(6, 10)
      ? [
          [
            "raw tracepoint, cookie",
            {},
            { kind: "raw-tracepoint", name: "sched_switch", cookie: 9 },
            { cookie: 9n },
          ] as [string, ProgramOptions, AttachSpec, object],
        ]
      : []),
    [
      "tp_btf",
      { type: ProgType.TRACING, expectedAttachType: AttachType.TRACE_RAW_TP, attachTo: "sched_switch" },
      { kind: "tracing" },
      { type: "raw_tracepoint", name: "sched_switch" },
    ],
    ...(machine.atLeast(6, 10)
      ? [
          [
            "tp_btf, cookie",
            { type: ProgType.TRACING, expectedAttachType: AttachType.TRACE_RAW_TP, attachTo: "sched_switch" },
            { kind: "tracing", cookie: 4 },
            { cookie: 4n },
          ] as [string, ProgramOptions, AttachSpec, object],
        ]
      : []),
    [
      "tracepoint",
      { type: ProgType.TRACEPOINT },
      { kind: "tracepoint", category: "sched", name: "sched_switch", cookie: 5 },
      modern ? { type: "perf_event", event: "tracepoint", name: "sched_switch", cookie: 5n } : { type: "perf_event" },
    ],
    [
      "samples",
      { type: ProgType.PERF_EVENT },
      {
        kind: "perf-event",
        type: PerfType.SOFTWARE,
        config: PerfSoftware.PAGE_FAULTS,
        period: 7,
        cpus: [0],
        cookie: 6,
      },
      modern
        ? { event: "event", eventType: PerfType.SOFTWARE, config: BigInt(PerfSoftware.PAGE_FAULTS), cookie: 6n }
        : { type: "perf_event" },
    ],
    [
      "uprobe",
      { type: ProgType.KPROBE },
      { kind: "uprobe", path: libc, fileOffset: functionOffset("getppid"), isReturn: true, cookie: 3 },
      modern
        ? { event: "uretprobe", name: libc, offset: functionOffset("getppid"), cookie: 3n }
        : { type: "perf_event" },
    ],
  ])("%s", (_, options, spec, expected) => {
    attached(options, spec, (link) => {
      expect(link.info()).toEqual([expect.objectContaining(expected)]);
      const { id, progId } = link.info()[0]!;
      const shown = spawnSync("bpftool", ["-j", "link", "show", "id", String(id)], { encoding: "utf8" });
      if (shown.status === 0)
        expect(JSON.parse(shown.stdout)).toMatchObject({ id, prog_id: progId, type: link.info()[0]!.type });
    });
  });

  test("many places: their offsets and cookies", () => {
    if (!machine.atLeast(6, 6)) return;
    const fileOffsets = ["getppid", "getuid"].map(functionOffset);
    const options = { type: ProgType.KPROBE, expectedAttachType: AttachType.TRACE_UPROBE_MULTI };
    attached(
      options,
      { kind: "uprobe-multi", path: libc, fileOffsets, isReturn: true, cookies: [7, 8], pid: process.pid },
      (link) => {
        const [told] = link.info();
        expect(told).toMatchObject({ type: "uprobe_multi", isReturn: true, pid: process.pid });
        const places = told!.type === "uprobe_multi" ? told!.places : [];
        const sorted = places.map(({ address, cookie }) => `${address}:${cookie}`).toSorted();
        expect(sorted).toEqual(fileOffsets.map((offset, i) => `${offset}:${7 + i}`).toSorted());
      },
    );
  });

  test("a link ends once, and tells nothing afterwards", () => {
    using other = kernel.load(object([program("other", "r0 = 0\nexit")]));
    attached({}, { kind: "raw-tracepoint", name: "sched_switch" }, (link) => {
      expect(() => link.update(other.program("other"))).toThrow(
        "update of raw-tracepoint: the kernel cannot exchange the program of this kind of link: attach the new one, then close the old",
      );
      expect(() => link.detach()).toThrow(
        "detach of raw-tracepoint: the kernel takes this kind of link off only when it is closed",
      );
      link.close();
      link.close();
      expect(link.isClosed).toBe(true);
      expect(() => link.info()).toThrow("used after it was closed");
    });
  });

  test("places that need as many entries as others are told so", () => {
    using loaded = kernel.load(
      object([
        program("p", "r0 = 0\nexit", { type: ProgType.KPROBE, expectedAttachType: AttachType.TRACE_UPROBE_MULTI }),
      ]),
    );
    const attach = (more: object): unknown =>
      kernel.attach(loaded.program("p"), {
        kind: "uprobe-multi",
        path: libc,
        fileOffsets: [1, 2],
        isReturn: false,
        ...more,
      } as AttachSpec);
    expect(() => attach({ cookies: [1] })).toThrow("1 entries of a list that goes with 2 places");
    expect(() => attach({ fileOffsets: [] })).toThrow("name at least one place");
    expect(() => attach({ path: "/nonexistent" })).toThrow("there is no such file");
    expect(() => attach({ pid: 0x3fff_ffff, fileOffsets: [functionOffset("getppid")] })).toThrow(
      "there is no process 1073741823",
    );
    using single = kernel.load(object([program("p", "r0 = 0\nexit", { type: ProgType.KPROBE })]));
    expect(() =>
      kernel.attach(single.program("p"), { kind: "uprobe-multi", path: libc, fileOffsets: [1], isReturn: false }),
    ).toThrow('program p was not loaded for many places at once (SEC("uprobe.multi")): attach it one by one');
  });
});
