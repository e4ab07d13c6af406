/** Reading places of every kind, and writing values into the program's own memory in the layout of their type. */
import type { MemBits, Value } from "../../../compiler/ir.ts";
import type { AddressSpace, Field, Type } from "../types.ts";
import { sizeOf, tupleOffsets } from "../types.ts";
import type { Body } from "./body.ts";
import { bitsOf, direct, isScalarType, isSigned, type Operand, type Place, scalar, type Scalar } from "./values.ts";

/** Which memory an address without a space of its own means at this probe: the process' in uprobes and system calls, else the kernel's. */
export function defaultSpace(body: Body): "kernel" | "user" {
  const { target, syscalls } = body.site;
  return target.provider === "uprobe" || target.provider === "uretprobe" || syscalls ? "user" : "kernel";
}

/** The memory that a pointer of this space points into. */
export function spaceOf(body: Body, space: AddressSpace): "kernel" | "user" {
  return space === "kernel" || space === "user" ? space : defaultSpace(body);
}

/** Replaces a place by the number it holds; places of types that are not numbers stay. */
export function loadPlace(body: Body, place: Place): Operand {
  if (!isScalarType(place.type)) return place;
  if (place.bitfield) return loadBitfield(body, place, place.bitfield);
  return loadScalar(body, place);
}

/** True for pointers to structs that the verifier follows by BTF: those whose layout is the kernel's own. */
export function isFollowed(body: Body, type: Type): boolean {
  if (type.kind !== "pointer" || type.to.kind !== "struct" || type.to.name === "") return false;
  const known = body.script.env.btf?.structByName(type.to.name);
  return known !== undefined && type.to.keyword === "struct" && (type.to.size === 0 || known.size === type.to.size);
}

function loadScalar(body: Body, place: Place): Scalar {
  const { type } = place;
  const bits = bitsOf(type);
  if (place.access === "trusted") {
    if (isFollowed(body, type)) {
      const pointer = body.b.load(place.base, 64, { offset: place.offset, type: "ptr", faultable: true });
      return scalar(type, body.b.ptrtoint(pointer), pointer);
    }
    return scalar(
      type,
      body.b.load(place.base, bits, { offset: place.offset, signed: isSigned(type), faultable: true }),
    );
  }
  return scalar(type, rawLoad(body, place, bits, isSigned(type)));
}

/** The number of `bits` at a place, extended. */
function rawLoad(body: Body, place: Place, bits: MemBits, signed: boolean): Value {
  if (place.access === "kernel" || place.access === "user") {
    const buffer = body.b.alloca(8, 8);
    body.probeRead(place.access, buffer, 0, bits / 8, body.addressPlus(place.base, place.offset));
    return body.b.load(buffer, bits, { signed });
  }
  const faultable = place.access === "trusted";
  return body.b.load(place.base, bits, { offset: place.offset, signed, ...(faultable ? { faultable } : {}) });
}

function loadBitfield(body: Body, place: Place, field: { bitOffset: number; bitSize: number }): Scalar {
  const { b } = body;
  // The storage unit may be wider than the type when bits straddle it: take the smallest that holds them all.
  const need = field.bitOffset + field.bitSize;
  const bits: MemBits = need <= 8 ? 8 : need <= 16 ? 16 : need <= 32 ? 32 : 64;
  let unit: Place = place;
  if (place.access === "trusted") {
    // The verifier checks loads through BTF pointers against whole members; bits are read by address instead.
    unit = { ...place, access: "kernel", base: b.ptrtoint(place.base) };
  }
  // The bits are taken as they are, without a sign, whatever the field is declared as: bpftrace does the same.
  let value = rawLoad(body, unit, bits, false);
  if (field.bitOffset > 0) value = b.binary("lshr", value, body.int(field.bitOffset));
  value = b.binary("and", value, body.int((1n << BigInt(field.bitSize)) - 1n));
  return scalar(place.type, value);
}

/** A member of a struct, union or record that lies at a place. */
export function memberPlace(place: Place, field: Field): Place {
  return {
    form: "place",
    type: field.type,
    access: place.access,
    base: place.base,
    offset: place.offset + field.byteOffset,
    ...(field.type.kind === "string" ? { unterminated: true } : {}),
    ...(field.bitfield ? { bitfield: field.bitfield } : {}),
  };
}

/** An item of a tuple. */
export function itemPlace(place: Place, index: number): Place {
  const { type } = place;
  if (type.kind !== "tuple") throw new TypeError(`tuple item of ${type.kind}`);
  const { offsets } = tupleOffsets(type.items);
  const { form, access, base } = place;
  return { form, access, base, type: type.items[index]!, offset: place.offset + offsets[index]!, zeroTail: true };
}

/** What a pointer points at, `index` elements on. */
export function dereference(body: Body, pointer: Operand, to: Type, space: AddressSpace, index = 0): Place {
  const offset = index * sizeOf(to);
  const loaded = pointer.form === "place" ? loadPlace(body, pointer) : pointer;
  if (loaded.form === "place") throw new TypeError(`dereference of ${loaded.type.kind}`);
  if (space === "context") return { form: "place", type: to, access: "context", base: body.context, offset };
  if (loaded.trusted && to.kind === "struct") {
    return { form: "place", type: to, access: "trusted", base: loaded.trusted, offset };
  }
  return { form: "place", type: to, access: spaceOf(body, space), base: loaded.value, offset };
}

/**
 * Runs `read` with a place that may be followed: a BTF pointer that the verifier takes for possibly null is compared first,
 * and a null one reads as 0.
 */
export function readGuarded(body: Body, place: Place): Operand {
  if (place.access !== "trusted" || !isScalarType(place.type) || place.bitfield) return loadPlace(body, place);
  const { b } = body;
  const wantsPointer = isFollowed(body, place.type);
  const yes = b.block("follow");
  const no = b.block("null");
  const end = b.block("followed");
  b.branch(b.icmp("ne", place.base, b.const(0, "ptr")), yes, no, "then");
  b.moveTo(yes);
  const loaded = wantsPointer
    ? b.load(place.base, 64, { offset: place.offset, type: "ptr", faultable: true })
    : b.load(place.base, bitsOf(place.type), { offset: place.offset, signed: isSigned(place.type), faultable: true });
  const cell = wantsPointer ? null : body.cell();
  const pointerCell = wantsPointer ? b.alloca(8, 8) : null;
  if (cell) cell.set(loaded);
  if (pointerCell) b.store(pointerCell, loaded, 64);
  b.jump(end);
  b.moveTo(no);
  if (cell) cell.set(body.int(0));
  if (pointerCell) b.store(pointerCell, b.const(0, "ptr"), 64);
  b.jump(end);
  b.moveTo(end);
  if (cell) return scalar(place.type, cell.get());
  const pointer = b.load(pointerCell!, 64, { type: "ptr" });
  return scalar(place.type, b.ptrtoint(pointer), pointer);
}

/** The number that an operand is. */
export function asNumber(body: Body, operand: Operand): Value {
  const loaded = operand.form === "place" ? readGuarded(body, operand) : operand;
  if (loaded.form === "scalar") return loaded.value;
  // Arrays of at most eight bytes, such as an address in network order, count as the number that their bytes make.
  const size = sizeOf(loaded.type);
  if (loaded.type.kind === "array" && (size === 1 || size === 2 || size === 4 || size === 8)) {
    const type: Type = { kind: "int", size, signed: false };
    return asNumber(body, { ...loaded, type });
  }
  throw new TypeError(`a ${loaded.type.kind} is not a number`);
}

/** A pointer to the bytes of an operand in the program's own memory, copied there unless they are there already. */
export function inMemory(body: Body, operand: Operand): Place {
  if (operand.form === "place" && operand.access === "direct") return operand;
  const buffer = body.memory(sizeOf(operand.type));
  writeOperand(body, operand, operand.type, buffer, 0, true);
  return direct(operand.type, buffer, 0, true);
}

/**
 * Writes a value into the program's memory as `type` lies there. `zeroTail`: bytes behind a string's NUL and padding become zero,
 * as keys and map values must have it.
 */
export function writeOperand(
  body: Body,
  operand: Operand,
  type: Type,
  to: Value,
  offset: number,
  zeroTail: boolean,
): void {
  if (isScalarType(type)) {
    body.b.store(to, asNumber(body, operand), bitsOf(type), { offset });
    return;
  }
  if (operand.form === "scalar") {
    // Only a number that stands for an empty value gets here: 0 for a string or an address that was never set.
    body.zero(to, sizeOf(type), offset);
    return;
  }
  switch (type.kind) {
    case "string":
      writeString(body, operand, type.size, to, offset, zeroTail);
      return;
    case "tuple":
      if (operand.type.kind === "tuple") {
        writeTuple(body, operand, type, to, offset, zeroTail);
        return;
      }
      break;
    default:
      break;
  }
  const size = Math.min(sizeOf(type), sizeOf(operand.type));
  copyBytes(body, operand, to, offset, size);
  if (zeroTail && size < sizeOf(type)) body.zero(to, sizeOf(type) - size, offset + size);
}

/** Copies the first bytes of a place into the program's memory. */
export function copyBytes(body: Body, from: Place, to: Value, offset: number, size: number): void {
  const { b } = body;
  switch (from.access) {
    case "direct":
      body.copy(to, offset, from.base, from.offset, size);
      return;
    case "context":
      // Context memory is read by aligned loads only: no helper takes an address inside it.
      for (let done = 0; done < size;) {
        const bits = widest(from.offset + done, offset + done, size - done);
        const value = b.load(from.base, bits, { offset: from.offset + done });
        b.store(to, value, bits, { offset: offset + done });
        done += bits / 8;
      }
      return;
    case "trusted":
      body.probeRead("kernel", to, offset, size, body.addressPlus(b.ptrtoint(from.base), from.offset));
      return;
    default:
      body.probeRead(from.access, to, offset, size, body.addressPlus(from.base, from.offset));
  }
}

/** The widest access that both offsets are aligned for. */
function widest(a: number, c: number, left: number): MemBits {
  for (const bytes of [8, 4, 2]) if (a % bytes === 0 && c % bytes === 0 && left >= bytes) return (bytes * 8) as MemBits;
  return 8;
}

function writeString(body: Body, from: Place, size: number, to: Value, offset: number, zeroTail: boolean): void {
  const fromSize = sizeOf(from.type);
  const local = from.access === "direct" || from.access === "context";
  // What lies behind the NUL of a record's or struct's array is anybody's: then the string is copied up to its NUL.
  if (local && (from.zeroTail === true || !zeroTail)) {
    const copied = Math.min(size, fromSize);
    copyBytes(body, from, to, offset, copied);
    if (fromSize > size) body.b.store(to, body.int(0), 8, { offset: offset + size - 1 });
    else if (zeroTail && size > fromSize) body.zero(to, size - fromSize, offset + fromSize);
    return;
  }
  const space = from.access === "user" ? "user" : "kernel";
  const base = from.base.type === "ptr" ? body.b.ptrtoint(from.base) : from.base;
  if (from.unterminated && !zeroTail) {
    body.probeRead(space, to, offset, Math.min(size, fromSize), body.addressPlus(base, from.offset));
    if (fromSize < size) body.b.store(to, body.int(0), 8, { offset: offset + fromSize });
    return;
  }
  if (zeroTail) body.zero(to, size, offset);
  if (from.unterminated && space === "user") {
    writeWholeString(body, from, base, Math.min(size, fromSize), to, offset);
    return;
  }
  body.probeReadString(space, to, offset, body.int(Math.min(size, fromSize)), body.addressPlus(base, from.offset));
}

/** Reads text of at most `size` bytes; of text without a NUL the last byte, too, which reading text gives up for one. */
function writeWholeString(body: Body, from: Place, base: Value, size: number, to: Value, offset: number): void {
  const address = body.addressPlus(base, from.offset);
  const read = body.probeReadString("user", to, offset, body.int(size), address);
  body.ifElse(body.b.icmp("eq", read, body.int(size)), () => {
    body.probeRead("user", to, offset + size - 1, 1, body.addressPlus(address, size - 1));
  });
}

function writeTuple(
  body: Body,
  from: Place,
  type: Type & { kind: "tuple" },
  to: Value,
  offset: number,
  zeroTail: boolean,
): void {
  if (from.type.kind !== "tuple") return;
  const same = from.type.items.every((item, i) => {
    const other = type.items[i];
    return other !== undefined && item.kind === other.kind && sizeOf(item) === sizeOf(other);
  });
  if (same && from.access === "direct") {
    copyBytes(body, from, to, offset, sizeOf(type));
    return;
  }
  const { offsets } = tupleOffsets(type.items);
  if (zeroTail) zeroPadding(body, type, to, offset);
  type.items.forEach((item, i) => {
    const operand = loadPlace(body, itemPlace(from, i));
    writeOperand(body, operand, item, to, offset + offsets[i]!, zeroTail);
  });
}

/** Zeroes the bytes of a tuple between and behind its items. */
export function zeroPadding(body: Body, type: Type & { kind: "tuple" }, to: Value, offset: number): void {
  const { offsets, size } = tupleOffsets(type.items);
  let end = 0;
  type.items.forEach((item, i) => {
    body.zero(to, offsets[i]! - end, offset + end);
    end = offsets[i]! + sizeOf(item);
  });
  body.zero(to, size - end, offset + end);
}
