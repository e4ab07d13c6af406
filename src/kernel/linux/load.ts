/** From an object to what the kernel holds: answers of the kernel, BTF, maps, programs, in this order; all or nothing. */
import { SkepError, UnsupportedError, nearestNames } from "../../base/index.ts";
import { AttachType, MapFlags, MapType, ProgType } from "../../isa/index.ts";
import {
  type BpfObject,
  type ProgramSpec,
  type ResolvedObject,
  nameContextArguments,
  nearestSections,
  needsResolving,
  resolveObject,
} from "../../object/index.ts";
import type { LoadOptions, LoadedObject } from "../kernel.ts";
import { type AttachTarget, resolveAttachTarget } from "./attach-target.ts";
import { bindMap, loadProg } from "./bpf-prog.ts";
import { LinuxFacts } from "./facts.ts";
import type { OwnedFd } from "./fd.ts";
import { openModuleBtf } from "./kernel-btf.ts";
import { machine } from "./machine.ts";
import type { LinuxMap } from "./maps.ts";
import { ObjectMaps, indexBytes, slotFailure } from "./object-maps.ts";
import { type ObjectBtf, loadObjectBtf } from "./object-btf.ts";
import { LinuxProgram } from "./programs.ts";
import { relocate } from "./relocate.ts";
import { type StructOpsPlan, planStructOps, structOpsValue } from "./struct-ops.ts";
import { createToken } from "./token.ts";
import { explainLog } from "./verifier-message.ts";

/** An object in the kernel. */
export class LinuxObject implements LoadedObject {
  readonly object: BpfObject;
  private readonly maps: ReadonlyMap<string, LinuxMap>;
  private readonly programs: ReadonlyMap<string, LinuxProgram>;
  readonly refused: ReadonlyMap<string, SkepError>;

  constructor(
    object: BpfObject,
    maps: ReadonlyMap<string, LinuxMap>,
    programs: ReadonlyMap<string, LinuxProgram>,
    refused: ReadonlyMap<string, SkepError>,
  ) {
    this.object = object;
    this.maps = maps;
    this.programs = programs;
    this.refused = refused;
  }

  /** Throws SkepError (`no-map`) when there is none, or it was not created. */
  map(name: string): LinuxMap {
    const map = this.maps.get(name);
    if (map !== undefined) return map;
    if (this.object.maps.some((spec) => spec.name === name))
      throw new SkepError("no-map", `object: map ${name} was not created (autocreate)`);
    throw new SkepError("no-map", `object: no map ${name}; ${list(name, this.maps)}`);
  }

  /** Throws SkepError (`no-program`) when there is none, or it was not loaded. */
  program(name: string): LinuxProgram {
    const program = this.programs.get(name);
    if (program !== undefined) return program;
    const refusal = this.refused.get(name);
    if (refusal !== undefined)
      throw new SkepError("no-program", `object: program ${name} was left out: ${refusal.message}`, { cause: refusal });
    if (this.object.programs.some((spec) => spec.name === name))
      throw new SkepError("no-program", `object: program ${name} was not loaded (autoload)`);
    throw new SkepError("no-program", `object: no program ${name}; ${list(name, this.programs)}`);
  }

  /** Whether the map was created. */
  hasMap(name: string): boolean {
    return this.maps.has(name);
  }

  /** Whether the program was loaded. */
  hasProgram(name: string): boolean {
    return this.programs.has(name);
  }

  close(): void {
    for (const program of this.programs.values()) program.close();
    for (const map of this.maps.values()) map.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function list(wanted: string, named: ReadonlyMap<string, unknown>): string {
  const near = named.size > 8 ? nearestNames(wanted, named.keys()) : [];
  if (near.length > 0) return `${near.join(" or ")} may be meant`;
  return `it has ${named.size === 0 ? "none" : [...named.keys()].join(", ")}`;
}

/**
 * Loads an object. On an error everything made so far is closed again, and pins made are taken away. Throws VerifierError, SyscallError,
 * UnsupportedError; SkepError for what does not fit together.
 */
export function loadObject(object: BpfObject, options: LoadOptions = {}): LinuxObject {
  if (object.byteOrder === "big") {
    throw new UnsupportedError(
      `object ${object.name ?? ""}`.trimEnd(),
      "it was compiled for big-endian machines, and this one is little-endian: compile it with -target bpfel",
    );
  }
  return new Loader(object, options).run();
}

/** Whether a function of the object may have an argument tagged as context; tells in microseconds that none has. */
function mentionsContexts({ btf }: BpfObject): boolean {
  return btf !== undefined && Buffer.from(btf.buffer, btf.byteOffset, btf.byteLength).includes("arg:ctx\0");
}

/** One load. Members that stay undefined are what the object does not need. */
class Loader {
  private readonly given: BpfObject;
  private readonly options: LoadOptions;
  private readonly resolved: ResolvedObject | undefined;
  /** With the kernel's answers in it. */
  private readonly object: BpfObject;
  private readonly programs = new Map<string, LinuxProgram>();
  private readonly refused = new Map<string, SkepError>();
  private token: OwnedFd | undefined;
  private btf: ObjectBtf | undefined;
  private maps: ObjectMaps | undefined;
  private structOps: StructOpsPlan | undefined;

  constructor(object: BpfObject, options: LoadOptions) {
    this.given = object;
    this.options = options;
    this.resolved = needsResolving(object) ? resolveObject(object, new LinuxFacts(), options) : undefined;
    const answered = this.resolved?.object ?? object;
    this.object = machine.atLeast(6, 8) || !mentionsContexts(answered) ? answered : nameContextArguments(answered);
  }

  run(): LinuxObject {
    const { object, options } = this;
    try {
      this.structOps = planStructOps(object);
      if (options.tokenPath !== undefined) this.token = createToken(options.tokenPath);
      if (object.btf !== undefined) this.btf = loadObjectBtf(object.btf, this.token?.value);
      if (this.structOps !== undefined) this.requireBtf("struct_ops");
      this.maps = new ObjectMaps({
        options,
        possibleCpus: machine.possibleCpus.length,
        btfFd: this.btf?.fd?.value,
        tokenFd: this.token?.value,
        structOps: this.structOps?.layouts,
        programHash: (name) => this.programHash(name),
      });
      this.maps.createAll(object.maps);
      for (const spec of object.programs) if (this.isWanted(spec)) this.loadOrLeaveOut(spec);
      const [first] = this.refused.values();
      if (first !== undefined && this.programs.size === 0) throw first;
      this.fillProgramSlots();
      this.setStructOpsValues();
      return new LinuxObject(this.given, this.maps.maps, this.programs, this.refused);
    } catch (error) {
      for (const program of this.programs.values()) program.close();
      for (const map of this.maps?.maps.values() ?? []) map.close();
      this.maps?.unpinAll();
      throw this.withBtfRefusal(error);
    } finally {
      // Maps and programs hold their BTF themselves.
      this.btf?.fd?.close();
      this.token?.close();
    }
  }

  /** Without BTF a program that needs it fails for a reason that only the BTF's own log tells. */
  private withBtfRefusal(error: unknown): unknown {
    const refusal = this.btf?.refusal;
    if (refusal !== undefined && error instanceof SkepError)
      error.message += ` (the kernel also refused the object's BTF: ${refusal})`;
    return error;
  }

  private requireBtf(what: string): void {
    if (this.btf?.fd === undefined) throw new SkepError("btf", `object: ${what} needs the object's BTF in the kernel`);
  }

  /** A struct_ops program is loaded when a map uses it, whatever its section says. */
  private isWanted({ name, autoload, type }: ProgramSpec): boolean {
    if (type === ProgType.STRUCT_OPS && this.structOps !== undefined) {
      if (this.structOps.targets.has(name)) return true;
      if (this.structOps.unused.has(name)) return false;
    }
    return autoload !== false;
  }

  private loadOrLeaveOut(spec: ProgramSpec): void {
    try {
      this.load(spec);
    } catch (error) {
      const mayLack = this.options.partial === true && error instanceof SkepError;
      // A table of functions has all of them or none.
      if (!mayLack || spec.type === ProgType.STRUCT_OPS) throw error;
      this.refused.set(spec.name, error);
    }
  }

  private load(given: ProgramSpec): void {
    const spec = inOneLink(given);
    const { object, options, resolved } = this;
    if (spec.type === ProgType.UNSPEC) {
      const near = nearestSections(spec.section ?? "").map((name) => `SEC("${name}")`);
      const meant =
        near.length > 0 ? `${near.join(" or ")} may be meant` : 'name it as libbpf does, such as SEC("tracepoint/...")';
      throw new SkepError(
        "program-type",
        `program ${spec.name}: section ${spec.section ?? "(none)"} tells no type of program: ${meant}, or set the program's type before it is loaded`,
        { exitStatus: 2 },
      );
    }
    const structOps = this.structOpsTarget(spec);
    const target = structOps ?? resolveAttachTarget(spec, options.targetPrograms?.get(spec.name));
    let moduleFds: readonly OwnedFd[] = [];
    try {
      const relocated = relocate(
        spec,
        (name) => this.mapFd(spec, name),
        resolved && { object, symbols: resolved.symbols },
      );
      moduleFds = relocated.moduleFds;
      const { fd, log } = loadProg({
        spec,
        code: relocated.code,
        moduleBtfFds: moduleFds.map((moduleFd) => moduleFd.value),
        license: object.license,
        attachBtfId: target?.btfId,
        attachFd: (target?.moduleFd ?? target?.programFd)?.value,
        expectedAttachType: structOps?.memberIndex,
        tokenFd: this.token?.value,
        explain: (text) =>
          explainLog(text, { object, spec, failures: resolved?.failures.get(spec.name) ?? [] }) +
          this.untypedMaps(spec),
        ...(this.btf?.fd === undefined || this.btf.hasNoFunctions === true ? {} : { btfFd: this.btf.fd.value }),
        ...(options.log === undefined ? {} : { logLevel: options.log.level }),
      });
      this.programs.set(spec.name, new LinuxProgram(spec, fd));
      this.bindMetadata(spec, fd);
      options.log?.sink(spec.name, log);
    } finally {
      target?.moduleFd?.close();
      target?.programFd?.close();
      for (const moduleFd of moduleFds) moduleFd.close();
    }
  }

  /** Locks, timers and kernel pointers in maps work only with their types. */
  private untypedMaps({ relocations }: ProgramSpec): string {
    const used = [...(this.maps?.untyped ?? [])].filter(([name]) =>
      relocations.some((relocation) => "map" in relocation && relocation.map === name),
    );
    if (used.length === 0) return "";
    const taken = used.map(([name, errno]) => `${name} (${errno})`);
    return ` (the kernel took these maps only without the types of their entries: ${taken.join(", ")})`;
  }

  /** As `bpf_prog_calc_tag` of the kernel: descriptors of maps, and what follows them, count as zeros. */
  private programHash(name: string): Uint8Array {
    const { object, resolved } = this;
    const spec = object.programs.find((program) => program.name === name);
    if (spec === undefined) throw new SkepError("no-program", `object: a map is for program ${name}, which it has not`);
    const { code, moduleFds } = relocate(spec, () => 0, resolved && { object, symbols: resolved.symbols });
    for (const moduleFd of moduleFds) moduleFd.close();
    for (const { kind, insnIndex } of spec.relocations)
      if (kind === "map" || kind === "map-value") code.fill(0, insnIndex * 8 + 12, insnIndex * 8 + 16);
    return new Uint8Array(process.getBuiltinModule("node:crypto").createHash("sha256").update(code).digest());
  }

  /** Undefined for a map that was not created: the verifier refuses its use where it is reached. */
  private mapFd(program: ProgramSpec, name: string): number | undefined {
    const map = this.maps?.maps.get(name);
    if (map !== undefined) return map.fd.value;
    if (this.object.maps.some((spec) => spec.name === name)) return undefined;
    throw new SkepError("no-map", `program ${program.name}: refers to map ${name}, which its object does not have`);
  }

  private structOpsTarget(spec: ProgramSpec): (AttachTarget & { readonly memberIndex: number }) | undefined {
    if (spec.type !== ProgType.STRUCT_OPS) return undefined;
    const target = this.structOps?.targets.get(spec.name);
    if (target === undefined) {
      throw new SkepError(
        "struct-ops",
        `program ${spec.name}: no struct_ops map of the object uses it: assign it to a member, or do not load it`,
        { exitStatus: 2 },
      );
    }
    const { typeId, memberIndex, module } = target;
    const moduleFd = module === undefined ? undefined : openModuleBtf(module);
    return { btfId: typeId, memberIndex, ...(moduleFd === undefined ? {} : { moduleFd }) };
  }

  /** Read-only data that no instruction names, such as the metadata that bpftool shows, lives as long as the program. */
  private bindMetadata(spec: ProgramSpec, fd: OwnedFd): void {
    for (const [name, map] of this.maps!.maps) {
      if (!name.startsWith(".rodata") || map.spec.frozen !== true) continue;
      if (!spec.relocations.some((relocation) => "map" in relocation && relocation.map === name))
        bindMap(fd.value, map.fd.value);
    }
  }

  private fillProgramSlots(): void {
    for (const spec of this.object.maps) {
      if (spec.slots === undefined || spec.type !== MapType.PROG_ARRAY) continue;
      const map = this.maps!.maps.get(spec.name);
      if (map === undefined || this.options.reuse?.has(spec.name) === true) continue;
      for (const slot of spec.slots) {
        if (!("program" in slot)) throw slotFailure(spec, slot.index, "holds programs, not maps");
        const program = this.programs.get(slot.program);
        if (program === undefined && this.refused.has(slot.program)) continue;
        if (program === undefined)
          throw slotFailure(spec, slot.index, `names program ${slot.program}, which was not loaded`);
        map.update(indexBytes(slot.index), indexBytes(program.fd.value));
      }
    }
  }

  /** Maps with links are written now and registered by the link; for the others writing is registering, which attaching does. */
  private setStructOpsValues(): void {
    for (const [name, layout] of this.structOps?.layouts ?? []) {
      const map = this.maps!.maps.get(name);
      if (map === undefined) continue;
      const value = structOpsValue(layout, (program) => this.programs.get(program)!.fd.value);
      map.structOpsValue = value;
      if ((map.spec.flags & MapFlags.LINK) !== 0) map.update(new Uint8Array(map.spec.keySize), value);
    }
  }
}

/**
 * A static probe has many places. Its programs are loaded for attaching to all at once, as libbpf does, from Linux 6.10 on: before, the
 * kernel mistakes the process to follow for a thread.
 */
function inOneLink(spec: ProgramSpec): ProgramSpec {
  const isUsdt = spec.type === ProgType.KPROBE && /^usdt(\.s)?(\/|$)/.test(spec.section ?? "");
  if (!isUsdt || spec.expectedAttachType !== 0 || !machine.atLeast(6, 10)) return spec;
  return { ...spec, expectedAttachType: AttachType.TRACE_UPROBE_MULTI };
}
