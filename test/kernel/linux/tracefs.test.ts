import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { nextId } from "../../../src/kernel/linux/bpf.ts";
import { kernelFunctions } from "../../../src/kernel/linux/kallsyms.ts";
import {
  listTracepoints,
  tracefs,
  tracepointCategories,
  tracepointFormat,
  tracepointId,
  tracepointNames,
} from "../../../src/kernel/linux/tracefs.ts";
import { describeWith } from "../../support/needs.ts";

describeWith(["linux", "root", "tracefs"], "tracefs", () => {
  test("lists events sorted, as its directories do", () => {
    const events = listTracepoints();
    expect(events.length).toBeGreaterThan(100);
    const names = events.map(({ category, name }) => `${category} ${name}`);
    expect(names).toEqual(names.toSorted());
    expect(tracepointCategories()).toContain("sched");
    const sched = events.filter(({ category }) => category === "sched").map(({ name }) => name);
    expect(tracepointNames("sched")).toEqual(sched);
    expect(tracepointNames("no such")).toEqual([]);
    expect(tracepointNames("sched/..")).toEqual([]);
  });

  test("reads ids and formats", () => {
    expect(tracepointId("sched", "sched_switch")).toBe(
      Number(readFileSync(`${tracefs()}/events/sched/sched_switch/id`, "utf8")),
    );
    expect(tracepointFormat("sched", "sched_switch")).toContain("char prev_comm[16]");
  });

  test.each([
    ["sched", "sched_swich", "tracepoint sched:sched_swich: this kernel has no such tracepoint; did you mean sched:"],
    ["skhed", "x", "this kernel has no category skhed; did you mean sched:*"],
    ["zzzzzzzzzzzz", "x", "this kernel has no category zzzzzzzzzzzz; skep -l lists what there is"],
  ])("%s:%s is not there", (category, name, message) => {
    expect(() => tracepointId(category, name)).toThrow(message);
  });
});

describeWith(["linux", "root", "bpf"], "the kernel's lists", () => {
  test("functions are listed", () => {
    expect(kernelFunctions().has("vfs_read")).toBe(true);
  });
  test("ids end", () => {
    expect(nextId("prog", 0x7fff_fff0)).toBeUndefined();
  });
});
