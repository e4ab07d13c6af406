/** What was read of an object, as plain data that may be changed until it is loaded. */
import { SkepError } from "../../base/index.ts";
import { MapType } from "../../isa/index.ts";
import type { AttachRequest, BpfObject, MapSpec, ProgramSpec } from "../../object/index.ts";
import { noSuchName } from "./names.ts";

/** A program before it is loaded. What is not read-only may be changed; wrong values are a TypeError or RangeError at once. */
export interface EditableProgram {
  readonly name: string;
  /** `ProgType.*` */
  type: number;
  /** `AttachType.*`, 0 when the type has none. */
  expectedAttachType: number;
  /** What `SEC()` says. */
  readonly section: string | undefined;
  /** False: neither loaded nor attached. */
  autoload: boolean;
  /** False: `attach()` of the whole object leaves it out. */
  autoattach: boolean;
  /** Name of the kernel's type for programs that are attached by BTF, such as a function for fentry. */
  attachTo: string | undefined;
  /** Where it is attached; undefined when it must be said. */
  attach: AttachRequest | undefined;
  sleepable: boolean;
  /** Further `BPF_F_*` of program load. */
  flags: number;
  /** Instructions, 8 bytes each. */
  readonly code: Uint8Array;
}

/** A map before it is created. */
export interface EditableMap {
  readonly name: string;
  /** `MapType.*` */
  type: number;
  /** Bytes. */
  keySize: number;
  /** Bytes. */
  valueSize: number;
  /** Ring buffers: bytes. */
  maxEntries: number;
  /** `BPF_F_*` of map creation. */
  flags: number;
  /** Undefined: anywhere. */
  numaNode: number | undefined;
  pinning: "by-name" | undefined;
  /** False: not created. */
  autocreate: boolean;
}

/** Everything of an object by name. */
export interface ObjectSpec<Programs extends string = string, Maps extends string = string> {
  /** Such as `GPL`: the kernel gives some helpers only to programs with a licence that it takes for compatible. */
  license: string;
  readonly programs: Readonly<Record<Programs, EditableProgram>>;
  /** Maps of sections (`.rodata`, `.bss`) included. */
  readonly maps: Readonly<Record<Maps, EditableMap>>;
}

/** What a field may be; the text is what the error says it wants. */
interface Rule {
  readonly wants: string;
  readonly test: (value: unknown) => boolean;
}

const isU32 = (value: unknown): boolean =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
const u32: Rule = { wants: "a whole number from 0 to 4294967295", test: isU32 };
const boolean: Rule = { wants: "true or false", test: (value) => typeof value === "boolean" };

const programRules: Readonly<Record<string, Rule>> = {
  type: u32,
  expectedAttachType: u32,
  autoload: boolean,
  autoattach: boolean,
  attachTo: { wants: "a name or undefined", test: (value) => value === undefined || typeof value === "string" },
  attach: {
    wants: "an AttachRequest or undefined",
    test: (value) => value === undefined || (typeof value === "object" && value !== null && "kind" in value),
  },
  sleepable: boolean,
  flags: u32,
};

const mapRules: Readonly<Record<string, Rule>> = {
  type: u32,
  keySize: u32,
  valueSize: u32,
  maxEntries: u32,
  flags: u32,
  numaNode: { wants: "a whole number or undefined", test: (value) => value === undefined || isU32(value) },
  pinning: { wants: '"by-name" or undefined', test: (value) => value === undefined || value === "by-name" },
  autocreate: boolean,
};

/** The editable form of an object. */
export class SpecEditor {
  readonly spec: ObjectSpec;
  private readonly object: BpfObject;
  private readonly programs: ReadonlyMap<string, EditableProgram>;
  private readonly maps: ReadonlyMap<string, EditableMap>;
  private license: string;
  private frozen = false;

  constructor(object: BpfObject) {
    this.object = object;
    this.license = object.license;
    const isFrozen = (): boolean => this.frozen;
    this.programs = new Map(
      object.programs.map((program) => [
        program.name,
        checked(`program ${program.name}`, programFields(program), programRules, isFrozen),
      ]),
    );
    this.maps = new Map(
      object.maps.map((map) => [map.name, checked(`map ${map.name}`, mapFields(map), mapRules, isFrozen)]),
    );
    const rules = { license: { wants: "a text", test: (value: unknown) => typeof value === "string" } };
    const whole = {
      license: object.license,
      programs: byName("program", "no-program", this.programs),
      maps: byName("map", "no-map", this.maps),
    };
    this.spec = checked("object", whole, rules, isFrozen, (name, value) => {
      if (name === "license") this.license = String(value);
    });
  }

  /** No change from here on. */
  freeze(): void {
    this.frozen = true;
  }

  /** Whether `attach()` of the whole object takes a program. */
  autoattaches(program: string): boolean {
    const edited = this.programs.get(program);
    return edited !== undefined && edited.autoload && edited.autoattach;
  }

  /** The object with the changes. `values` are first values of sections by map. */
  build(values: ReadonlyMap<string, Uint8Array>): BpfObject {
    return {
      ...this.object,
      license: this.license,
      programs: this.object.programs.map((program) => editedProgram(program, this.programs.get(program.name)!)),
      maps: this.object.maps.map((map) => {
        const value = values.get(map.name);
        const edited = editedMap(map, this.maps.get(map.name)!);
        return value === undefined ? edited : { ...edited, initialValue: value };
      }),
    };
  }
}

function programFields(program: ProgramSpec): EditableProgram {
  return {
    name: program.name,
    type: program.type,
    expectedAttachType: program.expectedAttachType,
    section: program.section,
    autoload: program.autoload ?? true,
    autoattach: true,
    attachTo: program.attachTo,
    attach: program.attach,
    sleepable: program.sleepable ?? false,
    flags: program.flags ?? 0,
    code: program.code,
  };
}

function editedProgram(program: ProgramSpec, edited: EditableProgram): ProgramSpec {
  const { attachTo: _attachTo, attach: _attach, ...rest } = program;
  const { type, expectedAttachType, autoload, sleepable, flags } = edited;
  return {
    ...rest,
    type,
    expectedAttachType,
    autoload,
    sleepable,
    flags,
    ...(edited.attachTo === undefined ? {} : { attachTo: edited.attachTo }),
    ...(edited.attach === undefined ? {} : { attach: edited.attach }),
  };
}

function mapFields(map: MapSpec): EditableMap {
  return {
    name: map.name,
    type: map.type,
    keySize: map.keySize,
    valueSize: map.valueSize,
    maxEntries: map.maxEntries,
    flags: map.flags,
    numaNode: map.numaNode,
    pinning: map.pinning,
    autocreate: map.autocreate ?? true,
  };
}

function editedMap(map: MapSpec, edited: EditableMap): MapSpec {
  const { numaNode: _numaNode, pinning: _pinning, keyTypeId, valueTypeId, ...rest } = map;
  const { type, keySize, valueSize, maxEntries, flags, autocreate } = edited;
  // Of another size it is of another type.
  const sameKey = keyTypeId !== undefined && keySize === map.keySize;
  const sameValue = valueTypeId !== undefined && valueSize === map.valueSize;
  // The kernel wants neither keys nor values of them; a declared type of values says what records are.
  const isRing = type === MapType.RINGBUF || type === MapType.USER_RINGBUF;
  return {
    ...rest,
    type,
    keySize: isRing ? 0 : keySize,
    valueSize: isRing ? 0 : valueSize,
    maxEntries,
    flags,
    autocreate,
    ...(sameKey ? { keyTypeId } : {}),
    ...(sameValue ? { valueTypeId } : {}),
    ...(edited.numaNode === undefined ? {} : { numaNode: edited.numaNode }),
    ...(edited.pinning === undefined ? {} : { pinning: edited.pinning }),
  };
}

/** Plain data whose changes are checked by rules; fields without a rule cannot be changed. */
function checked<T extends object>(
  what: string,
  fields: T,
  rules: Readonly<Record<string, Rule>>,
  frozen: () => boolean,
  changed: (name: string, value: unknown) => void = () => {},
): T {
  return new Proxy(fields, {
    set(target, name, value) {
      const rule = typeof name === "string" ? rules[name] : undefined;
      if (rule === undefined) {
        if (name in target) throw new TypeError(`${what}: ${String(name)} cannot be changed`);
        throw noSuchName(`${what}: property`, String(name), Object.keys(target), "no-property");
      }
      if (frozen())
        throw new SkepError("loaded", `${what}: ${String(name)}: the object is loaded: change the spec before load()`);
      if (!rule.test(value)) throw new TypeError(`${what}: ${String(name)} wants ${rule.wants}, not ${shown(value)}`);
      changed(String(name), value);
      return Reflect.set(target, name, value);
    },
    deleteProperty(target, name) {
      throw new TypeError(`${what}: ${String(name)} cannot be deleted`);
    },
  });
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : typeof value === "bigint" ? `${value}n` : String(value);
}

function byName<T>(what: string, code: string, things: ReadonlyMap<string, T>): Record<string, T> {
  return new Proxy(Object.fromEntries(things), {
    get(target, name) {
      if (typeof name === "symbol" || things.has(name)) return Reflect.get(target, name) as unknown;
      if (name in Object.prototype || name === "then" || name === "toJSON") return undefined;
      throw noSuchName(what, name, [...things.keys()], code);
    },
    set(target, name) {
      throw new TypeError(`${what} ${String(name)}: change its properties instead`);
    },
  });
}
