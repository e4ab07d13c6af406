/** `skep record`: events of the running kernel to a file. */
import { UsageError } from "../base/index.ts";
import { openLinuxKernel } from "../kernel/index.ts";
import type { TracedChild } from "../runtime/child.ts";
import { LinuxEnvironment } from "../runtime/environment.ts";
import { Recorder, type RecordProgress, requireRecording } from "../runtime/recording/recorder.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { writeError } from "./write.ts";

const MIB = 1 << 20;
/** Milliseconds between two lines of progress on a terminal. */
const PROGRESS_MS = 500;

/** Runs the command; resolves with the exit status. */
export async function recordCommand(args: Arguments): Promise<number> {
  const probes = textOption(args, "execute");
  const file = textOption(args, "output");
  if (probes === undefined)
    throw new UsageError("skep record: name the tracepoints to record with -e (see skep record --help)");
  if (file === undefined) throw new UsageError("skep record: name the file to write with -o");
  if (args.operands[0] !== undefined)
    throw new UsageError(`skep record: ${args.operands[0]}: the tracepoints are named with -e`);
  const seconds = numberOption(args, "seconds", 1);
  const mib = numberOption(args, "ring", 1);
  if (mib !== undefined && (mib & (mib - 1)) !== 0)
    throw new UsageError(`skep record: --ring ${mib}: must be a power of two`);
  const kernel = openLinuxKernel();
  const environment = new LinuxEnvironment({ positional: [] });
  requireRecording(environment.kernelVersion);
  const command = textOption(args, "command");
  let child: TracedChild | undefined;
  if (command !== undefined) {
    const { TracedChild: Child } = await import("../runtime/child.ts");
    child = Child.prepare(command);
  }
  let end!: () => void;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) process.on(signal, end);
  try {
    const comms = args.repeated.get("comm") ?? [];
    const recorder = Recorder.start({
      comms,
      kernel,
      environment,
      probes,
      file,
      ...(mib === undefined ? {} : { ringBytes: mib * MIB }),
    });
    const shows = !args.options.has("quiet");
    const live = shows && process.stderr.isTTY;
    const progress = setInterval(() => {
      if (live) writeError(`\r${said(recorder.progress)} `);
      if (recorder.failure !== undefined) end();
    }, PROGRESS_MS);
    if (shows && child === undefined) writeError(`Recording to ${file}. Ctrl-C ends it.\n`);
    const timer = seconds === undefined ? undefined : setTimeout(end, seconds * 1000);
    child?.start();
    void child?.ended.then(end);
    await ended;
    clearInterval(progress);
    clearTimeout(timer);
    const total = await recorder.stop();
    if (shows) writeError(`${live ? "\r" : ""}${file}: ${said(total)}\n`);
    return 0;
  } finally {
    for (const signal of signals) process.removeListener(signal, end);
    child?.stop();
    kernel.close();
  }
}

function said({ events, bytes, lost }: RecordProgress): string {
  const share = `${events} events, ${(bytes / MIB).toFixed(1)} MiB`;
  return lost === 0 ? share : `${share}, ${lost} lost (a larger --ring holds more)`;
}

function numberOption(args: Arguments, name: string, least: number): number | undefined {
  const text = textOption(args, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new UsageError(`skep record: --${name} ${text}: must be a whole number, ${least} or more`);
  return value;
}
