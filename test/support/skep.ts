/** Runs the command line as a user does: from the built bundle, in its own process. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The command: `node bin/skep.js`. */
export const SKEP: string = fileURLToPath(new URL("../../bin/skep.js", import.meta.url));

/** How a run ended and what it printed. */
export interface SkepResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How {@link runSkep} runs a command. */
export interface SkepRun {
  /** Started once everything is attached; when it resolves, SIGINT is sent. Without it the command ends by itself. */
  readonly workload?: () => Promise<void> | void;
  readonly env?: Readonly<Record<string, string>>;
  /** Then SIGKILL, and an error. */
  readonly timeoutMs?: number;
  /** Another command instead of Skep, such as the peer; it says `Attaching` before it attaches, so `settleMs` is waited after. */
  readonly command?: readonly string[];
  readonly settleMs?: number;
}

/** Runs `skep ARGS...` to its end. Throws when it does not end in time or when it ends before it is attached. */
export async function runSkep(args: readonly string[], run: SkepRun = {}): Promise<SkepResult> {
  if (!existsSync(fileURLToPath(new URL("../../dist/bundle/skep.cjs", import.meta.url))))
    throw new Error("dist/bundle/skep.cjs is missing: npm run build");
  const [program = process.execPath, ...first] = run.command ?? [process.execPath, SKEP];
  const child = spawn(program, [...first, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1", ...run.env },
  });
  let stdout = "";
  let stderr = "";
  let attached: () => void = () => {};
  const ready = new Promise<void>((resolve) => (attached = resolve));
  const look = (): void => {
    if (/Attach(?:ed|ing) \d+ probes?/.test(stderr) || /Attaching \d+ probes?|"attached_probes"/.test(stdout))
      attached();
  };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    look();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    look();
  });
  const ended = new Promise<SkepResult>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  const { timeoutMs = 25_000 } = run;
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  try {
    if (run.workload) {
      const early = await Promise.race([ready.then(() => null), ended]);
      if (early) throw new Error(`ended with ${early.code} before it was attached: ${early.stderr}${early.stdout}`);
      if (run.settleMs) await new Promise((resolve) => setTimeout(resolve, run.settleMs));
      await run.workload();
      child.kill("SIGINT");
    }
    const result = await ended;
    if (result.signal === "SIGKILL")
      throw new Error(`did not end within ${timeoutMs} ms: ${stderr}${stdout.slice(0, 2000)}`);
    return result;
  } finally {
    clearTimeout(timer);
  }
}

/** A workload process; resolves with its pid once it has ended. */
export async function work(command: string, args: readonly string[] = []): Promise<number> {
  const child = spawn(command, args, { stdio: "ignore" });
  const pid = child.pid ?? -1;
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve());
  });
  return pid;
}

/** A shell command as workload. */
export async function shell(script: string): Promise<void> {
  await work("bash", ["-c", script]);
}
