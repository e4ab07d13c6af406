/** Keys and values as BCC writes and reads them: `0x2a`, `{ 0x1 "bash" }`, `[ 0x1 0x2 ]`. */
import { ParseError } from "../base/index.ts";
import { type Btf, BtfIntEncoding, BtfKind, type BtfMember } from "../btf/index.ts";
import { codecFor, decodeValue, encodeValue } from "../runtime/index.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

function isByte(btf: Btf, typeId: number): boolean {
  const type = btf.typeById(btf.stripModifiers(typeId));
  return type.kind === BtfKind.INT && type.size === 1 && (type.encoding & BtfIntEncoding.BOOL) === 0;
}

/** Little-endian bits of some bytes. */
function readBits(bytes: Uint8Array, bitOffset: number, bits: number): bigint {
  let value = 0n;
  const last = (bitOffset + bits - 1) >> 3;
  for (let at = last; at >= bitOffset >> 3; at--) value = (value << 8n) | BigInt(bytes[at] ?? 0);
  return (value >> BigInt(bitOffset & 7)) & ((1n << BigInt(bits)) - 1n);
}

function writeBits(bytes: Uint8Array, bitOffset: number, bits: number, value: bigint): void {
  for (let bit = 0; bit < bits; bit++) {
    const at = bitOffset + bit;
    const mask = 1 << (at & 7);
    if (((value >> BigInt(bit)) & 1n) !== 0n) bytes[at >> 3]! |= mask;
    else bytes[at >> 3]! &= ~mask;
  }
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function render(btf: Btf, typeId: number, bytes: Uint8Array, at: number): string {
  const type = btf.typeById(btf.stripModifiers(typeId));
  switch (type.kind) {
    case BtfKind.STRUCT:
    case BtfKind.UNION: {
      const members = type.members.map((member) => {
        const { bitfieldSize, bitOffset } = member;
        if (bitfieldSize > 0) return `${hex(readBits(bytes, at * 8 + bitOffset, bitfieldSize))} `;
        return `${render(btf, member.typeId, bytes, at + bitOffset / 8)} `;
      });
      return `{ ${members.join("")}}`;
    }
    case BtfKind.ARRAY: {
      if (isByte(btf, type.elementTypeId)) {
        const text = bytes.subarray(at, at + type.count);
        const end = text.indexOf(0);
        return `"${decoder.decode(end === -1 ? text : text.subarray(0, end))}"`;
      }
      const size = btf.sizeOf(type.elementTypeId) ?? 0;
      const elements = Array.from(
        { length: type.count },
        (_, i) => `${render(btf, type.elementTypeId, bytes, at + i * size)} `,
      );
      return `[ ${elements.join("")}]`;
    }
    default:
      return hex(readBits(bytes, at * 8, (btf.sizeOf(typeId) ?? 0) * 8));
  }
}

/** A value as text. Throws TypeError or RangeError when it is none of its type. */
export function valueText(btf: Btf, typeId: number, value: unknown): string {
  return render(btf, typeId, encodeValue(codecFor(btf, typeId), value as never), 0);
}

/** Reads {@link valueText}'s text; integers may be decimal, octal (`017`) or hexadecimal. */
class Scanner {
  private readonly text: string;
  private readonly what: string;
  private readonly bytes: Uint8Array;
  private readonly btf: Btf;
  private position = 0;

  constructor(btf: Btf, text: string, what: string, bytes: Uint8Array) {
    this.btf = btf;
    this.text = text;
    this.what = what;
    this.bytes = bytes;
  }

  private fail(wanted: string): never {
    throw new ParseError(this.what, this.position, `${wanted} is wanted in ${JSON.stringify(this.text)}`);
  }

  private blanks(): void {
    while (/\s/.test(this.text[this.position] ?? "")) this.position++;
  }

  private expect(mark: string): void {
    this.blanks();
    if (this.text[this.position] !== mark) this.fail(mark);
    this.position++;
  }

  private number(): bigint {
    this.blanks();
    const found = /^([+-]?)(0[xX][0-9a-fA-F]+|\d+)/.exec(this.text.slice(this.position));
    if (found === null) this.fail("a number");
    const [whole, sign, digits] = found as unknown as [string, string, string];
    if (/^0\d/.test(digits) && /[89]/.test(digits)) this.fail("an octal number");
    this.position += whole.length;
    const size = BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
    return sign === "-" ? -size : size;
  }

  private integer(bitOffset: number, bits: number): void {
    const start = this.position;
    const value = this.number();
    if (value >= 1n << BigInt(bits) || value < -(1n << BigInt(bits - 1))) {
      this.position = start;
      this.fail(`a number of ${bits} bits`);
    }
    writeBits(this.bytes, bitOffset, bits, BigInt.asUintN(bits, value));
  }

  private string(at: number, count: number): void {
    this.expect('"');
    const end = this.text.indexOf('"', this.position);
    if (end === -1) this.fail("a closing quote");
    const bytes = encoder.encode(this.text.slice(this.position, end));
    if (bytes.length > count) this.fail(`a text of at most ${count} bytes`);
    this.bytes.set(bytes, at);
    this.position = end + 1;
  }

  private member(member: BtfMember, at: number): void {
    if (member.bitfieldSize > 0) this.integer(at * 8 + member.bitOffset, member.bitfieldSize);
    else this.value(member.typeId, at + member.bitOffset / 8);
  }

  value(typeId: number, at: number): void {
    const { btf } = this;
    const type = btf.typeById(btf.stripModifiers(typeId));
    if (type.kind === BtfKind.STRUCT || type.kind === BtfKind.UNION) {
      this.expect("{");
      for (const member of type.members) this.member(member, at);
      this.expect("}");
    } else if (type.kind !== BtfKind.ARRAY) {
      this.integer(at * 8, (btf.sizeOf(typeId) ?? 0) * 8);
    } else if (isByte(btf, type.elementTypeId)) {
      this.string(at, type.count);
    } else {
      const size = btf.sizeOf(type.elementTypeId) ?? 0;
      this.expect("[");
      for (let i = 0; i < type.count; i++) this.value(type.elementTypeId, at + i * size);
      this.expect("]");
    }
  }

  end(): void {
    this.blanks();
    if (this.position < this.text.length) this.fail("the end");
  }
}

/** The value that a text is of. `what` is named in errors. Throws ParseError with the offset in the text. */
export function scanValue(btf: Btf, typeId: number, text: string, what: string): unknown {
  const bytes = new Uint8Array(btf.sizeOf(typeId) ?? 0);
  const scanner = new Scanner(btf, text, what, bytes);
  scanner.value(typeId, 0);
  scanner.end();
  return decodeValue(codecFor(btf, typeId), bytes);
}
