/** Sections of data: where global and static variables and literals are, and the maps that hold them. */
import { BtfVarLinkage, btfIdentifier } from "../../../btf/index.ts";
import type { BtfBuilder } from "../../../btf/index.ts";
import { MapFlags, MapType } from "../../../isa/index.ts";
import { dataMapName } from "../../../object/index.ts";
import type { MapSpec, VariableSpec } from "../../../object/index.ts";
import type { FunctionBuilder, Inst, Module, Value } from "../../../compiler/index.ts";
import type { VariableDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { alignOf } from "../types/layout.ts";
import { type CType, qualifiersOf, shapeOf } from "../types/types.ts";
import type { BtfTypes } from "./btf-types.ts";
import { extentOf, initialBytes } from "./bytes.ts";
import { escapingAddresses } from "./uses.ts";

/** A variable or literal whose place is known when the file is read: code refers to it by instructions that get their place then. */
export interface DataItem {
  /** Undefined for literals. */
  readonly variable: VariableDecl | undefined;
  /** First bytes; undefined for zeros. */
  readonly bytes: Uint8Array | undefined;
  readonly size: number;
  readonly align: number;
  /** `mapvalue`s of its first byte. */
  readonly references: Inst[];
}

/** Section of variables of arenas. */
export const ARENA_SECTION = ".addr_space.1";

/** Address space of arenas. */
const ARENA = 1;

/** `.rodata`, `.data`, `.bss`, and what is named after one of them with a dot between. */
const DATA_SECTION = /^\.(rodata|data|bss)(?=\.|$)/;

/** The kernel's limit of a map's value. */
const MOST_BYTES = 0xffff_ffff;

interface PlacedVariable {
  readonly variable: VariableDecl;
  /** As the object calls it. */
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

interface Section {
  readonly name: string;
  readonly kind: "rodata" | "data" | "bss" | "arena";
  size: number;
  readonly variables: PlacedVariable[];
  readonly contents: { readonly offset: number; readonly bytes: Uint8Array }[];
}

/** True for names of sections that variables may be put in. */
export function isDataSection(name: string): boolean {
  return DATA_SECTION.test(name) || name === ARENA_SECTION;
}

/** True when nothing may write to an object of the type: `const`, and so the elements of an array. */
export function isConstant(type: CType): boolean {
  if (qualifiersOf(type).const) return true;
  const shape = shapeOf(type);
  return shape.kind === "array" && isConstant(shape.of);
}

function isVolatile(type: CType): boolean {
  const shape = shapeOf(type);
  return qualifiersOf(type).volatile || (shape.kind === "array" && isVolatile(shape.of));
}

/** Places data in the order in which it is first needed, as clang does. */
export class DataSections {
  private readonly diagnostics: Diagnostics;
  private readonly sections = new Map<string, Section>();
  /** In the order of their places; undefined after an error. */
  private readonly variables = new Map<VariableDecl, DataItem | undefined>();
  private readonly literals = new Map<string, DataItem>();
  private readonly items: DataItem[] = [];
  private readonly names = new Set<string>();
  private readonly module: Module;
  private escaping: ReadonlySet<Inst> | undefined;

  constructor(diagnostics: Diagnostics, module: Module) {
    this.diagnostics = diagnostics;
    this.module = module;
  }

  /** Takes a variable that is defined or used. Undefined after an error. */
  variable(variable: VariableDecl): DataItem | undefined {
    if (!this.variables.has(variable)) {
      const item = this.item(variable);
      this.variables.set(variable, item);
      if (item !== undefined) this.items.push(item);
    }
    return this.variables.get(variable);
  }

  /** Takes constant bytes. Equal ones are there once. */
  literal(bytes: Uint8Array, align: number): DataItem {
    const key = `${align} ${bytes.join()}`;
    let item = this.literals.get(key);
    if (item === undefined) {
      item = { variable: undefined, bytes, size: bytes.length, align, references: [] };
      this.literals.set(key, item);
      this.items.push(item);
    }
    return item;
  }

  /** The item's address. */
  address(item: DataItem, builder: FunctionBuilder): Value {
    const inst = builder.mapvalue("", 0);
    item.references.push(inst);
    return inst;
  }

  private item(variable: VariableDecl): DataItem | undefined {
    const { initializer, type, attributes } = variable;
    const size = extentOf(initializer, type);
    if (size > MOST_BYTES) {
      this.diagnostics.error(
        variable.location,
        `${variable.name} has ${size} bytes, a map's value up to ${MOST_BYTES}`,
      );
      return undefined;
    }
    // What has no initialiser may be large, and is nothing but zeros.
    const made = initializer === undefined ? undefined : initialBytes(initializer, type);
    if (made?.problem !== undefined) {
      this.diagnostics.error(made.problem, `the initialiser of ${variable.name} is not constant`);
      return undefined;
    }
    const address = made?.addresses[0];
    if (address !== undefined) {
      this.diagnostics.error(
        address.location,
        `${variable.name} holds an address: sections of data have none, their place is known when the kernel makes their map`,
        { hint: "store an index or the bytes themselves, and take the address in the program" },
      );
      return undefined;
    }
    const isZero = made === undefined || made.bytes.every((byte) => byte === 0);
    const align = Math.max(alignOf(type), attributes.align ?? 1);
    return { variable, bytes: isZero ? undefined : made.bytes, size, align, references: [] };
  }

  private put(item: DataItem, arenaMap: string | undefined): void {
    const { variable, bytes, size, align, references } = item;
    const section = variable === undefined ? this.section(".rodata", "rodata") : this.sectionOf(variable, item);
    const offset = this.reserve(section, size, align);
    if (variable !== undefined) section.variables.push({ variable, name: this.uniqueName(variable), offset, size });
    if (bytes !== undefined) section.contents.push({ offset, bytes });
    for (const inst of references) {
      inst.map = section.kind === "arena" ? (arenaMap ?? section.name) : section.name;
      inst.offset = offset;
    }
  }

  private sectionOf({ attributes, type, storage }: VariableDecl, { bytes, references }: DataItem): Section {
    const named = attributes.section;
    if (attributes.addressSpace === ARENA || named === ARENA_SECTION) return this.section(ARENA_SECTION, "arena");
    if (named !== undefined) return this.section(named, DATA_SECTION.exec(named)![1] as "rodata" | "data" | "bss");
    // What nobody else sees and nothing here writes is constant, whatever its type says.
    const isOwn = storage === "static" && attributes.used !== true && !isVolatile(type);
    const isFixed = isConstant(type) || (isOwn && this.isOnlyRead(references));
    const kind = isFixed ? "rodata" : bytes === undefined ? "bss" : "data";
    return this.section(`.${kind}`, kind);
  }

  private isOnlyRead(references: readonly Inst[]): boolean {
    if (references.length === 0) return false;
    this.escaping ??= escapingAddresses(this.module);
    return references.every((inst) => !this.escaping!.has(inst));
  }

  private section(name: string, kind: Section["kind"]): Section {
    let section = this.sections.get(name);
    if (section === undefined) {
      section = { name, kind, size: 0, variables: [], contents: [] };
      this.sections.set(name, section);
    }
    return section;
  }

  private reserve(section: Section, size: number, align: number): number {
    const offset = Math.ceil(section.size / align) * align;
    section.size = offset + size;
    return offset;
  }

  /** Static variables of functions are called after them; of two with one name the second gets a number, as with clang. */
  private uniqueName({ name, within }: VariableDecl): string {
    const base = btfIdentifier(within === undefined ? name : `${within}.${name}`);
    let unique = base;
    for (let n = 1; this.names.has(unique); n++) unique = `${base}.${n}`;
    this.names.add(unique);
    return unique;
  }

  /**
   * Gives all their places. The maps of all sections but that of arenas, whose bytes are the first ones of the map `arenaMap`, and the
   * variables. Writes the sections to the BTF. `object` is the object's name.
   */
  finish(
    object: string,
    types: BtfTypes,
    arenaMap: string | undefined,
  ): { readonly maps: readonly MapSpec[]; readonly variables: readonly VariableSpec[]; readonly arena?: Uint8Array } {
    for (const item of this.items) this.put(item, arenaMap);
    const maps: MapSpec[] = [];
    const variables: VariableSpec[] = [];
    for (const section of this.sections.values()) {
      if (section.size === 0) continue;
      const map = section.kind === "arena" ? (arenaMap ?? section.name) : section.name;
      for (const { variable, name, offset, size } of section.variables) {
        variables.push({ name, map, offset, size, typeId: types.id(variable.type), linkage: linkageOf(variable) });
      }
      const isVisible = section.variables.some(({ variable }) => linkageOf(variable) !== "static");
      const valueTypeId = describe(types.builder, section, variables);
      if (section.kind === "arena") continue;
      const isReadOnly = section.kind === "rodata";
      maps.push({
        name: section.name,
        type: MapType.ARRAY,
        keySize: 4,
        valueSize: section.size,
        maxEntries: 1,
        flags: (isReadOnly ? MapFlags.RDONLY_PROG : 0) | (isVisible ? MapFlags.MMAPABLE : 0),
        ...(valueTypeId === undefined ? {} : { valueTypeId }),
        ...(section.kind === "bss" ? {} : { initialValue: contentsOf(section) }),
        ...(isReadOnly ? { frozen: true } : {}),
        kernelName: dataMapName(object, section.name),
      });
    }
    const arena = this.sections.get(ARENA_SECTION);
    return { maps, variables, ...(arena === undefined ? {} : { arena: contentsOf(arena) }) };
  }
}

/** As others see the variable; hidden ones nobody does. */
function linkageOf({ storage, attributes }: VariableDecl): VariableSpec["linkage"] {
  if (storage === "static" || attributes.hidden === true) return "static";
  return attributes.weak === true ? "weak" : "global";
}

function contentsOf({ size, contents }: Section): Uint8Array {
  const bytes = new Uint8Array(size);
  for (const part of contents) bytes.set(part.bytes, part.offset);
  return bytes;
}

/** Writes the section's `DATASEC`; nothing when it holds literals only. */
function describe(builder: BtfBuilder, section: Section, variables: readonly VariableSpec[]): number | undefined {
  const count = section.variables.length;
  if (count === 0) return undefined;
  const entries = variables.slice(-count).map(({ name, typeId, offset, size, linkage }, i) => {
    const id = builder.variable(
      name,
      typeId,
      linkage === "static" ? BtfVarLinkage.STATIC : BtfVarLinkage.GLOBAL_ALLOCATED,
    );
    for (const tag of new Set(section.variables[i]!.variable.attributes.declTags)) builder.declTag(tag, id);
    return { typeId: id, offset, size };
  });
  return builder.dataSection(section.name, section.size, entries);
}
