/**
 * Run in the VM: `node guest-links.mjs OBJECT`. Attaches each program of attach-kernel.bpf.c, does what it watches, and prints a line
 * of JSON a case: what it saw, or the error.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { describeMap } from "../../../src/kernel/linux/bpf.ts";
import type { LinuxLink } from "../../../src/kernel/linux/link.ts";
import type { LinuxObject } from "../../../src/kernel/linux/load.ts";
import { cgroupMounts } from "../../../src/kernel/linux/attach/cgroup-path.ts";
import { type AttachRequest, readObject } from "../../../src/object/index.ts";
import { type AttachedProgram, attachProgram } from "../../../src/runtime/attachment/index.ts";

const object = readObject(readFileSync(process.argv[2] ?? ""), { name: "attach-kernel.bpf.o" });
const kernel = openLinuxKernel();

const int = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);

/** The object with one of its programs, watching this process. */
function load(name: string, targetId?: number): LinuxObject {
  const programs = object.programs.map((each) => ({ ...each, autoload: each.name === name }));
  const loaded = kernel.load(
    { ...object, programs },
    targetId === undefined ? {} : { targetPrograms: new Map([[name, targetId]]) },
  );
  loaded.map(".bss").update(int(0), int(process.pid));
  return loaded;
}

function read(loaded: LinuxObject, map: string, slot: number): number {
  const value = loaded.map(map).lookup(int(slot))!;
  return Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
}

/** Opens ten files and asks ten times for the parent. */
function work(): void {
  for (let i = 0; i < 10; i++) readFileSync("/dev/null");
  for (let i = 0; i < 10; i++) if (process.ppid === 0) throw new Error("no parent");
}

/** Attaches, works, and tells: how often it ran, its cookie, and what the kernel says of the links. */
function count(name: string, slot: number, request?: AttachRequest, act: () => void = work): unknown {
  using loaded = load(name);
  let links: unknown;
  {
    using attached: AttachedProgram = attachProgram(kernel, loaded, name, request);
    links = describe(attached.links as readonly LinuxLink[]);
    act();
  }
  const runs = read(loaded, "counts", slot);
  act();
  return { runs, after: read(loaded, "counts", slot) - runs, cookie: read(loaded, "cookies", slot), links };
}

/** Infos without what differs from run to run. */
function describe(links: readonly LinuxLink[]): object[] {
  return links.flatMap((link): object[] => {
    const infos = link.info().map((info) => {
      const places = "places" in info ? { places: info.places.length } : {};
      return { ...info, id: undefined, progId: undefined, ...places };
    });
    return infos.length === 0 ? [{ noLink: link.noLink }] : infos;
  });
}

/** Whether somebody keeps this process from changing its priority. */
function nice(name: string, slot: number): unknown {
  using loaded = load(name);
  const answers: string[] = [];
  const ask = (): void => {
    try {
      setPriority(getPriority());
      answers.push("allowed");
    } catch (error) {
      answers.push((error as { code: string }).code);
    }
  };
  ask();
  {
    using attached = attachProgram(kernel, loaded, name);
    if (attached.links.length === 1) ask();
  }
  ask();
  return { answers, runs: read(loaded, "counts", slot) };
}

function replace(): unknown {
  using target = load("target");
  const run = (): number => target.program("target").testRun();
  const { id } = target.program("target").info();
  const before = run();
  using loaded = load("replacement", id);
  const answers: unknown[] = [before];
  {
    using link = kernel.attach(loaded.program("replacement"), { kind: "freplace", programId: id, func: "verdict" });
    answers.push(run(), describe([link]));
  }
  answers.push(run());
  try {
    kernel.attach(loaded.program("replacement"), { kind: "freplace", programId: id, func: "verdikt" }).close();
  } catch (error) {
    answers.push((error as Error).message.replace(String(id), "ID"));
  }
  return answers;
}

function devices(): void {
  const ip = (...args: string[]): void => void execFileSync("ip", args, { stdio: "pipe" });
  ip("link", "set", "lo", "up");
  ip("link", "add", "v0", "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", "v1");
  ip("address", "add", "10.1.0.1/24", "dev", "v0");
  for (const device of ["v0", "v1"]) ip("link", "set", device, "up");
  ip("neighbour", "add", "10.1.0.2", "lladdr", "02:00:00:00:00:02", "dev", "v0");
}

const send = (): void =>
  void execFileSync("bash", ["-c", "for i in 1 2 3; do echo packet >/dev/udp/10.1.0.2/9; done"], { stdio: "pipe" });

/** At least three packets while attached, and none after. */
function packets(name: string, slot: number, request: AttachRequest): unknown {
  const { runs, after, links } = count(name, slot, request, send) as { runs: number; after: number; links: unknown[] };
  return { saw: runs >= 3, after, links: links.map((link) => ({ ...(link as object), ifindex: undefined })) };
}

const cgroup = `${cgroupMounts()[0]}/skep-guest`;

const cases: Readonly<Record<string, () => unknown>> = {
  kprobe: () => count("kprobe", 0),
  "kprobe cookie": () =>
    count("kprobe", 0, { kind: "kprobe", func: "vfs_open", offset: 0, isReturn: false, cookie: 2 ** 40 + 1 }),
  kretprobe: () => count("kretprobe", 1),
  ksyscall: () => count("ksyscall", 2),
  kretsyscall: () => count("kretsyscall", 3),
  fentry: () => count("fentry", 4),
  fexit: () => count("fexit", 5),
  "fentry cookie": () => count("fentry_cookie", 6, { kind: "tracing", cookie: 77 }),
  fmod_ret: () => nice("fmod_ret", 7),
  lsm: () => nice("lsm", 8),
  lsm_cgroup: () => {
    mkdirSync(cgroup, { recursive: true });
    execFileSync("bash", ["-c", `echo ${process.pid} >${cgroup}/cgroup.procs`]);
    const script = "socket(S, PF_INET, SOCK_DGRAM, 0) and bind(S, sockaddr_in(0, INADDR_LOOPBACK)) or die";
    const bind = (): void => void execFileSync("perl", ["-MSocket", "-e", script]);
    return count("lsm_cgroup", 9, { kind: "cgroup", path: cgroup }, bind);
  },
  "kprobe.multi": () => count("kprobe_multi", 11),
  "kprobe.multi cookie": () =>
    count("kprobe_multi", 11, {
      kind: "kprobe-multi",
      funcs: ["vfs_open", "vfs_read"],
      isReturn: false,
      cookies: [5, 6],
    }),
  "kprobe.multi missing": () =>
    count("kprobe_multi", 11, { kind: "kprobe-multi", funcs: ["vfs_open", "nonexistent_function"], isReturn: false }),
  "kprobe.session": () => count("kprobe_session", 12),
  "kprobe pattern": () => count("pattern", 13, { kind: "kprobe-pattern", pattern: "vfs_ope?", isReturn: false }),
  "kprobe missing": () => count("missing", 0),
  "uprobe.session": () => count("uprobe_session", 14),
  "uprobe.multi": () => count("uprobe_multi", 15),
  uprobe: () => count("uprobe", 16),
  "raw_tp cookie": () => {
    const { runs, cookie } = count("raw_tp", 17, { kind: "raw-tracepoint", name: "sys_enter", cookie: 31 }) as Record<
      string,
      number
    >;
    return { ran: runs! > 10, cookie };
  },
  raw_tp: () => {
    const { runs, links } = count("raw_tp_plain", 18) as { runs: number; links: unknown };
    return { ran: runs > 10, links };
  },
  "tracepoint cookie": () =>
    count("tracepoint", 19, { kind: "tracepoint", category: "syscalls", name: "sys_enter_getppid", cookie: 8 }),
  freplace: replace,
  xdp: () => packets("xdp", 20, { kind: "xdp", device: "v1", mode: "generic" }),
  tc: () => packets("classifier", 21, { kind: "tc", device: "v0", direction: "egress" }),
  tcx: () => packets("classifier", 21, { kind: "tcx", device: "v0", direction: "egress", anchor: { place: "head" } }),
  "tc filters left": () => execFileSync("tc", ["qdisc", "show", "dev", "v0"], { encoding: "utf8" }).includes("clsact"),
  netkit: () => {
    execFileSync("ip", ["link", "add", "skep0", "type", "netkit"], { stdio: "pipe" });
    using loaded = load("netkit");
    using link = kernel.attach(loaded.program("netkit"), { kind: "netkit", device: "skep0" });
    return link.info().map(({ type }) => type);
  },
  cgroup: () => {
    mkdirSync(cgroup, { recursive: true });
    execFileSync("bash", ["-c", `echo ${process.pid} >${cgroup}/cgroup.procs`]);
    return (count("cgroup_skb", 22, { kind: "cgroup", path: cgroup }, send) as { runs: number }).runs >= 3;
  },
  "cgroup anchor": () => {
    using loaded = load("cgroup_skb");
    using link = kernel.attach(loaded.program("cgroup_skb"), {
      kind: "cgroup",
      path: cgroup,
      anchor: { place: "head" },
    });
    return link.info().map(({ type }) => type);
  },
  netfilter: () => {
    using loaded = load("netfilter");
    using link = kernel.attach(loaded.program("netfilter"), { kind: "netfilter", family: 2, hook: 1, priority: 5 });
    return link.info().map(({ type }) => type);
  },
  sockmap: () => {
    using loaded = load("sk_msg");
    const mapId = describeMap(loaded.map("sockets").fd.value).id;
    using link = kernel.attach(loaded.program("sk_msg"), { kind: "sockmap", mapId });
    return link.noLink ?? link.info().map(({ type }) => type);
  },
};

devices();
for (const [name, run] of Object.entries(cases)) {
  let result: unknown;
  try {
    result = { result: run() };
  } catch (error) {
    result = { error: (error as Error).message };
  }
  const line = JSON.stringify({ name, ...(result as object) }, (_, value: unknown) =>
    typeof value === "bigint" ? Number(value) : value,
  );
  process.stdout.write(`${line}\n`);
}
