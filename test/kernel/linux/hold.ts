/**
 * A process of its own for tests: attaches in every way that this kernel has, prints what it holds as JSON, and stays until killed.
 * `node hold.js tracefs` registers a probe through the text files of tracefs as well.
 */
import { readFileSync } from "node:fs";
import { AttachType, MapType, ProgType } from "../../../src/isa/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { objectIds } from "../../../src/kernel/linux/bpf.ts";
import { PerfSoftware, PerfType } from "../../../src/kernel/linux/perf.ts";
import { hasProbeFile, registerProbe } from "../../../src/kernel/linux/probe-events.ts";
import type { AttachSpec } from "../../../src/object/index.ts";
import { type ProgramOptions, mapSpec, object, program } from "./support.ts";

const libc = "/lib/x86_64-linux-gnu/libc.so.6";
const places: readonly (readonly [string, ProgramOptions, AttachSpec])[] = [
  ["tp", { type: ProgType.TRACEPOINT }, { kind: "tracepoint", category: "sched", name: "sched_switch" }],
  ["raw", { type: ProgType.RAW_TRACEPOINT }, { kind: "raw-tracepoint", name: "sched_switch" }],
  [
    "btf",
    { type: ProgType.TRACING, expectedAttachType: AttachType.TRACE_RAW_TP, attachTo: "sched_switch" },
    { kind: "tracing" },
  ],
  ["up", { type: ProgType.KPROBE }, { kind: "uprobe", path: libc, fileOffset: 0x30000, isReturn: false }],
  [
    "clock",
    { type: ProgType.PERF_EVENT },
    { kind: "perf-event", type: PerfType.SOFTWARE, config: PerfSoftware.CPU_CLOCK, frequencyHz: 10 },
  ],
];

const kernel = openLinuxKernel();
const linksBefore = new Set(objectIds("link"));
const loaded = kernel.load(
  object(
    places.map(([name, options]) => program(name, "r0 = 0\nexit", options)),
    [mapSpec("ring", MapType.RINGBUF, { keySize: 0, valueSize: 0, maxEntries: 65536 })],
  ),
);
for (const [name, , spec] of places) kernel.attach(loaded.program(name), spec);
kernel.ringReader(loaded.map("ring")).onReadable(() => undefined);
let probes = "";
if (process.argv[2] === "tracefs" && hasProbeFile("uprobe_events")) {
  registerProbe("uprobe_events", `${libc}:0x30000`, false);
  probes = readFileSync("/sys/kernel/tracing/uprobe_events", "utf8");
}
console.log(
  JSON.stringify({
    progs: places.map(([name]) => loaded.program(name).info().id),
    links: [...objectIds("link")].filter((id) => !linksBefore.has(id)),
    probes,
  }),
);
