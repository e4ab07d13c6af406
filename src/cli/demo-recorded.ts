/** `skep demo` where programs cannot be run in the kernel: on a recording of another machine's, in the software kernel. */
import { Environment, SoftKernel } from "../kernel/soft/index.ts";
import { compileScript } from "../lang/bpftrace/compile.ts";
import { Recording, ReplayCompanion, Replayer, recordedEnvironment } from "../runtime/recording/replay.ts";
import { TraceSession } from "../runtime/trace.ts";
import { indent } from "./demo.ts";
import { packageFile } from "./version.ts";
import { writeOut } from "./write.ts";

/** The recording that comes with the package. */
export const DEMO_RECORDING = "recordings/demo.skep.gz";

const SCRIPT = `BEGIN { printf("%-16s %-8s %s\\n", "COMMAND", "PID", "FILE"); }

tracepoint:syscalls:sys_enter_* { @syscalls[comm] = count(); }

tracepoint:syscalls:sys_enter_openat /@shown < 25/ {
  printf("%-16s %-8d %s\\n", comm, pid, str(args.filename));
  @shown++;
}

tracepoint:syscalls:sys_enter_read { @start[tid] = nsecs; }
tracepoint:syscalls:sys_exit_read /@start[tid]/ { @read_ns = hist(nsecs - @start[tid]); delete(@start, tid); }

END { clear(@shown); clear(@start); }
`;

/** Runs it; resolves with the exit status. `reason`: why the machine's own kernel is not used. */
export async function recordedDemo(reason: string): Promise<number> {
  using recording = new Recording(packageFile(DEMO_RECORDING));
  const { meta } = recording.reader;
  writeOut(
    `Programs cannot be run in this machine's kernel: ${reason}\n\n` +
      `So this is a recording of another machine (Linux ${meta.release}, ${meta.events.length} kinds of events), replayed on Skep's\n` +
      `software kernel: the same programs, compiled to WebAssembly.\n\n${indent(SCRIPT)}\n`,
  );
  const started = performance.now();
  const { object, plan } = compileScript({ name: "demo", text: SCRIPT }, recordedEnvironment(recording));
  const instructions = object.programs.reduce((sum, program) => sum + program.code.length / 8, 0);
  const ms = (performance.now() - started).toFixed(0);
  writeOut(`Compiled to ${instructions} instructions in ${object.programs.length} programs in ${ms} ms.\n\n`);
  using kernel = new SoftKernel({
    possibleCpus: meta.possibleCpus,
    environment: new Environment({ now: BigInt(meta.startedNs) }),
  });
  const replayer = new Replayer(kernel, recording);
  const begun = performance.now();
  const child = new ReplayCompanion(kernel, replayer);
  const status = await new TraceSession({ kernel, object, plan, quiet: true, child }).run();
  const seconds = ((performance.now() - begun) / 1000).toFixed(2);
  writeOut(
    `\n${replayer.events} recorded events in ${seconds} s. @read_ns: how long reads took, in nanoseconds. Ask the recording something else:\n` +
      `  skep trace --on ${DEMO_RECORDING} -l\n` +
      `  skep trace --on ${DEMO_RECORDING} -e 'tracepoint:sched:sched_process_exec { printf("%s\\n", str(args.filename)); }'\n`,
  );
  return status;
}
