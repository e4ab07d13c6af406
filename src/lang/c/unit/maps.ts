/** Maps that a file defines: in `.maps` by the types of variables, in `maps` by their bytes, in `.struct_ops` as structs of functions. */
import { Btf } from "../../../btf/index.ts";
import { MapFlags, MapType } from "../../../isa/index.ts";
import { LEGACY_MAPS, MAPS, STRUCT_OPS, readLegacyMaps, readMapDefinition } from "../../../object/index.ts";
import type { MapSlot, MapSpec, StructOpsSpec } from "../../../object/index.ts";
import type { FunctionDecl, VariableDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { sizeOf } from "../types/layout.ts";
import { type RecordType, shapeOf, typeText } from "../types/types.ts";
import type { BtfTypes } from "./btf-types.ts";
import { type AddressInBytes, initialBytes } from "./bytes.ts";

/** True for sections whose variables are maps that code may name. */
export function isMapSection(section: string): boolean {
  return section === MAPS || LEGACY_MAPS.test(section);
}

/** True for sections whose variables are maps of functions. */
export function isStructOpsSection(section: string): boolean {
  return STRUCT_OPS.test(section);
}

/** What maps ask of the file around them. */
export interface MapsHost {
  readonly diagnostics: Diagnostics;
  readonly types: BtfTypes;
  /** True for functions that are programs; `structOps` for those of section `struct_ops`. */
  isProgram(func: FunctionDecl, structOps: boolean): boolean;
}

/** Thrown from within the reader of definitions; the message has been given. */
class Wrong extends Error {}

/** Entries that a map's `values` may name: the kernel's arrays of programs and maps are far smaller. */
const MOST_SLOTS = 1 << 20;
/** Bytes of a pointer. */
const POINTER = 8;

/** The maps of a file, in the order in which they are first needed. */
export class MapVariables {
  private readonly host: MapsHost;
  private readonly variables = new Set<VariableDecl>();

  constructor(host: MapsHost) {
    this.host = host;
  }

  /** Takes a map that is defined or used. */
  add(variable: VariableDecl): void {
    if (this.variables.has(variable)) return;
    this.variables.add(variable);
    const { storage, name, location } = variable;
    if (storage === "static" && variable.attributes.section === MAPS) {
      this.host.diagnostics.error(location, `map ${name} is static: maps must be global`, {
        hint: "take away static",
        length: name.length,
      });
    }
  }

  /** Descriptions of all maps; those that are wrong are left out, with an error. */
  finish(): MapSpec[] {
    const { host } = this;
    const definitions = [...this.variables].filter((v) => v.attributes.section === MAPS);
    const ids = definitions.map((variable) => {
      const shape = shapeOf(variable.type);
      return shape.kind === "record" ? host.types.mapDefinition(shape) : host.types.id(variable.type);
    });
    const btf = definitions.length === 0 ? undefined : Btf.parse(host.types.builder.finish());
    const maps: MapSpec[] = [];
    for (const variable of this.variables) {
      const section = variable.attributes.section ?? "";
      const take = (make: () => MapSpec): void => {
        try {
          maps.push(make());
        } catch (error) {
          if (!(error instanceof Wrong)) throw error;
        }
      };
      if (section === MAPS) take(() => this.definition(variable, btf!, ids[definitions.indexOf(variable)]!));
      else if (STRUCT_OPS.test(section)) take(() => this.structOps(variable, section));
    }
    // Those of programs before BTF are read together: one may name another by a number.
    const legacy = [...this.variables].filter((v) => LEGACY_MAPS.test(v.attributes.section ?? ""));
    if (legacy.length > 0) maps.push(...this.legacy(legacy));
    return maps;
  }

  private fail(variable: VariableDecl, location: number, what: string): never {
    this.host.diagnostics.error(location, `map ${variable.name}: ${what}`, { length: variable.name.length });
    throw new Wrong();
  }

  private definition(variable: VariableDecl, btf: Btf, typeId: number): MapSpec {
    const { name, location } = variable;
    const spec = readMapDefinition(btf, name, typeId, (what) => this.fail(variable, location, what));
    const slots = this.slots(variable, spec);
    return slots.length === 0 ? spec : { ...spec, slots };
  }

  /** First entries, from the initialiser of `values`. */
  private slots(variable: VariableDecl, spec: MapSpec): MapSlot[] {
    const { initializer, type } = variable;
    if (initializer === undefined) return [];
    const { addresses, problem } = initialBytes(initializer, type);
    if (problem !== undefined) this.fail(variable, problem, "an entry is not constant");
    const { contents } = shapeOf(type) as RecordType;
    const values = contents?.fields.find((field) => field.name === "values");
    return addresses.map((address) => {
      const place = values === undefined ? -1 : address.offset - values.bitOffset / 8;
      if (place < 0 || place % POINTER !== 0)
        return this.fail(variable, address.location, "only values has entries that can be given");
      const index = place / POINTER;
      if (index >= MOST_SLOTS)
        return this.fail(variable, address.location, `entry ${index}: up to ${MOST_SLOTS} may be`);
      return this.slot(variable, spec, index, address);
    });
  }

  private slot(
    variable: VariableDecl,
    spec: MapSpec,
    index: number,
    { base, location, addend }: AddressInBytes,
  ): MapSlot {
    const isFunction = !(base instanceof Uint8Array) && base.kind === "function";
    if (spec.type === MapType.PROG_ARRAY) {
      if (!isFunction || !this.host.isProgram(base, false) || addend !== 0)
        return this.fail(variable, location, `entry ${index} is no program`);
      return { index, program: base.name };
    }
    const isMap = !(base instanceof Uint8Array) && base.kind === "variable" && base.attributes.section === MAPS;
    if (!isMap || addend !== 0) return this.fail(variable, location, `entry ${index} is no map of SEC("${MAPS}")`);
    if (spec.type === MapType.HASH_OF_MAPS && spec.keySize !== 4)
      return this.fail(variable, location, `first entries need keys of 4 bytes, it has ${spec.keySize}`);
    this.add(base);
    return { index, map: base.name };
  }

  private legacy(variables: readonly VariableDecl[]): MapSpec[] {
    const contents: Uint8Array[] = [];
    let size = 0;
    const symbols = variables.map((variable) => {
      const { bytes, addresses, problem } = initialBytes(variable.initializer, variable.type);
      const wrong = problem ?? addresses[0]?.location;
      if (wrong !== undefined)
        this.host.diagnostics.error(wrong, `map ${variable.name}: an attribute is not a constant number`);
      const value = size;
      contents.push(bytes);
      size += bytes.length;
      return { name: variable.name, section: 0, value, size: bytes.length };
    });
    const data = new Uint8Array(size);
    symbols.forEach(({ value }, i) => data.set(contents[i]!, value));
    try {
      const image = { file: "", byteOrder: "little", symbols } as const;
      return readLegacyMaps(image, { index: 0, name: "maps", data }).map(({ spec }) => spec);
    } catch (error) {
      const what = (error as Error).message.replace(/^.*?(?=map )/, "");
      this.host.diagnostics.error(variables[0]!.location, what);
      return [];
    }
  }

  private structOps(variable: VariableDecl, section: string): MapSpec {
    const { name, type, initializer, location } = variable;
    const shape = shapeOf(type);
    if (shape.kind !== "record" || shape.union || shape.tag === undefined || shape.contents === undefined)
      return this.fail(
        variable,
        location,
        `its type is ${typeText(type)}, a struct of the kernel that has a name is wanted`,
      );
    const { bytes, addresses, problem } = initialBytes(initializer, type);
    if (problem !== undefined) return this.fail(variable, problem, "a member is not constant");
    const { fields } = shape.contents;
    const functions = addresses.map(({ offset, base, location: at }): StructOpsSpec["functions"][number] => {
      const member = fields.find((field) => field.bitOffset === offset * 8 && pointsToFunction(field.type));
      if (member?.name === undefined)
        return this.fail(
          variable,
          at,
          "an address is put where no function member is: only programs can be named here",
        );
      const isFunction = !(base instanceof Uint8Array) && base.kind === "function";
      if (!isFunction || !this.host.isProgram(base, true)) {
        const what = isFunction ? base.name : "a variable";
        return this.fail(variable, at, `member ${member.name} is ${what}, which is no program of SEC("struct_ops")`);
      }
      return { offset, member: member.name, program: base.name };
    });
    const link = section.endsWith(".link");
    return {
      name,
      type: MapType.STRUCT_OPS,
      keySize: 4,
      valueSize: sizeOf(type)!,
      maxEntries: 1,
      flags: link ? MapFlags.LINK : 0,
      initialValue: bytes,
      structOps: { typeId: this.host.types.id(shape), typeName: shape.tag, functions, link },
      ...(section.startsWith("?") ? { autocreate: false } : {}),
    };
  }
}

function pointsToFunction(type: VariableDecl["type"]): boolean {
  const shape = shapeOf(type);
  return shape.kind === "pointer" && shapeOf(shape.to).kind === "function";
}
