/** Recordings: their format, what becomes of damaged ones, and that a script on one says what it said live. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Environment, SoftKernel } from "../../../src/kernel/soft/index.ts";
import { LinuxKernel } from "../../../src/kernel/linux/linux.ts";
import { compileScript } from "../../../src/lang/bpftrace/compile.ts";
import { LinuxEnvironment } from "../../../src/runtime/environment.ts";
import { FdOutput } from "../../../src/runtime/output.ts";
import {
  ChunkType,
  EVENT_HEAD,
  MAGIC,
  RecordingReader,
  encodeChunk,
  encodeJson,
} from "../../../src/runtime/recording/format.ts";
import { Recorder } from "../../../src/runtime/recording/recorder.ts";
import { Recording, ReplayCompanion, Replayer, recordedEnvironment } from "../../../src/runtime/recording/replay.ts";
import { TraceSession } from "../../../src/runtime/trace.ts";
import { describeWith } from "../../support/needs.ts";

const folder = mkdtempSync(join(tmpdir(), "skep-recording-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const FORMAT = `name: tick
ID: 1
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:int n;\toffset:8;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] text;\toffset:12;\tsize:4;\tsigned:0;
\tfield:const char * where;\toffset:16;\tsize:8;\tsigned:0;

print fmt: "%d", REC->n
`;

/** An event \`test:tick\` with a text in its record and one that it points to. */
function event(n: number, text: string, memory: string): Uint8Array {
  const encoder = new TextEncoder();
  const inside = encoder.encode(`${text}\0`);
  const outside = encoder.encode(`${memory}\0`);
  const padded = (length: number): number => (length + 7) & ~7;
  const size = EVENT_HEAD + 24 + 16 + padded(inside.length) + 16 + padded(outside.length);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, size, true);
  view.setUint16(2, 1, true);
  view.setUint32(4, 100 + n, true);
  view.setUint32(8, 100, true);
  view.setUint16(20, n % 4, true);
  view.setUint16(22, 24, true);
  view.setBigUint64(24, BigInt(n) * 1_000_000_000n, true);
  bytes.set(encoder.encode("ticker"), 32);
  view.setInt32(EVENT_HEAD + 8, -n, true);
  view.setUint32(EVENT_HEAD + 12, (inside.length << 16) | 24, true);
  view.setBigUint64(EVENT_HEAD + 16, 0x7fff_1234_5678n, true);
  let at = EVENT_HEAD + 24;
  view.setBigUint64(at, 24n, true);
  view.setUint32(at + 8, inside.length, true);
  bytes.set(inside, at + 16);
  at += 16 + padded(inside.length);
  view.setBigUint64(at, 0x7fff_1234_5678n, true);
  view.setUint32(at + 8, outside.length, true);
  view.setUint32(at + 12, 1, true);
  bytes.set(outside, at + 16);
  return bytes;
}

const meta = encodeJson(ChunkType.META, {
  arch: "x86_64",
  kernelVersion: [6, 18, 0],
  release: "6.18.0",
  possibleCpus: 4,
  startedAt: 0,
  startedNs: "0",
  events: [{ id: 1, category: "test", name: "tick", format: FORMAT }],
});
const whole = Buffer.concat([
  MAGIC,
  meta,
  encodeChunk(ChunkType.EVENTS, Buffer.concat([event(1, "one", "/a"), event(2, "two", "/b")])),
  encodeChunk(ChunkType.EVENTS, event(3, "three", "/c")),
  encodeJson(ChunkType.END, { events: 3, lost: 0 }),
]);

async function replay(file: string, text: string): Promise<{ readonly out: string; readonly recording: Recording }> {
  const recording = new Recording(file);
  const { object, plan } = compileScript({ name: "test", text }, recordedEnvironment(recording));
  using kernel = new SoftKernel({ possibleCpus: 4, environment: new Environment({ now: 0n }) });
  const target = join(folder, "out");
  const output = FdOutput.file(target);
  const child = new ReplayCompanion(kernel, new Replayer(kernel, recording));
  await new TraceSession({ kernel, object, plan, output, quiet: true, child }).run();
  output.close();
  recording.close();
  return { out: readFileSync(target, "utf8"), recording };
}

function save(name: string, bytes: Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

describe("recordings", () => {
  it("hold records, the texts in them, memory that they point to, tasks, CPUs and times", async () => {
    const { out } = await replay(
      save("whole", whole),
      `tracepoint:test:tick { printf("%s %d %d %d %d %s %s %llu\\n", comm, pid, tid, cpu, args.n, str(args.text), str(args.where), nsecs); }
       interval:s:1 { @ticks = count(); } END { printf("end\\n"); }`,
    );
    expect(out).toBe(
      "ticker 100 101 1 -1 one /a 1000000000\nticker 100 102 2 -2 two /b 2000000000\nticker 100 103 3 -3 three /c 3000000000\nend\n\n@ticks: 2\n".replace(
        "end\n\n",
        "end\n\n\n",
      ),
    );
  });

  it("are read up to where they are damaged", async () => {
    const counted = `tracepoint:test:tick { printf("%d;", -args.n); }`;
    for (let cut = MAGIC.length + meta.length; cut < whole.length; cut += 7) {
      const { out, recording } = await replay(save("cut", whole.subarray(0, cut)), counted);
      expect(["", "1;2;", "1;2;3;"]).toContain(out.trim());
      expect(recording.reader.damage?.position).toBeLessThanOrEqual(cut);
    }
    const flipped = Buffer.from(whole);
    flipped[MAGIC.length + meta.length + 60]! ^= 1;
    const { out, recording } = await replay(save("flipped", flipped), counted);
    expect(out.trim()).toBe("");
    expect(recording.reader.damage?.what).toBe("the contents of a chunk do not match its checksum");
  });

  it.each([
    ["nothing", new Uint8Array(), "is no recording"],
    ["text", new TextEncoder().encode("hello, this is text"), "is no recording"],
    ["a newer version", Buffer.concat([MAGIC.subarray(0, -1), Buffer.from([9])]), "version 9"],
    ["a head alone", MAGIC, "does not say what it holds"],
  ])("are told from %s", (_, bytes, message) => {
    expect(() => new RecordingReader("f", (at, n) => bytes.subarray(at, at + n))).toThrow(message);
  });
});

describeWith(["linux", "root", "bpf", "tracefs"], "recordings of the running kernel", () => {
  it("say what the script says live", async () => {
    const kernel = new LinuxKernel();
    const environment = new LinuxEnvironment({ positional: [] });
    const file = join(folder, "live");
    const probes =
      "tracepoint:syscalls:sys_enter_openat,tracepoint:syscalls:sys_exit_openat,tracepoint:sched:sched_process_ex*";
    const script = `
      tracepoint:sched:sched_process_exec /comm == "skep-opens"/ { @exec[str(args.filename)] = count(); }
      tracepoint:sched:sched_process_exit /comm == "skep-opens"/ { @exit[args.comm] = count(); }
      tracepoint:syscalls:sys_enter_openat /comm == "skep-opens"/ { @open[str(args.filename), args.flags & 3] = count(); }
      tracepoint:syscalls:sys_exit_openat /comm == "skep-opens"/ { @ret[args.ret < 0 ? args.ret : 1] = count(); }`;
    const program = join(folder, "skep-opens");
    execFileSync("cp", ["/bin/cat", program]);
    const recorder = Recorder.start({ kernel, environment, probes, file });
    const { object, plan } = compileScript({ name: "test", text: script }, environment);
    const target = join(folder, "live.out");
    const output = FdOutput.file(target);
    const session = new TraceSession({ kernel, object, plan, output, quiet: true });
    const running = session.run();
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let i = 0; i < 3; i++) spawnSync(program, ["/etc/hostname", "/etc/passwd", `/nothing/${i}`]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    session.stop();
    await running;
    output.close();
    const { events, lost } = await recorder.stop();
    expect(lost).toBe(0);
    expect(events).toBeGreaterThan(15);
    const live = readFileSync(target, "utf8");
    expect(live).toContain("/etc/hostname");
    const { out } = await replay(file, script);
    expect(out).toBe(live);
  }, 60_000);
});
