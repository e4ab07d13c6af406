/** Global variables of an object, by section and name: first values before it is loaded, the memory that programs see afterwards. */
import { SkepError } from "../../base/index.ts";
import type { Btf } from "../../btf/index.ts";
import { MapFlags } from "../../isa/index.ts";
import type { KernelMap } from "../../kernel/kernel.ts";
import type { BpfObject, VariableSpec } from "../../object/index.ts";
import { codecFor } from "../values/codec-for.ts";
import { bytesCodec, type Codec } from "../values/codec.ts";
import { namedThings, type NamedProperty } from "./names.ts";
import { KCONFIG_MAP, variableSections } from "./section-names.ts";

/** A map whose memory this process shares. */
interface SharingMap extends KernelMap {
  /** The same view each time; it reads zeros once the map is closed. */
  mapMemory(): Uint8Array;
}

/** The kernel lets programs only read it. */
const isReadOnly = (flags: number): boolean => (flags & MapFlags.RDONLY_PROG) !== 0;

/** One variable: where it lies and how it is read. */
interface Variable {
  readonly name: string;
  readonly offset: number;
  readonly codec: Codec;
}

/** The memory of one section, first the object's and then the kernel's. */
class Section {
  /** Such as `.bss`. */
  readonly map: string;
  readonly frozen: boolean;
  private readonly readOnlyToPrograms: boolean;
  /** First values, until the object is loaded. */
  private initial: Uint8Array;
  private changed = false;
  private loaded: KernelMap | undefined;
  private closed = false;

  constructor(map: string, size: number, initial: Uint8Array | undefined, flags: number, frozen: boolean) {
    this.map = map;
    this.frozen = frozen;
    this.readOnlyToPrograms = isReadOnly(flags);
    this.initial = new Uint8Array(size);
    if (initial !== undefined) this.initial.set(initial.subarray(0, size));
  }

  /** First values, if any was changed. */
  get changedValue(): Uint8Array | undefined {
    return this.changed ? this.initial : undefined;
  }

  use(map: KernelMap): void {
    this.loaded = map;
    this.initial = new Uint8Array(0);
  }

  close(): void {
    this.closed = true;
  }

  read(variable: Variable): unknown {
    const bytes = this.bytes(variable);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return variable.codec.read(view, variable.offset);
  }

  write(variable: Variable, value: unknown): void {
    const where = `variable ${variable.name} of ${this.map}`;
    if (this.loaded !== undefined && (this.frozen || this.readOnlyToPrograms)) {
      throw new SkepError("frozen", `${where}: is constant once the object is loaded: set it before load()`);
    }
    const bytes = this.bytes(variable);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    try {
      variable.codec.write(view, variable.offset, value);
    } catch (error) {
      if (error instanceof TypeError) throw new TypeError(`${where}: ${error.message}`, { cause: error });
      if (error instanceof RangeError) throw new RangeError(`${where}: ${error.message}`, { cause: error });
      throw error;
    }
    if (this.loaded === undefined) this.changed = true;
    else if (!sharesMemory(this.loaded)) this.loaded.update(new Uint8Array(4), bytes);
  }

  private bytes({ name }: Variable): Uint8Array {
    if (this.closed) throw new SkepError("closed", `variable ${name} of ${this.map}: used after the object was closed`);
    if (this.loaded === undefined) {
      if (this.map === KCONFIG_MAP) {
        throw new SkepError(
          "not-loaded",
          `variable ${name} of ${this.map}: the kernel's configuration is known once the object is loaded`,
        );
      }
      return this.initial;
    }
    if (sharesMemory(this.loaded)) return this.loaded.mapMemory();
    return this.loaded.lookup(new Uint8Array(4)) ?? new Uint8Array(this.loaded.spec.valueSize);
  }
}

/** Maps that were not created for mmap(2) are read and written whole. */
function sharesMemory(map: KernelMap): map is SharingMap {
  return "mapMemory" in map && ((map.spec.flags & MapFlags.MMAPABLE) !== 0 || map.spec.frozen === true);
}

/** All global variables of an object. */
export class GlobalVariables {
  /** By section and name. */
  readonly sections: Record<string, Record<string, unknown>>;
  private readonly memory: readonly Section[];

  constructor(object: BpfObject, btf: Btf | undefined) {
    const memory: Section[] = [];
    const properties = new Map<string, NamedProperty<Record<string, unknown>>>();
    for (const [key, mapName] of variableSections(object)) {
      const map = object.maps.find(({ name }) => name === mapName)!;
      const section = new Section(
        mapName,
        Math.max(map.valueSize, map.initialValue?.length ?? 0),
        map.initialValue,
        map.flags,
        map.frozen === true,
      );
      memory.push(section);
      const variables = sectionProperties(object, btf, section);
      properties.set(key, { get: () => variables });
    }
    this.memory = memory;
    this.sections = namedThings(
      "section of globals",
      "no-section",
      properties,
      (name) =>
        new SkepError("read-only", `globals.${name}: set a variable of it, such as globals.${name}.NAME = value`),
    );
  }

  /** First values that were changed, by map. */
  changedValues(): Map<string, Uint8Array> {
    return new Map(
      this.memory.flatMap(({ map, changedValue }) =>
        changedValue === undefined ? [] : [[map, changedValue] as const],
      ),
    );
  }

  /** From here on variables are those of the kernel. */
  use(map: (name: string) => KernelMap | undefined): void {
    for (const section of this.memory) {
      const loaded = map(section.map);
      if (loaded !== undefined) section.use(loaded);
    }
  }

  close(): void {
    for (const section of this.memory) section.close();
  }
}

function sectionProperties(object: BpfObject, btf: Btf | undefined, section: Section): Record<string, unknown> {
  const variables = new Map<string, NamedProperty<unknown>>();
  for (const spec of variablesOf(object, section.map)) {
    if (variables.has(spec.name)) continue;
    let variable: Variable | undefined;
    const made = (): Variable =>
      (variable ??= {
        name: spec.name,
        offset: spec.offset,
        codec: btf === undefined || spec.typeId === 0 ? bytesCodec(spec.size) : codecFor(btf, spec.typeId),
      });
    variables.set(spec.name, {
      get: () => section.read(made()),
      ...(section.map === KCONFIG_MAP ? {} : { set: (value: unknown) => section.write(made(), value) }),
    });
  }
  return namedThings(
    `${section.map} variable`,
    "no-variable",
    variables,
    (name) =>
      new SkepError(
        "read-only",
        `variable ${name}: comes from the kernel's configuration: load({ kconfig: "${name}=..." })`,
      ),
  );
}

function variablesOf(object: BpfObject, map: string): Pick<VariableSpec, "name" | "offset" | "size" | "typeId">[] {
  if (map === KCONFIG_MAP)
    return (object.externs ?? []).flatMap((extern) => (extern.kind === "kconfig" ? [extern] : []));
  return (object.variables ?? []).filter((variable) => variable.map === map);
}
