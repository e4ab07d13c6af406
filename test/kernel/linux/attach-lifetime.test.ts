/** A process that is killed leaves nothing attached; of a filter of tc, what the kernel keeps goes with the next attachment. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ProgType } from "../../../src/isa/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { openById } from "../../../src/kernel/linux/bpf.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { cgroupMissing, useCgroup } from "../../support/cgroup.ts";
import { describeUnless, missing } from "../../support/needs.ts";
import { run, useNetworkNamespace } from "../../support/netns.ts";
import { object, program } from "./support.ts";

const nodeModules = fileURLToPath(new URL("../../../node_modules", import.meta.url));
const reason =
  missing("linux", "root", "bpf", "iproute2") ??
  cgroupMissing() ??
  (machine.atLeast(6, 10) ? undefined : "links to sockmaps came with Linux 6.10");

describeUnless(reason, "a process that is killed while its programs are attached", () => {
  useNetworkNamespace();
  const cgroup = useCgroup();
  let directory = "";
  let child: ChildProcess | undefined;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "skep-links-"));
    const input = fileURLToPath(new URL("hold-links.ts", import.meta.url));
    const output = { file: join(directory, "hold.mjs"), format: "esm" } as const;
    // Node 20 does not know "using".
    await build({ input, platform: "node", logLevel: "silent", transform: { target: "node20" }, output });
  });
  afterAll(() => {
    child?.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  });

  const gone = (kind: "prog" | "link", ids: readonly number[]): number[] =>
    ids.filter((id) => {
      using fd = openById(kind, id);
      return fd !== undefined;
    });

  test("leaves no link and no program; a filter of tc goes with the next process", async () => {
    child = spawn(process.execPath, [join(directory, "hold.mjs"), cgroup], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NODE_PATH: nodeModules },
    });
    let printed = "";
    for await (const chunk of child.stdout!) if ((printed += String(chunk)).endsWith("\n")) break;
    const held = JSON.parse(printed) as { readonly programs: number[]; readonly links: number[] };
    expect(held.links).toHaveLength(6);
    expect(gone("link", held.links)).toEqual(held.links);
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    await expect.poll(() => gone("link", held.links), { timeout: 10_000 }).toEqual([]);
    const filter = held.programs[2]!;
    await expect.poll(() => gone("prog", held.programs), { timeout: 10_000 }).toEqual([filter]);
    const filters = (): string => run("tc", "filter", "show", "dev", "v1", "egress");
    expect(filters()).toContain(`_${child.pid}:filter`);
    const kernel = openLinuxKernel();
    using loaded = kernel.load(object([program("next", "r0 = 0\nexit", { type: ProgType.SCHED_CLS })]));
    using next = kernel.attach(loaded.program("next"), { kind: "tc", device: "v1", direction: "ingress" });
    expect(next.noLink).toContain("filter of tc");
    expect(filters()).toBe("");
    await expect.poll(() => gone("prog", [filter]), { timeout: 10_000 }).toEqual([]);
  });
});
