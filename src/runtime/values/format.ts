/** Values as text, straight from their bytes: as C initialises them, or as JSON. Names of enum constants are shown, other than in values that are read. */
import { type Btf, type BtfEnum, BtfIntEncoding, BtfKind, type BtfMember, type BtfType } from "../../btf/index.ts";
import { decodeText } from "./arrays.ts";
import { codecFor, isByteType, isCharType } from "./codec-for.ts";

/** How values are written. */
export type ValueStyle = "c" | "json";

type Show = (view: DataView, offset: number, end: number) => string;

/** What the two styles write differently. */
interface Style {
  readonly open: string;
  readonly close: string;
  readonly member: (name: string) => string;
  readonly openArray: string;
  readonly closeArray: string;
  readonly text: (text: string) => string;
  readonly constant: (name: string) => string;
  readonly char: (code: number) => string;
  readonly pointer: (address: bigint) => string;
  readonly wider: (value: bigint) => string;
  readonly byte: (byte: number) => string;
  readonly float: (value: number) => string;
}

const cEscapes: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ["'", "\\'"],
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
]);

/** Octal escapes, since hexadecimal ones of C have no end. */
function escaped(text: string, quote: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/["'\\\x00-\x1f\x7f]/g, (char) => {
    if ((char === '"' || char === "'") && char !== quote) return char;
    return cEscapes.get(char) ?? `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`;
  });
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

const styles: Readonly<Record<ValueStyle, Style>> = {
  c: {
    open: "{ ",
    close: " }",
    member: (name) => `.${name} = `,
    openArray: "{ ",
    closeArray: " }",
    text: (text) => `"${escaped(text, '"')}"`,
    constant: (name) => name,
    char: (code) => (code >= 0x20 && code < 0x7f ? `'${escaped(String.fromCharCode(code), "'")}'` : String(code)),
    pointer: hex,
    wider: hex,
    byte: (byte) => `0x${byte.toString(16).padStart(2, "0")}`,
    float: String,
  },
  json: {
    open: "{",
    close: "}",
    member: (name) => `${JSON.stringify(name)}:`,
    openArray: "[",
    closeArray: "]",
    text: (text) => JSON.stringify(text),
    constant: (name) => JSON.stringify(name),
    char: String,
    pointer: (address) => `"${hex(address)}"`,
    wider: (value) => `"${hex(value)}"`,
    byte: String,
    float: (value) => (Number.isFinite(value) ? String(value) : `"${value}"`),
  },
};

const separators: Readonly<Record<ValueStyle, string>> = { c: ", ", json: "," };

/** Puts together what shows the types of one BTF. */
class Formatter {
  private readonly btf: Btf;
  private readonly style: Style;
  private readonly comma: string;
  private readonly shows = new Map<number, Show>();

  constructor(btf: Btf, style: ValueStyle) {
    this.btf = btf;
    this.style = styles[style];
    this.comma = separators[style];
  }

  show(typeId: number): Show {
    const id = this.btf.stripModifiers(typeId);
    let show = this.shows.get(id);
    if (show === undefined) {
      // The codec refuses what has no values and what contains itself, before it is walked here.
      codecFor(this.btf, id);
      this.shows.set(id, (show = this.make(this.btf.typeById(id))));
    }
    return show;
  }

  private make(type: BtfType): Show {
    const { btf, style } = this;
    switch (type.kind) {
      case BtfKind.INT: {
        const { read } = codecFor(btf, type.id);
        if (isCharType(btf, type.id)) return (view, offset) => style.char(read(view, offset) as number);
        if (type.size > 8) return (view, offset) => style.wider(BigInt.asUintN(128, read(view, offset) as bigint));
        return (view, offset) => String(read(view, offset));
      }
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        return this.constant(type, codecFor(btf, type.id).read);
      case BtfKind.FLOAT: {
        const { read } = codecFor(btf, type.id);
        if (type.size > 8) return this.bytes(type.size);
        return (view, offset) => style.float(read(view, offset) as number);
      }
      case BtfKind.PTR: {
        const { read } = codecFor(btf, type.id);
        return (view, offset) => style.pointer(read(view, offset) as bigint);
      }
      case BtfKind.ARRAY: {
        if (isCharType(btf, type.elementTypeId)) return this.text(type.count);
        if (isByteType(btf, type.elementTypeId)) return this.bytes(type.count);
        return this.array(type.count, btf.sizeOf(type.elementTypeId) ?? 0, this.show(type.elementTypeId));
      }
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        return this.composite(type.members);
      case BtfKind.VAR:
      case BtfKind.DECL_TAG:
        return this.show(type.typeId);
      case BtfKind.DATASEC:
        return this.composite(
          type.entries
            .filter((entry) => btf.kindOf(entry.typeId) === BtfKind.VAR)
            .map((entry) => ({
              name: btf.nameOf(entry.typeId),
              typeId: entry.typeId,
              bitOffset: entry.offset * 8,
              bitfieldSize: 0,
            })),
        );
      default:
        throw btf.damagedType(type.id, "it has no values");
    }
  }

  private constant(type: BtfEnum, read: (view: DataView, offset: number) => unknown): Show {
    const names = new Map<string, string>();
    // Of constants with the same value the first is shown.
    for (const { name, value } of type.values) if (!names.has(String(value))) names.set(String(value), name);
    const { style } = this;
    return (view, offset) => {
      const text = String(read(view, offset));
      const name = names.get(text);
      return name === undefined ? text : style.constant(name);
    };
  }

  private text(count: number): Show {
    const { style } = this;
    if (count > 0) return (view, offset) => style.text(decodeText(view, offset, count));
    return (view, offset, end) => style.text(end > offset ? decodeText(view, offset, end - offset) : "");
  }

  private bytes(count: number): Show {
    const { style } = this;
    return this.array(count, 1, (view, offset) => style.byte(view.getUint8(offset)));
  }

  private array(count: number, step: number, element: Show): Show {
    const { comma, style } = this;
    return (view, offset, end) => {
      let elements = count;
      if (count === 0) elements = step === 0 || end <= offset ? 0 : Math.floor((end - offset) / step);
      if (elements === 0) return (style.openArray + style.closeArray).replace("  ", "");
      let text = style.openArray;
      for (let i = 0; i < elements; i++) text += (i === 0 ? "" : comma) + element(view, offset + i * step, 0);
      return text + style.closeArray;
    };
  }

  /** Members of anonymous ones stand among the others, as in C and in values that are read. */
  private composite(members: readonly BtfMember[]): Show {
    const { comma, style } = this;
    const parts = this.members(members, 0);
    const last = parts.length - 1;
    if (last < 0) return () => (style.open + style.close).replace("  ", "");
    return (view, offset, end) => {
      let text = style.open;
      for (let i = 0; i <= last; i++) {
        const part = parts[i]!;
        text += part.label + part.show(view, offset + part.offset, i === last ? end : 0);
        if (i < last) text += comma;
      }
      return text + style.close;
    };
  }

  private members(
    members: readonly BtfMember[],
    outerBit: number,
  ): { readonly label: string; readonly offset: number; readonly show: Show }[] {
    const { btf, style } = this;
    return members.flatMap((member) => {
      const bit = outerBit + member.bitOffset;
      const id = btf.stripModifiers(member.typeId);
      const type = btf.typeById(id);
      if (member.name === "") {
        const isComposite = type.kind === BtfKind.STRUCT || type.kind === BtfKind.UNION;
        return isComposite && member.bitfieldSize === 0 ? this.members(type.members, bit) : [];
      }
      const label = style.member(member.name);
      const isOldBitfield = type.kind === BtfKind.INT && (type.bits !== type.size * 8 || type.bitOffset !== 0);
      if (member.bitfieldSize === 0 && !isOldBitfield) return [{ label, offset: bit >> 3, show: this.show(id) }];
      const start = isOldBitfield && member.bitfieldSize === 0 ? bit + type.bitOffset : bit;
      const bits = member.bitfieldSize === 0 && type.kind === BtfKind.INT ? type.bits : member.bitfieldSize;
      return [{ label, offset: start >> 3, show: this.bitfield(type, start & 7, bits) }];
    });
  }

  private bitfield(type: BtfType, shift: number, bits: number): Show {
    const signed =
      type.kind === BtfKind.INT
        ? (type.encoding & BtfIntEncoding.SIGNED) !== 0
        : (type.kind === BtfKind.ENUM || type.kind === BtfKind.ENUM64) && type.signed;
    const read = (view: DataView, offset: number): bigint => {
      let word = 0n;
      for (let at = ((shift + bits + 7) >> 3) - 1; at >= 0; at--) {
        word = (word << 8n) | BigInt(view.getUint8(offset + at));
      }
      word >>= BigInt(shift);
      return signed ? BigInt.asIntN(bits, word) : BigInt.asUintN(bits, word);
    };
    if (type.kind === BtfKind.ENUM || type.kind === BtfKind.ENUM64) return this.constant(type, read);
    if (type.kind === BtfKind.INT && (type.encoding & BtfIntEncoding.BOOL) !== 0) {
      return (view, offset) => String(read(view, offset) !== 0n);
    }
    return (view, offset) => String(read(view, offset));
  }
}

const known = { c: new WeakMap<Btf, Formatter>(), json: new WeakMap<Btf, Formatter>() };

/**
 * A value as text, in one line. `"c"` (default) is what C could initialise it with: `{ .pid = 42, .comm = "bash", .state = RUNNING }`;
 * `"json"` has the same names: pointers and integers of 128 bits are hexadecimal strings, 64-bit integers digits, `char` a number.
 * A flexible array at the end extends to `end`. Throws as {@link codecFor} does.
 */
export function formatValue(
  btf: Btf,
  typeId: number,
  view: DataView,
  offset: number = 0,
  options: { readonly style?: ValueStyle; readonly end?: number } = {},
): string {
  const style = options.style ?? "c";
  let formatter = known[style].get(btf);
  if (formatter === undefined) known[style].set(btf, (formatter = new Formatter(btf, style)));
  return formatter.show(typeId)(view, offset, options.end ?? 0);
}
