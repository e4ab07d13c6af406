/** The tools that Debian's bpftrace 0.17 brings: each compiles and loads into this kernel, or says in one clear error why it cannot. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ScriptError } from "../../src/base/index.ts";
import { openLinuxKernel } from "../../src/kernel/index.ts";
import { compileScript } from "../../src/lang/bpftrace/compile.ts";
import { LinuxEnvironment } from "../../src/runtime/environment.ts";
import { guardLeaks } from "../leaks.ts";
import { describeUnless, missing } from "../support/needs.ts";

/** Paths of the tools by name. */
function tools(): Map<string, string> {
  const { stdout = "" } = spawnSync("dpkg", ["-L", "bpftrace"], { encoding: "utf8" });
  const paths = (stdout ?? "").split("\n").filter((path) => path.endsWith(".bt") && existsSync(path));
  return new Map(paths.map((path) => [path.slice(path.lastIndexOf("/") + 1, -3), path]));
}

const found = tools();

/** What a tool needs of the kernel. */
type Needs = "nothing" | "kprobes" | RegExp;

const LOADS = "nothing";
const KPROBES = "kprobes";
const EXPECTED: Record<string, Needs> = {
  bashreadline: LOADS,
  biolatency: KPROBES,
  biosnoop: KPROBES,
  biostacks: KPROBES,
  bitesize: LOADS,
  capable: KPROBES,
  cpuwalk: LOADS,
  dcsnoop: KPROBES,
  execsnoop: LOADS,
  gethostlatency: LOADS,
  killsnoop: LOADS,
  // A variable: only in /proc/kallsyms of kernels built with CONFIG_KALLSYMS_ALL.
  loads: /Failed to resolve kernel symbol: avenrun/,
  mdflush: KPROBES,
  naptime: LOADS,
  oomkill: KPROBES,
  opensnoop: LOADS,
  pidpersec: LOADS,
  runqlat: LOADS,
  // The kernel renamed the field in 6.14, and its own types win over those that the tool defines.
  runqlen: /'struct cfs_rq' does not contain a field named 'nr_running'/,
  setuids: LOADS,
  ssllatency: LOADS,
  sslsnoop: LOADS,
  statsnoop: LOADS,
  swapin: KPROBES,
  syncsnoop: LOADS,
  syscount: LOADS,
  tcpaccept: KPROBES,
  tcpconnect: KPROBES,
  tcpdrop: LOADS,
  tcplife: KPROBES,
  tcpretrans: KPROBES,
  tcpsynbl: KPROBES,
  threadsnoop: LOADS,
  undump: KPROBES,
  vfscount: KPROBES,
  vfsstat: KPROBES,
  writeback: LOADS,
  xfsdist: KPROBES,
};

const reason =
  missing("linux", "root", "bpf", "tracefs", "uprobes", "vmlinuxBtf", "bpftrace") ??
  (found.size < 38 ? `the tools of bpftrace 0.17 are 38, here are ${found.size}` : undefined);

describeUnless(reason, "Debian's tools", () => {
  guardLeaks();

  test.each(Object.entries(EXPECTED))("%s", (name, needs) => {
    const path = found.get(name)!;
    const environment = new LinuxEnvironment({
      variables: { BPFTRACE_MISSING_PROBES: "warn" },
    });
    const run = (): void => {
      const text = readFileSync(path, "utf8");
      const { object } = compileScript({ name: path, text }, environment, { unsafe: true, probeScope: true });
      openLinuxKernel().load(object).close();
    };
    if (needs === LOADS || (needs === KPROBES && environment.kprobeProblem === null)) {
      run();
      return;
    }
    let failure: unknown;
    try {
      run();
    } catch (error) {
      failure = error;
    }
    // Kernels differ: what fails for a name that another kernel has may also load.
    if (failure === undefined && needs !== KPROBES) return;
    expect(failure).toBeInstanceOf(ScriptError);
    const { message } = failure as ScriptError;
    expect(message).toMatch(
      needs === KPROBES ? /k(ret)?probe can not be used here: this kernel was built without/ : needs,
    );
    expect(message).toMatch(new RegExp(`^${path}:\\d+:\\d+-\\d+: ERROR: `));
  });
});
