/**
 * Files of recorded events. Behind eight bytes that name the format come chunks: a type, the length and the CRC-32 of the contents (each 32
 * bits, little-endian), the contents. The first chunk says in JSON what was recorded; the others hold events. A file that ends in the middle,
 * or whose bytes were damaged, is read up to there.
 *
 * An event: size, number of the event, pid, tgid, uid, gid, CPU, size of the record, time, comm (48 bytes); the tracepoint's record as programs
 * see it; then pieces of memory that the record points to, each an address, a length, a kind and bytes, to a multiple of eight.
 */
import { crc32 } from "node:zlib";
import { SkepError } from "../../base/index.ts";
import type { Environment } from "../../kernel/soft/index.ts";

/** What a file begins with; the last byte is the version. */
export const MAGIC: Uint8Array = new TextEncoder().encode("SKEPREC\u0001");
/** Bytes of an event before its record. */
export const EVENT_HEAD = 48;
/** Where an event has the name of its task. */
export const COMM_OFFSET = 32;
/** Bytes of a piece before its contents. */
export const PIECE_HEAD = 16;
/** What a piece is: bytes of the record itself, from an offset, or memory at an address. */
export const PieceKind = { RECORD: 0, MEMORY: 1 } as const;
/** Types of chunks. */
export const ChunkType = { META: 1, EVENTS: 2, END: 3 } as const;
const CHUNK_HEAD = 12;
/** No chunk is larger: a length beyond is damage. */
const MOST_CHUNK = 64 << 20;

/** An event that a recording may hold. */
export interface RecordedEvent {
  /** Its number in the file. */
  readonly id: number;
  readonly category: string;
  readonly name: string;
  /** The kernel's `format` file of the event. */
  readonly format: string;
}

/** What the first chunk says. */
export interface RecordingMeta {
  readonly arch: "x86_64" | "aarch64";
  readonly kernelVersion: readonly [number, number, number];
  /** `uname -r`. */
  readonly release: string;
  readonly possibleCpus: number;
  /** When recording began: milliseconds since 1970, and nanoseconds of the events' clock at the same moment. */
  readonly startedAt: number;
  readonly startedNs: string;
  readonly events: readonly RecordedEvent[];
}

/** What the last chunk says. */
export interface RecordingEnd {
  readonly events: number;
  /** Events that found no room in the kernel's ring. */
  readonly lost: number;
}

/** A chunk with its head. */
export function encodeChunk(type: number, contents: Uint8Array): Uint8Array {
  const out = new Uint8Array(CHUNK_HEAD + contents.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, contents.length, true);
  view.setUint32(8, crc32(contents), true);
  out.set(contents, CHUNK_HEAD);
  return out;
}

/** A chunk with JSON in it. */
export function encodeJson(type: number, value: RecordingMeta | RecordingEnd): Uint8Array {
  return encodeChunk(type, new TextEncoder().encode(JSON.stringify(value)));
}

/** Where bytes of a file come from: as many as there are, at most as many as wanted. */
export type ReadBytes = (position: number, length: number) => Uint8Array;

/** Reads a recording: first what it holds, then its events, chunk by chunk. */
export class RecordingReader {
  readonly meta: RecordingMeta;
  /** What the recorder said at its end; undefined until all was read, and when it was cut off. */
  end: RecordingEnd | undefined;
  /** Where and how the file is damaged, once that was seen. */
  damage: { readonly position: number; readonly what: string } | undefined;
  private readonly read: ReadBytes;
  private position: number;

  /** Throws SkepError code `recording` when it is none, or of another version. */
  constructor(name: string, read: ReadBytes) {
    this.read = read;
    const magic = read(0, MAGIC.length);
    const version = magic[MAGIC.length - 1];
    if (magic.length < MAGIC.length || !MAGIC.subarray(0, -1).every((byte, i) => magic[i] === byte))
      throw new SkepError("recording", `${name}: is no recording (skep record makes them)`, { exitStatus: 2 });
    if (version !== MAGIC[MAGIC.length - 1]) {
      throw new SkepError("recording", `${name}: is a recording of version ${version}: this is read by a newer skep`, {
        exitStatus: 2,
      });
    }
    this.position = MAGIC.length;
    const first = this.chunk();
    if (first?.type !== ChunkType.META) {
      throw new SkepError(
        "recording",
        `${name}: does not say what it holds: ${this.damage?.what ?? "it ends at once"}`,
        {
          exitStatus: 2,
        },
      );
    }
    this.meta = JSON.parse(new TextDecoder().decode(first.contents)) as RecordingMeta;
  }

  private chunk(): { readonly type: number; readonly contents: Uint8Array } | undefined {
    const { position } = this;
    const head = this.read(position, CHUNK_HEAD);
    if (head.length === 0) return undefined;
    const broken = (what: string): undefined => {
      this.damage = { position, what };
      return undefined;
    };
    if (head.length < CHUNK_HEAD) return broken("the file ends inside of a chunk's head");
    const view = new DataView(head.buffer, head.byteOffset);
    const length = view.getUint32(4, true);
    if (length > MOST_CHUNK) return broken(`a chunk of ${length} bytes`);
    const contents = this.read(position + CHUNK_HEAD, length);
    if (contents.length < length) return broken("the file ends inside of a chunk");
    if (crc32(contents) !== view.getUint32(8, true)) return broken("the contents of a chunk do not match its checksum");
    this.position += CHUNK_HEAD + length;
    return { type: view.getUint32(0, true), contents };
  }

  /** Contents of the chunks of events, in order. */
  *eventChunks(): Generator<Uint8Array> {
    for (let chunk = this.chunk(); chunk !== undefined; chunk = this.chunk()) {
      if (chunk.type === ChunkType.EVENTS) yield chunk.contents;
      else if (chunk.type === ChunkType.END)
        this.end = JSON.parse(new TextDecoder().decode(chunk.contents)) as RecordingEnd;
    }
    if (this.end === undefined) this.damage ??= { position: this.position, what: "the recording was cut off" };
  }
}

/** Makes the task of the event at an offset the current one. */
export function setTask(environment: Environment, bytes: Uint8Array, view: DataView, at: number): void {
  environment.pid = view.getUint32(at + 4, true);
  environment.tgid = view.getUint32(at + 8, true);
  environment.uid = view.getUint32(at + 12, true);
  environment.gid = view.getUint32(at + 16, true);
  environment.comm.set(bytes.subarray(at + COMM_OFFSET, at + EVENT_HEAD));
}
