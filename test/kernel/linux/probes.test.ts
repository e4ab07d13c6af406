/** Feature probes against the table of versions, against the verifier's own words, and against programs that use what was asked for. */
import { expect, test } from "vitest";
import {
  ProgType,
  allHelpers,
  assemble,
  callHelper,
  callLocal,
  encode,
  exit,
  helperByName,
  mov64Imm,
} from "../../../src/isa/index.ts";
import { hasKernelBtf, kernelBtf } from "../../../src/kernel/linux/kernel-btf.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { isSince } from "../../../src/kernel/linux/probes/answer.ts";
import {
  type FeatureReport,
  abilityNames,
  featuresNamed,
  iteratorNames,
  kernelFeatures,
  kfuncNames,
  lsmHookNames,
  probeFeatures,
  probeHelper,
  probeKfunc,
  rawTracepointNames,
  reportOf,
  structOpsNames,
} from "../../../src/kernel/linux/probes/index.ts";
import { tryLogged, tryTrial } from "../../../src/kernel/linux/probes/load.ts";
import { waysOf } from "../../../src/kernel/linux/probes/variants.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeWith } from "../../support/needs.ts";

/** Kernels of distributions that move features to older versions. */
const backported = /\.el\d|amzn/.test(machine.source.release);
const version = machine.kernelVersion.join(".");

/** What stable releases took over before the mainline version of the table. */
const earlier: ReadonlySet<string> = new Set(["isa/gotol"]);

/** A no that the kernel's build explains, or this machine's rules. */
function excused(report: FeatureReport): boolean {
  return report.reason !== undefined && /CONFIG_|security module|forbid/.test(report.reason);
}

describeWith(["linux", "root", "bpf"], `feature probes on Linux ${version}`, () => {
  guardLeaks();

  test.each(kernelFeatures().map((feature) => [feature.name, feature] as const))(
    "%s agrees with the table of versions",
    (name, feature) => {
      const report = reportOf(feature);
      expect(report.evidence).not.toBe("");
      if (report.answer === "cannot tell") expect(report.reason, report.evidence).not.toBe("");
      if (report.since === undefined) return;
      const shown = `${report.evidence}; ${report.reason}; since ${report.since}`;
      if (!isSince(report.since)) {
        if (!backported && !earlier.has(name)) expect(report.answer, shown).not.toBe("yes");
      } else if (!excused(report)) {
        expect(report.answer, shown).not.toBe("no");
      }
    },
  );

  test("all at once says what each says", () => {
    const reports = probeFeatures(["map", "isa"]);
    expect(reports.map(({ name, answer }) => `${name} ${answer}`)).toEqual(
      kernelFeatures()
        .filter(({ group }) => group === "map" || group === "isa")
        .map((feature) => `${feature.name} ${feature.probe().answer}`),
    );
    expect(new Set(abilityNames).size).toBe(abilityNames.length);
  });

  test.each([
    ["map/hash", ["map/hash"]],
    ["lru_hash", ["map/lru_hash"]],
    ["LRU-hash", ["map/lru_hash"]],
    ["xdp", ["program/xdp", "attach/xdp", "link/xdp"]],
    ["v4", ["isa/v4"]],
    ["nothing", []],
  ])("features named %s", (name, found) => {
    expect(featuresNamed(name).map((feature) => feature.name)).toEqual(found);
  });
});

/**
 * Programs that call a helper as it is meant to be called: they load where the helper may be called, and nowhere else. Without map
 * arguments, so that each is one program.
 */
const calls: Readonly<Record<string, string>> = {
  ktime_get_ns: "call 5",
  get_prandom_u32: "call 7",
  get_smp_processor_id: "call 8",
  skb_store_bytes: "r6 = r1\n*(u64 *)(r10 - 8) = 0\nr1 = r6\nr2 = 0\nr3 = r10\nr3 += -8\nr4 = 8\nr5 = 0\ncall 9",
  get_current_pid_tgid: "call 14",
  get_current_comm: "r1 = r10\nr1 += -16\nr2 = 16\ncall 16",
  redirect: "r1 = 1\nr2 = 0\ncall 23",
  skb_load_bytes: "r2 = 0\nr3 = r10\nr3 += -8\nr4 = 8\ncall 26",
  skb_change_tail: "r2 = 64\nr3 = 0\ncall 38",
  xdp_adjust_head: "r2 = 0\ncall 44",
  get_socket_cookie: "call 46",
  get_current_cgroup_id: "call 80",
  bind: "*(u64 *)(r10 - 8) = 0\n*(u64 *)(r10 - 16) = 0\nr2 = r10\nr2 += -16\nr3 = 16\ncall 64",
  sysctl_get_name: "*(u64 *)(r10 - 8) = 0\n*(u64 *)(r10 - 16) = 0\nr2 = r10\nr2 += -16\nr3 = 16\nr4 = 0\ncall 101",
  probe_read_kernel: "r1 = r10\nr1 += -8\nr2 = 8\nr3 = 0\ncall 113",
  probe_read: "r1 = r10\nr1 += -8\nr2 = 8\nr3 = 0\ncall 4",
  send_signal: "r1 = 0\ncall 109",
  jiffies64: "call 118",
  ktime_get_boot_ns: "call 125",
  copy_from_user: "r1 = r10\nr1 += -8\nr2 = 8\nr3 = 0\ncall 148",
  ktime_get_coarse_ns: "call 160",
  get_attach_cookie: "call 174",
  get_func_ip: "call 173",
  sys_close: "r1 = 0\ncall 168",
  get_retval: "call 186",
  ktime_get_tai_ns: "call 208",
};

/** What the kernel's source says, where it is as simple as this: `+` may, `-` may not, for helpers that every kernel since 5.10 has. */
const known: readonly (readonly [helper: string, type: keyof typeof ProgType, may: boolean])[] = [
  ["skb_load_bytes", "SOCKET_FILTER", true],
  ["skb_store_bytes", "SOCKET_FILTER", false],
  ["skb_store_bytes", "SCHED_CLS", true],
  ["skb_change_tail", "CGROUP_SKB", false],
  ["skb_change_tail", "SCHED_ACT", true],
  ["xdp_adjust_head", "XDP", true],
  ["xdp_adjust_head", "SCHED_CLS", false],
  ["skb_load_bytes", "XDP", false],
  ["redirect", "XDP", true],
  ["redirect", "LWT_XMIT", true],
  ["redirect", "LWT_IN", false],
  ["get_current_comm", "KPROBE", true],
  ["sysctl_get_name", "FLOW_DISSECTOR", false],
  ["probe_read", "KPROBE", true],
  ["probe_read", "XDP", false],
  ["probe_read_kernel", "TRACEPOINT", true],
  ["send_signal", "PERF_EVENT", true],
  ["get_func_ip", "SCHED_CLS", false],
  ["bind", "CGROUP_SOCK_ADDR", true],
  ["bind", "CGROUP_SOCK", false],
  ["sysctl_get_name", "CGROUP_SYSCTL", true],
  ["sysctl_get_name", "CGROUP_DEVICE", false],
  ["get_socket_cookie", "SK_SKB", true],
  ["get_socket_cookie", "RAW_TRACEPOINT", false],
  ["ktime_get_ns", "SOCKET_FILTER", true],
  ["get_prandom_u32", "LWT_SEG6LOCAL", true],
];

/** Types where the helper of this name takes a socket instead of the context. */
const takesSocket: ReadonlySet<string> = new Set(["SK_REUSEPORT", "TRACING", "SYSCALL", "LSM", "STRUCT_OPS"]);

const loadableTypes = (Object.keys(ProgType) as (keyof typeof ProgType)[]).filter(
  (name) => name !== "UNSPEC" && name !== "EXT",
);

describeWith(["linux", "root", "bpf"], `helpers of program types on Linux ${version}`, () => {
  guardLeaks();

  test.each(known)("bpf_%s in %s: %s", (helper, type, may) => {
    const { answer, evidence } = probeHelper(helper, ProgType[type]);
    expect(answer, evidence).toBe(may ? "yes" : "no");
  });

  test.each(Object.entries(calls))("a real call of bpf_%s loads exactly where the probe says", (helper, text) => {
    const { id } = helperByName(helper)!;
    expect(text).toMatch(new RegExp(`call ${id}$`));
    const wrong: string[] = [];
    let loaded = 0;
    for (const name of loadableTypes) {
      const { ready } = waysOf(ProgType[name]);
      if (ready.length === 0 || (helper === "get_socket_cookie" && takesSocket.has(name))) continue;
      const loads = ready.some(
        (way) => tryTrial({ ...way.trial, code: encode(assemble(`${text}\nr0 = ${way.returns}\nexit`)) }) === 0,
      );
      const { answer, evidence } = probeHelper(helper, ProgType[name]);
      loaded += Number(loads);
      if (loads !== (answer === "yes"))
        wrong.push(`${name}: ${loads ? "loads" : "does not load"}, yet ${answer}: ${evidence}`);
    }
    expect(wrong).toEqual([]);
    if (isSince(helperByName(helper)!.since)) expect(loaded).toBeGreaterThan(0);
  });

  test("every helper in every type: errno says what the verifier's words say", { timeout: 300_000 }, () => {
    const wrong: string[] = [];
    let asked = 0;
    for (const name of loadableTypes) {
      // The first way of each type, and all of them for those whose helpers depend on it.
      const ways = waysOf(ProgType[name]).ready.slice(0, name === "TRACING" || name === "CGROUP_SOCK_ADDR" ? 4 : 1);
      for (const way of ways) {
        for (const { id, name: helper } of allHelpers()) {
          const { errno, log } = tryLogged({
            ...way.trial,
            code: encode([callLocal(3), callHelper(id), mov64Imm(0, way.returns), exit(), mov64Imm(0, 0), exit()]),
          });
          // The wordings of all kernels from 5.10 to 7.2; a test may read them.
          const refused =
            /unknown func|invalid func|cannot use helper|helper call is not allowed in probe|sleepable/.test(log);
          asked++;
          if (refused !== (errno === 22) || ![0, 13, 22].includes(errno))
            wrong.push(`${helper} in ${name} (${way.label}): errno ${errno}, ${log.split("\n").slice(-4).join(" | ")}`);
        }
      }
    }
    expect(wrong.slice(0, 20)).toEqual([]);
    expect(asked).toBeGreaterThan(4000);
  });

  test("a name that nobody knows is a mistake, a helper of the future is not there", () => {
    expect(() => probeHelper("bpf_no_such_thing", ProgType.XDP)).toThrow(RangeError);
    expect(probeHelper("map_lookup_elem", ProgType.EXT).answer).toBe("cannot tell");
  });
});

describeWith(["linux", "root", "bpf", "vmlinuxBtf"], `kernel functions and lists of Linux ${version}`, () => {
  guardLeaks();

  test("functions that are no kfuncs", () => {
    for (const name of ["vfs_read", "dput", "kmalloc_no_such"]) expect(probeKfunc(name).answer, name).toBe("no");
    expect(probeKfunc("vfs_read", { progType: ProgType.XDP }).answer).toBe("no");
  });

  test("congestion control's functions may be called by struct_ops alone", () => {
    const name = ["tcp_reno_ssthresh"].find((one) => hasKernelBtf() && kernelBtf().funcByName(one) !== undefined);
    if (name === undefined || waysOf(ProgType.STRUCT_OPS).ready.length === 0) return;
    const { answer, evidence } = probeKfunc(name, { progType: ProgType.STRUCT_OPS });
    expect(answer, evidence).toBe(isSince("5.13") ? "yes" : "no");
    expect(probeKfunc(name, { progType: ProgType.XDP }).answer).toBe("no");
  });

  test("tagged functions: the verifier, asked type by type, agrees", { timeout: 120_000 }, () => {
    const names = kfuncNames();
    if (names === undefined) return;
    expect(names.length).toBeGreaterThan(50);
    const types = [ProgType.SYSCALL, ProgType.XDP, ProgType.SCHED_CLS, ProgType.STRUCT_OPS];
    const callable = names.filter((name) => types.some((progType) => probeKfunc(name, { progType }).answer === "yes"));
    // The rest belongs to tracing, LSM, and programs bound to devices.
    expect(callable.length).toBeGreaterThan(names.length / 2);
  });

  test("lists from BTF", () => {
    const names = (list: readonly { name: string }[]): string[] => list.map(({ name }) => name);
    const iterators = names(iteratorNames());
    if (isSince("5.8")) expect(iterators).toEqual(expect.arrayContaining(["task", "bpf_map"]));
    expect(iterators).not.toContain("run_prog");
    expect(names(rawTracepointNames())).toContain("sched_switch");
    if (isSince("5.6")) expect(names(structOpsNames())).toContain("tcp_congestion_ops");
    expect(names(structOpsNames())).not.toContain("value");
    const hooks = names(lsmHookNames());
    if (hooks.length > 0) expect(hooks).toEqual(expect.arrayContaining(["file_open", "bprm_check_security"]));
  });
});
