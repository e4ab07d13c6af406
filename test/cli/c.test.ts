/** C sources on the command line: `skep build`, `skep run`, `skep disasm`, `skep gen types`. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readObject } from "../../src/object/index.ts";
import { describeWith } from "../support/needs.ts";
import { bundleCli, type Finished, run, start } from "./support.ts";

let entry: string;
let directory: string;

beforeAll(async () => {
  entry = await bundleCli();
  directory = mkdtempSync(join(tmpdir(), "skep-c-"));
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const skep = (...args: string[]): Promise<Finished> => run(process.execPath, [entry, ...args]);

/** Writes a file; returns its path. */
function write(name: string, text: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const HELLO = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
  __u32 pid;
  char comm[16];
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 65536);
} events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

const volatile __u32 only = 0;

SEC("tp/syscalls/sys_enter_getppid")
int on_getppid(void *ctx) {
  __u32 pid = bpf_get_current_pid_tgid() >> 32;
  if (only && pid != only) return 0;
  struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
  if (!e) return 0;
  e->pid = pid;
  bpf_get_current_comm(e->comm, sizeof(e->comm));
  bpf_ringbuf_submit(e, 0);
  __u64 one = 1, *count = bpf_map_lookup_elem(&counts, &pid);
  if (count) ++*count;
  else bpf_map_update_elem(&counts, &pid, &one, BPF_ANY);
#ifdef LOUD
  bpf_printk("getppid of %d" LOUD, pid);
#endif
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
`;

const BCC = `
struct data_t { u32 pid; u64 calls; };
BPF_PERF_OUTPUT(events);
BPF_HASH(counts, u32);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
  u32 pid = bpf_get_current_pid_tgid() >> 32;
  if (pid != ONLY) return 0;
  counts.increment(pid);
  struct data_t data = {.pid = pid};
  u64 *calls = counts.lookup(&pid);
  if (calls) data.calls = *calls;
  events.perf_submit(args, &data, sizeof(data));
  return 0;
}
`;

describe("skep build of C", () => {
  test("an object file, instructions, IR, preprocessed text", async () => {
    const source = write("hello.bpf.c", HELLO);
    const object = join(directory, "hello.o");
    const built = await skep("build", source, "-o", object);
    expect(built).toMatchObject({ status: 0, stdout: "", stderr: "" });
    const read = readObject(readFileSync(object));
    expect(read.programs.map(({ name, section }) => [name, section])).toEqual([
      ["on_getppid", "tp/syscalls/sys_enter_getppid"],
    ]);
    expect(read.maps.map(({ name }) => name)).toEqual(["events", "counts", ".rodata"]);
    const asm = await skep("build", source);
    expect(asm.stdout).toMatch(/; e->pid = pid; @ .*hello\.bpf\.c:29\n.*\*\(u32 \*\)\(r\d \+0\) = /);
    const ir = await skep("build", source, "--emit", "ir");
    expect(ir.stdout).toMatch(/on_getppid/);
    const text = await skep("build", source, "--emit=preprocessed", '-DLOUD="!"');
    expect(text.stdout).toMatch(/__attribute__\s*\(\(section\("tp\/syscalls\/sys_enter_getppid"/);
    expect(text.stdout).toContain("getppid of %d");
    expect((await skep("disasm", source)).stdout).toBe(asm.stdout);
  });

  test("headers of the user, macros in order, -include", async () => {
    mkdirSync(join(directory, "include"), { recursive: true });
    write("include/own.h", "#define ANSWER 42\n");
    const source = write("own.bpf.c", `#include <own.h>\nint x = ANSWER + EXTRA;\n`);
    const args = ["-I", join(directory, "include"), "-D", "EXTRA=1", "-UEXTRA", "-DEXTRA=2", "--emit", "preprocessed"];
    expect((await skep("build", source, ...args)).stdout).toContain("42 + 2");
    const forced = write("forced.bpf.c", "int x = ANSWER;\n");
    const included = await skep("build", forced, "-include", join(directory, "include/own.h"), "--emit=preprocessed");
    expect(included.stdout).toContain("int x = 42;");
  });

  test("several sources are linked", async () => {
    const head = `#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n`;
    const a = write("a.bpf.c", `${head}int twice(int x);\nSEC("socket") int answer(void *c) { return twice(21); }\n`);
    const b = write("b.bpf.c", `${head}__attribute__((noinline)) int twice(int x) { return x * 2; }\n`);
    const object = join(directory, "ab.o");
    expect(await skep("build", a, b, "-o", object)).toMatchObject({ status: 0, stderr: "" });
    expect(readObject(readFileSync(object)).programs.map(({ name }) => name)).toEqual(["answer"]);
    const alone = await skep("build", a, "-o", object);
    expect(alone.status).toBe(2);
    expect(alone.stderr).toMatch(/twice is declared and not defined/);
  });

  test.each<[what: string, source: string, error: RegExp]>([
    [
      "a missing semicolon",
      "int x = 1\nint y;",
      /:\d+:\d+: error: ; is missing .*\n {2}int .*\n {2} *\^~*\n1 error generated\.\n$/,
    ],
    ["a macro's fault", "#define BAD(x) ((x)->a)\nint f(int x) { return BAD(x); }", /note: expanded from macro 'BAD'/],
    ["a header that is not there", '#include "nope.h"', /:1:10: error: there is no header "nope\.h"[^]*-I/],
    ["a name that is not there", "int f(void) { return bpf_ktime_get_nss(); }", /did you mean bpf_ktime_get_ns\?/],
  ])("%s: exit 2", async (_, source, error) => {
    const { status, stdout, stderr } = await skep(
      "build",
      write("wrong.bpf.c", source),
      "-o",
      join(directory, "wrong.o"),
    );
    expect(stderr).toMatch(error);
    expect([status, stdout, existsSync(join(directory, "wrong.o"))]).toEqual([2, "", false]);
  });

  test("--json: a diagnostic a line", async () => {
    const source = write("json.bpf.c", "#define BAD(x) ((x)->a)\nint f(int x) { return BAD(x); }\n");
    const { status, stderr } = await skep("build", source, "--json");
    expect(status).toBe(2);
    expect(
      stderr
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toMatchObject([{ severity: "error", file: source, macros: [{ macro: "BAD", line: 1 }] }]);
  });

  test("warnings do not fail, and are not said with --no-warnings", async () => {
    const source = write(
      "warn.bpf.c",
      `SEC("nothing") int f(void *ctx) { return 0; }\n`
        .replace("SEC", "__attribute__((section")
        .replace(") int", "), used)) int"),
    );
    const text = `#define SEC(n) __attribute__((section(n), used))\nSEC("nothing") int f(void *ctx) { return 0; }\n`;
    writeFileSync(source, text);
    const { status, stderr } = await skep("build", source);
    expect(status).toBe(0);
    expect(stderr).toMatch(/:2:\d+: warning: /);
    expect((await skep("build", source, "--no-warnings")).stderr).toBe("");
  });

  test.each<[args: string[], error: RegExp]>([
    [["/"], /is a directory/],
    [["/nonexistent.c"], /no such file/],
    [["/dev/zero"], /is a device/],
    [["{binary}"], /is no text: there is a NUL/],
    [["{hello}", "-o", "/dev/full"], /no space left/],
    [["{hello}", "-D", "1x"], /the name of a macro is wanted/],
    [["{hello}", "--kernel", "new"], /a version of Linux is wanted, such as 5\.15/],
    [["{hello}", "--emit", "llvm"], /must be one of preprocessed, ir, asm, object/],
    [["{hello}", "--diallect", "bcc"], /did you mean --dialect\?/],
    [["-e", "BEGIN { exit(); }", "--emit", "preprocessed"], /is for C sources/],
    [["{hello}", "--btf", "/etc/passwd"], /BTF/],
  ])("%j", async (args, error) => {
    const hello = write("hello.bpf.c", HELLO);
    const binary = write("binary.c", Uint8Array.of(0x41, 0, 1, 2));
    const words = args.map((word) => word.replace("{hello}", hello).replace("{binary}", binary));
    const { status, stderr } = await skep("build", ...words);
    expect(stderr).toMatch(error);
    expect(status).not.toBe(0);
    expect(stderr).not.toContain("    at ");
  });

  test("from standard input", () => {
    const { stdout, status } = spawnSync(process.execPath, [entry, "build", "-"], { input: HELLO, encoding: "utf8" });
    expect([status, stdout.includes("on_getppid")]).toEqual([0, true]);
  });

  test("TypeScript of a source", async () => {
    const { stdout } = await skep("gen", "types", write("hello.bpf.c", HELLO));
    expect(stdout).toContain("events: RingBufferMap<Event>;");
  });
});

describeWith(["libbpf", "bpftool", "root", "bpf"], "objects of skep build", () => {
  test("are loaded by bpftool", async () => {
    const object = join(directory, "peer.o");
    await skep("build", write("hello.bpf.c", HELLO), "-o", object);
    const pin = `/sys/fs/bpf/skep-c-${process.pid}`;
    try {
      execFileSync("bpftool", ["prog", "load", object, pin], { stdio: "pipe" });
      expect(existsSync(pin)).toBe(true);
    } finally {
      rmSync(pin, { force: true });
    }
  });
});

describeWith(["linux", "root", "bpf", "tracefs", "vmlinuxBtf"], "skep run of C", () => {
  /** Runs until attached, calls getppid(2) three times in this process, and ends it by Ctrl-C. */
  async function during(...args: string[]): Promise<Finished> {
    const running = start(process.execPath, [entry, "run", ...args]);
    await Promise.race([running.wrote("Attached "), running.finished]);
    for (let i = 0; i < 3; i++) void process.ppid;
    await new Promise((resolve) => setTimeout(resolve, 200));
    running.child.kill("SIGINT");
    return running.finished;
  }

  test("libbpf's dialect: events by the variable that is written, printed lines, maps", async () => {
    const source = write("hello.bpf.c", HELLO);
    const { status, stdout, stderr } = await during(source, "--set", `only=${process.pid}`, '-DLOUD="!"');
    expect(status).toBe(0);
    expect(stderr).toMatch(
      /^events: records are taken for struct event: named at .*hello\.bpf\.c:27\nAttached 1 program\n$/,
    );
    expect(stdout.match(/^events \{ \.pid = \d+, \.comm = ".+" \}$/gm)).toHaveLength(3);
    expect(stdout.match(new RegExp(`^getppid of ${process.pid}!$`, "gm"))).toHaveLength(3);
    expect(stdout).toContain(`counts: 1 entry\n  [${process.pid}] = 3\n`);
  });

  test("BCC's dialect", async () => {
    const { status, stdout, stderr } = await during(write("hello.c", BCC), `-DONLY=${process.pid}`);
    expect(stderr).toMatch(/Attached 1 program\n$/);
    expect(status).toBe(0);
    expect(stdout.match(/^events \{ \.pid = \d+, \.calls = \d+ \}$/gm)).toHaveLength(3);
    expect(stdout).toContain(`[${process.pid}] = 3\n`);
  });

  test("wrong C: exit 2, nothing is loaded", async () => {
    const { status, stderr } = await skep("run", write("wrong.bpf.c", "int f( {"));
    expect(stderr).toMatch(/wrong\.bpf\.c:1:8: error: /);
    expect(status).toBe(2);
  });

  test("what the verifier refuses is shown with its C line", async () => {
    const source = write("refused.bpf.c", HELLO.replace("if (!e) return 0;", ""));
    const { status, stderr } = await skep("run", source);
    expect(status).toBe(1);
    expect(stderr).toMatch(/refused\.bpf\.c:29: e->pid = pid;/);
  });
});
