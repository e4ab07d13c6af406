import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmdirSync, statSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { AttachFlags, AttachType, MapType, ProgType } from "../../../src/isa/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { queryPrograms } from "../../../src/kernel/linux/bpf-link.ts";
import { openCgroup } from "../../../src/kernel/linux/attach/cgroup-path.ts";
import type { LinuxLink } from "../../../src/kernel/linux/link.ts";
import { machine } from "../../../src/kernel/linux/machine.ts";
import type { AttachSpec } from "../../../src/object/index.ts";
import { guardLeaks } from "../../leaks.ts";
import { cgroupMissing, useCgroup } from "../../support/cgroup.ts";
import { describeUnless, missing } from "../../support/needs.ts";
import { type ProgramOptions, bytesOf, mapSpec, numberOf, object, program } from "./support.ts";

/** Adds one to entry `index` of `counts`, and answers `result`. */
const counting = (index: number, result = 1): string => `
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

const { CGROUP_SKB, CGROUP_SOCK, CGROUP_SOCK_ADDR, CGROUP_SOCKOPT, CGROUP_SYSCTL, CGROUP_DEVICE, SOCK_OPS } = ProgType;

/** Every place in a cgroup, and the program type that goes there. */
const places: readonly (readonly [keyof typeof AttachType, number])[] = [
  ["CGROUP_INET_INGRESS", CGROUP_SKB],
  ["CGROUP_INET_EGRESS", CGROUP_SKB],
  ["CGROUP_INET_SOCK_CREATE", CGROUP_SOCK],
  ["CGROUP_INET_SOCK_RELEASE", CGROUP_SOCK],
  ["CGROUP_INET4_POST_BIND", CGROUP_SOCK],
  ["CGROUP_INET6_POST_BIND", CGROUP_SOCK],
  ["CGROUP_SOCK_OPS", SOCK_OPS],
  ["CGROUP_DEVICE", CGROUP_DEVICE],
  ["CGROUP_INET4_BIND", CGROUP_SOCK_ADDR],
  ["CGROUP_INET6_BIND", CGROUP_SOCK_ADDR],
  ["CGROUP_INET4_CONNECT", CGROUP_SOCK_ADDR],
  ["CGROUP_INET6_CONNECT", CGROUP_SOCK_ADDR],
  ["CGROUP_UDP4_SENDMSG", CGROUP_SOCK_ADDR],
  ["CGROUP_UDP6_SENDMSG", CGROUP_SOCK_ADDR],
  ["CGROUP_UDP4_RECVMSG", CGROUP_SOCK_ADDR],
  ["CGROUP_UDP6_RECVMSG", CGROUP_SOCK_ADDR],
  ["CGROUP_INET4_GETPEERNAME", CGROUP_SOCK_ADDR],
  ["CGROUP_INET6_GETPEERNAME", CGROUP_SOCK_ADDR],
  ["CGROUP_INET4_GETSOCKNAME", CGROUP_SOCK_ADDR],
  ["CGROUP_INET6_GETSOCKNAME", CGROUP_SOCK_ADDR],
  ["CGROUP_SYSCTL", CGROUP_SYSCTL],
  ["CGROUP_GETSOCKOPT", CGROUP_SOCKOPT],
  ["CGROUP_SETSOCKOPT", CGROUP_SOCKOPT],
  ...(machine.atLeast(6, 7)
    ? ([
        ["CGROUP_UNIX_CONNECT", CGROUP_SOCK_ADDR],
        ["CGROUP_UNIX_GETSOCKNAME", CGROUP_SOCK_ADDR],
        ["CGROUP_UNIX_GETPEERNAME", CGROUP_SOCK_ADDR],
        ["CGROUP_UNIX_SENDMSG", CGROUP_SOCK_ADDR],
        ["CGROUP_UNIX_RECVMSG", CGROUP_SOCK_ADDR],
      ] as const)
    : []),
];

const work = fileURLToPath(new URL("cgroup-work.mjs", import.meta.url));

describeUnless(missing("linux", "root", "bpf") ?? cgroupMissing(), "cgroups", () => {
  guardLeaks();
  const cgroup = useCgroup();
  const kernel = openLinuxKernel();
  const counts = mapSpec("counts", MapType.ARRAY, { maxEntries: places.length });

  test("every place sees what tasks of the cgroup do, and only while attached", () => {
    using loaded = kernel.load(
      object(
        places.map(([name, type], i) =>
          program(name.toLowerCase(), counting(i), { type, expectedAttachType: AttachType[name] }),
        ),
        [counts],
      ),
    );
    const all = (): Record<string, number> =>
      Object.fromEntries(places.map(([name], i) => [name, numberOf(loaded.map("counts").lookup(bytesOf(i, 4))!)]));
    const run = (): void => {
      const { stdout, stderr } = spawnSync(process.execPath, [work, cgroup], { encoding: "utf8" });
      expect(stderr + stdout).toBe("done\n");
    };
    const links: LinuxLink[] = [];
    try {
      for (const [name] of places) {
        const link = kernel.attach(loaded.program(name.toLowerCase()), { kind: "cgroup", path: cgroup });
        links.push(link);
        expect(link.info()).toEqual([
          expect.objectContaining({
            type: "cgroup",
            cgroupId: statSync(cgroup, { bigint: true }).ino,
            attachType: AttachType[name],
          }),
        ]);
      }
      run();
    } finally {
      for (const link of links) link.close();
    }
    const seen = all();
    expect(Object.keys(seen).filter((name) => seen[name] === 0)).toEqual([]);
    run();
    expect(all()).toEqual(seen);
  });

  test("connect4 sends connections elsewhere", async () => {
    const server = createServer((socket) => socket.end("from here"));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const bigEndian = ((port & 0xff) << 8) | (port >> 8);
    // user_port is at 24, user_ip4 at 4 of struct bpf_sock_addr, both in network byte order.
    const code = `
      r2 = ${bigEndian}
      *(u32 *)(r1 + 24) = r2
      r2 = ${0x0100_007f}
      *(u32 *)(r1 + 4) = r2
      r0 = 1
      exit`;
    using loaded = kernel.load(
      object([
        program("rewrite", code, { type: CGROUP_SOCK_ADDR, expectedAttachType: AttachType.CGROUP_INET4_CONNECT }),
      ]),
    );
    using link = kernel.attach(loaded.program("rewrite"), { kind: "cgroup", path: cgroup });
    expect(link.spec.kind).toBe("cgroup");
    const script = `echo $$ >${cgroup}/cgroup.procs; exec 3<>/dev/tcp/10.99.99.99/1; cat <&3`;
    const child = spawn("bash", ["-c", script], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    for await (const chunk of child.stdout) said += String(chunk);
    expect(said).toBe("from here");
    server.close();
  });

  const skb: ProgramOptions = { type: CGROUP_SKB, expectedAttachType: AttachType.CGROUP_INET_EGRESS };
  const three = ["a", "b", "c"].map((name, i) => program(name, counting(i), skb));
  const egress = (path = cgroup): { readonly flags: number; readonly ids: readonly number[] } => {
    using fd = openCgroup("test", path);
    return queryPrograms(fd.value, AttachType.CGROUP_INET_EGRESS)!;
  };

  test("links run beside each other, in the order of their anchors, and are exchanged", () => {
    using loaded = kernel.load(object(three, [counts]));
    const ids = ["a", "b", "c"].map((name) => loaded.program(name).info().id);
    const spec: AttachSpec = { kind: "cgroup", path: cgroup };
    using a = kernel.attach(loaded.program("a"), spec);
    using b = kernel.attach(
      loaded.program("b"),
      machine.atLeast(6, 17) ? { ...spec, anchor: { place: "before", linkId: a.info()[0]!.id } } : spec,
    );
    expect(egress().ids).toEqual(machine.atLeast(6, 17) ? [ids[1], ids[0]] : [ids[0], ids[1]]);
    b.update(loaded.program("c"));
    expect(egress().ids).toContain(ids[2]);
    if (machine.atLeast(6, 15)) {
      using early = kernel.attach(loaded.program("b"), { ...spec, preorder: true });
      expect(early.info()[0]!.progId).toBe(ids[1]);
    }
    a.detach();
    expect(egress().ids).toEqual([ids[2]]);
  });

  test.each(["override", "exclusive"] as const)("mode %s attaches without a link, and bears no others", (mode) => {
    using loaded = kernel.load(object(three, [counts]));
    const { id } = loaded.program("a").info();
    {
      using link = kernel.attach(loaded.program("a"), { kind: "cgroup", path: cgroup, mode });
      expect(link.info()).toEqual([]);
      expect(egress()).toEqual({ flags: mode === "override" ? AttachFlags.ALLOW_OVERRIDE : 0, ids: [id] });
      expect(() => kernel.attach(loaded.program("b"), { kind: "cgroup", path: cgroup })).toThrow(
        `cgroup ${cgroup}: program ${id} (a) is attached there in mode ${mode}, which bears no others: detach it, or attach in mode ${mode}`,
      );
      const below = `${cgroup}/below`;
      mkdirSync(below);
      try {
        const attachBelow = (): LinuxLink =>
          kernel.attach(loaded.program("b"), { kind: "cgroup", path: below, mode: "override" });
        if (mode === "override") attachBelow().close();
        else expect(attachBelow).toThrow(`program ${id} (a) of a cgroup above is attached in mode exclusive`);
      } finally {
        rmdirSync(below);
      }
    }
    expect(egress().ids).toEqual([]);
  });

  test.each<[string, AttachSpec, ProgramOptions, string]>([
    [
      "no directory",
      { kind: "cgroup", path: "/sys/fs/cgroup/nonesuch" },
      skb,
      "cgroup /sys/fs/cgroup/nonesuch: there is no such directory; cgroup2 is mounted at /",
    ],
    ["another file system", { kind: "cgroup", path: "/tmp" }, skb, "/tmp is no directory of cgroup2"],
    [
      "another type of program",
      { kind: "cgroup", path: cgroup },
      { type: ProgType.SOCKET_FILTER },
      "program p is of a type that does not go to cgroups",
    ],
    [
      "an anchor in mode exclusive",
      { kind: "cgroup", path: cgroup, mode: "exclusive", anchor: { place: "head" } },
      skb,
      "a place among others goes with mode multi, not exclusive",
    ],
  ])("%s is told so", (_, spec, options, message) => {
    using loaded = kernel.load(object([program("p", "r0 = 1\nexit", options)]));
    expect(() => kernel.attach(loaded.program("p"), spec)).toThrow(message);
  });
});
