/** bpftrace's one-liner tutorial, lesson by lesson, as written there, on the running kernel with real work to see. The lessons that need kprobes run in a VM: lessons.vm.test.ts. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeWith } from "../support/needs.ts";
import { runSkep, shell } from "../support/skep.ts";

const trace = (script: string, ...rest: string[]): string[] => ["trace", ...rest, "-e", script];

/** `@x[key]: n` lines as a map. */
function counts(stdout: string, map: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of stdout.split("\n")) {
    const match = new RegExp(`^${map.replace(/[$@]/g, "\\$&")}\\[(.*)\\]: (-?\\d+)$`).exec(line);
    if (match) found.set(match[1]!, Number(match[2]));
  }
  return found;
}

/** Rows of a histogram: label and count. */
function rows(stdout: string): [string, number][] {
  return [...stdout.matchAll(/^(\[.*?[\])]|\(\.\.\., .*?\))\s+(\d+) \|[@ ]{52}\|$/gm)].map((m) => [
    m[1]!,
    Number(m[2]),
  ]);
}

describeWith(["linux", "root", "bpf", "tracefs"], "one-liner tutorial", () => {
  test("1: listing probes", async () => {
    const { stdout, code } = await runSkep(["trace", "-l", "tracepoint:syscalls:sys_enter_*"]);
    const lines = stdout.trimEnd().split("\n");
    expect(code).toBe(0);
    expect(lines).toContain("tracepoint:syscalls:sys_enter_openat");
    expect(lines.length).toBeGreaterThan(250);
    expect(lines.every((line) => line.startsWith("tracepoint:syscalls:sys_enter_"))).toBe(true);
  });

  test("2: hello world", async () => {
    const { stdout, code } = await runSkep(trace('BEGIN { printf("hello world\\n"); }'), { timeoutMs: 10_000 });
    expect(stdout).toContain("hello world\n");
    expect(code).toBe(0);
  });

  test("3: file opens", async () => {
    const directory = mkdtempSync(join(tmpdir(), "skep-lesson-"));
    try {
      const file = join(directory, "opened-by-lesson-3");
      writeFileSync(file, "x");
      const { stdout } = await runSkep(
        trace('tracepoint:syscalls:sys_enter_openat { printf("%s %s\\n", comm, str(args.filename)); }'),
        { workload: () => shell(`cat ${file} >/dev/null; head -c1 ${file} >/dev/null`) },
      );
      expect(stdout).toContain(`cat ${file}\n`);
      expect(stdout).toContain(`head ${file}\n`);
      expect(stdout).toMatch(/^cat \/etc\/ld\.so\.cache$/m);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("4: syscall counts by process", async () => {
    const { stdout } = await runSkep(trace("tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }"), {
      workload: () => shell("dd if=/dev/zero of=/dev/null bs=1 count=20000 2>/dev/null"),
    });
    const found = counts(stdout, "@");
    expect(found.get("dd")).toBeGreaterThanOrEqual(40_000);
    expect(found.get("dd")).toBeLessThan(41_000);
    const values = [...found.values()];
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  });

  test("5: distribution of read() bytes", async () => {
    const reader = spawn("dd", ["if=/dev/zero", "of=/dev/null", "bs=100"], { stdio: "ignore" });
    try {
      const { stdout } = await runSkep(
        trace(`tracepoint:syscalls:sys_exit_read /pid == ${reader.pid}/ { @bytes = hist(args.ret); }`),
        { workload: () => shell("sleep 0.3") },
      );
      expect(stdout).toMatch(/^@bytes: ?$/m);
      const found = rows(stdout);
      expect(found).toHaveLength(1);
      expect(found[0]![0]).toBe("[64, 128)");
      expect(found[0]![1]).toBeGreaterThan(1000);
    } finally {
      reader.kill("SIGKILL");
    }
  });

  test("6: kprobes say that this kernel has none, and what to use", async () => {
    const { stderr, code } = await runSkep(trace("kretprobe:vfs_read { @bytes = lhist(retval, 0, 2000, 200); }"));
    if (code === 0) return; // A kernel with kprobes: the lesson itself runs in lessons.vm.test.ts.
    expect(stderr).toMatch(/kprobe/i);
    expect(stderr).toContain("CONFIG_KPROBES");
    expect(stderr).toContain("tracepoint:syscalls:sys_exit_read");
    expect([2, 3]).toContain(code);
  }, 15_000);

  test("8: count process-level events", async () => {
    const { stdout, code } = await runSkep(
      trace("tracepoint:sched:sched* { @[probe] = count(); } interval:s:5 { exit(); }"),
      { workload: () => shell("for i in 1 2 3 4 5; do /bin/true; done; sleep 6"), timeoutMs: 20_000 },
    );
    const found = counts(stdout, "@");
    expect(code).toBe(0);
    expect(found.get("tracepoint:sched:sched_process_exec")).toBeGreaterThanOrEqual(5);
    expect(found.get("tracepoint:sched:sched_process_fork")).toBeGreaterThanOrEqual(5);
    expect(found.get("tracepoint:sched:sched_switch")).toBeGreaterThan(10);
  });

  test("9: profile on-CPU kernel stacks", async () => {
    const { stdout } = await runSkep(trace("profile:hz:99 { @[kstack] = count(); }"), {
      workload: () => shell("timeout 1.5 dd if=/dev/zero of=/dev/null bs=1 2>/dev/null || true"),
    });
    expect(stdout).toMatch(/^@\[\n(?: {4,8}[\w.]+\+\d+\n)+\]: \d+$/m);
    expect(stdout).toMatch(/ksys_read|vfs_read|do_syscall_64|entry_SYSCALL_64|read_zero/);
  });

  test("10: scheduler tracing", async () => {
    const { stdout } = await runSkep(trace("tracepoint:sched:sched_switch { @[kstack] = count(); }"), {
      workload: () => shell("sleep 0.5"),
    });
    const stacks = [...stdout.matchAll(/^@\[\n((?: {4,8}\S+\n)+)\]: (\d+)$/gm)];
    expect(stacks.length).toBeGreaterThan(3);
    expect(stdout).toMatch(/^ {4,8}schedule\+\d+$/m);
    // The innermost frame is the scheduler itself, as bpftrace prints it; with others at the same tracepoint (ftrace is, once any
    // program has printed by bpf_trace_printk) the loop over them all comes first.
    for (const [, frames] of stacks)
      expect(frames).toMatch(/^ +(?:__traceiter_sched_switch\+\d+\n +)?__schedule\+\d+\n/);
  });

  test("11: block I/O tracing", async () => {
    const { stdout, code } = await runSkep(trace("tracepoint:block:block_rq_issue { @ = hist(args.bytes); }"), {
      workload: () =>
        shell(
          "f=$(mktemp -p /var/tmp); dd if=/dev/zero of=$f bs=64k count=64 conv=fsync 2>/dev/null; rm -f $f; sync; sleep 0.3",
        ),
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^@: ?$/m);
    expect(rows(stdout).some(([label, count]) => /K/.test(label) && count > 0)).toBe(true);
  });
});
