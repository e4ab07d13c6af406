/** `skep run PROGRAM --pcap FILE`: a program on captured packets, in the software kernel. */
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { SkepError, UsageError } from "../base/index.ts";
import { Btf } from "../btf/index.ts";
import { ProgType } from "../isa/index.ts";
import { Environment, SoftKernel, type SoftProgram } from "../kernel/soft/index.ts";
import type { BpfObject, ProgramSpec } from "../object/index.ts";
import { CaptureReader } from "../runtime/captures/read.ts";
import { pcapHead, pcapPacket } from "../runtime/captures/write.ts";
import { Collection } from "../runtime/collection/collection.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { isShown, mapText } from "./run-format.ts";
import { setMaxEntries, setVariables } from "./run-values.ts";
import { writeError, writeOut } from "./write.ts";

/** What a program type does with packets. */
interface PacketType {
  /** Names of verdicts by their number. */
  readonly verdicts: readonly string[];
  /** How many bytes of a packet go on; 0 when it is dropped. */
  passes(verdict: number, length: number): number;
}

const classifier: PacketType = {
  verdicts: ["OK", "RECLASSIFY", "SHOT", "PIPE", "STOLEN", "QUEUED", "REPEAT", "REDIRECT", "TRAP"],
  passes: (verdict, length) => ([2, 4, 5, 8].includes(verdict) ? 0 : length),
};
const packetTypes: Readonly<Record<number, PacketType>> = {
  [ProgType.XDP]: {
    verdicts: ["ABORTED", "DROP", "PASS", "TX", "REDIRECT"],
    passes: (verdict, length) => (verdict >= 2 && verdict <= 4 ? length : 0),
  },
  [ProgType.SCHED_CLS]: classifier,
  [ProgType.SCHED_ACT]: classifier,
  [ProgType.SOCKET_FILTER]: { verdicts: [], passes: (verdict, length) => Math.min(verdict, length) },
};

/** Packets between two turns of the event loop, in which signals are seen. */
const TURN = 2000;

/** Runs it; resolves with the exit status. */
export async function runCapture(args: Arguments, object: BpfObject): Promise<number> {
  const file = textOption(args, "pcap")!;
  const json = args.options.has("json");
  const spec = chosenProgram(object, args.repeated.get("only") ?? []);
  const type = packetTypes[spec.type]!;
  const fd = openInput(file);
  const target = textOption(args, "write");
  let out: number | undefined;
  using kernel = new SoftKernel({ environment: new Environment({ now: 0n }), trace: (text) => writeOut(`${text}\n`) });
  const collection = new Collection(object, { kernel });
  let stopped = false;
  const stop = (): void => void (stopped = true);
  process.once("SIGINT", stop);
  try {
    const capture = new CaptureReader(file, (position, length) => readAt(fd, position, length));
    setVariables(collection, args.repeated.get("set") ?? [], "run");
    setMaxEntries(collection, args.repeated.get("max-entries") ?? [], "run");
    for (const { name } of object.programs) collection.program(name).spec.autoload = name === spec.name;
    await collection.load();
    const program = collection.program(spec.name).kernelProgram as SoftProgram;
    if (target !== undefined) {
      out = openOutput(target);
      writeSync(out, pcapHead());
    }
    const counts = new Map<number, { packets: number; bytes: number }>();
    let packets = 0;
    for (const packet of capture.packets()) {
      capture.requireEthernet();
      kernel.environment.now = packet.time;
      const { verdict, packet: after } = kernel.runPacket(program, packet.bytes, {
        ifindex: packet.interfaceIndex + 1,
      });
      const count = counts.get(verdict) ?? { packets: 0, bytes: 0 };
      count.packets++;
      count.bytes += packet.bytes.length;
      counts.set(verdict, count);
      const kept = type.passes(verdict, after.length);
      if (out !== undefined && kept > 0) writeSync(out, pcapPacket(after.subarray(0, kept), packet.time));
      if (++packets % TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      if (stopped) break;
    }
    for (const [verdict, count] of [...counts].toSorted((a, b) => b[1].packets - a[1].packets)) {
      const name = type.verdicts[verdict] ?? (type.verdicts.length === 0 ? `${verdict} bytes` : String(verdict | 0));
      if (json) writeOut(`${JSON.stringify({ type: "verdict", verdict, name, ...count })}\n`);
      else
        writeOut(
          `${name.padEnd(12)} ${String(count.packets).padStart(9)} packets ${String(count.bytes).padStart(12)} bytes\n`,
        );
    }
    if (!args.options.has("no-maps")) printMaps(collection, object, json);
    const { damage } = capture;
    if (damage === undefined) return 0;
    writeError(`${file}: damaged at byte ${damage.position}: ${damage.what}: ${packets} packets before it were run\n`);
    return 1;
  } finally {
    process.removeListener("SIGINT", stop);
    await collection.end();
    closeSync(fd);
    if (out !== undefined) closeSync(out);
  }
}

function printMaps(collection: Collection, object: BpfObject, json: boolean): void {
  const btf = object.btf === undefined ? undefined : Btf.parse(object.btf);
  for (const spec of object.maps) {
    if (!isShown(spec)) continue;
    const text = mapText(collection.map(spec.name).kernelMap, btf, json).trimEnd();
    if (text !== "") writeOut(json ? `${text}\n` : `\n${text}\n`);
  }
}

/** The program to run: the one that is named, or the only one that takes packets. */
function chosenProgram(object: BpfObject, only: readonly string[]): ProgramSpec {
  const able = object.programs.filter(({ type }) => packetTypes[type] !== undefined);
  const wanted = only.length === 0 ? able : able.filter(({ name }) => only.includes(name));
  const [program, ...more] = wanted;
  if (program === undefined) {
    const what = only.length === 0 ? "the object" : only.join(", ");
    throw new UsageError(`skep run --pcap: ${what}: no program for packets (XDP, tc, socket)`);
  }
  if (more.length > 0)
    throw new UsageError(
      `skep run --pcap: choose one program with --only: ${wanted.map(({ name }) => name).join(", ")}`,
    );
  return program;
}

function openInput(file: string): number {
  try {
    const fd = openSync(file, "r");
    if (!fstatSync(fd).isDirectory()) return fd;
    closeSync(fd);
  } catch (error) {
    throw new SkepError("capture", `${file}: ${(error as Error).message}`, { cause: error, exitStatus: 2 });
  }
  throw new SkepError("capture", `${file}: is a directory`, { exitStatus: 2 });
}

function openOutput(file: string): number {
  try {
    return openSync(file, "w");
  } catch (error) {
    throw new SkepError("output", `${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** Bytes of a file; read ahead, since packets are small. */
function readAt(fd: number, position: number, length: number): Uint8Array {
  if (
    ahead === undefined ||
    ahead.fd !== fd ||
    position < ahead.at ||
    position + length > ahead.at + ahead.bytes.length
  ) {
    const bytes = new Uint8Array(Math.max(length, 1 << 20));
    ahead = { fd, at: position, bytes: bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, position)) };
  }
  return ahead.bytes.slice(position - ahead.at, position - ahead.at + length);
}

let ahead: { readonly fd: number; readonly at: number; readonly bytes: Uint8Array } | undefined;
