/** `skep demo`: the shortest way to see that it works here, and if not, why. */
import { readFileSync } from "node:fs";
import { UsageError } from "../base/index.ts";
import { openLinuxKernel } from "../kernel/index.ts";
import { LinuxEnvironment } from "../runtime/environment.ts";
import { TraceSession } from "../runtime/trace.ts";
import type { Arguments } from "./arguments.ts";
import { textOption } from "./arguments.ts";
import { writeOut } from "./write.ts";
import { compileScript } from "../lang/bpftrace/compile.ts";
import { SkepError } from "../base/index.ts";

/** The script, for a number of seconds. */
export function demoScript(seconds: number): string {
  return `BEGIN { printf("%-16s %-8s %s\\n", "COMMAND", "PID", "FILE"); }

tracepoint:raw_syscalls:sys_enter { @syscalls[comm] = count(); }

tracepoint:syscalls:sys_enter_openat /@shown < 25/ {
  printf("%-16s %-8d %s\\n", comm, pid, str(args.filename));
  @shown++;
}

interval:s:${seconds} { clear(@shown); exit(); }
`;
}

/** A little work, so that there is something to see on a quiet machine. */
const WORK = `
const { readFileSync, readdirSync } = require("node:fs");
process.title = "skep-work";
setInterval(() => { readFileSync("/etc/hostname"); for (const name of readdirSync("/etc").slice(0, 3)) void name; }, 200);
process.on("disconnect", () => process.exit());
`;

/** Runs the command; resolves with the exit status. */
export async function demoCommand(args: Arguments): Promise<number> {
  const seconds = Number(textOption(args, "seconds") ?? "5");
  if (!Number.isInteger(seconds) || seconds < 1) {
    throw new UsageError(`skep demo: --seconds ${textOption(args, "seconds")}: must be a whole number, 1 or more`);
  }
  let kernel;
  try {
    kernel = openLinuxKernel();
  } catch (error) {
    if (!(error instanceof SkepError) || error.exitStatus !== 3) throw error;
    const { recordedDemo } = await import("./demo-recorded.ts");
    return recordedDemo(error.message);
  }
  const { spawn } = process.getBuiltinModule("node:child_process");
  const worker = spawn(process.execPath, ["-e", WORK], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  worker.on("error", () => {});
  try {
    const text = demoScript(seconds);
    writeOut(`Linux ${kernelRelease()}: this script runs in the kernel for ${seconds} seconds.\n\n${indent(text)}\n`);
    const started = performance.now();
    const { object, plan } = compileScript({ name: "demo", text }, new LinuxEnvironment());
    const instructions = object.programs.reduce((sum, program) => sum + program.code.length / 8, 0);
    const ms = (performance.now() - started).toFixed(0);
    writeOut(`Compiled to ${instructions} instructions in ${object.programs.length} programs in ${ms} ms.\n\n`);
    const status = await new TraceSession({ kernel, object, plan, quiet: true }).run();
    writeOut("\n@syscalls: how many system calls each command made. Now try:\n  skep trace --help\n");
    return status;
  } finally {
    worker.kill();
    worker.unref();
    if (worker.connected) worker.disconnect();
  }
}

function kernelRelease(): string {
  try {
    return readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  } catch {
    return "";
  }
}

/** Shown as a quotation. */
export function indent(text: string): string {
  return text.replace(/^(?=.)/gm, "  ");
}
