import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { describeUnless, describeWith, missing } from "../support/needs.ts";
import { SKEP, runSkep } from "../support/skep.ts";

interface Report {
  readonly kernel: { readonly release: string };
  readonly features: readonly { name: string; group: string; answer: string; evidence: string; reason?: string }[];
  readonly helpers?: Readonly<Record<string, { readonly yes: readonly string[] }>>;
  readonly lists?: Readonly<Record<string, readonly string[]>>;
}

describeWith(["linux", "root", "bpf"], "skep features", () => {
  test("groups in text, and nothing but answers in JSON", async () => {
    const shown = await runSkep(["features"]);
    expect(shown.code, shown.stderr).toBe(0);
    expect(shown.stdout).toMatch(/^Linux /);
    for (const heading of ["Abilities", "Program types", "Map types", "Attach types", "Link types", "Instructions"])
      expect(shown.stdout).toContain(`\n${heading}\n`);
    expect(shown.stdout).toMatch(/^ {2}hash +yes$/m);
    const report = JSON.parse((await runSkep(["features", "--json"])).stdout) as Report;
    for (const { answer, evidence } of report.features) {
      expect(["yes", "no", "cannot tell"]).toContain(answer);
      expect(evidence).not.toBe("");
    }
    expect(report.helpers).toBeUndefined();
  });

  test("--all has the helpers of each program type and the lists of BTF", async () => {
    const { stdout } = await runSkep(["features", "--all", "--json"]);
    const { helpers, lists } = JSON.parse(stdout) as Report;
    expect(helpers?.["xdp"]?.yes).toContain("bpf_xdp_adjust_head");
    expect(helpers?.["socket_filter"]?.yes).not.toContain("bpf_xdp_adjust_head");
    if (missing("vmlinuxBtf") === undefined) expect(lists?.["Raw tracepoints"]).toContain("sched_switch");
  });

  test.each([
    [["map/hash"], 0, /^ {2}map\/hash +yes/],
    [["-v", "hash"], 0, /creating a map of type hash: success/],
    [["bpf_map_lookup_elem"], 0, /^bpf_map_lookup_elem in programs of type\n {2}socket_filter +yes/],
    [["kfunc/no_such_function"], 1, /kfunc\/no_such_function +no/],
    [["hash", "kfunc/no_such_function"], 1, /map\/hash/],
  ] as const)("%j", async (words, status, output) => {
    const { code, stdout, stderr } = await runSkep(["features", ...words]);
    expect(stdout, stderr).toMatch(output);
    expect(code).toBe(status);
  });

  test("a wrong name is answered with near ones", async () => {
    const { code, stderr } = await runSkep(["features", "rinbuf"]);
    expect(stderr).toContain("did you mean ringbuf");
    expect(code).toBe(2);
  });
});

const noOtherUser =
  missing("linux", "root") ??
  (existsSync("/usr/bin/setpriv") ? undefined : "needs setpriv (util-linux) to become another user");

describeUnless(noOtherUser, "skep features without privileges", () => {
  test("says what cannot be told, and why", async () => {
    const { code, stdout, stderr } = await runSkep(["features", "-v", "ringbuf", "kernel-btf"], {
      command: ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", process.execPath, SKEP],
    });
    // Where the directory is closed to others, nothing can be said at all.
    if (stderr.includes("EACCES")) return;
    expect(stdout, stderr).toMatch(/Much cannot be told: this process lacks CAP_/);
    expect(stdout).toMatch(/map\/ringbuf +\? +this process lacks CAP_BPF/);
    expect(code).toBe(3);
  });
});
