import { readFileSync, statSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { splitCommand } from "../../src/runtime/child.ts";
import { LinuxEnvironment, parseTracepointFormat } from "../../src/runtime/environment.ts";
import { parseLdCache } from "../../src/runtime/ld-cache.ts";
import { describeWith } from "../support/needs.ts";

describe("tracepoint formats", () => {
  test("fields with arrays, pointers, dynamic data", () => {
    const text = [
      "name: x",
      "ID: 123",
      "format:",
      "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;",
      "",
      "\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;",
      "\tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;",
      "\tfield:__data_loc char[] name;\toffset:32;\tsize:4;\tsigned:0;",
      "\tfield:unsigned long args[6];\toffset:40;\tsize:48;\tsigned:0;",
      "\tfield:long ret;\toffset:88;\tsize:8;\tsigned:1;",
      "",
      'print fmt: "x"',
    ].join("\n");
    const format = parseTracepointFormat(text);
    expect(format.id).toBe(123);
    expect(format.fields.map((f) => [f.ctype, f.name, f.byteOffset, f.size, f.signed])).toEqual([
      ["unsigned short", "common_type", 0, 2, false],
      ["char[16]", "prev_comm", 8, 16, false],
      ["const char *", "filename", 24, 8, false],
      ["__data_loc char[]", "name", 32, 4, false],
      ["unsigned long[6]", "args", 40, 48, false],
      ["long", "ret", 88, 8, true],
    ]);
  });
});

describeWith(["linux", "root", "tracefs"], "this machine", () => {
  const environment = new LinuxEnvironment({
    variables: { BPFTRACE_MAX_STRLEN: "64", PATH: "/bin" },
    positional: ["a"],
  });

  test("tracepoints and their formats: every field of every event is read", () => {
    const events = environment.tracepoints();
    expect(events).toContain("sched:sched_switch");
    for (const event of events) {
      const [category, name] = event.split(":") as [string, string];
      const text = readFileSync(`/sys/kernel/tracing/events/${category}/${name}/format`, "utf8");
      const format = environment.tracepointFormat(category, name)!;
      expect(format.fields.length, event).toBe((text.match(/^\tfield:/gm) ?? []).length);
    }
    expect(environment.tracepointFormat("sched", "no_such_event")).toBeUndefined();
  });

  test("settings, cgroups, symbols", () => {
    expect([...environment.config]).toEqual([["max_strlen", "64"]]);
    expect(environment.cgroupId("/sys/fs/cgroup")).toBe(statSync("/sys/fs/cgroup", { bigint: true }).ino);
    expect(environment.cgroupId("/no/such/cgroup")).toBeUndefined();
    expect(environment.kernelVersion[0]).toBeGreaterThanOrEqual(5);
    expect(environment.possibleCpus).toBeGreaterThan(0);
  });
});

describe("commands", () => {
  const cases: [command: string, words: string[]][] = [
    ["ls -l /", ["ls", "-l", "/"]],
    ["  a   b ", ["a", "b"]],
    [`sh -c 'echo "x y"'`, ["sh", "-c", 'echo "x y"']],
    ['echo "a \\"b\\" c"', ["echo", 'a "b" c']],
    ["a\\ b c", ["a b", "c"]],
    ["x''y \"\"", ["xy", ""]],
    ["", []],
  ];
  test.each(cases)("%j", (command, words) => expect(splitCommand(command)).toEqual(words));
});

describe("the linker's cache", () => {
  test("files of another kind have no libraries", () => {
    expect(parseLdCache(new Uint8Array(8), "x86_64").size).toBe(0);
    expect(parseLdCache(new Uint8Array(100), "x86_64").size).toBe(0);
  });
});
