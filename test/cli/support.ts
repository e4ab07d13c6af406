/** Runs the command line as users do: bundled from the sources at hand, in a process of its own. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Bundles src/cli; returns the file to give to node. */
export async function bundleCli(): Promise<string> {
  const directory = `${root}node_modules/.cache/skep-test`;
  mkdirSync(directory, { recursive: true });
  const file = `${directory}/skep-${process.pid}.cjs`;
  await build({
    input: `${root}src/cli/bin.ts`,
    platform: "node",
    external: ["koffi"],
    // Node 20 does not know "using".
    transform: { target: "node20" },
    output: { file: `${file}.new`, format: "cjs", codeSplitting: false },
    logLevel: "silent",
  });
  renameSync(`${file}.new`, file);
  const entry = `${directory}/run-${process.pid}.cjs`;
  writeFileSync(entry, `void require(${JSON.stringify(file)}).start();\n`);
  return entry;
}

/** How a process ended and what it wrote. */
export interface Finished {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process that runs. */
export interface Running {
  readonly child: ChildProcess;
  /** Settles when the process has ended and its pipes are read. */
  readonly finished: Promise<Finished>;
  /** Settles when stderr or stdout holds this text. */
  wrote(text: string): Promise<void>;
}

/** Starts a command; it is killed after twenty seconds. */
export function start(command: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(command, [...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  let stdout = "";
  let stderr = "";
  const waiting: { text: string; done: () => void }[] = [];
  const look = (): void => {
    for (const wait of waiting) if (stdout.includes(wait.text) || stderr.includes(wait.text)) wait.done();
  };
  child.stdout!.on("data", (data: Buffer) => {
    stdout += data.toString("latin1");
    look();
  });
  child.stderr!.on("data", (data: Buffer) => {
    stderr += data.toString("latin1");
    look();
  });
  const finished = new Promise<Finished>((resolve) => {
    child.once("close", (status, signal) => {
      clearTimeout(timer);
      resolve({ status, signal, stdout, stderr });
    });
  });
  return {
    child,
    finished,
    wrote: (text) =>
      new Promise((resolve, reject) => {
        waiting.push({ text, done: resolve });
        void finished.then((end) => reject(new Error(`ended before it wrote ${text}: ${end.stdout}${end.stderr}`)));
        look();
      }),
  };
}

/** Runs a command to its end. */
export function run(command: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return start(command, args, environment).finished;
}
