/** `skep disasm`: instructions as llvm-objdump and the kernel print them, names beside them. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";
import { bundleCli, run } from "./support.ts";

let entry: string;
let directory: string;
let object: string;

beforeAll(async () => {
  entry = await bundleCli();
  directory = mkdtempSync(join(tmpdir(), "skep-disasm-"));
  object = join(directory, "api.bpf.o");
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const skep = (...args: string[]): ReturnType<typeof run> => run(process.execPath, [entry, ...args]);

describeWith(["clang"], "skep disasm", () => {
  beforeAll(() => writeFileSync(object, compileProgram("api")));

  test("C lines above instructions, names behind them", async () => {
    const { stdout, status } = await skep("disasm", object);
    expect(status).toBe(0);
    for (const text of [
      '# program on_getppid: SEC("tracepoint/syscalls/sys_enter_getppid"), tracepoint, ',
      "\non_getppid:\n; __u64 id = bpf_get_current_pid_tgid(); @ api.bpf.c:",
      "   0: (85) call bpf_get_current_pid_tgid#14\n",
      " = map[.rodata][0]+28  ; targ_pid\n",
      " = map[events]\n",
      "  ; count\n",
      "\ncount:\n; ",
    ]) {
      expect(stdout).toContain(text);
    }
  });

  test("CO-RE records by the fields they are about", async () => {
    const file = join(directory, "core.o");
    writeFileSync(file, compileProgram("core-kernel"));
    const { stdout } = await skep("disasm", file);
    expect(stdout).toMatch(/; CO-RE <byte_off> struct \w+[.\w]+ \(0:\d+(:\d+)*\)/);
    expect(stdout).toMatch(/; CO-RE <(field_exists|type_exists|enumval_value|type_size)> /);
  });

  test("several files are one object", async () => {
    const files = ["link-main", "link-other"].map((name) => {
      const file = join(directory, `${name}.o`);
      writeFileSync(file, compileProgram(name));
      return file;
    });
    const { stdout, status } = await skep("disasm", ...files);
    expect(status).toBe(0);
    expect(stdout).toMatch(/@ link-main\.bpf\.c:\d+$/m);
    expect(stdout).toMatch(/@ link-other\.bpf\.c:\d+$/m);
    const alone = await skep("disasm", files[0]!);
    expect(alone.stderr).toMatch(/link the object with the one that defines it/);
  });

  test("one program, as JSON", async () => {
    const { stdout } = await skep("disasm", object, "--program", "never", "--json");
    const [program, ...more] = JSON.parse(stdout) as {
      name: string;
      type: string;
      insns: { text: string; bytes: string }[];
    }[];
    expect(more).toEqual([]);
    expect(program).toMatchObject({ name: "never", section: "socket", type: "socket_filter" });
    expect(program!.insns.map(({ text, bytes }) => `${bytes} ${text}`)).toEqual([
      "b70000002a000000 (b7) r0 = 42",
      "9500000000000000 (95) exit",
    ]);
  });

  test.each<[args: string[], error: RegExp]>([
    [["--program", "nevr"], /--program nevr: the object has no such program \(did you mean never\?\)/],
    [["--kernel", "--llvm"], /give one of them/],
    [["/nonexistent.o"], /\/nonexistent\.o: no such file/],
  ])("%j is refused", async (args, error) => {
    const { stderr, status } = await skep("disasm", object, ...args);
    expect(stderr).toMatch(error);
    expect(status).toBe(2);
  });

  test.each<[name: string, content: string, error: RegExp]>([
    ["script.bt", "BEGIN { exit(); }", /is no object file and no C source \(to run a bpftrace script: skep trace\)/],
    ["prog.bpf.c", '#include <linux/bpf.h>\nSEC("xdp") int f() {}', /prog\.bpf\.c:2:\d+: error: /],
    ["prog.txt", '#include <linux/bpf.h>\nSEC("xdp") int f() {}', /no C source \(C sources are called \.c/],
    ["short.o", "\u007fELF\u0002\u0001\u0001", /offset/],
  ])("%s is refused", async (name, content, error) => {
    const file = join(directory, name);
    writeFileSync(file, content);
    const { stderr, status } = await skep("disasm", file);
    expect(stderr).toMatch(error);
    expect(status).toBe(2);
  });
});

/** Instructions of a listing: what stands behind the number of a line. */
function instructions(listing: string): string[] {
  return listing.split("\n").flatMap((line) => {
    const [, text] = /^ +\d+:\s+(?:\([0-9a-f]{2}\) )?(.*?)(?:  ; .*)?$/.exec(line) ?? [];
    return text === undefined ? [] : [text.replace(/ <\w+(\+0x[0-9a-f]+)?>$/, "").trim()];
  });
}

describeWith(["clang", "llvmObjdump"], "skep disasm --llvm beside llvm-objdump", () => {
  test("the same instructions", async () => {
    writeFileSync(object, compileProgram("api"));
    // A section is a program here; functions that are linked to it stand behind it, in section .text of the file.
    const section = "tracepoint/syscalls/sys_enter_getppid";
    const flags = ["-d", "--no-show-raw-insn", "--mattr=+alu32", "-j", section];
    const theirs = instructions(spawnSync("llvm-objdump", [...flags, object], { encoding: "utf8" }).stdout);
    const { stdout } = await skep("disasm", object, "--llvm", "--program", "on_getppid");
    const ours = instructions(stdout.slice(0, stdout.indexOf("\ncount:")));
    // What the linker and the loader fill in, the file has otherwise: calls of other sections and places in maps.
    const filled = (text: string): string => text.replace(/^call (pc\+\d+|-1)$/, "call").replace(/= -?\d+ ll$/, "= ll");
    expect(ours.map(filled)).toEqual(theirs.map(filled));
    expect(ours.length).toBeGreaterThan(60);
  });
});

describeWith(["linux", "root", "bpf", "clang", "bpftool"], "skep disasm beside bpftool", () => {
  test("the same instructions where the kernel leaves them", async () => {
    writeFileSync(object, compileProgram("api"));
    const pin = `/sys/fs/bpf/skep-disasm-${process.pid}`;
    const bpftool = (...args: string[]): string => spawnSync("bpftool", args, { encoding: "utf8" }).stdout;
    spawnSync("mkdir", ["-p", pin]);
    try {
      bpftool("prog", "loadall", object, pin);
      const theirs = instructions(bpftool("prog", "dump", "xlated", "pinned", join(pin, "never")));
      const { stdout } = await skep("disasm", object, "--program", "never");
      expect(instructions(stdout)).toEqual(theirs);
      expect(theirs.length).toBe(2);
    } finally {
      rmSync(pin, { recursive: true, force: true });
    }
  });
});
