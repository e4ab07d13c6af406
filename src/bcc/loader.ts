/** The maps of a compiled program, and its functions, each loaded when it is known what it is to be. */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { SkepError, UnsupportedError, nearestNames } from "../base/index.ts";
import type { Kernel, KernelMap, LoadOptions, LoadedObject } from "../kernel/index.ts";
import { type LinuxMap, LinuxProgram, openPinnedMap, pinObject } from "../kernel/linux/index.ts";
import { AttachType, ProgType } from "../isa/index.ts";
import type { BccProgram, BccTable, BccUnit } from "../lang/c/bcc/unit.ts";
import type { BpfObject, MapSpec, ProgramSpec } from "../object/index.ts";

/** A loaded function: what BCC calls `BPF.Function`. */
export interface BpfFunction {
  readonly name: string;
  /** `ProgType.*` that it was loaded as. */
  readonly type: number;
  /** Its descriptor, which is closed with the program. */
  readonly fd: number;
  /** The program as the kernel room has it: `run`, `info`, `pin`. */
  readonly program: LinuxProgram;
  /** Raw packets: the socket that the function filters, once attached. */
  sock?: number;
}

/** Tables that programs of this process may find by name (`BPF_TABLE_PUBLIC`, `BPF_TABLE_SHARED`, `extern`). */
const publicTables = new Map<string, KernelMap>();

/** How verifier logs are asked for and shown. */
export type LoadLog = NonNullable<LoadOptions["log"]>;

/** What is known of a function before it is loaded. */
interface Known {
  readonly spec: ProgramSpec;
  readonly program: BccProgram | undefined;
}

/** Attach types of programs whose names say what they are attached to. */
const attachTypes: Readonly<Partial<Record<BccProgram["kind"], number>>> = {
  kfunc: AttachType.TRACE_FENTRY,
  kretfunc: AttachType.TRACE_FEXIT,
  kmod_ret: AttachType.MODIFY_RETURN,
  lsm: AttachType.LSM_MAC,
  iter: AttachType.TRACE_ITER,
};

const targeted: ReadonlySet<number> = new Set([ProgType.TRACING, ProgType.LSM]);

/** Loads maps at once and functions when asked. Closing frees both. */
export class Loader {
  private readonly object: BpfObject;
  private readonly unit: BccUnit;
  private readonly kernel: Kernel;
  private readonly log: LoadLog | undefined;
  private readonly maps: ReadonlyMap<string, KernelMap>;
  private readonly loadedMaps: LoadedObject;
  private readonly functions = new Map<string, BpfFunction>();
  private readonly loaded = new Map<string, LoadedObject>();
  private readonly published: string[] = [];
  private closed = false;

  /** Creates the maps. Throws as `Kernel.load`. */
  constructor(object: BpfObject, unit: BccUnit, kernel: Kernel, log?: LoadLog) {
    this.unit = unit;
    this.kernel = kernel;
    this.log = log;
    const reuse = new Map<string, KernelMap>();
    const pinned: LinuxMap[] = [];
    const tables = new Map(unit.tables.map((table) => [table.name, table]));
    try {
      const specs = object.maps.map((spec) => this.found(spec, tables.get(spec.name), reuse, pinned));
      this.object = { ...object, maps: specs };
      this.loadedMaps = kernel.load({ ...this.object, programs: [] }, { reuse });
    } finally {
      // What is reused was duplicated.
      for (const map of pinned) map.close();
    }
    this.maps = new Map(this.object.maps.map(({ name }) => [name, this.loadedMaps.map(name)]));
    try {
      for (const table of unit.tables) this.publish(table);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The spec of a map that is there already, pinned or of another program; else its own. */
  private found(
    spec: MapSpec,
    table: BccTable | undefined,
    reuse: Map<string, KernelMap>,
    pinned: LinuxMap[],
  ): MapSpec {
    let map: KernelMap | undefined;
    if (table?.external === true) {
      map = publicTables.get(spec.name);
      if (map === undefined) {
        const near = nearestNames(spec.name, publicTables.keys());
        const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
        throw new SkepError(
          "no-table",
          `table ${spec.name}: no program of this process has made it public (BPF_TABLE_PUBLIC)${hint}`,
          { exitStatus: 2 },
        );
      }
    } else if (table?.pinPath !== undefined) {
      const there = openIfPinned(table.pinPath);
      if (there !== undefined) pinned.push(there);
      map = there;
    }
    if (map === undefined) return spec;
    reuse.set(spec.name, map);
    // Types are the program's own; what the map is like, the map's.
    const { keyTypeId, valueTypeId } = spec;
    return {
      ...map.spec,
      name: spec.name,
      ...(keyTypeId === undefined ? {} : { keyTypeId }),
      ...(valueTypeId === undefined ? {} : { valueTypeId }),
    };
  }

  private publish({ name, visibility, pinPath }: BccTable): void {
    const map = this.maps.get(name);
    if (map === undefined) return;
    if (visibility !== undefined) {
      publicTables.set(name, map);
      this.published.push(name);
    }
    if (pinPath === undefined) return;
    const there = openIfPinned(pinPath);
    if (there !== undefined) return there.close();
    mkdirSync(dirname(pinPath), { recursive: true });
    pinObject((map as LinuxMap).fd.value, pinPath);
  }

  /** The map of a table. Throws SkepError (`no-table`) with the nearest name. */
  map(name: string): { readonly map: KernelMap; readonly spec: MapSpec } {
    const map = this.maps.get(name);
    const spec = this.object.maps.find((one) => one.name === name);
    if (map !== undefined && spec !== undefined) return { map, spec: { ...spec, maxEntries: map.spec.maxEntries } };
    throw unknownName("table", name, [...this.maps.keys()], "no-table");
  }

  /** Names of the tables, without maps of data. */
  get tableNames(): string[] {
    return this.object.maps.filter(({ initialValue }) => initialValue === undefined).map(({ name }) => name);
  }

  /** Names of the functions that are programs, in the order of the source. */
  get functionNames(): string[] {
    return this.object.programs.map(({ name }) => name);
  }

  /** A function before it is loaded. Throws SkepError (`no-function`) with the nearest name. */
  known(name: string): Known {
    const spec = this.object.programs.find((program) => program.name === name);
    if (spec === undefined) throw unknownName("function", name, this.functionNames, "no-function");
    return { spec, program: this.unit.programs.find((program) => program.name === name) };
  }

  /**
   * Loads a function as a program of a type; the one that is there when it was loaded before. Throws VerifierError with the log and the C
   * line, UnsupportedError, SyscallError; SkepError (`loaded`) when it was loaded as another type.
   */
  load(name: string, type: number, expectedAttachType?: number): BpfFunction {
    if (this.closed) throw new SkepError("closed", `function ${name}: used after its program was closed`);
    const before = this.functions.get(name);
    if (before !== undefined) {
      if (before.type === type) return before;
      const [was, wanted] = [typeName(before.type), typeName(type)];
      throw new SkepError(
        "loaded",
        `function ${name}: was loaded as ${was}, and cannot be ${wanted} too: give it another name`,
        { exitStatus: 2 },
      );
    }
    const spec = this.specAs(name, type, expectedAttachType);
    const object = { ...this.object, programs: [spec] };
    const loaded = this.kernel.load(object, {
      reuse: this.maps,
      ...(this.log === undefined ? {} : { log: this.log }),
    });
    const program = loaded.program(name);
    if (!(program instanceof LinuxProgram)) {
      loaded.close();
      throw new UnsupportedError(`function ${name}`, "is loaded into the running kernel only");
    }
    const fn = { name, type, fd: program.fd.value, program };
    this.functions.set(name, fn);
    this.loaded.set(name, loaded);
    return fn;
  }

  private specAs(name: string, type: number, expectedAttachType: number | undefined): ProgramSpec {
    const { spec, program } = this.known(name);
    const { attach: _attach, attachTo, section: _section, ...rest } = spec;
    const kept = type === spec.type ? spec.expectedAttachType : 0;
    const named = program === undefined ? undefined : attachTypes[program.kind];
    const attachType = expectedAttachType ?? (kept !== 0 || !targeted.has(type) ? kept : (named ?? 0));
    const target = attachTo ?? targetOf(program);
    return {
      ...rest,
      type,
      expectedAttachType: attachType,
      ...(targeted.has(type) && target !== undefined ? { attachTo: target } : {}),
    };
  }

  /** What a loaded function belongs to, for attaching it. */
  loadedObject(name: string): LoadedObject {
    const loaded = this.loaded.get(name);
    if (loaded === undefined) throw new SkepError("not-loaded", `function ${name}: is not loaded`);
    return loaded;
  }

  /** Functions that are loaded. */
  get loadedFunctions(): ReadonlyMap<string, BpfFunction> {
    return this.functions;
  }

  /** Frees functions and maps. */
  close(): void {
    this.closed = true;
    for (const name of this.published) {
      if (publicTables.get(name) === this.maps.get(name)) publicTables.delete(name);
    }
    for (const loaded of this.loaded.values()) loaded.close();
    this.loadedMaps.close();
  }
}

function targetOf(program: BccProgram | undefined): string | undefined {
  if (program === undefined || program.target === "") return undefined;
  return program.module === undefined ? program.target : `${program.module}:${program.target}`;
}

const typeNames: ReadonlyMap<number, string> = new Map(Object.entries(ProgType).map(([name, type]) => [type, name]));

/** The kernel's name of a type of programs. */
export function typeName(type: number): string {
  return typeNames.get(type) ?? `type ${type}`;
}

function openIfPinned(path: string): LinuxMap | undefined {
  try {
    return openPinnedMap(path);
  } catch (error) {
    if (error instanceof SkepError && (error as { errnoName?: string }).errnoName === "ENOENT") return undefined;
    throw error;
  }
}

/** The error for a name that a program does not have. */
export function unknownName(what: string, name: string, known: readonly string[], code: string): SkepError {
  const near = nearestNames(name, known);
  const list = known.length === 0 ? "it has none" : `it has ${known.slice(0, 12).join(", ")}`;
  const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : list;
  return new SkepError(code, `${what} ${name}: the program has none of that name (${hint})`, { exitStatus: 2 });
}
