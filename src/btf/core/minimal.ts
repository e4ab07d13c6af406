/** The types of a kernel that relocations touch, and no others. Pairs with `bpftool gen min_core_btf`. */
import { ByteWriter } from "../../base/index.ts";
import type { Btf } from "../btf.ts";
import { BTF_HEADER_SIZE, BTF_MAGIC, BTF_VERSION, BtfInfo, BtfKind } from "../kinds.ts";
import type { BtfComposite, BtfMember, BtfType } from "../types.ts";
import { CoreKind, coreSubjectOf } from "./kinds.ts";
import { CoreResolver } from "./resolver.ts";
import type { CoreRecord, CoreSpec } from "./spec.ts";

/** What is needed of an object. */
export interface CoreObject {
  /** Its BTF. */
  readonly local: Btf;
  /** Of all its programs, in the object's order. */
  readonly relocations: readonly CoreRecord[];
}

/**
 * BTF with which the relocations of some objects come to the same as with the kernel's, those of one object resolved together: of structs
 * only the members that are accessed, of what pointers point to nothing. Ids differ, so that relocations to type ids of the kernel cannot
 * be served. In the kernel's byte order. Throws {@link CoreError} for relocations that cannot be decided.
 */
export function minimalBtf(kernel: Btf, objects: readonly CoreObject[]): Uint8Array {
  const used = new UsedTypes(kernel);
  for (const { local, relocations } of objects) {
    const resolver = new CoreResolver(local, { btf: kernel, modules: () => [] });
    for (const record of relocations) {
      if (record.kind === CoreKind.TYPE_ID_LOCAL) continue;
      const { target } = resolver.resolve(record);
      if (target !== undefined) used.add(target);
    }
  }
  if (kernel.pointerSize !== 8) used.addPointerSize();
  return used.write();
}

/** How far the types that a type refers to are needed: what is behind pointers, and what structs hold. */
type Reach =
  /** Reads a field: nothing behind pointers, members only where they are accessed. */
  | "field"
  /** Compares kinds: through pointers, structs without members. */
  | "kinds"
  /** Compares everything but structs behind pointers. */
  | "match";

class UsedTypes {
  private readonly btf: Btf;
  /** Members that are needed by type, of types that are needed; all of those of other kinds. */
  private readonly members = new Map<number, Set<number>>();
  /** What was walked already, by reach. */
  private readonly walked = new Set<string>();

  constructor(btf: Btf) {
    this.btf = btf;
  }

  add(spec: CoreSpec): void {
    if (coreSubjectOf(spec.kind) === "field") this.addField(spec);
    else this.addType(spec.rootTypeId, spec.kind === CoreKind.TYPE_MATCHES ? "match" : reachOf(spec));
  }

  /** Readers learn the size of pointers from the size of `long`. */
  addPointerSize(): void {
    for (const name of ["long", "long int", "unsigned long", "long unsigned int"]) {
      const id = this.btf.findByName(name, BtfKind.INT);
      if (id !== undefined) return this.addType(id, "field");
    }
  }

  private addField(spec: CoreSpec): void {
    this.addType(spec.rootTypeId, "field");
    let typeId = spec.rootTypeId;
    for (const index of spec.access.slice(1)) {
      const type = this.btf.typeById(this.btf.stripModifiers(typeId));
      if (type.kind === BtfKind.STRUCT || type.kind === BtfKind.UNION) {
        this.addMember(type, index);
        typeId = type.members[index]!.typeId;
      } else if (type.kind === BtfKind.ARRAY) typeId = type.elementTypeId;
    }
  }

  private addMember(type: BtfComposite, index: number): void {
    const { typeId } = type.members[index]!;
    this.membersOf(type.id).add(index);
    this.addType(typeId, "field");
    const array = this.btf.typeById(this.btf.stripModifiers(typeId));
    const last = type.members.length - 1;
    // An array without a count that is not the last member must not become it: it would be a flexible one.
    if (array.kind === BtfKind.ARRAY && array.count === 0 && index < last) this.addMember(type, last);
  }

  private membersOf(typeId: number): Set<number> {
    let members = this.members.get(typeId);
    if (members === undefined) this.members.set(typeId, (members = new Set()));
    return members;
  }

  private addType(rootId: number, reach: Reach): void {
    const waiting = [{ typeId: rootId, behindPointer: false }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { typeId, behindPointer } = next;
      const key = `${reach}${behindPointer ? "*" : ""}${typeId}`;
      if (typeId === 0 || this.walked.has(key)) continue;
      this.walked.add(key);
      const members = this.membersOf(typeId);
      const type = this.btf.typeById(typeId);
      const go = (id: number, pointed: boolean = behindPointer): void =>
        void waiting.push({ typeId: id, behindPointer: pointed });
      switch (type.kind) {
        case BtfKind.PTR:
          if (reach !== "field") go(type.typeId, true);
          break;
        case BtfKind.STRUCT:
        case BtfKind.UNION:
          if (reach !== "match" || behindPointer) break;
          for (const [index, member] of type.members.entries()) {
            members.add(index);
            go(member.typeId);
          }
          break;
        default:
          for (const id of referredBy(type)) go(id);
      }
    }
  }

  /** All that is needed, ids ascending as they were. */
  write(): Uint8Array {
    const ids = [...this.members.keys()].sort((a, b) => a - b);
    const newIds = new Map(ids.map((id, i) => [id, i + 1]));
    const types: number[] = [];
    const strings = new Map<string, number>([["", 0]]);
    const stringBytes = new ByteWriter();
    stringBytes.u8(0);
    const nameOf = (name: string): number => {
      let offset = strings.get(name);
      if (offset === undefined) {
        strings.set(name, (offset = stringBytes.length));
        stringBytes.cstring(name);
      }
      return offset;
    };
    for (const id of ids) {
      const type = this.btf.typeById(id);
      encode(type, this.members.get(id)!, nameOf, (old) => newIds.get(old) ?? 0, types);
    }
    return assemble(types, stringBytes.finish(), this.btf.bigEndian);
  }
}

/** Values of enums are kept with their type, whoever asks. */
function reachOf(spec: CoreSpec): Reach {
  return coreSubjectOf(spec.kind) === "type" ? "kinds" : "field";
}

/** Types that another refers to, but for pointers and members. */
function referredBy(type: BtfType): readonly number[] {
  switch (type.kind) {
    case BtfKind.TYPEDEF:
    case BtfKind.CONST:
    case BtfKind.VOLATILE:
    case BtfKind.RESTRICT:
    case BtfKind.TYPE_TAG:
      return [type.typeId];
    case BtfKind.ARRAY:
      return [type.elementTypeId, type.indexTypeId];
    case BtfKind.FUNC_PROTO:
      return [type.returnTypeId, ...type.parameters.map(({ typeId }) => typeId)];
    default:
      return [];
  }
}

/** Writes a type's words to `out`. */
function encode(
  type: BtfType,
  kept: ReadonlySet<number>,
  nameOf: (name: string) => number,
  idOf: (id: number) => number,
  out: number[],
): void {
  const put = (sizeOrType: number, vlen: number = 0, flag: boolean = false): void => {
    const info = (flag ? BtfInfo.KIND_FLAG : 0) + (type.kind << BtfInfo.KIND_SHIFT) + vlen;
    out.push(nameOf(type.name), info, sizeOrType);
  };
  switch (type.kind) {
    case BtfKind.INT:
      put(type.size);
      out.push((type.encoding << 24) | (type.bitOffset << 16) | type.bits);
      break;
    case BtfKind.FLOAT:
      put(type.size);
      break;
    case BtfKind.FWD:
      put(0, 0, type.union);
      break;
    case BtfKind.PTR:
    case BtfKind.TYPEDEF:
    case BtfKind.CONST:
    case BtfKind.VOLATILE:
    case BtfKind.RESTRICT:
      put(idOf(type.typeId));
      break;
    case BtfKind.TYPE_TAG:
      put(idOf(type.typeId), 0, type.attribute);
      break;
    case BtfKind.ARRAY:
      put(0);
      out.push(idOf(type.elementTypeId), idOf(type.indexTypeId), type.count);
      break;
    case BtfKind.STRUCT:
    case BtfKind.UNION: {
      const members = type.members.filter((_, index) => kept.has(index));
      const flag = members.some(({ bitfieldSize }) => bitfieldSize > 0);
      put(type.size, members.length, flag);
      for (const { name, typeId, ...place } of members) out.push(nameOf(name), idOf(typeId), offsetWord(place, flag));
      break;
    }
    case BtfKind.ENUM:
      put(type.size, type.values.length, type.signed);
      for (const { name, value } of type.values) out.push(nameOf(name), Number(BigInt.asUintN(32, value)));
      break;
    case BtfKind.ENUM64:
      put(type.size, type.values.length, type.signed);
      for (const { name, value } of type.values) {
        out.push(nameOf(name), Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
      }
      break;
    case BtfKind.FUNC_PROTO: {
      const last = type.variadic ? [{ name: "", typeId: 0 }] : [];
      const parameters = [...type.parameters, ...last];
      put(idOf(type.returnTypeId), parameters.length);
      for (const { name, typeId } of parameters) out.push(nameOf(name), idOf(typeId));
      break;
    }
    default:
      throw new RangeError(`type ${type.id} of kind ${type.kind} is no part of other types`);
  }
}

function offsetWord({ bitOffset, bitfieldSize }: Pick<BtfMember, "bitOffset" | "bitfieldSize">, flag: boolean): number {
  return flag ? ((bitfieldSize << 24) | bitOffset) >>> 0 : bitOffset;
}

function assemble(types: readonly number[], strings: Uint8Array, bigEndian: boolean): Uint8Array {
  // The one writer of bytes is little-endian; the other order is these words swapped.
  const out = new ByteWriter(BTF_HEADER_SIZE + types.length * 4 + strings.length);
  const word = (value: number): void => out.u32le(bigEndian ? swap32(value) : value);
  out.u16le(bigEndian ? ((BTF_MAGIC & 0xff) << 8) | (BTF_MAGIC >> 8) : BTF_MAGIC);
  out.u8(BTF_VERSION);
  out.u8(0);
  for (const value of [BTF_HEADER_SIZE, 0, types.length * 4, types.length * 4, strings.length]) word(value);
  for (const value of types) word(value);
  out.bytes(strings);
  return out.finish();
}

function swap32(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
