/** What `bin/skep.js` calls. */
import { main } from "./main.ts";

/** Runs the process' command line. */
export async function start(): Promise<void> {
  // Streams flush what is left when the status is only set.
  process.exitCode = await main(process.argv.slice(2));
}

/** Compiles a script that uses what most scripts use, so that the code cache, written after it, holds the functions of an ordinary run. */
export async function warmUp(): Promise<void> {
  const [{ compileScript }, { offlineEnvironment }] = await Promise.all([
    import("../lang/bpftrace/compile.ts"),
    import("./offline.ts"),
  ]);
  await Promise.all([import("./trace.ts"), import("../runtime/trace.ts")]);
  const text = `
    BEGIN { printf("%s %d\\n", "start", 1); @start = nsecs; }
    interval:s:1 /@start/ { @[comm, pid] = count(); @h = hist(nsecs - @start); if (pid > 1) { print(@h); } }
    profile:hz:99 { @s[kstack] = count(); $x = (uint64)cpu; @m[$x] = max($x); exit(); }
  `;
  compileScript({ name: "warm-up", text }, offlineEnvironment());
}
