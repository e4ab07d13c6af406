/** Stack traces, by the numbers that `bpf_get_stackid` gives out. */
import { MapFlags } from "../../isa/index.ts";
import type { KernelMap } from "../../kernel/index.ts";
import { TypedMap, indexCodec } from "./typed-map.ts";

/** `struct bpf_stack_build_id`: i32 status, 20 bytes of build id, u64 offset or address. */
const BUILD_ID_FRAME = 32;
const BUILD_ID_OFFSET = 4;
const BUILD_ID_BYTES = 20;
const PLACE_OFFSET = 24;
/** Values of `status`. */
const STATUS_EMPTY = 0;
const STATUS_VALID = 1;

/** A frame of a stack with build ids (`BPF_F_STACK_BUILD_ID`). */
export interface BuildIdFrame {
  /** Forty hexadecimal digits; undefined where the file could not be told, and `address` is what is known. */
  readonly buildId: string | undefined;
  /** Offset in the file with the build id, or the address. */
  readonly address: bigint;
}

function readFrames(view: DataView, offset: number, bytes: number): BuildIdFrame[] {
  const frames: BuildIdFrame[] = [];
  for (let at = offset; at + BUILD_ID_FRAME <= offset + bytes; at += BUILD_ID_FRAME) {
    const status = view.getInt32(at, true);
    if (status === STATUS_EMPTY) break;
    const id = new Uint8Array(view.buffer, view.byteOffset + at + BUILD_ID_OFFSET, BUILD_ID_BYTES);
    frames.push({
      buildId: status === STATUS_VALID ? Buffer.from(id).toString("hex") : undefined,
      address: view.getBigUint64(at + PLACE_OFFSET, true),
    });
  }
  return frames;
}

function readAddresses(view: DataView, offset: number, bytes: number): bigint[] {
  const addresses: bigint[] = [];
  for (let at = offset; at + 8 <= offset + bytes; at += 8) {
    const address = view.getBigUint64(at, true);
    if (address === 0n) break;
    addresses.push(address);
  }
  return addresses;
}

/** Stacks by id, innermost frame first: addresses, or frames with build ids when the map was created for them. */
export class StackTraceMap<F extends bigint | BuildIdFrame = bigint> extends TypedMap<number, F[]> {
  constructor(map: KernelMap) {
    const { valueSize, flags } = map.spec;
    const read = (flags & MapFlags.STACK_BUILD_ID) === 0 ? readAddresses : readFrames;
    super(map, indexCodec(map), {
      size: valueSize,
      typeName: "stack trace",
      byteLength: () => valueSize,
      read: (view, offset) => read(view, offset, valueSize) as F[],
      write: () => {
        throw new TypeError("stack traces are written by programs only");
      },
    });
  }

  /** Removes all stacks. */
  override clear(): void {
    for (const id of this.keys()) this.delete(id);
  }
}
