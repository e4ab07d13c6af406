/** What `bin/skep.js` calls. */
import { main } from "./main.ts";

/** Runs the process' command line. */
export async function start(): Promise<void> {
  // Streams flush what is left when the status is only set.
  process.exitCode = await main(process.argv.slice(2));
}

/**
 * Compiles a script that uses what most scripts use and runs it on no kernel, so that the code cache, written after it, holds the
 * functions of an ordinary run.
 */
export async function warmUp(): Promise<void> {
  const [{ compileScript }, { offlineEnvironment }, { TraceSession }, { FdOutput }, { LinuxKernel }, { pretendCalls }] =
    await Promise.all([
      import("../lang/bpftrace/compile.ts"),
      import("./offline.ts"),
      import("../runtime/trace.ts"),
      import("../runtime/output.ts"),
      import("../kernel/linux/linux.ts"),
      import("../kernel/linux/sys.ts"),
      import("./trace.ts"),
    ]);
  const text = `
    BEGIN { printf("%s %d\\n", "start", 1); @start = nsecs; }
    interval:s:1 /@start/ { @[comm, pid] = count(); @h = hist(nsecs - @start); if (pid > 1) { print(@h); } }
    tracepoint:syscalls:sys_enter_openat { @t[tid] = count(); @l = lhist(pid, 0, 100, 10); }
    profile:hz:99 { @s[kstack] = count(); $x = (uint64)cpu; @m[$x] = max($x); exit(); }
  `;
  const { object, plan } = compileScript(
    { name: "warm-up", text },
    {
      ...offlineEnvironment(),
      hasBtf: true,
      tracepoints: () => ["syscalls:sys_enter_openat"],
      tracepointFormat: () => ({ id: 1, fields: [] }),
    },
  );
  pretendCalls();
  try {
    const output = FdOutput.file("/dev/null");
    const session = new TraceSession({ kernel: new LinuxKernel(), object, plan, output, quiet: true });
    session.stop();
    await session.run();
    output.close();
  } catch {
    // What this machine does not have (/proc, /sys) the cache does without.
  }
}
