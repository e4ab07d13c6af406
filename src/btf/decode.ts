/** One type, from words to plain data. */
import type { ParseError } from "../base/index.ts";
import { BTF_TYPE_WORDS, BtfInfo, BtfKind } from "./kinds.ts";
import type { BtfStrings } from "./strings.ts";
import type { BtfMember, BtfParameter, BtfSectionEntry, BtfType } from "./types.ts";

/**
 * Decodes the type that starts at word `start`; the caller has checked that all its words exist. Type ids from `typeCount` on
 * and names outside the strings throw what `damaged` makes of the word they are in.
 */
export function decodeType(
  id: number,
  words: Uint32Array,
  start: number,
  strings: BtfStrings,
  typeCount: number,
  damaged: (word: number, what: string) => ParseError,
): BtfType {
  const info = words[start + 1]!;
  const vlen = info & BtfInfo.VLEN_MASK;
  const flag = info >= BtfInfo.KIND_FLAG;
  const kind = ((info >>> BtfInfo.KIND_SHIFT) & BtfInfo.KIND_MASK) as BtfKind;
  const size = words[start + 2]!;
  const rest = start + BTF_TYPE_WORDS;
  const nameAt = (word: number): string => {
    const offset = words[word]!;
    if (offset === 0) return "";
    if (offset >= strings.end) throw damaged(word, `name at ${offset}: the strings end at ${strings.end}`);
    return strings.get(offset);
  };
  const typeAt = (word: number): number => {
    const typeId = words[word]!;
    if (typeId >= typeCount) throw damaged(word, `type ${id} refers to type ${typeId}, the last is ${typeCount - 1}`);
    return typeId;
  };
  const name = nameAt(start);

  switch (kind) {
    case BtfKind.UNKN:
      return { id, kind, name: "void" };
    case BtfKind.INT: {
      const data = words[rest]!;
      return {
        id,
        kind,
        name,
        size,
        bits: data & 0xff,
        bitOffset: (data >>> 16) & 0xff,
        encoding: (data >>> 24) & 0xf,
      };
    }
    case BtfKind.PTR:
    case BtfKind.VOLATILE:
    case BtfKind.CONST:
    case BtfKind.RESTRICT:
      return { id, kind, name, typeId: typeAt(start + 2) };
    case BtfKind.TYPEDEF:
      return { id, kind, name, typeId: typeAt(start + 2) };
    case BtfKind.TYPE_TAG:
      return { id, kind, name, typeId: typeAt(start + 2), attribute: flag };
    case BtfKind.DECL_TAG:
      return { id, kind, name, typeId: typeAt(start + 2), componentIndex: words[rest]! | 0, attribute: flag };
    case BtfKind.ARRAY:
      return { id, kind, name, elementTypeId: typeAt(rest), indexTypeId: typeAt(rest + 1), count: words[rest + 2]! };
    case BtfKind.STRUCT:
    case BtfKind.UNION: {
      const members: BtfMember[] = [];
      for (let i = 0; i < vlen; i++) {
        const word = rest + i * 3;
        const offset = words[word + 2]!;
        const bitOffset = flag ? offset & 0xff_ffff : offset;
        if (bitOffset > size * 8) throw damaged(word + 2, `type ${id}: a member at bit ${bitOffset} of ${size} bytes`);
        members.push({
          name: nameAt(word),
          typeId: typeAt(word + 1),
          bitOffset,
          bitfieldSize: flag ? offset >>> 24 : 0,
        });
      }
      return { id, kind, name, size, members };
    }
    case BtfKind.ENUM: {
      const values = [];
      for (let i = 0; i < vlen; i++) {
        const value = words[rest + i * 2 + 1]!;
        values.push({ name: nameAt(rest + i * 2), value: BigInt(flag ? value | 0 : value) });
      }
      return { id, kind, name, size, signed: flag, values };
    }
    case BtfKind.ENUM64: {
      const values = [];
      for (let i = 0; i < vlen; i++) {
        const word = rest + i * 3;
        const value = (BigInt(words[word + 2]!) << 32n) | BigInt(words[word + 1]!);
        values.push({ name: nameAt(word), value: flag ? BigInt.asIntN(64, value) : value });
      }
      return { id, kind, name, size, signed: flag, values };
    }
    case BtfKind.FWD:
      return { id, kind, name, union: flag };
    case BtfKind.FUNC:
      return { id, kind, name, typeId: typeAt(start + 2), linkage: vlen };
    case BtfKind.FUNC_PROTO: {
      const parameters: BtfParameter[] = [];
      for (let i = 0; i < vlen; i++) parameters.push({ name: nameAt(rest + i * 2), typeId: typeAt(rest + i * 2 + 1) });
      const last = parameters.at(-1);
      const variadic = last !== undefined && last.name === "" && last.typeId === 0;
      if (variadic) parameters.pop();
      return { id, kind, name, returnTypeId: typeAt(start + 2), parameters, variadic };
    }
    case BtfKind.VAR:
      return { id, kind, name, typeId: typeAt(start + 2), linkage: words[rest]! };
    case BtfKind.DATASEC: {
      const entries: BtfSectionEntry[] = [];
      for (let i = 0; i < vlen; i++) {
        const word = rest + i * 3;
        entries.push({ typeId: typeAt(word), offset: words[word + 1]!, size: words[word + 2]! });
      }
      return { id, kind, name, size, entries };
    }
    case BtfKind.FLOAT:
      return { id, kind, name, size };
    default:
      throw damaged(start, `type ${id} is of kind ${String(kind)}, which is newer than this reader`);
  }
}
