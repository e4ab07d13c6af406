/** What libbpf reads from object files: `open.c` beside, compiled against the installed library, and its answers. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Btf, dumpBtfRaw } from "../../../src/btf/index.ts";
import { MapType, ProgType } from "../../../src/isa/index.ts";
import type { BpfObject, MapSpec, ProgramSpec } from "../../../src/object/index.ts";

/** A map, with libbpf's names of its properties. */
interface OpenedMap {
  readonly name: string;
  readonly [property: string]: unknown;
}

/** What libbpf says of a file. */
export interface Opened {
  readonly file: string;
  /** 0, or the errno of opening. */
  readonly open?: number;
  readonly maps?: readonly OpenedMap[];
  readonly programs?: readonly { readonly name: string; readonly [property: string]: unknown }[];
  /** In the order of programs; absent where the generator of code fell. */
  readonly code?: readonly { readonly insns: string }[];
  /** Hexadecimal. */
  readonly btf?: string;
}

let referee: string | undefined;

/** Opens files with libbpf. */
export function openWithLibbpf(files: readonly string[]): Opened[] {
  if (referee === undefined) {
    const directory = mkdtempSync(join(tmpdir(), "skep-open-"));
    process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
    referee = join(directory, "open");
    const source = fileURLToPath(new URL("open.c", import.meta.url));
    execFileSync("gcc", ["-O1", "-Wall", "-Werror", source, "-o", referee, "-lbpf"]);
  }
  const out = execFileSync(referee, files, { encoding: "utf8", maxBuffer: 1 << 28 });
  const byFile = new Map<string, Opened>();
  for (const line of out.split("\n").filter((text) => text !== "")) {
    const part = JSON.parse(line) as Opened;
    byFile.set(part.file, { ...byFile.get(part.file), ...part });
  }
  return [...byFile.values()];
}

/** Sources that ld_imm64 has in code that libbpf's generator made: maps by number, and addresses in them. */
const BPF_PSEUDO_MAP_IDX = 5;
const BPF_PSEUDO_MAP_IDX_VALUE = 6;

/** Everything in which an object differs from what libbpf reads; empty when nothing does. */
export function differences(object: BpfObject, opened: Opened): string[] {
  const out: string[] = [];
  const compare = (what: string, ours: unknown, theirs: unknown): void => {
    const [a, b] = [JSON.stringify(ours), JSON.stringify(theirs)];
    if (a !== b) out.push(`${what}: ${a}, libbpf ${b}`);
  };
  const { maps = [], programs = [], code = [], btf } = opened;
  compare(
    "maps",
    object.maps.map((m) => m.kernelName ?? m.name),
    // libbpf before 1.2 does not know these sections.
    maps.map((m) => m.name.slice(0, 15)),
  );
  if (out.length > 0) return out;
  for (const [i, theirs] of maps.entries()) {
    const ours = mapView(object.maps[i]!, theirs);
    for (const key of Object.keys(ours)) compare(`map ${theirs.name}.${key}`, ours[key], theirs[key]);
  }
  compare(
    "programs",
    object.programs.map((p) => p.name),
    programs.map((p) => p.name),
  );
  if (out.length > 0) return out;
  for (const [i, theirs] of programs.entries()) {
    // Before 1.3 it keeps the member's index here.
    const isStructOps = theirs["type"] === ProgType.STRUCT_OPS;
    compare(`program ${theirs.name}`, programView(object.programs[i]!), {
      ...theirs,
      ...(isStructOps ? { attachType: 0 } : {}),
    });
  }
  for (const [i, { insns }] of code.entries()) {
    const ours = Buffer.from(generated(object, object.programs[i]!, Buffer.from(insns, "hex"))).toString("hex");
    const [left, right] = [ours.match(/.{16}/g) ?? [], insns.match(/.{16}/g) ?? []];
    const first = left.findIndex((insn, at) => insn !== right[at]);
    compare(`code of ${object.programs[i]!.name}`, [left.length, left[first]], [right.length, right[first]]);
  }
  if (btf !== undefined && object.btf !== undefined) {
    const types = (bytes: Uint8Array): string[] => [...dumpBtfRaw(Btf.parse(bytes))];
    const [left, right] = [types(object.btf), types(Buffer.from(btf, "hex"))];
    const first = left.findIndex((type, at) => type !== right[at]);
    compare("types", [left.length, left[first]], [right.length, right[first]]);
  }
  return out;
}

function mapView(map: MapSpec, theirs: OpenedMap): Record<string, unknown> {
  const hasRing = map.type === MapType.RINGBUF || map.type === MapType.USER_RINGBUF;
  const zeros = typeof theirs["initial"] === "string" && /^0*$/.test(theirs["initial"]);
  const initial = map.initialValue === undefined ? null : Buffer.from(map.initialValue).toString("hex");
  const { inner } = map;
  return {
    type: map.type,
    key: map.keySize,
    value: map.valueSize,
    // libbpf rounds them up to pages at once, which here is the loader's.
    entries: hasRing ? theirs["entries"] : map.maxEntries,
    flags: map.flags,
    keyType: map.keyTypeId ?? 0,
    valueType: map.structOps?.typeId ?? map.valueTypeId ?? 0,
    numa: map.numaNode ?? 0,
    extra: String(map.mapExtra ?? 0n),
    autocreate: map.autocreate === false ? 0 : 1,
    pinned: map.pinning === undefined ? 0 : 1,
    ...(inner === undefined
      ? {}
      : { inner: [inner.type, inner.keySize, inner.valueSize, inner.maxEntries, inner.flags] }),
    initial: map.structOps !== undefined ? null : initial === null && zeros ? theirs["initial"] : initial,
  };
}

function programView(program: ProgramSpec): Record<string, unknown> {
  const { name, section, type, expectedAttachType: attachType, autoload } = program;
  return { name, section, type, attachType, autoload: autoload === false ? 0 : 1 };
}

/** A program's code with maps by number as the generator leaves it; what it leaves of externs is taken from `theirs`. */
function generated(object: BpfObject, program: ProgramSpec, theirs: Buffer): Uint8Array {
  const code = Buffer.from(program.code);
  for (const r of program.relocations) {
    const at = r.insnIndex * 8;
    if (r.kind === "map" || r.kind === "map-value") {
      const source = r.kind === "map" ? BPF_PSEUDO_MAP_IDX : BPF_PSEUDO_MAP_IDX_VALUE;
      code[at + 1] = (code[at + 1]! & 15) | (source << 4);
      code.writeInt32LE(
        object.maps.findIndex((m) => m.name === r.map),
        at + 4,
      );
      if (r.kind === "map-value") code.writeInt32LE(r.offset, at + 12);
    } else if (theirs.length === code.length) {
      theirs.copy(code, at + 1, at + 1, at + (r.kind === "kfunc" ? 8 : 16));
    }
  }
  return code;
}
