// Skep's side of the ring benchmark, in a process of its own: loads ring.bpf.o, starts the load, reads the ring in batches, prints JSON.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

const [objectPath, ringBytes, burst, calls, rate, loadCommand, how = "batches"] = process.argv.slice(2);
const { readObject } = await import("../dist/object/index.js");
const { openLinuxKernel } = await import("../dist/kernel/index.js");
const { typedMap, codecFor } = await import("../dist/runtime/index.js");
const { Btf } = await import("../dist/btf/index.js");

const object = readObject(new Uint8Array(readFileSync(objectPath)));
const btf = Btf.parse(object.btf);
const kernel = openLinuxKernel();
const loaded = kernel.load(object, { maxEntries: new Map([["ring", Number(ringBytes)]]) });
const child = spawn(loadCommand, ["load", calls, rate], { stdio: ["pipe", "pipe", "inherit"] });
const specs = new Map(object.maps.map((map) => [map.name, map]));
const states = typedMap(loaded.map("states"), specs.get("states"), btf);
const state = { pid: child.pid, call: process.arch === "x64" ? 110 : 173, burst: Number(burst), sent: 0, lost: 0 };
states.set(0, state);
const link = kernel.attach(loaded.program("write_records"), { kind: "raw-tracepoint", name: "sys_enter" });
const ring = typedMap(loaded.map("ring"), loaded.map("ring").spec, btf, {
  event: how === "events" ? codecFor(btf, btf.structByName("record").id) : undefined,
});

let received = 0;
let sum = 0;
const reader = ring.reader();
const work = {
  // Fields in place, as the peer's callback reads them.
  async batches() {
    for await (const batch of reader.batches()) {
      const { view, count } = batch;
      received += count;
      for (let i = 0; i < count; i++) sum += view.getUint32(batch.offset(i), true);
    }
  },
  // Each record as an object.
  async events() {
    for await (const event of reader) {
      received++;
      sum += Number(event.sequence);
    }
  },
};
const reading = work[how]();
child.stdin.write("w");
await once(child.stdout, "data");
while (reader.pendingBytes > 0) await new Promise((resolve) => setImmediate(resolve));
received = 0;
states.set(0, state);
const before = process.cpuUsage();
const started = performance.now();
const ended = once(child, "exit");
child.stdin.end("g");
await ended;
const seconds = (performance.now() - started) / 1000;
link.close();
while (reader.pendingBytes > 0) await new Promise((resolve) => setImmediate(resolve));
reader.close();
await reading;
const { user, system } = process.cpuUsage(before);
const { sent, lost } = states.get(0);
const cpu = (user + system) / 1e6;
console.log(JSON.stringify({ sent: Number(sent), lost: Number(lost), received, seconds, cpu, sum }));
loaded.close();
kernel.close();
