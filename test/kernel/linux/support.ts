/** Programs and objects for tests of the Linux kernel room, in assembly. */
import { ProgType, assemble, encode } from "../../../src/isa/index.ts";
import type { BpfObject, MapSpec, ProgramSpec, Relocation } from "../../../src/object/index.ts";

/** What {@link program} may be told besides the code. */
export type ProgramOptions = Partial<Omit<ProgramSpec, "name" | "code">>;

/**
 * A program from assembly text in the kernel's notation. `MAP(name)` stands for `r1 = map` in `rN = MAP(name)`, and becomes a
 * relocation.
 */
export function program(name: string, text: string, options: ProgramOptions = {}): ProgramSpec {
  const maps: { at: number; map: string }[] = [];
  const plain = text.replace(/^(\s*)r(\d) = MAP\((\w+)\)/gm, (_, indent: string, register: string, map: string) => {
    maps.push({ at: maps.length + 1, map });
    return `${indent}r${register} = ${0x7000_0000 + maps.length} ll`;
  });
  const code = encode(assemble(plain));
  const view = new DataView(code.buffer, code.byteOffset);
  const relocations: Relocation[] = [];
  for (let i = 0; i < code.length / 8; i++) {
    if (code[i * 8] !== 0x18) continue;
    const found = maps.find(({ at }) => view.getInt32(i * 8 + 4, true) === 0x7000_0000 + at);
    if (found !== undefined) {
      view.setInt32(i * 8 + 4, 0, true);
      relocations.push({ kind: "map", insnIndex: i, map: found.map });
    }
    i++;
  }
  return {
    name,
    type: ProgType.RAW_TRACEPOINT,
    expectedAttachType: 0,
    code,
    relocations,
    funcInfo: new Uint8Array(0),
    lineInfo: new Uint8Array(0),
    ...options,
  };
}

/** An object of programs and maps under the GPL. */
export function object(programs: readonly ProgramSpec[], maps: readonly MapSpec[] = []): BpfObject {
  return { license: "GPL", programs, maps };
}

/** A map's spec with the usual sizes. */
export function mapSpec(name: string, type: number, options: Partial<MapSpec> = {}): MapSpec {
  return { name, type, keySize: 4, valueSize: 8, maxEntries: 16, flags: 0, ...options };
}

/** A number as little-endian bytes. */
export function bytesOf(value: number | bigint, size: 4 | 8): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  if (size === 4) view.setUint32(0, Number(value), true);
  else view.setBigUint64(0, BigInt(value), true);
  return bytes;
}

/** Little-endian bytes as a number; exact below 2^53. */
export function numberOf(bytes: Uint8Array, offset: number = 0, size: number = bytes.length - offset): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return size === 4 ? view.getUint32(offset, true) : Number(view.getBigUint64(offset, true));
}
