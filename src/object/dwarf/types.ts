/** What debug information says of types and of variables in functions, which BTF leaves out, and its types as BTF. */
import { type BtfBuilder, BtfIntEncoding, btfIdentifier } from "../../btf/index.ts";
import { type DwarfEntry, type DwarfSections, readDwarf } from "./entries.ts";
import { DwarfAttribute, DwarfEncoding, DwarfTag } from "./format.ts";

/** A variable of a function, or a parameter of one. */
export interface LocalVariable {
  readonly name: string;
  /** The function that it belongs to. */
  readonly function: string;
  /** Entry of the struct or union that it is or points at. */
  readonly record: number;
}

/** A type that only says what another is called or how it may be used. */
const wrappers: ReadonlySet<number> = new Set([
  DwarfTag.TYPEDEF,
  DwarfTag.CONST_TYPE,
  DwarfTag.VOLATILE_TYPE,
  DwarfTag.RESTRICT_TYPE,
  DwarfTag.ATOMIC_TYPE,
]);
const records: ReadonlySet<number> = new Set([DwarfTag.STRUCTURE_TYPE, DwarfTag.UNION_TYPE]);
const typeTags: ReadonlySet<number> = new Set([
  ...wrappers,
  ...records,
  DwarfTag.ARRAY_TYPE,
  DwarfTag.ENUMERATION_TYPE,
  DwarfTag.POINTER_TYPE,
  DwarfTag.SUBROUTINE_TYPE,
  DwarfTag.BASE_TYPE,
]);

/** Types in types; C programs need a dozen, a type that holds itself any number. */
const NESTING = 64;

/** BPF's pointers. */
const POINTER_BYTES = 8;

/** Types and local variables of one object file. */
export class DebugTypes {
  /** In the order of the file; those that are no struct, and point at none, left out. */
  readonly locals: readonly LocalVariable[];
  private readonly types = new Map<number, DwarfEntry>();

  /** Throws ParseError with section and offset when the debug information is damaged. */
  constructor(sections: DwarfSections) {
    const found: { entry: DwarfEntry; function: string }[] = [];
    const walk = (entry: DwarfEntry, owner: string | undefined): void => {
      const { tag, children } = entry;
      if (typeTags.has(tag)) this.types.set(entry.offset, entry);
      if (owner !== undefined && (tag === DwarfTag.VARIABLE || tag === DwarfTag.FORMAL_PARAMETER)) {
        found.push({ entry, function: owner });
      }
      const inside = tag === DwarfTag.SUBPROGRAM ? entry.name : owner;
      for (const child of children) walk(child, inside);
    };
    for (const unit of readDwarf(sections)) walk(unit, undefined);
    this.locals = found.flatMap(({ entry, function: owner }) => {
      const record = entry.name === "" || entry.type === undefined ? undefined : this.recordOf(entry.type);
      return record === undefined ? [] : [{ name: entry.name, function: owner, record: record.offset }];
    });
  }

  private strip(type: number | undefined): DwarfEntry | undefined {
    let entry = type === undefined ? undefined : this.types.get(type);
    for (let i = 0; i < NESTING && entry !== undefined && wrappers.has(entry.tag); i++) {
      entry = entry.type === undefined ? undefined : this.types.get(entry.type);
    }
    return entry;
  }

  /** The defined struct or union that a type is, or is a pointer to. */
  private recordOf(type: number): DwarfEntry | undefined {
    let entry = this.strip(type);
    if (entry?.tag === DwarfTag.POINTER_TYPE) entry = this.strip(entry.type);
    if (entry === undefined || !records.has(entry.tag)) return undefined;
    return entry.numbers.has(DwarfAttribute.DECLARATION) ? undefined : entry;
  }

  /** Bytes of a struct or union. */
  sizeOf(record: number): number {
    return this.types.get(record)?.numbers.get(DwarfAttribute.BYTE_SIZE) ?? 0;
  }

  /** Its tag; empty when it has none. */
  nameOf(record: number): string {
    return this.types.get(record)?.name ?? "";
  }

  /** Whether it is a union. */
  isUnion(record: number): boolean {
    return this.types.get(record)?.tag === DwarfTag.UNION_TYPE;
  }

  /** Offsets of the structs and unions with a tag that are defined. */
  recordsNamed(name: string): number[] {
    return [...this.types.values()]
      .filter((entry) => entry.name === name && this.recordOf(entry.offset) === entry)
      .map(({ offset }) => offset);
  }

  /** Adds a type to BTF; returns its id, 0 for `void`. What it points at is only named. Throws RangeError for types that BTF cannot say. */
  addTo(builder: BtfBuilder, type: number | undefined, depth = 0): number {
    const entry = type === undefined ? undefined : this.types.get(type);
    if (entry === undefined) return 0;
    if (depth > NESTING) throw new RangeError(`debug information: type ${entry.name} holds itself`);
    const { tag, numbers } = entry;
    const name = btfIdentifier(entry.name);
    const inner = (): number => this.addTo(builder, entry.type, depth + 1);
    const size = numbers.get(DwarfAttribute.BYTE_SIZE) ?? 0;
    switch (tag) {
      case DwarfTag.BASE_TYPE:
        return addBase(builder, entry, size);
      case DwarfTag.TYPEDEF:
        return builder.typedef(name, inner());
      case DwarfTag.CONST_TYPE:
        return builder.constant(inner());
      case DwarfTag.VOLATILE_TYPE:
        return builder.volatile(inner());
      case DwarfTag.RESTRICT_TYPE:
        return builder.restrict(inner());
      case DwarfTag.ATOMIC_TYPE:
        return inner();
      case DwarfTag.POINTER_TYPE: {
        const target = this.recordOf(entry.offset);
        if (target === undefined || target.name === "") return builder.pointer();
        return builder.pointer(builder.forward(btfIdentifier(target.name), target.tag === DwarfTag.UNION_TYPE));
      }
      case DwarfTag.ARRAY_TYPE: {
        let id = inner();
        for (const { numbers: bounds } of this.subranges(entry).reverse()) {
          const upper = bounds.get(DwarfAttribute.UPPER_BOUND);
          id = builder.array(id, bounds.get(DwarfAttribute.COUNT) ?? (upper === undefined ? 0 : upper + 1));
        }
        return id;
      }
      case DwarfTag.ENUMERATION_TYPE: {
        const values = entry.children.map((child) => ({ name: btfIdentifier(child.name), value: child.value ?? 0n }));
        const isSigned = values.some(({ value }) => value < 0n);
        const width = size * 8;
        const fitted = values.map((one) => ({
          name: one.name,
          value: isSigned ? BigInt.asIntN(width, one.value) : BigInt.asUintN(width, one.value),
        }));
        return builder.enum(entry.name === "" ? "" : name, size, isSigned, fitted);
      }
      case DwarfTag.STRUCTURE_TYPE:
      case DwarfTag.UNION_TYPE: {
        const members = entry.children
          .filter((child) => child.tag === DwarfTag.MEMBER)
          .map((child) => ({
            name: child.name === "" ? "" : btfIdentifier(child.name),
            typeId: this.addTo(builder, child.type, depth + 1),
            ...this.placeOf(child),
          }));
        const tagName = entry.name === "" ? "" : name;
        return tag === DwarfTag.UNION_TYPE
          ? builder.union(tagName, size, members)
          : builder.struct(tagName, size, members);
      }
      default:
        // A function, which values only point at.
        return 0;
    }
  }

  private subranges(array: DwarfEntry): DwarfEntry[] {
    return array.children.filter((child) => child.tag === DwarfTag.SUBRANGE_TYPE);
  }

  /** Bits from the start of the record to a member, and bits of a bitfield. */
  private placeOf({ numbers, type }: DwarfEntry): { bitOffset: number; bitfieldSize?: number } {
    const bytes = numbers.get(DwarfAttribute.DATA_MEMBER_LOCATION) ?? 0;
    const bits = numbers.get(DwarfAttribute.BIT_SIZE);
    if (bits === undefined) return { bitOffset: bytes * 8 };
    const fromStart = numbers.get(DwarfAttribute.DATA_BIT_OFFSET);
    if (fromStart !== undefined) return { bitOffset: fromStart, bitfieldSize: bits };
    // Before DWARF 4: from the high end of a unit of storage.
    const storage =
      numbers.get(DwarfAttribute.BYTE_SIZE) ?? this.strip(type)?.numbers.get(DwarfAttribute.BYTE_SIZE) ?? POINTER_BYTES;
    const fromEnd = numbers.get(DwarfAttribute.BIT_OFFSET) ?? 0;
    return { bitOffset: (bytes + storage) * 8 - fromEnd - bits, bitfieldSize: bits };
  }
}

function addBase(builder: BtfBuilder, { name, numbers }: DwarfEntry, size: number): number {
  const encoding = numbers.get(DwarfAttribute.ENCODING);
  if (encoding === DwarfEncoding.FLOAT) return builder.float(btfIdentifier(name), size);
  const bits =
    encoding === DwarfEncoding.BOOLEAN
      ? BtfIntEncoding.BOOL
      : encoding === DwarfEncoding.SIGNED || encoding === DwarfEncoding.SIGNED_CHAR
        ? BtfIntEncoding.SIGNED
        : 0;
  // As clang has them in BTF: with spaces.
  return builder.int(/^[A-Za-z_][\w ]*$/.test(name) ? name : btfIdentifier(name), size, bits);
}
