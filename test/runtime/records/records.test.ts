import { expect, test } from "vitest";
import { Btf, BtfKind, printBtfType } from "../../../src/btf/index.ts";
import { DebugTypes, readObject } from "../../../src/object/index.ts";
import { eventTypes } from "../../../src/runtime/records/event-types.ts";
import { writtenVariable } from "../../../src/runtime/records/inference.ts";
import { ParseError } from "../../../src/base/index.ts";
import { mutated, randomNumbers } from "../../object/mutate.ts";
import { compileProgram } from "../../support/clang.ts";
import { describeWith } from "../../support/needs.ts";

const flags: readonly string[] = ["-gdwarf-5", "-gdwarf-4", "-gdwarf-3", "-gdwarf-2"];

/** What is known of each map of the program, as `map: types, why`. */
function found(bytes: Uint8Array, named: Readonly<Record<string, string>> = {}): string[] {
  const object = readObject(bytes, { name: "records.bpf.o" });
  const btf = Btf.parse(object.btf!);
  return eventTypes(object, btf, named).map(
    ({ map, types, why }) => `${map}: ${types.map(({ typeName, size }) => `${typeName} ${size}`).join(", ")} (${why})`,
  );
}

describeWith(["clang"], "types of records", () => {
  test.each(flags)("by debug information, %s", (flag) => {
    expect(found(compileProgram("records", flag)).toSorted()).toEqual([
      "copies: struct small 12 (the only struct of 12 bytes)",
      "perf: struct small 12 (named at records.bpf.c:73)",
      "reserved: struct event 128 (named at records.bpf.c:67)",
      "sized:  (no struct has the 10 bytes written at records.bpf.c:90)",
      "two: struct small 12, struct inner 6 (named at records.bpf.c:74, named at records.bpf.c:76)",
      "values: struct large 256 (named at records.bpf.c:89)",
    ]);
  });

  test("without it: what maps hold", () => {
    const object = readObject(compileProgram("records"), { name: "records.bpf.o" });
    const { dwarf: _stripped, ...bare } = object;
    const types = eventTypes(bare, Btf.parse(bare.btf!)).map(({ map, types: all, why }) => [map, all.length, why]);
    expect(types).toContainEqual(["values", 1, "values of map heap"]);
    expect(types).toContainEqual([
      "perf",
      0,
      "no struct has the 12 bytes written at records.bpf.c:73, and there is no debug information (clang -g), which has more",
    ]);
  });

  test("asked for", () => {
    expect(found(compileProgram("records"), { sized: "struct small" })).toContain(
      "sized: struct small 12 (as asked for)",
    );
    expect(() => found(compileProgram("records"), { sized: "struct smal" })).toThrow(/did you mean small\?/);
  });

  test.each(flags)("%s: as BTF, what clang says itself when a global names it", (flag) => {
    const object = readObject(compileProgram("records", flag));
    const [{ btf, typeId } = { btf: undefined, typeId: 0 }] = eventTypes(object, Btf.parse(object.btf!))[0]!.types;
    const named = readObject(compileProgram("records", "-include", `${import.meta.dirname}/named.h`));
    const clang = Btf.parse(named.btf!);
    const own = clang.structByName("event")!.id;
    // Functions are told as void: nothing follows pointers to them.
    const text = (of: Btf, id: number): string => printBtfType(of, id).replace("void (*call)(int)", "void *call");
    for (const part of ["event", "inner"]) {
      const id = part === "event" ? typeId : btf!.structByName(part)!.id;
      expect(text(btf!, id).replace("char *text", "void *text").replace("const void", "void")).toBe(
        text(clang, part === "event" ? own : clang.structByName(part)!.id).replace("const char *text", "void *text"),
      );
    }
    expect(btf!.kindOf(typeId)).toBe(BtfKind.STRUCT);
  });

  test("damaged debug information is a ParseError, or other types", () => {
    const [sections] = readObject(compileProgram("records")).dwarf!;
    const random = randomNumbers(7);
    let refused = 0;
    for (let round = 0; round < 1500; round++) {
      const which = (["info", "abbrev", "strOffsets", "str"] as const)[random(4)]!;
      try {
        const types = new DebugTypes({ ...sections!, [which]: mutated(sections![which]!, random) });
        expect(types.locals.length).toBeGreaterThanOrEqual(0);
      } catch (error) {
        if (!(error instanceof ParseError)) throw error;
        expect(error.message).toMatch(/\.debug_/);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(100);
    const object = readObject(compileProgram("records"));
    const broken = { ...object, dwarf: [{ ...sections!, info: sections!.info.subarray(0, 100) }] };
    expect(
      eventTypes(broken, Btf.parse(object.btf!))
        .map(({ why }) => why)
        .join(),
    ).toMatch(/debug information is damaged/);
  });
});

test.each([
  ["bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));", "event"],
  ["return bpf_ringbuf_output(&events, e, f(a, b), 0);", "e"],
  ["struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);", "e"],
  ["x = (struct y *)bpf_ringbuf_reserve(&events, 8, 0);", "x"],
  ["bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU,", undefined],
  ["bpf_ringbuf_output(&events, &a[1], 4, 0);", undefined],
  ["bpf_skb_output(skb, &events, min(a, (u64)b), &data, 4);", "data"],
  ["submit(e);", undefined],
])("the variable that %s writes", (line, variable) => {
  expect(writtenVariable(line)).toBe(variable);
});
