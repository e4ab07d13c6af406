import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { listProbes } from "../../../src/lang/bpftrace/index.ts";
import { LinuxEnvironment } from "../../../src/runtime/environment.ts";
import { describeWith } from "../../support/needs.ts";
import { fakeEnvironment } from "./support/environment.ts";

/** Patterns and the lines that they list. */
const LISTS: readonly (readonly [string, readonly string[]])[] = [
  ["tracepoint:sched:*", ["tracepoint:sched:sched_process_exec", "tracepoint:sched:sched_switch"]],
  ["t:sched:sched_sw*", ["tracepoint:sched:sched_switch"]],
  ["TRACEPOINT:sched:sched_switch", ["tracepoint:sched:sched_switch"]],
  ["*:sched_switch", ["rawtracepoint:sched_switch", "tracepoint:sched:sched_switch"]],
  ["*switch*", ["rawtracepoint:sched_switch", "software:context-switches:", "tracepoint:sched:sched_switch"]],
  ["openat2", ["tracepoint:syscalls:sys_enter_openat2"]],
  ["kprobe:vfs_r*", ["kprobe:vfs_read", "kprobe:vfs_readv"]],
  [
    "hardware:c*s",
    ["hardware:cache-misses:", "hardware:cache-references:", "hardware:cpu-cycles:", "hardware:cycles:"],
  ],
  ["software:cs", ["software:cs:"]],
  [
    "uprobe:libc:*alloc",
    ["uprobe:/lib/libc.so.6:__libc_malloc", "uprobe:/lib/libc.so.6:calloc", "uprobe:/lib/libc.so.6:malloc"],
  ],
  ["uprobe:/bin/bash:readline", ["uprobe:/bin/bash:readline"]],
  ["uprobe:/nope:*", []],
  ["nothing_like_it", []],
  ["interval:*", ["interval:hz:", "interval:ms:", "interval:s:", "interval:us:"]],
  ["interval:ms:500", ["interval:ms:"]],
  ["software:cs:100", ["software:cs:"]],
  ["i:s:1,enum pid_type", ["interval:s:", "enum pid_type"]],
  ["*probe:/bin/bash:readline", ["uprobe:/bin/bash:readline", "uretprobe:/bin/bash:readline"]],
  ["rawtracepoint:*", ["rawtracepoint:sched_switch"]],
  ["enum pid_type", ["enum pid_type"]],
];

/** With arguments. */
const VERBOSE: readonly (readonly [string, readonly string[]])[] = [
  [
    "tracepoint:syscalls:sys_enter_openat",
    [
      "tracepoint:syscalls:sys_enter_openat",
      "    int __syscall_nr",
      "    int dfd",
      "    const char * filename",
      "    int flags",
      "    umode_t mode",
    ],
  ],
  [
    "tracepoint:sched:sched_process_exec",
    ["tracepoint:sched:sched_process_exec", "    __data_loc char[] filename", "    pid_t pid", "    pid_t old_pid"],
  ],
  [
    "t:block:block_rq_issue",
    [
      "tracepoint:block:block_rq_issue",
      "    dev_t dev",
      "    sector_t sector",
      "    unsigned int bytes",
      "    char rwbs[8]",
      "    char comm[16]",
      "    __data_loc char[] cmd",
    ],
  ],
  [
    "rawtracepoint:sched_switch",
    [
      "rawtracepoint:sched_switch",
      "    _Bool preempt",
      "    struct task_struct * prev",
      "    struct task_struct * next",
    ],
  ],
  ["struct mm_struct", ["struct mm_struct {", "\tstruct task_struct *owner;", "\tchar *user;", "};", ""]],
  ["enum pid_type", ["enum pid_type {", "\tPIDTYPE_PID = 0,", "\tPIDTYPE_TGID = 1,", "};", ""]],
];

describe("lists", () => {
  test.each(LISTS)("%s", (pattern, lines) => {
    expect(listProbes(pattern, fakeEnvironment())).toEqual(lines);
  });

  test.each(VERBOSE)("with arguments: %s", (pattern, lines) => {
    expect(listProbes(pattern, fakeEnvironment(), { verbose: true })).toEqual(lines);
  });

  test("kprobes are not listed where there are none", () => {
    expect(listProbes("kprobe:*", fakeEnvironment({ kprobeProblem: "none here" }))).toEqual([]);
  });
});

describeWith(["linux", "root", "tracefs", "bpftrace"], "the same lines as bpftrace's", () => {
  const peer = (...args: string[]): string[] =>
    spawnSync("bpftrace", args, { encoding: "utf8", maxBuffer: 1 << 26 })
      .stdout.trimEnd()
      .split("\n");

  test("tracepoints", () => {
    expect(listProbes("tracepoint:*", new LinuxEnvironment())).toEqual(peer("-l", "tracepoint:*"));
  });

  test.each(["tracepoint:sched:*", "tracepoint:syscalls:sys_enter_*", "tracepoint:block:*", "tracepoint:sock:*"])(
    "with arguments: %s",
    (pattern) => {
      expect(listProbes(pattern, new LinuxEnvironment(), { verbose: true })).toEqual(peer("-lv", pattern));
    },
  );
});
