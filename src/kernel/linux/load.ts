/** From an object to what the kernel holds: BTF, maps, programs, in this order; all or nothing. */
import { SkepError } from "../../base/index.ts";
import { MapType } from "../../isa/index.ts";
import type { BpfObject, MapSpec } from "../../object/index.ts";
import type { LoadOptions, LoadedObject } from "../kernel.ts";
import { resolveAttachTarget } from "./attach-target.ts";
import { createMap, freezeMap } from "./bpf-map.ts";
import { loadBtf, loadProg } from "./bpf-prog.ts";
import type { OwnedFd } from "./fd.ts";
import { machine } from "./machine.ts";
import { LinuxMap } from "./maps.ts";
import { LinuxProgram } from "./programs.ts";
import { relocate } from "./relocate.ts";

/** An object in the kernel. */
export class LinuxObject implements LoadedObject {
  readonly object: BpfObject;
  private readonly maps: ReadonlyMap<string, LinuxMap>;
  private readonly programs: ReadonlyMap<string, LinuxProgram>;

  constructor(object: BpfObject, maps: ReadonlyMap<string, LinuxMap>, programs: ReadonlyMap<string, LinuxProgram>) {
    this.object = object;
    this.maps = maps;
    this.programs = programs;
  }

  map(name: string): LinuxMap {
    const map = this.maps.get(name);
    if (map === undefined) throw new SkepError("no-map", `object: no map ${name}; it has ${list(this.maps)}`);
    return map;
  }

  program(name: string): LinuxProgram {
    const program = this.programs.get(name);
    if (program === undefined)
      throw new SkepError("no-program", `object: no program ${name}; it has ${list(this.programs)}`);
    return program;
  }

  close(): void {
    for (const program of this.programs.values()) program.close();
    for (const map of this.maps.values()) map.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function list(named: ReadonlyMap<string, unknown>): string {
  return named.size === 0 ? "none" : [...named.keys()].join(", ");
}

/** A map's spec with what only this machine knows filled in. */
function settled(spec: MapSpec, possibleCpus: number, options: LoadOptions): MapSpec {
  const wanted = options.maxEntries?.get(spec.name) ?? spec.maxEntries;
  const maxEntries = wanted === 0 && spec.type === MapType.PERF_EVENT_ARRAY ? possibleCpus : wanted;
  return maxEntries === spec.maxEntries ? spec : { ...spec, maxEntries };
}

/** Loads an object. On an error everything made so far is closed again. Throws VerifierError, SyscallError, UnsupportedError. */
export function loadObject(object: BpfObject, options: LoadOptions = {}): LinuxObject {
  const possibleCpus = machine.possibleCpus.length;
  const maps = new Map<string, LinuxMap>();
  const programs = new Map<string, LinuxProgram>();
  const loaded = new LinuxObject(object, maps, programs);
  let btf: OwnedFd | undefined;
  let refusedBtf = "";
  try {
    if (object.btf !== undefined) {
      const answer = loadBtf(object.btf);
      if ("fd" in answer) btf = answer.fd;
      else refusedBtf = answer.log;
    }
    for (const spec of object.maps) {
      const map = new LinuxMap(
        settled(spec, possibleCpus, options),
        createMap(settled(spec, possibleCpus, options), btf?.value),
        possibleCpus,
      );
      maps.set(spec.name, map);
      if (spec.initialValue !== undefined) map.update(new Uint8Array(spec.keySize), spec.initialValue);
      if (spec.frozen === true) freezeMap(map.fd.value, spec.name);
    }
    for (const spec of object.programs) {
      const target = resolveAttachTarget(spec);
      let moduleFds: readonly OwnedFd[] = [];
      try {
        const relocated = relocate(spec, (name) => loaded.map(name).fd.value);
        moduleFds = relocated.moduleFds;
        const { fd, log } = loadProg({
          spec,
          code: relocated.code,
          moduleBtfFds: moduleFds.map((moduleFd) => moduleFd.value),
          license: object.license,
          ...(btf === undefined ? {} : { btfFd: btf.value }),
          ...(target === undefined ? {} : { attachBtfId: target.btfId }),
          ...(target?.moduleFd === undefined ? {} : { attachBtfFd: target.moduleFd.value }),
          ...(options.log === undefined ? {} : { logLevel: options.log.level }),
        });
        programs.set(spec.name, new LinuxProgram(spec, fd));
        options.log?.sink(spec.name, log);
      } finally {
        target?.moduleFd?.close();
        for (const moduleFd of moduleFds) moduleFd.close();
      }
    }
    return loaded;
  } catch (error) {
    loaded.close();
    // Without BTF a program that needs it fails for a reason that only the BTF's own log tells.
    if (refusedBtf !== "" && error instanceof SkepError) {
      error.message += ` (the kernel also refused the object's BTF: ${refusedBtf.trim().split("\n").at(-1)})`;
    }
    throw error;
  } finally {
    // Maps and programs hold their BTF themselves.
    btf?.close();
  }
}
