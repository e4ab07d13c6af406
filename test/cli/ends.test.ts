/** How runs end: signals, readers that rest or leave, full devices, commands that fail, limits and mounts that are missing. Nothing stays. */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWith } from "../support/needs.ts";
import { bundleCli, run, start } from "./support.ts";
import type { Finished } from "./support.ts";

let entry: string;
let directory: string;
const skep = (...args: string[]): Promise<Finished> => run(process.execPath, [entry, ...args]);
const shell = (script: string): Promise<Finished> =>
  run("bash", ["-c", script], { SKEP: `${process.execPath} ${entry}`, DIR: directory });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

beforeAll(async () => {
  entry = await bundleCli();
  directory = mkdtempSync(join(tmpdir(), "skep-ends-"));
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** True when a process that is alive has programs attached: links, or perf events. */
function holdsAttachments(pid: number): boolean {
  const { stdout } = spawnSync("ls", ["-l", `/proc/${pid}/fd`], { encoding: "utf8" });
  return /bpf_link|bpf-link|perf_event/.test(stdout);
}

describeWith(["linux", "root", "bpf", "tracefs"], "ends", () => {
  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "%s while the reader rests: detached, then a second ends it",
    async (signal) => {
      const fifo = join(directory, `fifo-${signal}`);
      spawnSync("mkfifo", [fifo]);
      const reader = openSync(fifo, "r+");
      try {
        const script = 'i:us:100 { printf("%0500d\\n", 1); @ = count(); }';
        const trace = start("bash", ["-c", `exec ${process.execPath} ${entry} trace -e '${script}' > ${fifo}`]);
        await trace.wrote("Attached");
        await pause(600);
        const pid = trace.child.pid!;
        expect(holdsAttachments(pid)).toBe(true);
        trace.child.kill(signal);
        for (let i = 0; i < 40 && holdsAttachments(pid); i++) await pause(50);
        expect(holdsAttachments(pid)).toBe(false);
        trace.child.kill(signal);
        expect(await trace.finished).toMatchObject({ status: null, signal });
      } finally {
        closeSync(reader);
      }
    },
  );

  test("a second SIGINT ends a command of system() that ignores the first", async () => {
    const script = `BEGIN { system("trap '' INT; echo up; exec sleep 20"); }`;
    const trace = start(process.execPath, [entry, "trace", "-q", "--unsafe", "-e", script]);
    await trace.wrote("up");
    const asked = performance.now();
    trace.child.kill("SIGINT");
    await pause(200);
    trace.child.kill("SIGINT");
    expect((await trace.finished).signal).toBe("SIGINT");
    expect(performance.now() - asked).toBeLessThan(5000);
  });

  test("what system() leaves in the background is not waited for", async () => {
    const started = performance.now();
    const result = await skep(
      "trace",
      "-q",
      "--unsafe",
      "-e",
      'BEGIN { system("sleep 15 2>/dev/null & echo hi"); exit(); }',
    );
    expect(result.stdout).toBe("hi\n\n\n\n");
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test("cat() of a pipe that nobody writes does not wait", async () => {
    const fifo = join(directory, "nobody");
    spawnSync("mkfifo", [fifo]);
    const result = await skep("trace", "-q", "-e", `BEGIN { cat("${fifo}"); printf("on\\n"); exit(); }`);
    expect(result).toMatchObject({ status: 0 });
    expect(result.stdout).toContain("on\n");
  });

  test("SIGKILL leaves nothing attached", async () => {
    const script = "t:raw_syscalls:sys_enter { @ = count(); }";
    const trace = start(process.execPath, [entry, "trace", "-e", script]);
    await trace.wrote("Attached");
    const { pid } = trace.child;
    trace.child.kill("SIGKILL");
    await trace.finished;
    const { stdout } = spawnSync("bpftool", ["-j", "prog", "show"], { encoding: "utf8" });
    expect(stdout ?? "").not.toMatch(new RegExp(`"pid":${pid}\\b`));
  });

  test("a full file system keeps what was collected", async () => {
    const result = await shell(`
      mkdir -p $DIR/small && unshare -m sh -c '
        mount -t tmpfs -o size=16k tmpfs $DIR/small
        $SKEP trace -q -o $DIR/small/out -e "i:us:200 { printf(\\"%0200d\\\\n\\", 7); }"; echo status $?
        wc -c < $DIR/small/out; head -c 201 $DIR/small/out'`);
    expect(result.stderr).toMatch(/ERROR: .*small\/out: cannot be written: no space left on the device/);
    expect(result.stdout).toBe(`status 1\n16384\n${"7".padStart(200, "0")}\n`);
  });

  test.each([
    ["--help > /dev/full", 1, /stdout: cannot be written: no space left/],
    ["trace -l 't:sched:*' > /dev/full", 1, /stdout: cannot be written: no space left/],
    ["build -e 'BEGIN { }' -o /no/such/file", 1, /\/no\/such\/file: cannot be written: its directory does not exist/],
    ["trace -o / -e 'BEGIN { exit(); }'", 1, /\/: cannot be written: it is a directory/],
  ])("skep %s", async (line, status, stderr) => {
    const result = await shell(`$SKEP ${line}`);
    expect(result.stderr).toMatch(stderr);
    expect(result.stderr).not.toContain("node:");
    expect(result.status).toBe(status);
  });

  test("help that is cut by head is no error", async () =>
    expect(await shell("set -o pipefail; $SKEP trace --help | head -1")).toMatchObject({ status: 0, stderr: "" }));
});

describeWith(["linux", "root", "bpf", "tracefs"], "commands of -c", () => {
  const cases: [what: string, file: string | null, command: string, status: number, stderr: RegExp][] = [
    ["interpreter that is missing", "#!/no/such/shell\n", "./command", 1, /cannot be executed: the interpreter/],
    ["no program", "garbage", "./command", 1, /cannot be executed: it is no program/],
    ["not executable", null, "/etc/passwd", 2, /\/etc\/passwd: may not be executed \(chmod \+x/],
    ["a directory", null, "/tmp", 2, /\/tmp: is no file that can be executed/],
    ["a missing path", null, "/no/such", 2, /\/no\/such: no such file/],
    ["an open quote", null, "echo 'a", 2, /echo 'a: no closing '/],
    ["nothing", null, "  ", 2, /the command is empty/],
  ];
  test.each(cases)("%s", async (_what, file, command, status, stderr) => {
    const place = join(directory, "commands");
    mkdirSync(place, { recursive: true });
    if (file !== null) writeFileSync(join(place, "command"), file, { mode: 0o755 });
    const result = await shell(`cd $DIR/commands && $SKEP trace -q -c "${command}" -e 'END { }'`);
    expect(result.stderr).toMatch(stderr);
    expect(result.status).toBe(status);
  });

  test("its end is awaited, and told by -v", async () => {
    const result = await skep(
      "trace",
      "-q",
      "-v",
      "-c",
      "sh -c 'sleep 0.3; echo done; kill -SEGV $$'",
      "-e",
      "END { }",
    );
    expect(result).toMatchObject({ status: 0, stdout: "done\n\n\n" });
    expect(result.stderr).toContain("the command was ended by SIGSEGV");
  });
});

describeWith(["linux", "root", "bpf", "tracefs"], "machines that lack something", () => {
  const count = `-e 't:raw_syscalls:sys_enter { @[comm] = count(); } i:ms:100 { exit(); }'`;
  const cases: [what: string, script: string, stderr: RegExp, status: number][] = [
    [
      "tracefs",
      `umount -l /sys/kernel/tracing /sys/kernel/debug; $SKEP trace ${count}`,
      /tracefs: not mounted: mount -t/,
      3,
    ],
    [
      "tracefs, listing",
      "umount -l /sys/kernel/tracing /sys/kernel/debug; $SKEP trace -l 't:sched:*'",
      /tracefs: not mounted/,
      3,
    ],
    ["sysfs", `mount -t tmpfs none /sys; $SKEP trace ${count}`, /tracefs: .*mount -t tracefs/, 3],
    ["bpffs", `umount -l /sys/fs/bpf; $SKEP trace -q ${count}`, /^$/, 0],
    [
      "BTF that can be read",
      `echo no > $DIR/btf; mount --bind $DIR/btf /sys/kernel/btf/vmlinux; $SKEP trace -e 'BEGIN { print(curtask->pid); exit(); }'`,
      /kernel BTF: \/sys\/kernel\/btf\/vmlinux cannot be understood/,
      3,
    ],
    ["kallsyms", `: > $DIR/none; mount --bind $DIR/none /proc/kallsyms; $SKEP trace -q ${count}`, /^$/, 0],
    [
      "capabilities",
      `setpriv --bounding-set=-all --inh-caps=-all $SKEP trace ${count}`,
      /missing CAP_BPF and CAP_PERFMON/,
      3,
    ],
    ["CAP_SYS_ADMIN", `setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin $SKEP trace -q ${count}`, /^$/, 0],
    [
      "descriptors",
      "ulimit -n 24; $SKEP trace -q -e 't:sched:* { @ = count(); }'",
      /EMFILE: too many descriptors are open in this process: raise the limit with ulimit -n/,
      1,
    ],
  ];
  test.each(cases)("%s", async (_what, script, stderr, status) => {
    const result = await run(
      "unshare",
      ["-m", "bash", "-c", `(${script}) 2>&1 >/dev/null | grep -v '^umount'; exit \${PIPESTATUS[0]}`],
      {
        SKEP: `${process.execPath} ${entry}`,
        DIR: directory,
      },
    );
    expect(result.stdout).toMatch(stderr);
    expect(result.status).toBe(status);
  });
});

describeWith(["linux", "root", "bpf", "tracefs"], "much", () => {
  test("a map of 200,000 entries, full", async () => {
    const file = join(directory, "large.txt");
    const script = "config = { max_map_keys = 200000 } t:syscalls:sys_enter_read /pid == cpid/ { @[nsecs] = count(); }";
    const result = await skep(
      "trace",
      "-q",
      "-o",
      file,
      "-c",
      "dd if=/dev/zero of=/dev/null bs=1 count=210000",
      "-e",
      script,
    );
    expect(result.status).toBe(0);
    expect(result.stderr).toContain("WARNING: map @: full: it holds 200000 entries");
    const lines = readFileSync(file, "latin1").split("\n").filter(Boolean);
    expect(lines.length).toBe(200_000);
    expect(lines).toEqual(lines.toSorted());
  });

  test("what is printed, and what is lost, is what was sent", async () => {
    const file = join(directory, "sent.txt");
    const script =
      't:syscalls:sys_enter_read /pid == cpid/ { printf("%s %200d\\n", comm, 1); printf("%d\\n", pid); @ = count(); }';
    const result = await run(
      process.execPath,
      [entry, "trace", "-q", "-o", file, "-c", "dd if=/dev/zero of=/dev/null bs=1 count=100000", "-e", script],
      { BPFTRACE_PERF_RB_PAGES: "2" },
    );
    expect(statSync(file).size).toBeGreaterThan(0);
    const lines = readFileSync(file, "latin1").split("\n").filter(Boolean);
    const sent = 2 * Number(/^@: (\d+)$/.exec(lines.at(-1)!)![1]);
    const lost = Number(/Total lost event count: (\d+)/.exec(result.stderr)?.[1] ?? 0);
    expect(lines.length - 1 + lost).toBe(sent);
  });

  test("two at once do not disturb each other", async () => {
    const results = await Promise.all(
      ["a", "b"].map((name) => skep("trace", "-q", "-e", `i:ms:300 { printf("${name}\\n"); exit(); }`)),
    );
    expect(results.map(({ stdout }) => stdout)).toEqual(["a\n\n\n", "b\n\n\n"]);
  });

  test("names that are no UTF-8 pass as they are, and JSON stays JSON", async () => {
    const child = spawn("bash", ["-c", `printf 'b\\xff"\\n' > /proc/self/comm; while :; do :; done`], {
      stdio: "ignore",
    });
    try {
      const script = `profile:hz:199 /pid == ${child.pid}/ { printf("%s|", comm); @[comm] = count(); exit(); }`;
      const text = await skep("trace", "-q", "-e", script);
      expect(text.stdout).toContain('b\xff"');
      const json = await skep("trace", "-q", "-f", "json", "-e", script);
      for (const line of Buffer.from(json.stdout, "latin1").toString("utf8").trim().split("\n")) JSON.parse(line);
    } finally {
      child.kill("SIGKILL");
    }
  });
});
