import { createSocket } from "node:dgram";
import { rmSync } from "node:fs";
import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import { once } from "node:events";
import { afterAll, expect, test } from "vitest";
import { AttachType, MapType, ProgType } from "../../../src/isa/index.ts";
import { type LinuxKernel, openLinuxKernel } from "../../../src/kernel/index.ts";
import { queryPrograms } from "../../../src/kernel/linux/bpf-link.ts";
import { describeMap, pinObject } from "../../../src/kernel/linux/bpf.ts";
import type { LinuxLink } from "../../../src/kernel/linux/link.ts";
import type { LinuxObject } from "../../../src/kernel/linux/load.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import { networkInterface } from "../../../src/kernel/linux/network.ts";
import { syscall3, syscall6 } from "../../../src/kernel/linux/sys.ts";
import { callAttributes } from "../../../src/kernel/linux/scratch.ts";
import type { AttachSpec, LinkAnchor } from "../../../src/object/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeWith } from "../../support/needs.ts";
import { run, sendPackets, useNetworkNamespace } from "../../support/netns.ts";
import { type ProgramOptions, bytesOf, mapSpec, numberOf, object, program } from "./support.ts";

/** Adds one to entry `index` of `counts`, and answers `result`. */
const counting = (result: number, index = 0): string => `
  r1 = ${index}
  *(u32 *)(r10 - 4) = r1
  r2 = r10
  r2 += -4
  r1 = MAP(counts)
  call bpf_map_lookup_elem#1
  if r0 == 0 goto out
  r1 = 1
  lock *(u64 *)(r0 + 0) += r1
out:
  r0 = ${result}
  exit`;

const counts = mapSpec("counts", MapType.ARRAY, { maxEntries: 8 });

const XDP: ProgramOptions = { type: ProgType.XDP, expectedAttachType: AttachType.XDP };
const CLASSIFIER: ProgramOptions = { type: ProgType.SCHED_CLS };
const XDP_DROP = 1;
const XDP_PASS = 2;
const TCX_NEXT = -1;

function load(kernel: LinuxKernel, ...programs: [name: string, code: string, options: ProgramOptions][]): LinuxObject {
  return kernel.load(
    object(
      programs.map(([name, code, options]) => program(name, code, options)),
      [counts],
    ),
  );
}

const countOf = (loaded: LinuxObject, index = 0): number => numberOf(loaded.map("counts").lookup(bytesOf(index, 4))!);

describeWith(["linux", "root", "bpf", "iproute2"], "network devices", () => {
  guardLeaks();
  useNetworkNamespace();
  const kernel = openLinuxKernel();

  test.each([undefined, "generic", "driver"] as const)("xdp, mode %s: sees packets while attached", (mode) => {
    using loaded = load(kernel, ["drop", counting(XDP_DROP), XDP]);
    const spec: AttachSpec = { kind: "xdp", device: "v1", ...(mode === undefined ? {} : { mode }) };
    {
      using link = kernel.attach(loaded.program("drop"), spec);
      const { index, xdp } = networkInterface("test", "v1");
      expect(xdp).toEqual({ mode: mode ?? "driver", programId: loaded.program("drop").info().id });
      expect(link.info()).toEqual([expect.objectContaining({ type: "xdp", ifindex: index, progId: xdp!.programId })]);
      sendPackets(5);
    }
    expect(countOf(loaded)).toBeGreaterThanOrEqual(5);
    expect(networkInterface("test", "v1").xdp).toBeUndefined();
    const before = countOf(loaded);
    sendPackets(2);
    expect(countOf(loaded)).toBe(before);
  });

  test("xdp: a program takes the place of another without a gap, and only of the one that is expected", () => {
    using loaded = load(
      kernel,
      ["first", counting(XDP_PASS, 0), XDP],
      ["second", counting(XDP_PASS, 1), XDP],
      ["third", counting(XDP_PASS, 2), XDP],
    );
    using link = kernel.attach(loaded.program("first"), { kind: "xdp", device: networkInterface("test", "v1").index });
    link.update(loaded.program("second"));
    sendPackets(3);
    expect(countOf(loaded, 0)).toBe(0);
    expect(countOf(loaded, 1)).toBeGreaterThanOrEqual(3);
    expect(() => link.update(loaded.program("third"), loaded.program("first"))).toThrow("EPERM");
    link.update(loaded.program("third"), loaded.program("second"));
    expect(link.info()[0]!.progId).toBe(loaded.program("third").info().id);
    link.detach();
    expect(networkInterface("test", "v1").xdp).toBeUndefined();
  });

  test("xdp: who is in the way is named, a link and what netlink set", () => {
    using loaded = load(kernel, ["first", counting(XDP_PASS), XDP], ["other", counting(XDP_PASS), XDP]);
    const attach = (): LinuxLink => kernel.attach(loaded.program("other"), { kind: "xdp", device: "v1" });
    const { id } = loaded.program("first").info();
    {
      using link = kernel.attach(loaded.program("first"), { kind: "xdp", device: "v1" });
      const number = link.info()[0]!.id;
      expect(attach).toThrow(
        `xdp on v1: link ${number} of program ${id} (first) is there in mode driver, and a device takes one`,
      );
    }
    const pin = `/sys/fs/bpf/skep-test-${process.pid}`;
    pinObject(loaded.program("first").fd.value, pin);
    try {
      run("ip", "link", "set", "dev", "v1", "xdpgeneric", "pinned", pin);
      expect(attach).toThrow(
        `xdp on v1: program ${id} (first), attached by netlink (ip link set dev v1 xdp off), is there in mode generic, and a device takes one`,
      );
      run("ip", "link", "set", "dev", "v1", "xdpgeneric", "off");
    } finally {
      rmSync(pin);
    }
  });

  test.each<[string, AttachSpec, ProgramOptions, string]>([
    [
      "no device of a name",
      { kind: "xdp", device: "v3" },
      XDP,
      "xdp on v3: there is no network interface v3 in this network namespace; did you mean v0 or v1",
    ],
    [
      "no device of an index",
      { kind: "xdp", device: 4711 },
      XDP,
      "there is no network interface with index 4711 in this network namespace; there are lo, ",
    ],
    ["offload to a device without", { kind: "xdp", device: "v1", mode: "offload" }, XDP, "xdp on v1: "],
    [
      "driver mode of lo",
      { kind: "xdp", device: "lo", mode: "driver" },
      XDP,
      "the driver of lo cannot run programs in mode driver: use mode generic",
    ],
    [
      "a classifier as xdp",
      { kind: "xdp", device: "v1" },
      CLASSIFIER,
      'xdp on v1: program p is of another type (SEC("xdp") is wanted)',
    ],
    [
      "tcx of a missing device",
      { kind: "tcx", device: "eth77", direction: "egress" },
      CLASSIFIER,
      "tcx egress on eth77: there is no network interface eth77",
    ],
    [
      "tcx beside a program that is not there",
      { kind: "tcx", device: "v1", direction: "ingress", anchor: { place: "before", programId: 0x7fff_ffff } },
      CLASSIFIER,
      "the anchor before program 2147483647 is not at this hook: nobody is there",
    ],
    [
      "tc with a priority that cannot be",
      { kind: "tc", device: "v1", direction: "ingress", priority: 70000 },
      CLASSIFIER,
      "priority 70000 is not in 1 to 65535",
    ],
    [
      "netkit elsewhere",
      { kind: "netkit", device: "v1" },
      { ...CLASSIFIER, expectedAttachType: AttachType.NETKIT_PRIMARY },
      machine.kernelOption("CONFIG_NETKIT") === "n"
        ? "netkit v1: this kernel was built without it (CONFIG_NETKIT not set)"
        : "netkit v1: v1 is a veth device: attach to tcx instead",
    ],
  ])("%s is told so", (_, spec, options, message) => {
    const isNetkit = options.expectedAttachType === AttachType.NETKIT_PRIMARY;
    // Kernels without netkit do not load for it.
    using loaded = load(kernel, ["p", counting(0), isNetkit ? CLASSIFIER : options]);
    const loadedProgram = loaded.program("p");
    if (isNetkit) Object.assign(loadedProgram, { spec: { ...loadedProgram.spec, ...options } });
    expect(() => kernel.attach(loadedProgram, spec)).toThrow(message);
  });

  test.each(["ingress", "egress"] as const)("tcx %s: programs run in the order of their anchors", (direction) => {
    const names = ["a", "b", "c", "d", "e", "f"];
    using loaded = kernel.load(
      object(
        names.map((name, i) => program(name, counting(TCX_NEXT, i), CLASSIFIER)),
        [counts],
      ),
    );
    const device = direction === "ingress" ? "v1" : "v0";
    const { index } = networkInterface("test", device);
    const idOf = (name: string): number => loaded.program(name).info().id;
    const links: LinuxLink[] = [];
    const attach = (name: string, anchor?: LinkAnchor): LinuxLink => {
      const link = kernel.attach(loaded.program(name), {
        kind: "tcx",
        device,
        direction,
        ...(anchor === undefined ? {} : { anchor }),
      });
      links.push(link);
      return link;
    };
    const attachType = direction === "ingress" ? AttachType.TCX_INGRESS : AttachType.TCX_EGRESS;
    try {
      const a = attach("a");
      attach("b");
      attach("c", { place: "head" });
      attach("d", { place: "tail" });
      attach("e", { place: "before", programId: idOf("b") });
      attach("f", { place: "after", linkId: a.info()[0]!.id });
      expect(a.info()).toEqual([expect.objectContaining({ type: "tcx", ifindex: index, attachType })]);
      expect(queryPrograms(index, attachType)!.ids).toEqual(["c", "a", "f", "e", "b", "d"].map(idOf));
      expect(() => attach("a")).toThrow("this program is there already");
      sendPackets(4);
      for (const i of names.keys()) expect(countOf(loaded, i)).toBeGreaterThanOrEqual(4);
    } finally {
      for (const link of links) link.close();
    }
    expect(queryPrograms(index, attachType)!.ids).toEqual([]);
  });

  const filters = (direction: string): string => run("tc", "filter", "show", "dev", "v1", direction);
  const qdiscs = (): string => run("tc", "qdisc", "show", "dev", "v1");

  test.each(["ingress", "egress"] as const)("tc by netlink, %s: nothing stays after close", (direction) => {
    using loaded = load(kernel, ["classify", counting(0), CLASSIFIER]);
    {
      using link = kernel.attach(loaded.program("classify"), { kind: "tc", device: "v1", direction });
      expect(qdiscs()).toContain("clsact");
      expect(filters(direction)).toMatch(new RegExp(`skep_\\d+_${process.pid}:classify direct-action`));
      expect(link.info()).toEqual([]);
      expect(() => link.update(loaded.program("classify"))).toThrow("there is no link: it is held by a filter of tc");
      if (direction === "ingress") sendPackets(3);
    }
    if (direction === "ingress") expect(countOf(loaded)).toBeGreaterThanOrEqual(3);
    expect(filters(direction)).toBe("");
    expect(qdiscs()).not.toContain("clsact");
  });

  test("tc by netlink: a qdisc and filters of others stay", () => {
    using loaded = load(kernel, ["classify", counting(0), CLASSIFIER]);
    run("tc", "qdisc", "add", "dev", "v1", "clsact");
    const link = kernel.attach(loaded.program("classify"), {
      kind: "tc",
      device: "v1",
      direction: "ingress",
      priority: 7,
      handle: 3,
    });
    expect(filters("ingress")).toContain("pref 7 bpf chain 0 handle 0x3");
    expect(() => kernel.attach(loaded.program("classify"), link.spec)).toThrow(
      "tc ingress on v1: a filter is there already with priority 7, handle 3: choose another",
    );
    const pin = `/sys/fs/bpf/skep-test-tc-${process.pid}`;
    pinObject(loaded.program("classify").fd.value, pin);
    try {
      run("tc", "filter", "add", "dev", "v1", "egress", "bpf", "da", "pinned", pin);
      expect(filters("egress")).not.toBe("");
    } finally {
      rmSync(pin);
    }
    link.close();
    expect(filters("ingress")).toBe("");
    expect(filters("egress")).not.toBe("");
    expect(qdiscs()).toContain("clsact");
    run("tc", "qdisc", "del", "dev", "v1", "clsact");
  });
});

describeWith(["linux", "root", "bpf", "iproute2"], "network devices with a qdisc of the older kind", () => {
  guardLeaks();
  useNetworkNamespace();

  test("tc by netlink: joins ingress, and is told that there is no egress", () => {
    const kernel = openLinuxKernel();
    using loaded = load(kernel, ["classify", counting(0), CLASSIFIER]);
    run("tc", "qdisc", "add", "dev", "v1", "ingress");
    const attach = (direction: "ingress" | "egress"): LinuxLink =>
      kernel.attach(loaded.program("classify"), { kind: "tc", device: "v1", direction });
    {
      using link = attach("ingress");
      expect(link.noLink).toContain("filter of tc");
      sendPackets(2);
    }
    expect(countOf(loaded)).toBeGreaterThanOrEqual(2);
    expect(() => attach("egress")).toThrow("tc egress on v1: the device has a qdisc ingress, which sees no egress");
    expect(run("tc", "qdisc", "show", "dev", "v1")).toContain("qdisc ingress");
  });
});

describeWith(["linux", "root", "bpf", "iproute2"], "network namespaces and the packet filter", () => {
  guardLeaks();
  useNetworkNamespace();
  const kernel = openLinuxKernel();

  test("netfilter: packets of a hook, one program a priority", () => {
    using loaded = load(
      kernel,
      ["accept", counting(1), { type: ProgType.NETFILTER, expectedAttachType: AttachType.NETFILTER }],
      ["other", counting(1, 1), { type: ProgType.NETFILTER, expectedAttachType: AttachType.NETFILTER }],
    );
    const spec: AttachSpec = { kind: "netfilter", family: 2, hook: 3, priority: -5 };
    {
      using link = kernel.attach(loaded.program("accept"), spec);
      const [info] = link.info();
      expect(info).toMatchObject({ type: "netfilter", family: 2, hook: 3, priority: -5, flags: 0 });
      expect(() => kernel.attach(loaded.program("other"), spec)).toThrow(
        `netfilter ipv4 output, priority -5: link ${info!.id} of program ${info!.progId} (accept) has this priority, which only one may have: choose another`,
      );
      using beside = kernel.attach(loaded.program("other"), { ...spec, priority: -4, defragment: true });
      expect(beside.info()[0]).toMatchObject({ priority: -4, flags: 1 });
      sendPackets(3);
    }
    expect(countOf(loaded, 0)).toBe(3);
    expect(countOf(loaded, 1)).toBe(3);
    sendPackets(1);
    expect(countOf(loaded, 0)).toBe(3);
    for (const [family, hook, message] of [
      [7, 3, "family is 2 (NFPROTO_IPV4) or 10 (NFPROTO_IPV6)"],
      [2, 9, "hook is 0 (prerouting) to 4 (postrouting)"],
    ] as const)
      expect(() => kernel.attach(loaded.program("other"), { ...spec, family, hook })).toThrow(message);
  });

  test("sk_lookup: in this namespace and in one of a path", () => {
    using loaded = load(kernel, [
      "lookup",
      counting(1),
      { type: ProgType.SK_LOOKUP, expectedAttachType: AttachType.SK_LOOKUP },
    ]);
    {
      using link = kernel.attach(loaded.program("lookup"), { kind: "netns" });
      expect(link.info()).toEqual([expect.objectContaining({ type: "netns", attachType: AttachType.SK_LOOKUP })]);
      run("bash", "-c", "echo >/dev/udp/127.0.0.1/7 || true");
    }
    expect(countOf(loaded)).toBeGreaterThan(0);
    const before = countOf(loaded);
    run("ip", "netns", "add", `skep-${process.pid}`);
    try {
      using link = kernel.attach(loaded.program("lookup"), { kind: "netns", path: `/run/netns/skep-${process.pid}` });
      run("bash", "-c", "echo >/dev/udp/127.0.0.1/7 || true");
      expect(countOf(loaded)).toBe(before);
      run("ip", "-n", `skep-${process.pid}`, "link", "set", "lo", "up");
      run("ip", "netns", "exec", `skep-${process.pid}`, "bash", "-c", "echo >/dev/udp/127.0.0.1/7 || true");
      expect(countOf(loaded)).toBeGreaterThan(before);
      expect(link.info()[0]!.type).toBe("netns");
    } finally {
      run("ip", "netns", "delete", `skep-${process.pid}`);
    }
    expect(() => kernel.attach(loaded.program("lookup"), { kind: "netns", path: "/nonexistent" })).toThrow(
      "network namespace /nonexistent: there is no such file",
    );
    expect(() => kernel.attach(loaded.program("lookup"), { kind: "netns", path: "/etc/hostname" })).toThrow(
      "network namespace /etc/hostname: that file is no network namespace",
    );
  });

  test("flow dissector: one a namespace, exchanged by update", () => {
    const options: ProgramOptions = { type: ProgType.FLOW_DISSECTOR, expectedAttachType: AttachType.FLOW_DISSECTOR };
    using loaded = load(kernel, ["one", counting(0), options], ["two", counting(0, 1), options]);
    using link = kernel.attach(loaded.program("one"), { kind: "netns" });
    expect(() => kernel.attach(loaded.program("two"), { kind: "netns" })).toThrow("and a namespace takes one");
    link.update(loaded.program("two"), loaded.program("one"));
    expect(link.info()[0]!.progId).toBe(loaded.program("two").info().id);
  });
});

/** Descriptor of a socket of Node. */
function fdOf(socket: object): number {
  return (Reflect.get(socket, "_handle") as { readonly fd: number }).fd;
}

describeWith(["linux", "root", "bpf"], "sockets", () => {
  guardLeaks();
  const kernel = openLinuxKernel();
  const opened: (() => void)[] = [];
  afterAll(() => {
    for (const close of opened) close();
  });

  async function connection(): Promise<{ client: Socket; server: Socket }> {
    const listener = createServer();
    opened.push(() => listener.close());
    await once(listener.listen(0, "127.0.0.1"), "listening");
    const accepted = once(listener, "connection") as Promise<[Socket]>;
    const client = connect((listener.address() as AddressInfo).port, "127.0.0.1");
    await once(client, "connect");
    const [server] = await accepted;
    opened.push(
      () => client.destroy(),
      () => server.destroy(),
    );
    server.resume();
    return { client, server };
  }

  test.each<[string, ProgramOptions, "client" | "server"]>([
    ["sk_msg", { type: ProgType.SK_MSG, expectedAttachType: AttachType.SK_MSG_VERDICT }, "client"],
    [
      "sk_skb/stream_verdict",
      { type: ProgType.SK_SKB, expectedAttachType: AttachType.SK_SKB_STREAM_VERDICT },
      "server",
    ],
    ["sk_skb/verdict", { type: ProgType.SK_SKB, expectedAttachType: AttachType.SK_SKB_VERDICT }, "server"],
  ])("sockmap: %s sees what is sent", async (_, options, side) => {
    const sockets = mapSpec("sockets", MapType.SOCKMAP, { valueSize: 4, maxEntries: 4 });
    using loaded = kernel.load(object([program("verdict", counting(1), options)], [counts, sockets]));
    const { client, server } = await connection();
    const mapId = describeMap(loaded.map("sockets").fd.value).id;
    {
      using link = kernel.attach(loaded.program("verdict"), { kind: "sockmap", mapId });
      if (machine.atLeast(6, 10))
        expect(link.info()).toEqual([
          expect.objectContaining({ type: "sockmap", mapId, attachType: options.expectedAttachType }),
        ]);
      expect(() => kernel.attach(loaded.program("verdict"), { kind: "sockmap", mapId })).toThrow(
        /is there, or one that excludes it|EEXIST|EBUSY/,
      );
      loaded.map("sockets").update(bytesOf(0, 4), bytesOf(fdOf(side === "client" ? client : server), 4));
      client.write("hello");
      await expect.poll(() => countOf(loaded), { timeout: 5000 }).toBeGreaterThan(0);
      loaded.map("sockets").delete(bytesOf(0, 4));
    }
  });

  test("sockmap: a map of another type, and none, are told so", () => {
    using loaded = load(kernel, [
      "verdict",
      counting(1),
      { type: ProgType.SK_MSG, expectedAttachType: AttachType.SK_MSG_VERDICT },
    ]);
    expect(() => kernel.attach(loaded.program("verdict"), { kind: "sockmap", mapId: 0x7fff_ffff })).toThrow(
      "sockets of map 2147483647: there is no map with id 2147483647",
    );
  });

  test("a socket filter drops what it does not want, until it is closed or the socket is", async () => {
    const socket = createSocket("udp4");
    let received = 0;
    socket.on("message", () => received++);
    await new Promise<void>((done) => socket.bind(0, "127.0.0.1", done));
    const { port } = socket.address();
    const sender = createSocket("udp4");
    const send = (): Promise<unknown> => new Promise((done) => sender.send("x", port, "127.0.0.1", done));
    using loaded = load(kernel, ["filter", counting(0), { type: ProgType.SOCKET_FILTER }]);
    const link = kernel.attach(loaded.program("filter"), { kind: "socket", fd: fdOf(socket) });
    await send();
    await expect.poll(() => countOf(loaded)).toBe(1);
    expect(received).toBe(0);
    link.close();
    await send();
    await expect.poll(() => received).toBe(1);
    const late = kernel.attach(loaded.program("filter"), { kind: "socket", fd: fdOf(socket) });
    socket.close();
    sender.close();
    late.close();
    expect(() =>
      kernel.attach(loaded.program("filter"), { kind: "socket", fd: loaded.map("counts").fd.value }),
    ).toThrow("the descriptor is no socket of this process");
  });

  test("reuseport: a program that selects among sockets", () => {
    using loaded = load(kernel, [
      "select",
      counting(1),
      { type: ProgType.SK_REUSEPORT, expectedAttachType: AttachType.SK_REUSEPORT_SELECT },
    ]);
    const [AF_INET, SOCK_DGRAM_CLOEXEC, SOL_SOCKET, SO_REUSEPORT] = [2, 2 | 0x80000, 1, 15];
    const fd = syscall3("socket", AF_INET, SOCK_DGRAM_CLOEXEC, 0);
    try {
      expect(() => kernel.attach(loaded.program("select"), { kind: "socket", fd })).toThrow(
        "the socket shares its port with nobody: set SO_REUSEPORT and bind it",
      );
      syscall6("setsockopt", fd, SOL_SOCKET, SO_REUSEPORT, callAttributes(4).u32(0, 1).address, 4);
      using link = kernel.attach(loaded.program("select"), { kind: "socket", fd });
      expect(link.noLink).toBe("the socket itself");
    } finally {
      syscall3("close", fd);
    }
  });

  test("a receiver that is not there is told so", () => {
    using loaded = load(kernel, ["p", counting(0), { type: ProgType.SOCKET_FILTER }]);
    const receiver = loaded.program("p");
    Object.assign(receiver, { spec: { ...receiver.spec, type: ProgType.LIRC_MODE2 } });
    expect(() => kernel.attach(receiver, { kind: "lirc", path: "/dev/lirc0" })).toThrow(
      /CONFIG_BPF_LIRC_MODE2 not set|there is no such device/,
    );
  });
});
