/** `skep run`: an object file loaded, attached and watched, in a process of its own. */
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { patternOf } from "../../src/runtime/collection/printed-formats.ts";
import { describeProg, objectIds, openById } from "../../src/kernel/linux/index.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";
import { bundleCli, type Finished, run, type Running, start } from "./support.ts";

let entry: string;
let directory: string;
let object: string;

beforeAll(async () => {
  entry = await bundleCli();
  directory = mkdtempSync(join(tmpdir(), "skep-run-"));
  object = join(directory, "api.bpf.o");
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const skep = (...args: string[]): Promise<Finished> => run(process.execPath, [entry, "run", ...args]);
const started = (...args: string[]): Running => start(process.execPath, [entry, "run", ...args]);

/** Runs until attached, calls getppid(2) so often in this process, and ends it by Ctrl-C. */
async function during(args: readonly string[], times: number, signal: NodeJS.Signals = "SIGINT"): Promise<Finished> {
  const running = started(...args);
  await running.wrote("Attached ");
  for (let i = 0; i < times; i++) void process.ppid;
  await new Promise((resolve) => setTimeout(resolve, 200));
  running.child.kill(signal);
  return running.finished;
}

/** Whether the kernel holds programs of the object. */
function isLoaded(): boolean {
  return [...objectIds("prog")].some((id) => {
    try {
      using fd = openById("prog", id);
      return fd !== undefined && describeProg(fd.value).name === "on_getppid";
    } catch {
      // It went while the list was read.
      return false;
    }
  });
}

test.each<[format: string, line: string, matches: boolean]>([
  ["pid %d\n", "pid 5", true],
  ["pid %d", "pid", false],
  ["%s: %08llx 100%%", "bash: 000000ff 100%", true],
  ["(%d)", "[5]", false],
  ["%pI4 -> %-16s|", "1.2.3.4 -> x|", true],
])("lines of %j: %j is one: %s", (format, line, matches) => expect(patternOf(format).test(line)).toBe(matches));

describeWith(["linux", "root", "bpf", "tracefs", "clang"], "skep run", () => {
  beforeAll(() => writeFileSync(object, compileProgram("api")));
  const mine = ["--set", `targ_pid=${process.pid}`];

  test("records, printed lines, maps at the end", async () => {
    const { stdout, stderr, status } = await during([object, ...mine, "--set", "verbose=true", "-s", "min_us=0x10"], 3);
    expect(status).toBe(0);
    expect(stderr).toBe(
      "events: records are taken for struct event: named at api.bpf.c:94\n" +
        'program never is loaded and not attached: its section socket does not say where it goes; give a socket: { kind: "socket", fd: 3 }\n' +
        "Attached 2 programs\n",
    );
    const lines = stdout.split("\n");
    expect(lines.filter((line) => line === `skep: getppid of ${process.pid}`)).toHaveLength(3);
    const events = lines.filter((line) => line.startsWith("events { "));
    expect(events).toHaveLength(3);
    expect(events[0]).toContain(`.pid = ${process.pid}, .state = STATE_BUSY, .comm = "`);
    expect(stdout).toMatch(/\npoints: empty\n\ncounts: 1 entry \(and 3 of zeros\)\n {2}\[1\] = 3\n$/);
    expect(isLoaded()).toBe(false);
  });

  test("JSON, an object a line", async () => {
    const { stdout, status } = await during([object, ...mine, "--json", "--set", "verbose=true"], 2);
    expect(status).toBe(0);
    const objects = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const events = objects.filter(({ type }) => type === "event");
    expect(events).toHaveLength(2);
    expect(events[0]).toMatchObject({
      map: "events",
      name: "struct event",
      data: { pid: process.pid, state: "STATE_BUSY", at: { x: 1, y: 2 }, ok: true },
    });
    expect(objects.filter(({ type }) => type === "printk")[1]).toMatchObject({
      text: `skep: getppid of ${process.pid}`,
      pid: process.pid,
    });
    expect(objects.filter(({ type }) => type === "map")).toMatchObject([
      { map: "hits" },
      { map: "points", data: [] },
      {
        map: "counts",
        data: [
          { key: 0, value: 0 },
          { key: 1, value: 2 },
          { key: 2, value: 0 },
          { key: 3, value: 0 },
        ],
      },
    ]);
  });

  test("variables of every kind, and the room of maps", async () => {
    const set = ["prefix=other", 'origin={"x":7,"y":-8}', "table=[1,2]", "last_state=STATE_IDLE", "rodata.verbose=1"];
    const args = [object, ...mine, ...set.flatMap((text) => ["--set", text]), "--max-entries", "points=7"];
    const { stdout } = await during(args, 1);
    expect(stdout).toContain(`other: getppid of ${process.pid}\n`);
    expect(stdout).toContain(".state = STATE_IDLE,");
    expect(stdout).toContain(".at = { .x = 7, .y = -8 }");
  });

  test("only some programs, without maps, for a time, into a file", async () => {
    const file = join(directory, "out.txt");
    const begun = performance.now();
    const { stdout, stderr, status } = await skep(object, "--only", "on_exit", "--no-maps", "-d", "0.2", "-o", file);
    expect(performance.now() - begun).toBeGreaterThan(200);
    expect([stdout, readFileSync(file, "utf8"), status]).toEqual(["", "", 0]);
    expect(stderr).toMatch(/^Attached 1 program$/m);
  });

  test("what is loaded, told on request", async () => {
    const { stderr, status } = await skep(object, "-v", "--dry-run");
    expect(stderr).toMatch(/^program never: id \d+, socket_filter, 2 instructions, \d+ bytes of machine code/m);
    expect(status).toBe(0);
  });

  test("loaded without being attached", async () => {
    const { stderr, stdout, status } = await skep(object, "--no-attach", "-q", "-d", "0.05");
    expect([stderr, status]).toEqual(["", 0]);
    expect(stdout).toContain("counts: 4 entries of zeros");
  });

  test("types of records that the user knows better", async () => {
    const { stdout, stderr } = await during([object, ...mine, "--event", "events=struct point"], 1);
    expect(stderr).not.toContain("are taken for");
    expect(stdout).toMatch(/^events \{ \.x = -?\d+, \.y = -?\d+ \}$/m);
  });

  test("kernel types of a file", async () => {
    const { stderr, status } = await skep(object, "--btf", "/sys/kernel/btf/vmlinux", "--dry-run", "-q");
    expect([stderr, status]).toEqual(["", 0]);
  });

  test("an iterator is printed, and that was it", async () => {
    const file = join(directory, "iter.o");
    writeFileSync(file, compileProgram("iter"));
    const { stdout, status } = await skep(file, "-q");
    expect(stdout).toMatch(new RegExp(`^${process.pid} `, "m"));
    expect(status).toBe(0);
  });

  test("perf buffers, and records that nothing describes", async () => {
    const file = join(directory, "perf.o");
    const whole = compileProgram("perf");
    writeFileSync(file, whole);
    const described = await during([file, ...mine], 2);
    expect(described.stderr).toMatch(/^plain: records are taken for struct \(anonymous\): named at perf\.bpf\.c:\d+$/m);
    expect(described.stdout.match(/^plain \{ \.a = 1, \.b = 2, \.text = "abc" \}$/gm)).toHaveLength(2);

    // Without debug information, as strip -g leaves it.
    writeFileSync(file, Buffer.from(Buffer.from(whole).toString("latin1").replaceAll(".debug_", ".strip_"), "latin1"));
    const { stdout, stderr } = await during([file, ...mine], 2);
    expect(stderr).toMatch(
      /^plain: records are shown as bytes: no struct has the 12 bytes written at perf\.bpf\.c:\d+, and there is no debug information \(clang -g\), which has more \(--event plain=/m,
    );
    expect(stdout).toMatch(/^plain 12 bytes: 01 00 00 00 02 00 00 00 61 62 63 00 .*\|........abc.*\|$/m);
    expect(stdout.match(/^typed \{ \.a = 1, \.b = 2 \}$/gm)).toHaveLength(2);
  });

  test("places that the user names", async () => {
    const file = join(directory, "places.o");
    writeFileSync(file, compileProgram("places"));
    const room = ["--max-entries", "unsized=16"];
    const none = await skep(file, ...room);
    expect(none.stderr).toBe(
      "ERROR: nothing to attach\n" +
        "program pass is loaded and not attached: nothing says where it goes (--attach pass=eth0)\n" +
        "program classify is loaded and not attached: nothing says where it goes (--attach classify=eth0:ingress)\n" +
        "program connect is loaded and not attached: nothing says where it goes (--attach connect=/sys/fs/cgroup/user.slice)\n" +
        "program called is loaded and not attached: nothing says where it goes (--attach called=uprobe//bin/bash:main) (--no-attach only loads)\n",
    );
    const wrong: [args: string[], error: RegExp][] = [
      [[], /leaves the size of maps to its user: give --max-entries unsized=1024/],
      [[...room, "--attach", "pas=lo"], /no such program \(did you mean pass\?\)/],
      [[...room, "--attach", "pass"], /PROGRAM=WHERE is wanted/],
      [[...room, "--attach", "classify=lo"], /a device and a direction are wanted/],
      [[...room, "--attach", "connect=lo"], /a directory of cgroup2 is wanted/],
      [[...room, "--attach", "called=malloc"], /a name as in SEC\(\) is wanted/],
      [[...room, "--attach", "called=tp/sched/sched_switch"], /of another type/],
    ];
    for (const [args, error] of wrong) {
      const { stderr, status } = await skep(file, ...args);
      expect(stderr).toMatch(error);
      expect(status).toBe(2);
    }
    const running = started(
      file,
      ...room,
      "--attach",
      "pass=lo",
      "--attach",
      "classify=lo:ingress",
      "--only",
      "pass",
      "--only",
      "classify",
    );
    await running.wrote("Attached 2 programs");
    const socket = createSocket("udp4");
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => socket.send(new Uint8Array(321), 9, "127.0.0.1", resolve));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    socket.close();
    running.child.kill("SIGINT");
    const { stdout } = await running.finished;
    expect(stdout).toContain("packet of 363\n");
    expect(stdout).toContain("classified 363\n");
  });

  test("a reader that leaves is no error", () => {
    const { stdout, stderr, status } = spawnSync(
      "bash",
      ["-c", `"${process.execPath}" "${entry}" run "${object}" -q -d 0.3 | head -c 5; echo "\${PIPESTATUS[0]}"`],
      { encoding: "utf8" },
    );
    expect([stdout.slice(5), stderr, status]).toEqual(["0\n", "", 0]);
  });

  test("a killed run leaves nothing", async () => {
    const { signal } = await during([object, ...mine], 1, "SIGKILL");
    expect(signal).toBe("SIGKILL");
    // The kernel frees in the background.
    for (let i = 0; i < 40 && isLoaded(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isLoaded()).toBe(false);
  });

  test("what is pinned stays", async () => {
    const pins = `/sys/fs/bpf/skep-run-${process.pid}`;
    try {
      const { stderr, status } = await skep(object, "--pin", pins, "--dry-run");
      expect(status).toBe(0);
      expect(stderr).toMatch(/^Pinned \d+ objects below/m);
      expect(readdirSync(join(pins, "programs")).toSorted()).toEqual(["never", "on_exit", "on_getppid"]);
      expect(readdirSync(join(pins, "maps"))).toContain("counts");
      expect(readdirSync(join(pins, "links"))).toContain("on_exit");
    } finally {
      rmSync(pins, { recursive: true, force: true });
    }
    expect(existsSync(pins)).toBe(false);
  });

  test.each<[args: string[], error: RegExp, status: number]>([
    [["--set", "min_uss=1"], /--set min_uss=1: the object has no such variable \(did you mean min_us\?\)/, 2],
    [["--set", "min_us"], /NAME=VALUE is wanted/, 2],
    [["--set", "min_us=many"], /a whole number is wanted/, 2],
    [["--set", "min_us=-1"], /min_us/, 2],
    [["--set", "verbose=maybe"], /true or false is wanted/, 2],
    [["--set", "table={"], /JSON is wanted/, 2],
    [["--set", "last_state=STATE_BUSSY"], /STATE_BUSY/, 2],
    [["--only", "on_getpid"], /--only on_getpid: the object has no such program \(did you mean on_getppid\?\)/, 2],
    [["--only", "never"], /nothing to attach\nprogram never is loaded and not attached/, 2],
    [["--event", "events"], /MAP=TYPE is wanted/, 2],
    [["--event", "points=struct point"], /points: is no ring buffer or perf buffer/, 2],
    [["--event", "events=struct pont"], /the object has no type struct pont \(did you mean point\?\)/, 2],
    [["--max-entries", "point=1"], /did you mean points/, 2],
    [["--max-entries", "points=0"], /N from 1/, 2],
    [["--duration", "soon"], /seconds are wanted/, 2],
    [["-p", "0"], /not a process id/, 2],
    [["--btf", "/nonexistent"], /\/nonexistent: no such file/, 2],
    [["--dry-runn"], /unknown option --dry-runn \(did you mean --dry-run\?\)/, 2],
  ])("%j is refused", async (args, error, status) => {
    const finished = await skep(object, ...args);
    expect(finished.stderr).toMatch(error);
    expect([finished.status, finished.stdout]).toEqual([status, ""]);
  });

  test("what cannot be pinned leaves no directory", async () => {
    const place = join(directory, "no-bpffs");
    const { status } = await skep(object, "--pin", place, "--dry-run");
    expect(status).toBe(3);
    expect(existsSync(place)).toBe(false);
  });

  test("a program that the verifier refuses is shown with its C line", async () => {
    const file = join(directory, "refused.o");
    writeFileSync(file, compileProgram("refused"));
    const { stderr, status } = await skep(file);
    expect(stderr).toContain("refused.bpf.c:");
    expect(stderr).not.toContain("defect of skep");
    expect(status).toBe(1);
  });

  test("a user without rights is told so", async () => {
    const setpriv = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    const copy = join(directory, "nobody");
    spawnSync("chmod", ["a+rx", directory]);
    writeFileSync(copy, "");
    const { stderr, status } = await run("setpriv", [...setpriv, process.execPath, entry, "run", object]);
    expect(stderr).toMatch(/ERROR: .*(root|CAP_|sudo)/);
    expect(status).toBe(3);
  });
});
