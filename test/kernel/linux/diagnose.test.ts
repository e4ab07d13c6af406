import { describe, expect, test } from "vitest";
import {
  type Operation,
  checkPrivileges,
  explainFailure,
  kprobesMissing,
  requirePrivileges,
  syscallFailure,
} from "../../../src/kernel/linux/diagnose.ts";
import { Errno, errnoMeaning, errnoName } from "../../../src/kernel/errno.ts";
import { Machine, parseCpuList, parseKernelVersion } from "../../../src/kernel/linux/machine.ts";

const ALL_CAPABILITIES = "000001ffffffffff";
const FIRST_NAMESPACE = "         0          0 4294967295\n";

interface Setting {
  readonly release?: string;
  readonly uid?: number;
  readonly files?: Readonly<Record<string, string>>;
  /** `CapEff`. */
  readonly caps?: string;
  readonly seccomp?: 0 | 2;
  /** Lines of /boot/config. */
  readonly config?: string;
}

/** A machine that is as the setting says, and root on a plain 6.1 kernel otherwise. */
function machineOf(setting: Setting): Machine {
  const release = setting.release ?? "6.1.0-18-amd64";
  const files: Record<string, string> = {
    "/proc/self/status": `Name:\tnode\nCapEff:\t${setting.caps ?? ALL_CAPABILITIES}\nSeccomp:\t${setting.seccomp ?? 0}\n`,
    "/proc/self/uid_map": FIRST_NAMESPACE,
    ...(setting.config === undefined ? {} : { [`/boot/config-${release}`]: setting.config }),
    ...setting.files,
  };
  return new Machine({
    release,
    version: "#1 SMP",
    uid: setting.uid ?? 0,
    read: (path) => (files[path] === undefined ? undefined : new TextEncoder().encode(files[path])),
  });
}

const nobody = { uid: 1000, caps: "0000000000000000" };

describe("why a request failed", () => {
  test.each<[string, Setting, keyof typeof Errno, Operation, string]>([
    ["no privileges", nobody, "EPERM", "prog-load", "this process lacks CAP_BPF and CAP_PERFMON: run as root"],
    ["before CAP_BPF", { ...nobody, release: "5.4.0-1" }, "EPERM", "prog-load", "lacks CAP_SYS_ADMIN: run as root"],
    ["only CAP_BPF", { uid: 1000, caps: "0000008000000000" }, "EPERM", "prog-load", "lacks CAP_PERFMON: run as root"],
    [
      "a container",
      { ...nobody, files: { "/.dockerenv": "" } },
      "EPERM",
      "prog-load",
      "this is a container: start it with --privileged",
    ],
    [
      "a rootless container",
      { files: { "/proc/self/uid_map": "0 1000 1\n" } },
      "EPERM",
      "map-create",
      "root in a user namespace may not trace the kernel",
    ],
    [
      "lockdown",
      { files: { "/sys/kernel/security/lockdown": "none integrity [confidentiality]\n" } },
      "EPERM",
      "prog-load",
      "the kernel is locked down (confidentiality)",
    ],
    [
      "weak lockdown",
      { files: { "/sys/kernel/security/lockdown": "none [integrity] confidentiality\n" } },
      "EPERM",
      "perf-event-open",
      "the kernel is locked down (integrity)",
    ],
    [
      "locked memory",
      {
        release: "5.10.0-28",
        files: { "/proc/self/limits": "Max locked memory         65536                65536                bytes\n" },
      },
      "EPERM",
      "map-create",
      "only 65536 bytes may be: raise it with ulimit -l unlimited",
    ],
    ["a seccomp filter", { seccomp: 2 }, "EPERM", "prog-load", "a seccomp filter is in force"],
    [
      "a security module",
      { files: { "/sys/kernel/security/lsm": "capability,yama,bpf" } },
      "EPERM",
      "prog-load",
      "so a security module or the machine's owner forbids it (active: capability,yama,bpf)",
    ],
    [
      "ids without CAP_SYS_ADMIN",
      { uid: 1000, caps: "000000c000000000" },
      "EPERM",
      "ids",
      "looking at objects of others needs CAP_SYS_ADMIN",
    ],
    [
      "no bpf(2)",
      { config: "# CONFIG_BPF_SYSCALL is not set\n" },
      "ENOSYS",
      "map-create",
      "this kernel was built without bpf(2) (CONFIG_BPF_SYSCALL)",
    ],
    ["a hidden bpf(2)", { seccomp: 2 }, "ENOSYS", "map-create", "a seccomp filter hides the system call"],
    ["no perf", {}, "ENOSYS", "perf-event-open", "built without perf events (CONFIG_PERF_EVENTS)"],
    ["descriptors", {}, "EMFILE", "map-create", "raise the limit with ulimit -n"],
    ["a large map", {}, "E2BIG", "map-create", "lower its number of entries or its value size"],
    ["memory", {}, "ENOMEM", "map-create", "ask for smaller maps or buffers"],
    ["an old kernel", {}, "ENOTSUPP", "other", "Linux 6.1, as built here, does not support it"],
    ["anything else", {}, "EBADF", "other", "bad file descriptor"],
  ])("%s", (_, setting, errno, operation, why) => {
    expect(explainFailure({ call: "call", operation, errno: Errno[errno] }, machineOf(setting)).why).toContain(why);
  });

  test("the exit status is 3 when this machine or user cannot do it", () => {
    const failure = { call: "bpf(BPF_MAP_CREATE, map a)", operation: "map-create", errno: Errno.EPERM } as const;
    const error = syscallFailure(failure, machineOf(nobody));
    expect(error.exitStatus).toBe(3);
    expect(error.message).toMatch(/^bpf\(BPF_MAP_CREATE, map a\): EPERM: this process lacks/);
    expect(syscallFailure({ ...failure, errno: Errno.EINVAL }, machineOf({})).exitStatus).toBe(1);
  });

  test("every errno has a name and a meaning", () => {
    for (const [name, number] of Object.entries(Errno)) {
      expect(errnoName(number)).toBe(name);
      expect(errnoMeaning(number)).not.toBe("");
    }
    expect(errnoName(4000)).toBe("errno 4000");
    expect(errnoMeaning(4000)).toBe("");
  });
});

describe("privileges", () => {
  test.each<[string, Setting, string | undefined]>([
    ["root", {}, undefined],
    ["the two capabilities", { uid: 1000, caps: "000000c000000000" }, undefined],
    ["CAP_SYS_ADMIN", { uid: 1000, caps: "0000000000200000" }, undefined],
    ["CAP_BPF before 5.8", { release: "5.4.0", uid: 1000, caps: "000000c000000000" }, "CAP_SYS_ADMIN"],
    ["none", nobody, "CAP_BPF and CAP_PERFMON"],
    [
      "a user namespace",
      { files: { "/proc/self/uid_map": "0 1000 1\n" } },
      "root of the host (this is a user namespace)",
    ],
  ])("%s", (_, setting, missing) => {
    const answer = checkPrivileges(machineOf(setting));
    expect(answer.ok ? undefined : answer.missing).toBe(missing);
  });

  test("their lack is one error with the mend", () => {
    expect(() => requirePrivileges(machineOf(nobody))).toThrow(
      "tracing: missing CAP_BPF and CAP_PERFMON: run as root, for instance with sudo",
    );
  });
});

test.each<[string, Setting, string | undefined]>([
  ["an event source", { files: { "/sys/bus/event_source/devices/kprobe/type": "6\n" } }, undefined],
  [
    "built without",
    { config: "# CONFIG_KPROBES is not set\n" },
    "this kernel was built without kprobes (CONFIG_KPROBES is not set)",
  ],
  [
    "without events",
    { config: "CONFIG_KPROBES=y\n" },
    "this kernel was built without kprobe events (CONFIG_KPROBE_EVENTS is not set)",
  ],
  ["nothing told", {}, undefined],
])("kprobes: %s", (_, setting, why) => {
  expect(kprobesMissing(machineOf(setting))).toBe(why);
});

test.each<[string, string, string | undefined, number[]]>([
  ["6.18.44-fc-v595", "#1 SMP", undefined, [6, 18, 44]],
  ["6.1.0-18-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)", undefined, [6, 1, 76]],
  ["5.15.0-91-generic", "#101-Ubuntu SMP", "Ubuntu 5.15.0-91.101-generic 5.15.131\n", [5, 15, 131]],
  ["4.18.0-553.el8_10.x86_64", "#1 SMP", undefined, [4, 18, 0]],
  ["7.2-rc1", "#1", undefined, [7, 2, 0]],
  ["strange", "#1", undefined, [0, 0, 0]],
])("version of %s, %s", (release, version, signature, expected) => {
  expect(parseKernelVersion(release, version, signature)).toEqual(expected);
});

test.each([
  ["0-1", [0, 1]],
  ["0,2-3,8\n", [0, 2, 3, 8]],
  ["", []],
])("CPU list %j", (list, expected) => {
  expect(parseCpuList(list)).toEqual(expected);
});
