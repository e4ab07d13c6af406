/** Layouts of keys and values, as `decode_table` of BCC shows them. */
import { type Btf, BtfIntEncoding, BtfKind } from "../btf/index.ts";

/** Names of integers by size, as Python's ctypes have them on 64-bit machines. */
const signedNames: Readonly<Record<number, string>> = {
  1: "char",
  2: "short",
  4: "int",
  8: "long long",
  16: "__int128",
};

function integerName(size: number, signed: boolean, isChar: boolean): string {
  const name = signedNames[size] ?? `int of ${size} bytes`;
  return signed || isChar ? name : `unsigned ${name}`;
}

function scalarName(btf: Btf, typeId: number): string {
  const type = btf.typeById(btf.stripModifiers(typeId));
  switch (type.kind) {
    case BtfKind.INT: {
      if ((type.encoding & BtfIntEncoding.BOOL) !== 0) return "_Bool";
      const isChar = type.name === "char" || (type.encoding & BtfIntEncoding.CHAR) !== 0;
      return integerName(type.size, (type.encoding & BtfIntEncoding.SIGNED) !== 0, isChar);
    }
    case BtfKind.ENUM:
    case BtfKind.ENUM64:
      return integerName(type.size, type.signed, false);
    case BtfKind.ARRAY:
      return `${scalarName(btf, type.elementTypeId)}[${type.count}]`;
    case BtfKind.FLOAT:
      return type.size === 4 ? "float" : type.size === 8 ? "double" : "long double";
    case BtfKind.STRUCT:
      return "struct";
    case BtfKind.UNION:
      return "union";
    default:
      return integerName(btf.sizeOf(typeId) ?? 8, false, false);
  }
}

function isComposite(btf: Btf, typeId: number): boolean {
  const kind = btf.kindOf(btf.stripModifiers(typeId));
  return kind === BtfKind.STRUCT || kind === BtfKind.UNION;
}

function fieldLines(btf: Btf, typeId: number, indent: string, offset: number, sizeInfo: boolean): string[] {
  return btf.members(btf.stripModifiers(typeId)).flatMap((member) => {
    const { name, bitfieldSize, bitOffset } = member;
    const at = offset + (bitOffset >> 3);
    const type = scalarName(btf, member.typeId);
    if (bitfieldSize > 0) {
      const place = sizeInfo ? `[${at},${bitOffset & 7} +${bitfieldSize} bit]` : "";
      return [`${indent}${place}${type} ${name}:${bitfieldSize};`];
    }
    const place = sizeInfo ? `[${at} +${btf.sizeOf(member.typeId) ?? 0}] ` : "";
    if (!isComposite(btf, member.typeId)) return [`${indent}${place}${type} ${name};`];
    return [
      `${indent}${place}${type} {`,
      ...fieldLines(btf, member.typeId, `${indent}  `, at, sizeInfo),
      `${indent}} ${name};`,
    ];
  });
}

/** Lines of a key's or value's layout; with `sizeInfo` each field's offset and size in bytes. */
export function layoutText(btf: Btf, typeId: number, name: string, sizeInfo: boolean): string[] {
  const type = scalarName(btf, typeId);
  if (!isComposite(btf, typeId)) return [`  ${type} ${name};`];
  return [`  ${type} {`, ...fieldLines(btf, typeId, "    ", 0, sizeInfo), `  } ${name};`];
}
