/**
 * VMs for tests: one command, or many cases in one boot. A boot takes about three seconds and everything inside runs 10 to 25
 * times slower than on the host, so batch cases and be generous with time.
 *
 * Tests that use it are named `*.vm.test.ts`; `npm run test:vm` runs them, `npm test` does not.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const runner = fileURLToPath(new URL("run.mjs", import.meta.url));
const caseRunner = fileURLToPath(new URL("cases.sh", import.meta.url));

/** Kernel series that the tests of this run use, from `SKEP_VM_KERNELS` (separated by commas), else 6.1 and 7.2. */
export const vmKernels: readonly string[] = (process.env["SKEP_VM_KERNELS"] ?? "6.1,7.2").split(",").filter(Boolean);

/** How a command ended, and what it said. */
export interface VmResult {
  /** Exit status; 128 + signal when one ended it, 124 when its time was up, 126 and 127 as a shell has them. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a VM is like. */
export interface VmSettings {
  /** Of the whole VM, default 120 s. */
  readonly timeoutMs?: number;
  /** Kernel modules to load first. */
  readonly modules?: readonly string[];
  /** More kernel parameters, such as `lsm=lockdown,yama,bpf`. */
  readonly append?: string;
  /** Default 1024. */
  readonly memoryMib?: number;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** One of many commands of a VM. */
export interface VmCase {
  /** Unique within the batch. */
  readonly name: string;
  /** For bash. */
  readonly script: string;
  /** Default 30 s; it gets SIGINT, and SIGKILL five seconds later. */
  readonly timeoutMs?: number;
}

let skipReason: { readonly text: string | undefined } | undefined;

/** Why this machine cannot run test VMs, or undefined when it can. */
export function vmSkipReason(): string | undefined {
  if (!skipReason) {
    const bootModule = new URL("boot.mjs", import.meta.url).href;
    const asked = spawnSync(process.execPath, [
      "--input-type=module",
      "--eval",
      `process.stdout.write((await import(${JSON.stringify(bootModule)})).vmSkipReason() ?? "")`,
    ]);
    skipReason = { text: (asked.status === 0 ? String(asked.stdout) : String(asked.stderr)) || undefined };
  }
  return skipReason.text;
}

/**
 * Boots `kernel`, runs a bash script (a string) or a program with its arguments (an array) in the current directory, and resolves
 * when the VM is gone. Throws when the VM itself failed, with the end of its console.
 */
export async function runInVm(
  kernel: string,
  command: string | readonly string[],
  settings: VmSettings = {},
): Promise<VmResult> {
  const result = await boot(kernel, typeof command === "string" ? ["bash", "-c", command] : command, settings);
  return { status: result.status, stdout: result.stdout.toString(), stderr: result.stderr.toString() };
}

/**
 * Runs all cases in one boot, one after another, and returns their results by name.
 * Throws when the VM failed or its time was up before the last case ended, naming the case.
 */
export async function runCasesInVm(
  kernel: string,
  cases: readonly VmCase[],
  settings: VmSettings = {},
): Promise<ReadonlyMap<string, VmResult>> {
  const directory = mkdtempSync(join(tmpdir(), "skep-cases-"));
  try {
    for (const [index, { script, timeoutMs = 30_000 }] of cases.entries()) {
      const own = join(directory, String(index).padStart(6, "0"));
      mkdirSync(own);
      writeFileSync(join(own, "script"), script);
      writeFileSync(join(own, "seconds"), String(timeoutMs / 1000));
    }
    const total = cases.reduce((sum, { timeoutMs = 30_000 }) => sum + timeoutMs, 30_000);
    const result = await boot(kernel, ["bash", caseRunner, directory], {
      timeoutMs: Math.max(120_000, total),
      ...settings,
    });
    const results = splitCases(result.stdout, cases);
    const unfinished = cases.find(({ name }) => !results.has(name));
    if (unfinished)
      throw new Error(
        `kernel ${kernel}: case ${unfinished.name} did not end (status ${result.status}): ${String(result.stderr)}`,
      );
    return results;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Output of cases.sh: for each case a line `index status stdout-size stderr-size`, then that many bytes of each. */
function splitCases(output: Buffer, cases: readonly VmCase[]): Map<string, VmResult> {
  const results = new Map<string, VmResult>();
  for (let at = 0; at < output.length;) {
    const lineEnd = output.indexOf("\n", at);
    const [index = -1, status = -1, outSize = 0, errSize = 0] = output
      .toString("latin1", at, lineEnd < 0 ? output.length : lineEnd)
      .split(" ")
      .map(Number);
    const start = lineEnd + 1;
    const end = start + outSize + errSize;
    const name = cases[index]?.name;
    if (lineEnd < 0 || name === undefined || end > output.length) break;
    results.set(name, {
      status,
      stdout: output.toString("utf8", start, start + outSize),
      stderr: output.toString("utf8", start + outSize, end),
    });
    at = end;
  }
  return results;
}

async function boot(
  kernel: string,
  command: readonly string[],
  settings: VmSettings,
): Promise<{ status: number; stdout: Buffer; stderr: Buffer }> {
  const { timeoutMs = 120_000, modules = [], append = "", memoryMib = 1024, env = {} } = settings;
  const options = ["--kernel", kernel, "--timeout", String(timeoutMs / 1000), "--memory", String(memoryMib)];
  if (append) options.push("--append", append);
  for (const module of modules) options.push("--module", module);
  const child = spawn(process.execPath, [runner, ...options, "--", ...command], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  const status = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? -1));
  });
  const result = { status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) };
  if (status === 125 && /^test VM: /m.test(String(result.stderr))) throw new Error(String(result.stderr));
  return result;
}
