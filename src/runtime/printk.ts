/**
 * What programs print with `bpf_printk`. The text goes through a tracepoint of the kernel (`bpf_trace_printk`, Linux 5.9); a program of our
 * own hangs there and passes it on. Unlike `trace_pipe`, which gives each line to one reader only, that takes nothing away from
 * others, and it ends with the process, however that ends.
 */
import { assemble, encode, LD_IMM64, MapFlags, MapType, ProgType } from "../isa/index.ts";
import type { Kernel, KernelMap, Link, LoadedObject, Owner, RingReader } from "../kernel/index.ts";
import type { BpfObject, MapSpec } from "../object/index.ts";

/** Offsets in a record. */
const Record = { TIME: 0, PID_TGID: 8, CPU: 16, LENGTH: 20, COMM: 24, TEXT: 40 } as const;
/** As much as the kernel itself formats (`BPF_TRACE_PRINTK_SIZE`). */
const TEXT_BYTES = 1024;
const RING_BYTES = 1 << 20;

const code = `
  r6 = *(u64 *)(r1 +0)
  r1 = 0 ll
  r2 = ${Record.TEXT + TEXT_BYTES}
  r3 = 0
  call bpf_ringbuf_reserve
  if r0 == 0 goto lost
  r7 = r0
  call bpf_ktime_get_ns
  *(u64 *)(r7 +${Record.TIME}) = r0
  call bpf_get_current_pid_tgid
  *(u64 *)(r7 +${Record.PID_TGID}) = r0
  call bpf_get_smp_processor_id
  *(u32 *)(r7 +${Record.CPU}) = r0
  r1 = r7
  r1 += ${Record.COMM}
  r2 = 16
  call bpf_get_current_comm
  r1 = r7
  r1 += ${Record.TEXT}
  r2 = ${TEXT_BYTES}
  r3 = r6
  call bpf_probe_read_kernel_str
  *(u32 *)(r7 +${Record.LENGTH}) = r0
  r1 = r7
  r2 = 0
  call bpf_ringbuf_submit
  r0 = 0
  exit
lost:
  r1 = 0 ll
  r2 = 1
  lock *(u64 *)(r1 +0) += r2
  r0 = 0
  exit
`;

/** One line that a program printed. Which program it was, nobody tells. */
export interface PrintedLine {
  /** Without its closing newline. */
  readonly text: string;
  /** Process and thread that the program ran in, and the thread's name. */
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  readonly cpu: number;
  /** Nanoseconds of CLOCK_MONOTONIC, as `bpf_ktime_get_ns` has it. */
  readonly timeNs: bigint;
}

const utf8 = new TextDecoder();

/** Reads what any program of this machine prints from now on. */
export class PrintkReader implements Owner {
  private readonly loaded: LoadedObject;
  private readonly link: Link;
  private readonly ring: RingReader;
  private readonly lostMap: KernelMap;

  /** Throws UnsupportedError on kernels without that tracepoint or without ring buffers (before 5.9). */
  constructor(kernel: Kernel) {
    this.loaded = kernel.load(printkObject());
    let ring: RingReader | undefined;
    try {
      ring = kernel.ringReader(this.loaded.map("lines"));
      this.ring = ring;
      this.lostMap = this.loaded.map("lost");
      this.link = kernel.attach(this.loaded.program("printed"), { kind: "raw-tracepoint", name: "bpf_trace_printk" });
    } catch (error) {
      ring?.close();
      this.loaded.close();
      throw error;
    }
  }

  /** Lines that found no room. */
  get lost(): number {
    const value = this.lostMap.lookup(new Uint8Array(4));
    return value === undefined ? 0 : new DataView(value.buffer).getUint32(0, true);
  }

  /** Hands over the lines that are there, oldest first; returns how many. */
  drain(handler: (line: PrintedLine) => void): number {
    return this.ring.drain((bytes, view, at) => handler(lineAt(bytes, view, at)));
  }

  /** Calls back when lines are waiting; returns a stop function. */
  onReadable(callback: () => void): () => void {
    return this.ring.onReadable(callback);
  }

  close(): void {
    this.link.close();
    this.ring.close();
    this.loaded.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function lineAt(bytes: Uint8Array, view: DataView, at: number): PrintedLine {
  const length = view.getInt32(at + Record.LENGTH, true);
  const from = at + Record.TEXT;
  // The length counts the NUL, and is negative when the text could not be read.
  const text = utf8.decode(bytes.subarray(from, from + Math.max(0, length - 1)));
  const comm = utf8.decode(bytes.subarray(at + Record.COMM, from));
  return {
    text: text.endsWith("\n") ? text.slice(0, -1) : text,
    pid: view.getUint32(at + Record.PID_TGID + 4, true),
    tid: view.getUint32(at + Record.PID_TGID, true),
    comm: comm.slice(0, comm.indexOf("\0") === -1 ? undefined : comm.indexOf("\0")),
    cpu: view.getUint32(at + Record.CPU, true),
    timeNs: view.getBigUint64(at + Record.TIME, true),
  };
}

function printkObject(): BpfObject {
  const bytes = encode(assemble(code, { name: "printk", dialect: "llvm" }));
  const wide: number[] = [];
  for (let slot = 0; slot * 8 < bytes.length; slot++) {
    if (bytes[slot * 8] !== LD_IMM64) continue;
    wide.push(slot);
    slot++;
  }
  const [ring, lost] = wide as [number, number];
  const array: MapSpec = {
    name: "lost",
    type: MapType.ARRAY,
    keySize: 4,
    valueSize: 8,
    maxEntries: 1,
    flags: MapFlags.MMAPABLE,
  };
  return {
    license: "Dual BSD/GPL",
    maps: [{ name: "lines", type: MapType.RINGBUF, keySize: 0, valueSize: 0, maxEntries: RING_BYTES, flags: 0 }, array],
    programs: [
      {
        name: "printed",
        type: ProgType.RAW_TRACEPOINT,
        expectedAttachType: 0,
        code: bytes,
        relocations: [
          { kind: "map", insnIndex: ring, map: "lines" },
          { kind: "map-value", insnIndex: lost, map: "lost", offset: 0 },
        ],
        funcInfo: new Uint8Array(0),
        lineInfo: new Uint8Array(0),
      },
    ],
  };
}
