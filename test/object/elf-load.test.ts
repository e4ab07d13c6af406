/** Written object files in the kernel: bpftool loads them, and the kernel then holds what our own loader makes of the object. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { BtfBuilder, BtfFuncLinkage } from "../../src/btf/index.ts";
import { AttachType, MapType, ProgType, callKfunc, callLocal } from "../../src/isa/index.ts";
import { exit, mov64Imm } from "../../src/isa/index.ts";
import { writeElf } from "../../src/object/index.ts";
import type { BpfObject, MapSpec } from "../../src/object/index.ts";
import { openLinuxKernel } from "../../src/kernel/index.ts";
import { describeMap, describeProg } from "../../src/kernel/linux/bpf.ts";
import { compileModule, kernelTarget } from "../../src/compiler/index.ts";
import { loadObject } from "../../src/kernel/linux/load.ts";
import { randomProgram } from "../compiler/random-program.ts";
import { guardLeaks } from "../leaks.ts";
import { describeWith } from "../support/needs.ts";
import { PinnedObject, compiled, fromFile, handMade, kernelText, objectOf, objects } from "./objects.ts";

describeWith(["linux", "root", "bpf", "bpftool"], "bpftool loads", () => {
  guardLeaks();
  const directory = mkdtempSync(join(tmpdir(), "skep-elf-"));
  const pins = `/sys/fs/bpf/skep-elf-${process.pid}`;
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
    rmSync(pins, { recursive: true, force: true });
  });
  // Raises the limit of locked memory and the like.
  openLinuxKernel();

  function written(object: BpfObject, options?: Parameters<typeof writeElf>[1]): string {
    const path = join(directory, "a.o");
    writeFileSync(path, writeElf(object, options));
    return path;
  }

  /** What the kernel holds after bpftool, compared with what it holds after our loader. */
  function compare(object: BpfObject, file: string): void {
    using ours = loadObject(object);
    using theirs = new PinnedObject(file, pins);
    expect(theirs.programs.toSorted()).toEqual(object.programs.map((p) => p.name).toSorted());
    for (const { name } of object.programs) {
      const [our, their] = [ours.program(name).fd.value, theirs.program(name).value];
      expect(`${name}\n${kernelText(their)}`).toBe(`${name}\n${kernelText(our)}`);
      expect(describeProg(their).type).toBe(describeProg(our).type);
    }
    expect(theirs.maps).toHaveLength(object.maps.length);
    for (const { name } of object.maps) {
      const pinned = theirs.maps.find((m) => m === name || m.endsWith(`data_${name}`))!;
      const our = describeMap(ours.map(name).fd.value);
      const their = describeMap(theirs.map(pinned).value);
      const shape = ({ type, keySize, valueSize, maxEntries }: typeof our): unknown => [
        type,
        keySize,
        valueSize,
        maxEntries,
      ];
      expect([name, ...(shape(their) as number[])]).toEqual([name, ...(shape(our) as number[])]);
      // bpftool 7.1 makes all data mappable.
      if (pinned === name) expect(their.flags).toBe(our.flags);
    }
  }

  test.each(objects)("%s", (_, text) => {
    const object = compiled(text);
    compare(object, written(object));
  });

  test.each(objects)("%s, linked by bpftool", (_, text) => {
    const object = compiled(text);
    const linked = join(directory, "linked.o");
    execFileSync("bpftool", ["gen", "object", linked, written(object)], { stdio: "pipe" });
    compare(object, linked);
    const skeleton = execFileSync("bpftool", ["gen", "skeleton", linked], { encoding: "utf8" });
    expect(skeleton.includes("linked__open_and_load")).toBe(true);
  });

  test.each(Array.from({ length: 12 }, (_, i) => i + 1))("random program %d", (seed) => {
    const object = compileModule(randomProgram(seed), { target: kernelTarget([6, 1]) });
    try {
      loadObject(object).close();
    } catch {
      // What the verifier refuses is the compiler's test to find.
      return;
    }
    compare(object, written(object));
  });

  test("hand-made code with functions and without types", () => {
    const value: MapSpec = { name: "v", type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 };
    const code = [callLocal(3), callLocal(4), mov64Imm(0, 0), exit(), callLocal(1), exit(), mov64Imm(0, 5), exit()];
    const object = objectOf([handMade("p", code)], [value]);
    compare(object, written(object));
  });

  test("first values arrive, and frozen ones are frozen", () => {
    using pinned = new PinnedObject(written(compiled(objects[3]![1])), pins);
    const bytes = Array.from({ length: 16 }, (_, i) => `0x${i.toString(16).padStart(2, "0")}`);
    const [entry] = pinned.dump("_rodata_table") as { value: string[]; formatted: unknown }[];
    expect(entry!.value).toEqual(bytes);
    expect(pinned.show("_rodata_table")).toMatchObject({ frozen: 1 });
    expect(describeMap(pinned.map("_rodata_table").value).name).toBe(".rodata.table");
    expect(pinned.show("_data_out")).toMatchObject({ frozen: 0 });
  });

  test("types of keys and values", () => {
    const builder = new BtfBuilder();
    const u32 = builder.int("unsigned int", 4);
    const key = builder.struct("flow", 8, [
      { name: "from", typeId: u32, bitOffset: 0 },
      { name: "to", typeId: u32, bitOffset: 32 },
    ]);
    const map: MapSpec = {
      name: "flows",
      type: MapType.HASH,
      keySize: 8,
      valueSize: 4,
      maxEntries: 4,
      flags: 0,
      keyTypeId: key,
      valueTypeId: u32,
    };
    const object = objectOf([handMade("p", "r0 = 0\nexit")], [map], builder.finish());
    using pinned = new PinnedObject(written(object), pins);
    const update = [
      "map",
      "update",
      "pinned",
      join(pins, "m/flows"),
      "key",
      "hex",
      ..."01 00 00 00 02 00 00 00".split(" "),
    ];
    execFileSync("bpftool", [...update, "value", "hex", "07", "00", "00", "00"]);
    expect(pinned.dump("flows")).toMatchObject([{ formatted: { key: { from: 1, to: 2 }, value: 7 } }]);
  });

  test("variables of a section", () => {
    using pinned = new PinnedObject(written(fromFile()), pins);
    expect(pinned.dump(pinned.maps.find((m) => m !== "counts")!)).toMatchObject([
      { formatted: { value: { ".data": [{ limit: 1 }, { seen: 2 }] } } },
    ]);
  });

  test("lines of the source", () => {
    const object = compiled(`entry @p(%ctx: ptr) -> i64 type 17 attach 0 {
e:
  %x = load i64 [%ctx] bits 64 !0:1:1
  %y = call i64 @f(%x) !0:1:3
  return %y !0:2:1
}
static @f(%x: i64) -> i64 inline never {
e:
  %y = mul i64 %x, %x !0:2:5
  return %y !0:2:5
}`);
    const path = written(object);
    using pinned = new PinnedObject(path, pins);
    const dump = pinned.lines("p");
    expect(dump).toMatch(/; first line \[file:t\.bt line_num:1 line_col:1\]/);
    expect(dump).toMatch(/f\(.*\):\n; second line \[file:t\.bt line_num:2 line_col:5\]/);
  });
});

describeWith(["linux", "root", "bpf", "bpftool", "vmlinuxBtf"], "bpftool loads by type", () => {
  guardLeaks();
  const directory = mkdtempSync(join(tmpdir(), "skep-elf-"));
  const pins = `/sys/fs/bpf/skep-elf-types-${process.pid}`;
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
    rmSync(pins, { recursive: true, force: true });
  });

  /** Types with the attach types, and targets, that a file of libbpf 1.1 can say. */
  const P = ProgType;
  const A = AttachType;
  const cases: readonly (readonly [type: number, attachTypes: readonly number[], attachTo?: string])[] = [
    [P.SOCKET_FILTER, [0]],
    [P.SK_REUSEPORT, [A.SK_REUSEPORT_SELECT, A.SK_REUSEPORT_SELECT_OR_MIGRATE]],
    [P.KPROBE, [0, A.TRACE_KPROBE_MULTI]],
    [P.SCHED_CLS, [0]],
    [P.SCHED_ACT, [0]],
    [P.TRACEPOINT, [0]],
    [P.RAW_TRACEPOINT, [0]],
    [P.RAW_TRACEPOINT_WRITABLE, [0]],
    [P.TRACING, [A.TRACE_RAW_TP], "sched_switch"],
    [P.TRACING, [A.TRACE_FENTRY, A.TRACE_FEXIT, A.MODIFY_RETURN], "bpf_fentry_test1"],
    [P.TRACING, [A.TRACE_ITER], "task"],
    [P.LSM, [A.LSM_MAC, A.LSM_CGROUP], "socket_bind"],
    [P.SYSCALL, [0]],
    [P.XDP, [0, A.XDP, A.XDP_DEVMAP, A.XDP_CPUMAP]],
    [P.PERF_EVENT, [0]],
    [P.LWT_IN, [0]],
    [P.LWT_OUT, [0]],
    [P.LWT_XMIT, [0]],
    [P.LWT_SEG6LOCAL, [0]],
    [P.SOCK_OPS, [0, A.CGROUP_SOCK_OPS]],
    [P.SK_SKB, [0, A.SK_SKB_STREAM_PARSER, A.SK_SKB_STREAM_VERDICT]],
    [P.SK_MSG, [0, A.SK_MSG_VERDICT]],
    [P.SK_LOOKUP, [A.SK_LOOKUP]],
    [P.LIRC_MODE2, [A.LIRC_MODE2]],
    [P.FLOW_DISSECTOR, [0, A.FLOW_DISSECTOR]],
    [P.CGROUP_SKB, [A.CGROUP_INET_INGRESS, A.CGROUP_INET_EGRESS]],
    [P.CGROUP_SOCK, [0, A.CGROUP_INET_SOCK_CREATE, A.CGROUP_INET_SOCK_RELEASE, A.CGROUP_INET4_POST_BIND]],
    [
      P.CGROUP_SOCK_ADDR,
      [A.CGROUP_INET4_BIND, A.CGROUP_INET6_CONNECT, A.CGROUP_UDP4_SENDMSG, A.CGROUP_INET6_GETSOCKNAME],
    ],
    [P.CGROUP_SYSCTL, [A.CGROUP_SYSCTL]],
    [P.CGROUP_SOCKOPT, [A.CGROUP_GETSOCKOPT, A.CGROUP_SETSOCKOPT]],
    [P.CGROUP_DEVICE, [0, A.CGROUP_DEVICE]],
  ];
  const single = cases.flatMap(([type, attachTypes, attachTo]) =>
    attachTypes.map((expectedAttachType) => {
      const name = Object.entries(ProgType).find(([, n]) => n === type)![0];
      return [
        `${name} ${expectedAttachType}`,
        { type, expectedAttachType, ...(attachTo ? { attachTo } : {}) },
      ] as const;
    }),
  );

  /** The type of what was loaded, or that the kernel refused. */
  function outcome(body: () => number): string {
    try {
      return `type ${body()}`;
    } catch {
      return "refused";
    }
  }

  test.each(single)("%s, when our loader does", (_, options) => {
    // A value that the most types allow: some want 0 or 1.
    const sleepable = options.type === P.SYSCALL;
    const object = objectOf([handMade("p", "r0 = 1\nexit", { ...options, sleepable })]);
    const zero = objectOf([handMade("p", "r0 = 0\nexit", { ...options, sleepable })]);
    const ours = (o: BpfObject): string =>
      outcome(() => {
        using loaded = loadObject(o);
        return describeProg(loaded.program("p").fd.value).type;
      });
    const path = join(directory, "a.o");
    for (const o of [object, zero]) {
      writeFileSync(path, writeElf(o));
      const theirs = outcome(() => {
        using pinned = new PinnedObject(path, pins);
        return describeProg(pinned.program("p").value).type;
      });
      expect(theirs).toBe(ours(o));
    }
  });

  test("kernel functions whose prototype is known", () => {
    const builder = new BtfBuilder();
    const proto = builder.funcProto(0, []);
    const names = ["bpf_rcu_read_lock", "bpf_rcu_read_unlock"];
    for (const name of names) builder.func(name, proto, BtfFuncLinkage.GLOBAL);
    const object = objectOf(
      [
        handMade("p", [callKfunc(0), callKfunc(0), mov64Imm(0, 0), exit()], {
          type: P.TRACING,
          expectedAttachType: A.TRACE_RAW_TP,
          attachTo: "sched_switch",
          relocations: names.map((name, insnIndex) => ({ kind: "kfunc", insnIndex, name })),
        }),
      ],
      [],
      builder.finish(),
    );
    const path = join(directory, "a.o");
    writeFileSync(path, writeElf(object));
    using ours = loadObject(object);
    using theirs = new PinnedObject(path, pins);
    expect(kernelText(theirs.program("p").value)).toBe(kernelText(ours.program("p").fd.value));
  });
});
