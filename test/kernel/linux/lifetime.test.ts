import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openById } from "../../../src/kernel/linux/bpf.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { hasProbeFile, registerProbe } from "../../../src/kernel/linux/probe-events.ts";
import { describeWith, missing } from "../../support/needs.ts";

/** What `hold.ts` prints. */
interface Held {
  readonly progs: readonly number[];
  readonly links: readonly number[];
  readonly probes: string;
}

const nodeModules = fileURLToPath(new URL("../../../node_modules", import.meta.url));

describeWith(["linux", "root", "bpf", "tracefs", "uprobes", "vmlinuxBtf"], "a process of its own", () => {
  let directory = "";
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "skep-hold-"));
    const input = fileURLToPath(new URL("hold.ts", import.meta.url));
    await build({
      input,
      platform: "node",
      logLevel: "silent",
      // Node 20 does not know "using".
      transform: { target: "node20" },
      output: { file: join(directory, "hold.mjs"), format: "esm" },
    });
  });
  const children: ChildProcess[] = [];
  afterAll(() => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  });

  async function hold(...args: string[]): Promise<{ child: ChildProcess; held: Held }> {
    const child = spawn(process.execPath, [join(directory, "hold.mjs"), ...args], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NODE_PATH: nodeModules },
    });
    children.push(child);
    let printed = "";
    for await (const chunk of child.stdout!) {
      printed += String(chunk);
      if (printed.endsWith("\n")) break;
    }
    return { child, held: JSON.parse(printed) as Held };
  }

  async function kill(child: ChildProcess): Promise<void> {
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  function stillThere(kind: "prog" | "link", ids: readonly number[]): number[] {
    return ids.filter((id) => {
      const fd = openById(kind, id);
      fd?.close();
      return fd !== undefined;
    });
  }

  test("ended by SIGKILL leaves no program and no link behind", async () => {
    const { child, held } = await hold();
    expect(held.progs).toHaveLength(5);
    expect(held.links.length).toBeGreaterThanOrEqual(machine.atLeast(5, 15) ? 5 : 2);
    expect(stillThere("prog", held.progs)).toEqual(held.progs);
    expect(stillThere("link", held.links)).toEqual(held.links);
    await kill(child);
    // The kernel frees after a grace period.
    await expect.poll(() => stillThere("link", held.links), { timeout: 10_000 }).toEqual([]);
    await expect.poll(() => stillThere("prog", held.progs), { timeout: 10_000 }).toEqual([]);
    if (missing("bpftool") === undefined) {
      const listed = spawnSync("bpftool", ["-j", "perf", "show"], { encoding: "utf8" }).stdout;
      expect((JSON.parse(listed || "[]") as { pid: number }[]).filter(({ pid }) => pid === child.pid)).toEqual([]);
    }
  });

  test("without privileges is told so before anything is done", () => {
    chmodSync(directory, 0o755);
    const { status, stderr } = spawnSync(process.execPath, [join(directory, "hold.mjs")], {
      uid: 65534,
      gid: 65534,
      encoding: "utf8",
      cwd: "/",
      env: { ...process.env, NODE_PATH: nodeModules },
    });
    expect(stderr).toContain("tracing: missing CAP_");
    expect(stderr).toContain("run as root, for instance with sudo");
    expect(status).not.toBe(0);
  });

  test("ended by SIGKILL leaves a probe in tracefs at most until the next process registers one", async () => {
    const { child, held } = await hold("tracefs");
    expect(held.probes).toContain(`skep_${child.pid}/`);
    await kill(child);
    expect(hasProbeFile("uprobe_events")).toBe(true);
    const probes = (): string => readFileSync("/sys/kernel/tracing/uprobe_events", "utf8");
    expect(probes()).toContain(`skep_${child.pid}/`);
    const own = registerProbe("uprobe_events", "/lib/x86_64-linux-gnu/libc.so.6:0x30000", false);
    expect(probes()).not.toContain(`skep_${child.pid}/`);
    expect(probes()).toContain(`skep_${process.pid}/`);
    own.remove();
    expect(probes()).not.toContain(`skep_${process.pid}/`);
  });
});
