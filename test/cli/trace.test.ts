import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeWith } from "../support/needs.ts";
import { bundleCli, run, start } from "./support.ts";
import type { Finished, Running } from "./support.ts";

let entry: string;
let directory: string;
const skep = (...args: string[]): Promise<Finished> => run(process.execPath, [entry, ...args]);
const running = (...args: string[]): Running => start(process.execPath, [entry, ...args]);

beforeAll(async () => {
  entry = await bundleCli();
  directory = mkdtempSync(join(tmpdir(), "skep-cli-"));
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("calls", () => {
  const cases: [line: string[], status: number, stdout: RegExp, stderr: RegExp][] = [
    [["--version"], 0, /^skep \d+\.\d+\.\d+\n$/, /^$/],
    [["--help"], 0, /^skep: eBPF for TypeScript/, /^$/],
    [["trace", "--help"], 0, /^Usage: skep trace/, /^$/],
    [["help", "build"], 0, /^Usage: skep build/, /^$/],
    [[], 2, /^$/, /Usage: skep COMMAND/],
    [["trce"], 2, /^$/, /no command "trce" \(did you mean skep trace\?\)/],
    [["trace"], 2, /^$/, /no script: give a FILE/],
    [["trace", "no-such.bt"], 2, /^$/, /no-such\.bt: no such file/],
    [["trace", "BEGIN { }"], 2, /^$/, /is it a script\? then give it with -e/],
    [["trace", "-p", "x", "-e", "BEGIN{}"], 2, /^$/, /-p x: not a process id/],
    [["trace", "-p", "2147483647", "-e", "BEGIN{}"], 2, /^$/, /no process has this id/],
    [["trace", "-d", "asn", "-e", "BEGIN{}"], 2, /^$/, /-d asn: no such stage \(did you mean asm\?\)/],
    [["trace", "--emit-llvm", "x", "-e", "BEGIN{}"], 3, /^$/, /compiles without LLVM/],
    [["trace", "--jsn", "-e", "BEGIN{}"], 2, /^$/, /unknown option --jsn \(did you mean --json\?\)/],
    [["record"], 2, /^$/, /name the tracepoints to record with -e/],
    [["record", "-e", "tracepoint:sched:*"], 2, /^$/, /name the file to write with -o/],
    [["record", "-e", "x", "-o", "f", "--ring", "3"], 2, /^$/, /--ring 3: must be a power of two/],
    [["trace", "--on", "/no/file", "-e", "BEGIN{}"], 2, /^$/, /\/no\/file: ENOENT/],
    [["trace", "--on", "/etc/passwd", "-e", "BEGIN{}"], 2, /^$/, /is no recording/],
    [["completion"], 2, /^$/, /bash, zsh, fish/],
    [["completion", "fish"], 0, /complete -c skep/, /^$/],
    [["demo", "--seconds", "x"], 2, /^$/, /whole number/],
  ];
  test.each(cases)("skep %j", async (line, status, stdout, stderr) => {
    const result = await skep(...line);
    expect(result.stdout).toMatch(stdout);
    expect(result.stderr).toMatch(stderr);
    expect(result.status).toBe(status);
  });

  test("completion is valid shell", () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const code = execFileSync(process.execPath, [entry, "completion", shell], { encoding: "utf8" });
      const file = join(directory, `completion.${shell}`);
      writeFileSync(file, code);
      try {
        execFileSync(shell, ["-n", file]);
      } catch (error) {
        // A shell that is not installed cannot judge.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
  });

  test("an error of the script shows its place", async () => {
    const result = await skep("trace", "-d", "types", "-e", "BEGIN { $x = nosuch(1); }");
    expect(result.status).toBe(2);
    expect(result.stderr).toContain("stdin:1:");
    expect(result.stderr).toContain("~~~");
  });

  test("build shows instructions with the script's lines", async () => {
    const result = await skep("build", "-e", "BEGIN { @ = count(); exit(); }");
    expect(result.stderr).toBe("");
    expect(result.stdout).toMatch(/^map AT_: /);
    expect(result.stdout).toContain("; stdin:1:");
    expect(result.stdout).toContain("exit");
  });
});

describeWith(["linux", "bpftool", "root", "bpf"], "object files", () => {
  test("bpftool loads what build writes", async () => {
    const file = join(directory, "object.o");
    const result = await skep(
      "build",
      "-e",
      "tracepoint:sched:sched_switch { @[pid] = count(); }",
      "--emit",
      "object",
      "-o",
      file,
    );
    expect(result).toMatchObject({ status: 0, stderr: "" });
    const pin = `/sys/fs/bpf/skep-test-${process.pid}`;
    try {
      execFileSync("bpftool", ["prog", "loadall", file, pin]);
    } finally {
      rmSync(pin, { recursive: true, force: true });
    }
  });
});

describeWith(["root", "bpf"], "runs", () => {
  test("announces on stderr, prints on stdout", async () => {
    expect(await skep("trace", "-e", 'BEGIN { printf("hello %d\\n", 5); exit(); }')).toEqual({
      status: 0,
      signal: null,
      stdout: "hello 5\n\n\n",
      stderr: "Attached 1 probe\n",
    });
  });

  test("a script of BEGIN and END ends by itself", async () => {
    const result = await skep("trace", "-q", "-e", 'BEGIN { printf("a"); } END { printf("z"); }');
    expect(result.stdout).toBe("az\n\n");
  });

  test("exit(7) is the exit status", async () =>
    expect((await skep("trace", "-e", "BEGIN { exit(7); }")).status).toBe(7));

  test("nothing that comes after exit() is printed, END is", async () => {
    const result = await skep("trace", "-q", "-e", 'BEGIN { exit(); printf("no"); } END { printf("end"); }');
    expect(result.stdout).toBe("end\n\n");
  });

  test.each(["SIGINT", "SIGTERM"] as const)("%s ends the run and prints maps", async (signal) => {
    const trace = running("trace", "-e", 'i:ms:20 { @n = count(); printf("tick\\n"); }');
    await trace.wrote("tick");
    trace.child.kill(signal);
    const result = await trace.finished;
    expect(result.status).toBe(0);
    expect(result.stdout).toMatch(/\n@n: \d+\n$/);
  });

  test("SIGINT while events flood in", async () => {
    const flood = spawn("dd", ["if=/dev/zero", "of=/dev/null", "bs=1"], { stdio: "ignore" });
    try {
      const file = join(directory, "flood.txt");
      const trace = running(
        "trace",
        "-o",
        file,
        "-e",
        't:syscalls:sys_enter_read /comm == "dd"/ { printf("%d\\n", pid); }',
      );
      await trace.wrote("Attached");
      await new Promise((resolve) => setTimeout(resolve, 500));
      const asked = performance.now();
      trace.child.kill("SIGINT");
      expect((await trace.finished).status).toBe(0);
      expect(performance.now() - asked).toBeLessThan(5000);
      expect(readFileSync(file, "latin1").split("\n", 1)[0]).toBe(String(flood.pid));
    } finally {
      flood.kill("SIGKILL");
    }
  });

  test("self:signal", async () => {
    const trace = running("trace", "-e", 'self:signal:SIGUSR1 { printf("got it\\n"); exit(); }');
    await trace.wrote("Attached");
    trace.child.kill("SIGUSR1");
    expect((await trace.finished).stdout).toBe("got it\n\n\n");
  });

  test("a reader that leaves ends the run quietly", async () => {
    const result = await run("bash", [
      "-c",
      `set -o pipefail; "${process.execPath}" "${entry}" trace -q -e 'i:ms:5 { printf("x\\n"); }' | head -2`,
    ]);
    expect(result).toMatchObject({ status: 0, stdout: "x\nx\n", stderr: "" });
  });

  test("a full device is an error", async () => {
    const result = await skep("trace", "-q", "-o", "/dev/full", "-e", 'i:ms:5 { printf("x\\n"); }');
    expect(result).toMatchObject({
      status: 1,
      stderr: "ERROR: /dev/full: cannot be written: no space left on the device\n",
    });
  });

  test("-o writes to a file", async () => {
    const file = join(directory, "out.txt");
    await skep("trace", "-q", "-o", file, "-e", 'BEGIN { printf("x\\n"); @a = 1; exit(); }');
    expect(readFileSync(file, "utf8")).toBe("x\n\n\n@a: 1\n");
  });

  test("-c starts the command when all is attached, and ends with it", async () => {
    const result = await skep(
      "trace",
      "-c",
      "cat /etc/hostname",
      "-e",
      "t:syscalls:sys_enter_execve /pid == cpid/ { @exec = count(); } t:syscalls:sys_exit_execve /pid == cpid/ { @[comm] = count(); }",
    );
    expect(result.status).toBe(0);
    // The command itself is executed under our eyes, once, and nothing of a shell is seen.
    expect(result.stdout).toContain("@exec: 1\n");
    expect(result.stdout).toContain("@[cat]: 1\n");
    expect(result.stdout).toContain(readFileSync("/etc/hostname", "utf8"));
  });

  test("-c with arguments in quotes, and a command that does not exist", async () => {
    expect((await skep("trace", "-q", "-c", `sh -c 'echo "a  b"'`, "-e", "END { }")).stdout).toContain("a  b\n");
    const result = await skep("trace", "-c", "no-such-command", "-e", "END { }");
    expect(result).toMatchObject({ status: 2, stdout: "" });
    expect(result.stderr).toContain("no such command");
  });

  test("-p ends with the process", async () => {
    const other = spawn("sleep", ["1"]);
    const result = await skep("trace", "-p", String(other.pid), "-e", "i:ms:100 { @ = count(); }");
    expect(result.status).toBe(0);
    expect(result.stdout).toMatch(/@: \d+\n/);
  });

  test("system() wants --unsafe", async () => {
    expect((await skep("trace", "-e", 'BEGIN { system("true"); }')).status).toBe(2);
    const result = await skep("trace", "-q", "--unsafe", "-e", 'BEGIN { system("echo hi %d", 3); exit(); }');
    expect(result.stdout).toBe("hi 3\n\n\n\n");
  });

  test("errorf says where it is", async () => {
    const result = await skep("trace", "-q", "-e", 'BEGIN { errorf("bad %d\\n", 3); exit(); }');
    expect(result.stderr).toBe("stdin:1:9-30: ERROR: bad 3\n");
    const json = await skep("trace", "-q", "-f", "json", "-e", 'BEGIN { warnf("x"); exit(); }');
    expect(JSON.parse(json.stdout)).toEqual({ type: "warnf", msg: "x", filename: "stdin", line: 1, col: 9 });
  });

  test("JSON: every line can be parsed", async () => {
    const script = `BEGIN { printf("a\\"b\\n\\x01é\\xff"); @["k\\n"] = 1; @h = hist(5); print((1, "x")); time("%H"); exit(); }`;
    const { stdout } = await skep("trace", "--json", "-e", script);
    const types = stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { type: string }).type);
    expect(types).toEqual(["attached_probes", "printf", "value", "time", "map", "hist"]);
  });

  test("positional parameters and a script from a file", async () => {
    const file = join(directory, "script.bt");
    writeFileSync(file, '#!/usr/bin/env skep\nBEGIN { printf("%d %s\\n", $1, str($2)); exit(); }\n');
    expect((await skep("trace", "-q", file, "42", "word")).stdout).toBe("42 word\n\n\n");
  });

  test("bpftrace's own test suite is told when all is attached", async () => {
    const result = await run(process.execPath, [entry, "trace", "-q", "-e", "BEGIN { exit(); }"], {
      __BPFTRACE_NOTIFY_PROBES_ATTACHED: "1",
    });
    expect(result.stdout).toBe("__BPFTRACE_NOTIFY_PROBES_ATTACHED\n\n\n");
  });

  test("--dry-run runs nothing", async () => {
    const result = await skep(
      "trace",
      "-q",
      "--dry-run",
      "-e",
      'BEGIN { printf("no"); @a = 1; } i:ms:1 { printf("no"); }',
    );
    expect(result).toMatchObject({ status: 0, stdout: "\n\n" });
  });

  test("lost events are counted", async () => {
    const flood = "dd if=/dev/zero of=/dev/null bs=1 count=300000";
    const script = 't:syscalls:sys_enter_read /pid == cpid/ { @ = count(); printf("%d\\n", pid); }';
    const result = await run(process.execPath, [entry, "trace", "-q", "-c", flood, "-e", script], {
      BPFTRACE_PERF_RB_PAGES: "1",
    });
    const lines = (result.stdout.match(/^\d+$/gm) ?? []).length;
    const seen = Number(/^@: (\d+)$/m.exec(result.stdout)?.[1]);
    const lost = Number(/Total lost event count: (\d+)/.exec(result.stderr)?.[1] ?? 0);
    expect(seen).toBeGreaterThanOrEqual(300_000);
    expect(lines + lost).toBe(seen);
  });
});
