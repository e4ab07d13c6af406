/** Written object files: what is in them, what is refused, and that LLVM's tools read them. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UnsupportedError } from "../../src/base/index.ts";
import { BtfBuilder, BtfKind, BtfVarLinkage, encodeFuncInfo } from "../../src/btf/index.ts";
import type { BtfDataSection } from "../../src/btf/index.ts";
import { AttachType, MapType, ProgType, callKfunc, callLocal } from "../../src/isa/index.ts";
import { exit, ldImm64Pseudo, ldMapFd, mov64Imm } from "../../src/isa/index.ts";
import type { Insn } from "../../src/isa/index.ts";
import { ElfMachine, ElfSymbolBinding, ElfType, writeElf } from "../../src/object/index.ts";
import type { AttachSpec, BpfObject, MapSpec, ProgramSpec } from "../../src/object/index.ts";
import { describeWith } from "../support/needs.ts";
import { WrittenFile, compiled, fromFile, handMade, objectOf, objects } from "./objects.ts";

describe("sections and symbols", () => {
  test("of programs, called functions and maps", () => {
    const file = new WrittenFile(writeElf(compiled(objects[6]![1])));
    expect([file.elf.header.type, file.elf.header.machine, file.elf.header.class]).toEqual([
      ElfType.REL,
      ElfMachine.BPF,
      64,
    ]);
    expect(file.sections).toEqual([
      ".text",
      "raw_tp",
      "tracepoint",
      "license",
      ".data.out",
      ".BTF",
      ".BTF.ext",
      ".rel.text",
      ".relraw_tp",
      ".reltracepoint",
    ]);
    const named = file.symbols.filter((s) => s.name !== "");
    const place = (name: string): unknown => {
      const s = named.find((x) => x.name === name)!;
      return [file.elf.sections[s.sectionIndex]!.name, s.binding === ElfSymbolBinding.GLOBAL];
    };
    expect(named.map((s) => s.name).toSorted()).toEqual(["one", "out", "own", "shared", "two"]);
    expect(["one", "two", "shared", "own", "out"].map(place)).toEqual([
      ["raw_tp", true],
      ["tracepoint", true],
      [".text", false],
      [".text", false],
      [".data.out", false],
    ]);
    expect(file.relocations("tracepoint").map((r) => r.replace(/^\d+ /, ""))).toEqual(["64_32 .text", "64_32 .text"]);
    expect(file.relocations(".text").every((r) => r.endsWith("64_64 .data.out"))).toBe(true);
    expect(new TextDecoder().decode(file.data("license"))).toBe("GPL\0");
  });

  test("type ids and strings of the object's BTF stay", () => {
    const object = compiled(objects[2]![1]);
    const before = new WrittenFile(writeElf(object)).btf;
    const given = object.btf!;
    const headerSize = 24;
    const types = new DataView(given.buffer).getUint32(12, true);
    const written = new WrittenFile(writeElf(object)).data(".BTF");
    expect([...written.subarray(headerSize, headerSize + types)]).toEqual([
      ...given.subarray(headerSize, headerSize + types),
    ]);
    expect(before.findByName(".maps")).toBeGreaterThan(0);
  });

  test("programs in their places", () => {
    const places: readonly (readonly [ProgramSpec["type"], AttachSpec, string])[] = [
      [
        ProgType.TRACEPOINT,
        { kind: "tracepoint", category: "sched", name: "sched_switch" },
        "tracepoint/sched/sched_switch",
      ],
      [ProgType.RAW_TRACEPOINT, { kind: "raw-tracepoint", name: "sys_enter" }, "raw_tp/sys_enter"],
      [ProgType.KPROBE, { kind: "kprobe", func: "vfs_read", offset: 0, isReturn: false }, "kprobe/vfs_read"],
      [ProgType.KPROBE, { kind: "kprobe", func: "vfs_read", offset: 16, isReturn: false }, "kprobe/vfs_read+16"],
      [ProgType.KPROBE, { kind: "kprobe", func: "vfs_read", offset: 0, isReturn: true }, "kretprobe/vfs_read"],
      [ProgType.KPROBE, { kind: "uprobe", path: "/bin/sh", fileOffset: 64, isReturn: true }, "uretprobe"],
      [ProgType.PERF_EVENT, { kind: "perf-event", type: 1, config: 0, period: 1 }, "perf_event"],
    ];
    for (const [type, place, section] of places) {
      const object = objectOf([handMade("p", "r0 = 0\nexit", { type })]);
      const sections = (attach: readonly AttachSpec[]): string =>
        new WrittenFile(writeElf(object, { attach: new Map([["p", attach]]) })).sections[0]!;
      expect(sections([place])).toBe(section);
      // Of two places neither can be the name.
      expect(sections([place, place])).not.toContain("/");
    }
  });

  test("names become identifiers, each once", () => {
    const map = (name: string): MapSpec => ({
      name,
      type: MapType.HASH,
      keySize: 4,
      valueSize: 4,
      maxEntries: 1,
      flags: 0,
    });
    const programs = ["uprobe:/bin/sh:x", "uprobe__bin_sh_x", "7"].map((name) => handMade(name, "r0 = 0\nexit"));
    const file = new WrittenFile(writeElf(objectOf(programs, [map("@"), map("7"), map("b.c")])));
    expect(file.symbols.map((s) => s.name).filter((n) => n !== "")).toEqual([
      "uprobe__bin_sh_x",
      "uprobe__bin_sh_x_2",
      "_7",
      "_",
      "_7_2",
      "b_c",
    ]);
  });

  test("an object without maps and types has no BTF", () => {
    const file = new WrittenFile(writeElf(objectOf([handMade("p", "r0 = 0\nexit")])));
    expect(file.sections).toEqual(["raw_tp", "license"]);
  });
});

describe("an object that came from a file", () => {
  const object = fromFile();

  test("keeps its sections and variables", () => {
    const file = new WrittenFile(writeElf(object));
    expect(file.sections.slice(0, 4)).toEqual(["raw_tp", "license", ".maps", ".data"]);
    expect(file.symbols.filter((s) => s.name !== "").map((s) => [s.name, Number(s.value), s.binding])).toEqual([
      ["seen", 4, ElfSymbolBinding.LOCAL],
      ["p", 0, ElfSymbolBinding.GLOBAL],
      ["counts", 0, ElfSymbolBinding.GLOBAL],
      ["limit", 0, ElfSymbolBinding.GLOBAL],
    ]);
    const sections = [...file.btf.idsByKind(BtfKind.DATASEC)].map((id) => file.btf.typeById(id) as BtfDataSection);
    expect(sections.map((s) => [s.name, s.entries.map((e) => file.btf.nameOf(e.typeId))])).toEqual([
      [".data", ["limit", "seen"]],
      ["license", ["_license"]],
      [".maps", ["counts"]],
    ]);
    // No symbol stands for it: libbpf would refuse a global one.
    expect(file.btf.typeById(file.btf.findByName("_license")!)).toMatchObject({ linkage: BtfVarLinkage.STATIC });
  });
});

describe("refusals", () => {
  const array: MapSpec = { name: "m", type: MapType.ARRAY, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 };
  const loads = (relocation: "map" | "map-value" | undefined, map = "m"): ProgramSpec =>
    handMade("p", [ldMapFd(1, 0), mov64Imm(0, 0), exit()], {
      relocations:
        relocation === undefined
          ? []
          : [
              relocation === "map"
                ? { kind: "map", insnIndex: 0, map }
                : { kind: "map-value", insnIndex: 0, map, offset: 0 },
            ],
    });
  const nothing = handMade("p", "r0 = 0\nexit");
  const typed = (type: number, expectedAttachType = 0, more: Partial<ProgramSpec> = {}): BpfObject =>
    objectOf([{ ...nothing, type, expectedAttachType, ...more }]);
  const bytes = new Uint8Array(8);

  const cases: readonly (readonly [string, BpfObject, RegExp, "unsupported" | "range" | "type"])[] = [
    ["an unknown type", typed(99, 3), /type 99 with attach type CGROUP_SOCK_OPS/, "unsupported"],
    [
      "uprobe_multi",
      typed(ProgType.KPROBE, AttachType.TRACE_UPROBE_MULTI),
      /known from libbpf 1\.3 on, the file is for 1\.1/,
      "unsupported",
    ],
    [
      "a sleepable tracepoint",
      typed(ProgType.TRACEPOINT, 0, { sleepable: true }),
      /section tracepoint.s is known from libbpf 1.8 on/,
      "unsupported",
    ],
    [
      "fentry of nothing",
      typed(ProgType.TRACING, AttachType.TRACE_FENTRY),
      /TRACING with attach type TRACE_FENTRY needs attachTo/,
      "type",
    ],
    [
      "a hash with a first value",
      objectOf([nothing], [{ ...array, type: MapType.HASH, initialValue: bytes }]),
      /arrays of one entry only/,
      "unsupported",
    ],
    [
      "a frozen map that programs write",
      objectOf([nothing], [{ ...array, frozen: true }]),
      /flags 0x0, frozen: sections of data are either/,
      "unsupported",
    ],
    [
      "a read-only map that is not frozen",
      objectOf([nothing], [{ ...array, flags: 128, initialValue: bytes }]),
      /flags 0x80: /,
      "unsupported",
    ],
    [
      "data as a map",
      objectOf([loads("map")], [{ ...array, initialValue: bytes }]),
      /program p wants the map/,
      "unsupported",
    ],
    [
      "a kernel function without prototype",
      objectOf([
        handMade("p", [callKfunc(0), exit()], { relocations: [{ kind: "kfunc", insnIndex: 0, name: "bpf_x" }] }),
      ]),
      /kernel function bpf_x, of which/,
      "unsupported",
    ],
    [
      "a first value of another size",
      objectOf([nothing], [{ ...array, initialValue: new Uint8Array(7) }]),
      /a first value of 7 bytes, values have 8/,
      "range",
    ],
    ["an unknown map", objectOf([loads("map", "n")], [array]), /program p: the object has no map n/, "range"],
    ["two maps of one name", objectOf([nothing], [array, array]), /map m: two maps of this name/, "range"],
    [
      "a descriptor in the code",
      objectOf([loads(undefined)]),
      /instruction 0: holds a map's descriptor, and no relocation says which/,
      "range",
    ],
    [
      "a relocation of another instruction",
      objectOf([{ ...nothing, relocations: [{ kind: "map", insnIndex: 1, map: "m" }] }], [array]),
      /relocation of m at instruction 1, which is no ld-imm64/,
      "range",
    ],
    [
      "a call out of the code",
      objectOf([handMade("p", [callLocal(7), exit()])]),
      /instruction 0: a function at 8 of 2/,
      "range",
    ],
    [
      "a call into an instruction",
      objectOf([handMade("p", [callLocal(2), exit(), ldImm64Pseudo(0, 0, 1n), exit()])]),
      /a function at 3, inside an instruction/,
      "range",
    ],
    [
      "recursion",
      objectOf([handMade("p", [callLocal(1), exit(), callLocal(-1), exit()])]),
      /the function at instruction 2 calls itself/,
      "range",
    ],
    [
      "a call of the program",
      objectOf([handMade("p", [callLocal(-1), exit()])]),
      /instruction 0: calls the program itself/,
      "range",
    ],
    ["half an instruction", objectOf([{ ...nothing, code: new Uint8Array(12) }]), /12 bytes are no code/, "range"],
    [
      "records without BTF",
      objectOf([{ ...nothing, funcInfo: encodeFuncInfo([{ insnIndex: 0, typeId: 1 }]) }]),
      /the object has no BTF/,
      "range",
    ],
    ["a NUL in the license", { ...objectOf([nothing]), license: "GPL\0" }, /license: a NUL/, "range"],
  ];
  test.each(cases)("%s", (_, object, message, kind) => {
    const error = { unsupported: UnsupportedError, range: RangeError, type: TypeError }[kind];
    expect(() => writeElf(object)).toThrow(error);
    expect(() => writeElf(object)).toThrow(message);
  });

  test("a newer libbpf takes more", () => {
    const file = writeElf(typed(ProgType.KPROBE, AttachType.TRACE_UPROBE_MULTI), { libbpfMinor: 3 });
    expect(new WrittenFile(file).sections[0]).toBe("uprobe.multi");
  });

  test("records that do not fit the functions", () => {
    const builder = new BtfBuilder();
    const typeId = builder.func("p", builder.funcProto(0, []));
    const withRecords = (code: readonly Insn[], ...at: number[]): BpfObject =>
      objectOf(
        [handMade("p", code, { funcInfo: encodeFuncInfo(at.map((insnIndex) => ({ insnIndex, typeId }))) })],
        [],
        builder.finish(),
      );
    const calls = [callLocal(1), exit(), mov64Imm(0, 0), exit()];
    expect(() => writeElf(withRecords(calls, 0))).toThrow("the function at instruction 2 has no func_info");
    expect(() => writeElf(withRecords(calls, 0, 2, 3))).toThrow("func_info at instruction 3: nothing calls it");
    const key = { ...array, type: MapType.HASH, keyTypeId: builder.int("long", 8), valueTypeId: 0 };
    expect(() => writeElf(objectOf([nothing], [key], builder.finish()))).toThrow("map m: key of 4 bytes, its type");
  });
});

describeWith(["llvmObjdump"], "LLVM reads", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "skep-elf-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test.each(objects)("%s", (_, text) => {
    const path = join(directory, "a.o");
    writeFileSync(path, writeElf(compiled(text)));
    for (const [tool, ...args] of [
      ["llvm-readelf", "-a", "-W"],
      ["llvm-objdump", "-d", "-r", "-t"],
    ]) {
      const { status, stderr, stdout } = spawnSync(tool!, [...args, path], { encoding: "utf8" });
      expect([tool, status, stderr]).toEqual([tool, 0, ""]);
      expect(stdout).toContain("R_BPF_64_64");
    }
  });
});
