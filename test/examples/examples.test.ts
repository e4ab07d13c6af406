/** The examples that need no kprobes, run by Node on this kernel. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleCli } from "../cli/support.ts";
import { describeWith } from "../support/needs.ts";
import { kprobesMissing } from "../../src/kernel/linux/index.ts";
import { type Bundled, bundleExamples, examples } from "./bundle.ts";

test("the README shows an example as it is", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const source = readFileSync(join(examples, "hello-execve.bpf.c"), "utf8");
  expect(/^```c\n(.*?)^```$/ms.exec(readme)![1]).toBe(source.slice(source.indexOf("#include")));
});

describeWith(["linux", "root", "bpf", "tracefs", "vmlinuxBtf"], "examples", () => {
  let bundled: Bundled;
  let scripts: Readonly<Record<string, string>>;
  beforeAll(async () => {
    bundled = await bundleExamples();
    scripts = { ...bundled.scripts, skep: await bundleCli() };
  }, 120_000);
  afterAll(() => bundled.remove());

  /** Starts a script and waits until its output has a text; then does the work, until its output has the other. */
  async function run(
    name: string,
    args: readonly string[],
    ready: RegExp,
    work: () => void,
    wanted: RegExp,
  ): Promise<string> {
    const child: ChildProcess = spawn(process.execPath, [scripts[name]!, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding("utf8").on("data", (text: string) => void (output += text));
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    let isOver = false;
    void ended.then(() => (isOver = true));
    const end = performance.now() + 20_000;
    const until = async (mark: RegExp, meanwhile: () => void): Promise<void> => {
      while (!mark.test(output)) {
        if (isOver || performance.now() > end) throw new Error(`${name}: ${mark} was not printed: ${output}`);
        meanwhile();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    try {
      await until(ready, () => {});
      await until(wanted, work);
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
    return output;
  }

  const exec = (): void => void execFileSync("/bin/true");

  test("hello-execve.bpf.c", async () => {
    const file = join(examples, "hello-execve.bpf.c");
    await run("skep", ["run", file], /Attached 1 program/, exec, /^Hello, BPF World!$/m);
  });

  test("hello.bpf.c, where there are no kprobes", async () => {
    if (kprobesMissing() === undefined) return;
    const file = join(examples, "hello.bpf.c");
    const output = await run("skep", ["run", file], /kprobe/, () => {}, /CONFIG_KPROBES|kprobes/).catch(String);
    expect(output).toMatch(/built without kprobes|no kprobes/);
  });

  test("execs.mjs", async () => {
    const output = await run("execs", [], /^PID/m, exec, /\/bin\/true$/m);
    expect(output).toMatch(new RegExp(`^\\d+ +${process.pid} +true +/bin/true$`, "m"));
  });

  test("drops.mjs at a tracepoint", async () => {
    // Nobody listens: the kernel drops the packet.
    const drop = (): void => void execFileSync("bash", ["-c", "for i in 1 2 3; do echo >/dev/udp/127.0.0.1/9; done"]);
    const output = await run("drops", ["tracepoint"], /^ +PID COMMAND/m, drop, /^ +\d+ bash +\d+$/m);
    expect(output).toMatch(/^ {5}PID COMMAND {13}COUNT$/m);
  });

  test("without privileges they say what is missing", () => {
    const { stderr, status } = spawnSync(process.execPath, [scripts["drops"]!], {
      encoding: "utf8",
      uid: 65534,
      gid: 65534,
    });
    expect(status).toBe(1);
    // A checkout below a closed directory cannot even be read.
    expect(stderr).toMatch(/UnsupportedError: tracing: missing CAP_\w+.*run as root|Cannot find module|EACCES/);
  });

  test("drops.mjs ends by itself", () => {
    execFileSync(process.execPath, [scripts["drops"]!, "tracepoint", "1"], { timeout: 20_000 });
  });
});
