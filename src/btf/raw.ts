/** The text of `bpftool btf dump format raw`: one line a type, one a member, nothing interpreted. */
import type { Btf } from "./btf.ts";
import { BtfFuncLinkage, BtfKind, btfKindNames } from "./kinds.ts";
import type { BtfEnum, BtfType } from "./types.ts";

const intEncodings = ["(none)", "SIGNED", "CHAR", "", "BOOL"];
const funcLinkages = Object.keys(BtfFuncLinkage).map((name) => name.toLowerCase());
const varLinkages = ["static", "global", "extern"];

/** What bpftool prints for a linkage that has no name. */
const UNKNOWN_LINKAGE = "(unknown)";

function quoted(name: string): string {
  return name === "" ? "'(anon)'" : `'${name}'`;
}

function enumLines(type: BtfEnum): string[] {
  const suffix = type.kind === BtfKind.ENUM64 ? (type.signed ? "LL" : "ULL") : "";
  return type.values.map(({ name, value }) => `\t${quoted(name)} val=${value}${suffix}`);
}

/** What follows kind and name on the first line, and the lines after it. */
function rest(btf: Btf, type: BtfType): [first: string, ...more: string[]] {
  switch (type.kind) {
    case BtfKind.UNKN:
      return [""];
    case BtfKind.INT: {
      const encoding = intEncodings[type.encoding] || "UNKN";
      return [` size=${type.size} bits_offset=${type.bitOffset} nr_bits=${type.bits} encoding=${encoding}`];
    }
    case BtfKind.PTR:
    case BtfKind.VOLATILE:
    case BtfKind.CONST:
    case BtfKind.RESTRICT:
    case BtfKind.TYPEDEF:
    case BtfKind.TYPE_TAG:
      return [` type_id=${type.typeId}`];
    case BtfKind.ARRAY:
      return [` type_id=${type.elementTypeId} index_type_id=${type.indexTypeId} nr_elems=${type.count}`];
    case BtfKind.STRUCT:
    case BtfKind.UNION: {
      const lines = type.members.map((m) => {
        const bits = m.bitfieldSize === 0 ? "" : ` bitfield_size=${m.bitfieldSize}`;
        return `\t${quoted(m.name)} type_id=${m.typeId} bits_offset=${m.bitOffset}${bits}`;
      });
      return [` size=${type.size} vlen=${lines.length}`, ...lines];
    }
    case BtfKind.ENUM:
    case BtfKind.ENUM64: {
      const lines = enumLines(type);
      return [` encoding=${type.signed ? "SIGNED" : "UNSIGNED"} size=${type.size} vlen=${lines.length}`, ...lines];
    }
    case BtfKind.FWD:
      return [` fwd_kind=${type.union ? "union" : "struct"}`];
    case BtfKind.FUNC:
      return [` type_id=${type.typeId} linkage=${funcLinkages[type.linkage] ?? UNKNOWN_LINKAGE}`];
    case BtfKind.FUNC_PROTO: {
      const lines = type.parameters.map((p) => `\t${quoted(p.name)} type_id=${p.typeId}`);
      if (type.variadic) lines.push("\t'(anon)' type_id=0");
      return [` ret_type_id=${type.returnTypeId} vlen=${lines.length}`, ...lines];
    }
    case BtfKind.VAR:
      return [` type_id=${type.typeId}, linkage=${varLinkages[type.linkage] ?? UNKNOWN_LINKAGE}`];
    case BtfKind.DATASEC: {
      const lines = type.entries.map((entry) => {
        const variable = `${btfKindNames[btf.kindOf(entry.typeId)]} ${quoted(btf.nameOf(entry.typeId))}`;
        return `\ttype_id=${entry.typeId} offset=${entry.offset} size=${entry.size} (${variable})`;
      });
      return [` size=${type.size} vlen=${lines.length}`, ...lines];
    }
    case BtfKind.FLOAT:
      return [` size=${type.size}`];
    case BtfKind.DECL_TAG:
      return [` type_id=${type.typeId} component_idx=${type.componentIndex}`];
  }
}

/** One type as `bpftool btf dump format raw` prints it: one line or several, without the closing newline. */
export function printBtfRaw(btf: Btf, id: number): string {
  const type = btf.readType(id);
  const [first, ...more] = rest(btf, type);
  return [`[${id}] ${btfKindNames[type.kind]} ${quoted(type.name)}${first}`, ...more].join("\n");
}

/** All types but the base's, each as {@link printBtfRaw} gives it. */
export function* dumpBtfRaw(btf: Btf): Generator<string, void, undefined> {
  for (let id = btf.firstId; id < btf.typeCount; id++) yield printBtfRaw(btf, id);
}
