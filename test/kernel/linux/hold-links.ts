/**
 * A process of its own for tests, in a network namespace with devices v0 and v1: attaches by every kind of link that this kernel has, and a
 * filter of tc besides, prints what it holds as JSON, and stays until killed. Its argument is a cgroup.
 */
import { AttachType, MapType, ProgType } from "../../../src/isa/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { describeMap } from "../../../src/kernel/linux/bpf.ts";
import type { AttachSpec } from "../../../src/object/index.ts";
import { type ProgramOptions, mapSpec, object, program } from "./support.ts";

const cgroup = process.argv[2] ?? "";
const kernel = openLinuxKernel();
const sockets = kernel.load(object([], [mapSpec("sockets", MapType.SOCKMAP, { valueSize: 4 })]));
const mapId = describeMap(sockets.map("sockets").fd.value).id;

const places: readonly (readonly [string, ProgramOptions, AttachSpec])[] = [
  ["xdp", { type: ProgType.XDP, expectedAttachType: AttachType.XDP }, { kind: "xdp", device: "v1" }],
  ["tcx", { type: ProgType.SCHED_CLS }, { kind: "tcx", device: "v1", direction: "ingress" }],
  ["filter", { type: ProgType.SCHED_CLS }, { kind: "tc", device: "v1", direction: "egress" }],
  [
    "nf",
    { type: ProgType.NETFILTER, expectedAttachType: AttachType.NETFILTER },
    { kind: "netfilter", family: 2, hook: 1, priority: 3 },
  ],
  ["lookup", { type: ProgType.SK_LOOKUP, expectedAttachType: AttachType.SK_LOOKUP }, { kind: "netns" }],
  ["skb", { type: ProgType.CGROUP_SKB }, { kind: "cgroup", path: cgroup }],
  ["msg", { type: ProgType.SK_MSG, expectedAttachType: AttachType.SK_MSG_VERDICT }, { kind: "sockmap", mapId }],
];

const loaded = kernel.load(object(places.map(([name, options]) => program(name, "r0 = 1\nexit", options))));
const links = places.map(([name, , spec]) => kernel.attach(loaded.program(name), spec));
console.log(
  JSON.stringify({
    programs: places.map(([name]) => loaded.program(name).info().id),
    links: links.flatMap((link) => link.info().map(({ id }) => id)),
  }),
);
setInterval(() => undefined, 60_000);
