/**
 * Links on kernels that have what the machine of the tests may lack: kprobes one by one and many at once, trampolines, LSM, replaced
 * functions, sessions; and on old ones, what stands in for links that came later. One boot a kernel, one process in it.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileProgram } from "../../support/clang.ts";
import { describeUnless, missing } from "../../support/needs.ts";
import { type VmResult, runInVm, vmKernels, vmSkipReason } from "../../vm/testbed.ts";

/** What a case answered. */
interface Answer {
  readonly name: string;
  readonly result?: unknown;
  readonly error?: string;
}

type Version = readonly [major: number, minor: number];

function before([a, b]: Version, [c, d]: Version): boolean {
  return a < c || (a === c && b < d);
}

/** A result of `count` in guest-links.ts: ten runs while attached, none after. */
function counted(runs: number, type: string, more: object = {}): unknown {
  return { result: { runs, after: 0, links: [{ type }], ...more } };
}

const perf = (event: string, name: string, cookie = 0): unknown => ({
  result: { runs: 10, after: 0, cookie, links: [{ type: "perf_event", event, name, cookie }] },
});
const tracing = (attachType: number, cookie = 0): unknown =>
  counted(10, "tracing", { cookie, links: [{ type: "tracing", attachType, cookie }] });
const old = (what: string, since: string): unknown => ({
  error: expect.stringMatching(`${what}.*came with Linux ${since}`) as unknown,
});

/** A case: what it answers from a version on, and before. */
type Expected = readonly [name: string, since: Version, answer: unknown, before?: unknown];

const ANY: Version = [0, 0];
const UNKNOWN_EVENT = { result: { runs: 10, after: 0, links: [{ type: "perf_event" }] } };

const expected: readonly Expected[] = [
  ["kprobe", [6, 6], perf("kprobe", "vfs_open"), UNKNOWN_EVENT],
  ["kprobe cookie", [5, 15], { result: { runs: 10, cookie: 2 ** 40 + 1 } }],
  ["kretprobe", [6, 6], perf("kretprobe", "vfs_open"), UNKNOWN_EVENT],
  ["ksyscall", [6, 6], perf("kprobe", "__x64_sys_getppid"), UNKNOWN_EVENT],
  ["kretsyscall", [6, 6], perf("kretprobe", "__x64_sys_getppid"), UNKNOWN_EVENT],
  ["kprobe pattern", ANY, UNKNOWN_EVENT],
  [
    "kprobe missing",
    ANY,
    { error: "kprobe nonexistent_function: this kernel has no such function, or the compiler inlined it everywhere" },
  ],
  [
    "kprobe.multi",
    [6, 12],
    counted(10, "kprobe_multi", { links: [{ type: "kprobe_multi", isReturn: false, places: 1 }] }),
    { error: expect.stringMatching(/kprobe of 1 functions: .*FPROBE/) },
  ],
  [
    "kprobe.multi cookie",
    [6, 12],
    { result: { runs: 20, cookie: 6, links: [{ places: 2 }] } },
    { error: expect.stringMatching(/FPROBE/) },
  ],
  [
    "kprobe.multi missing",
    [6, 12],
    { error: "kprobe of 2 functions: this kernel cannot trace nonexistent_function, and attaches all or none" },
    { error: expect.stringMatching(/FPROBE/) },
  ],
  ["kprobe.session", [6, 12], counted(20, "kprobe_multi"), { error: expect.any(String) }],
  ["fentry", ANY, tracing(24)],
  ["fexit", ANY, tracing(25)],
  // Kernels tell it of the link from some later version on.
  ["fentry cookie", [5, 19], { result: { runs: 10, after: 0, cookie: 77, links: [{ type: "tracing" }] } }],
  ["fmod_ret", ANY, { result: { answers: ["allowed", "ERR_SYSTEM_ERROR", "allowed"], runs: 1 } }],
  ["lsm", ANY, { result: { answers: ["allowed", "ERR_SYSTEM_ERROR", "allowed"], runs: 1 } }],
  ["lsm_cgroup", [6, 0], counted(1, "cgroup", { links: [{ type: "cgroup", attachType: 43 }] })],
  [
    "freplace",
    [5, 10],
    {
      result: [
        2,
        3,
        [{ type: "tracing" }],
        2,
        "freplace of verdikt in program ID: program target has no such function; did you mean verdict?",
      ],
    },
  ],
  [
    "uprobe",
    [6, 6],
    {
      result: {
        runs: 10,
        after: 0,
        links: [{ type: "perf_event", event: "uprobe", name: expect.stringContaining("libc.so.6") }],
      },
    },
    UNKNOWN_EVENT,
  ],
  [
    "uprobe.multi",
    [6, 12],
    counted(10, "uprobe_multi", { links: [{ type: "uprobe_multi", isReturn: false, pid: 0, places: 1 }] }),
    { error: expect.any(String) },
  ],
  ["uprobe.session", [7, 2], counted(20, "uprobe_multi"), { error: expect.any(String) }],
  ["raw_tp", ANY, { result: { ran: true, links: [{ type: "raw_tracepoint", name: "sys_enter" }] } }],
  ["raw_tp cookie", [6, 10], { result: { ran: true, cookie: 31 } }, { error: expect.any(String) }],
  ["tracepoint cookie", [5, 15], { result: { runs: 10, after: 0, cookie: 8 } }],
  ["xdp", ANY, { result: { saw: true, after: 0, links: [{ type: "xdp" }] } }],
  [
    "tc",
    [6, 6],
    { result: { saw: true, after: 0, links: [{ type: "tcx" }] } },
    { result: { saw: true, after: 0, links: [{ noLink: expect.stringContaining("a filter of tc") }] } },
  ],
  ["tcx", [6, 6], { result: { saw: true, after: 0, links: [{ type: "tcx" }] } }, old("tcx egress on v0", "6.6")],
  ["tc filters left", ANY, { result: false }],
  ["netkit", [6, 7], { result: ["netkit"] }, { error: expect.any(String) }],
  ["cgroup", ANY, { result: true }],
  ["cgroup anchor", [6, 17], { result: ["cgroup"] }, old("a place among programs of cgroup", "6.17")],
  ["netfilter", [6, 4], { result: ["netfilter"] }, { error: expect.any(String) }],
  ["sockmap", [6, 10], { result: ["sockmap"] }, { result: "the map itself (links came with Linux 6.10)" }],
];

const cache = fileURLToPath(new URL("../../../node_modules/.cache/skep-test", import.meta.url));

describeUnless(vmSkipReason() ?? missing("clang", "libbpf", "iproute2"), "links on the kernels of the matrix", () => {
  let directory = "";
  const guest = join(cache, `guest-links-${process.pid}.mjs`);
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "skep-links-"));
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(directory, "attach-kernel.bpf.o"), compileProgram("attach-kernel"));
    await build({
      input: fileURLToPath(new URL("guest-links.ts", import.meta.url)),
      platform: "node",
      logLevel: "silent",
      external: ["koffi"],
      // Node 20 does not know "using".
      transform: { target: "node20" },
      output: { file: guest, format: "esm" },
    });
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
    rmSync(guest, { force: true });
  });

  /** All guests run at once: most of their time they wait. */
  const runs = new Map<string, Promise<VmResult>>();
  beforeAll(() => {
    for (const kernel of vmKernels) {
      const run = runInVm(kernel, [process.execPath, guest, join(directory, "attach-kernel.bpf.o")], {
        timeoutMs: 500_000,
        modules: ["veth", "sch_ingress", "cls_bpf"],
        append: "lsm=landlock,lockdown,yama,integrity,apparmor,bpf",
      });
      runs.set(kernel, run);
      // Whoever awaits it says why it failed.
      run.catch(() => undefined);
    }
  });

  describe.each(vmKernels)("kernel %s", (kernel) => {
    const answers = new Map<string, Answer>();
    const version = kernel.split(".").map(Number) as unknown as Version;
    beforeAll(async () => {
      const { stdout, stderr } = await runs.get(kernel)!;
      for (const line of stdout.split("\n").filter((each) => each.startsWith("{"))) {
        const answer = JSON.parse(line) as Answer;
        answers.set(answer.name, answer);
      }
      expect(answers.size, stderr).toBe(expected.length);
    });

    test.each(expected.map((each) => [each[0], each] as const))("%s", (_, [name, since, answer, earlier]) => {
      const wanted = before(version, since) ? earlier : answer;
      // What a kernel has not got at all is said at loading, by others.
      if (wanted !== undefined) expect(answers.get(name)).toMatchObject(wanted as object);
      else expect(answers.get(name)).toHaveProperty("error");
    });
  });
});
