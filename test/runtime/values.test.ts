import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Btf, BtfBuilder, BtfIntEncoding } from "../../src/btf/index.ts";
import { type Codec, decodeValue, encodeValue } from "../../src/runtime/values/codec.ts";
import { codecFor } from "../../src/runtime/values/codec-for.ts";
import { formatValue } from "../../src/runtime/values/format.ts";

/** A type that a test makes: how it is added, its bytes, its alignment, and its values. */
interface Made {
  readonly add: (builder: BtfBuilder) => number;
  readonly size: number;
  readonly values: fc.Arbitrary<unknown>;
}

const { SIGNED, BOOL } = BtfIntEncoding;

function integer(size: number, signed: boolean): Made {
  const bits = size * 8;
  const name = `${signed ? "s" : "u"}${bits}`;
  const min = signed ? -(2n ** BigInt(bits - 1)) : 0n;
  const max = 2n ** BigInt(signed ? bits - 1 : bits) - 1n;
  const values = size > 4 ? fc.bigInt({ min, max }) : fc.integer({ min: Number(min), max: Number(max) });
  return { add: (b) => b.int(name, size, signed ? SIGNED : 0), size, values };
}

const scalars: readonly Made[] = [
  // Without one byte unsigned, whose arrays are bytes.
  integer(1, true),
  ...[2, 4, 8, 16].flatMap((size) => [integer(size, false), integer(size, true)]),
  { add: (b) => b.int("_Bool", 1, BOOL), size: 1, values: fc.boolean() },
  { add: (b) => b.float("float", 4), size: 4, values: fc.float({ noNaN: true }) },
  { add: (b) => b.float("double", 8), size: 8, values: fc.double() },
  {
    add: (b) => b.float("_Float16", 2),
    size: 2,
    values: fc.constantFrom(0, -0, 1.5, -2048, 65504, 2 ** -24, Infinity),
  },
  { add: (b) => b.pointer(), size: 8, values: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
  {
    add: (b) => b.enum("color", 4, true, [{ name: "PAST", value: -1n }]),
    size: 4,
    values: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  },
  {
    add: (b) => b.enum("big", 8, false, [{ name: "HUGE", value: 2n ** 63n }]),
    size: 8,
    values: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  },
];

const text = (count: number): Made => ({
  add: (b) => b.array(b.int("char", 1, SIGNED), count),
  size: count,
  values: fc.string({ maxLength: count }).filter((t) => !t.includes("\0") && Buffer.byteLength(t) <= count),
});

const bytes = (count: number): Made => ({
  add: (b) => b.array(b.typedef("u8", b.int("unsigned char", 1)), count),
  size: count,
  values: fc.uint8Array({ minLength: count, maxLength: count }),
});

const arrayOf = (element: Made, count: number): Made => ({
  add: (b) => b.array(element.add(b), count),
  size: element.size * count,
  values: fc.array(element.values, { minLength: count, maxLength: count }),
});

let names = 0;

/** A struct of members one behind the other, some of them bitfields, some in anonymous structs. */
function structOf(members: readonly (Made | { bits: number; signed: boolean })[], anonymous: boolean): Made {
  const fields: { name: string; bit: number; bits: number; made?: Made }[] = [];
  const values: Record<string, fc.Arbitrary<unknown>> = {};
  let bit = 0;
  for (const member of members) {
    const name = `m${names++}`;
    if ("bits" in member) {
      const { bits, signed } = member;
      if ((bit % 32) + bits > 32) bit = Math.ceil(bit / 32) * 32;
      fields.push({ name, bit, bits: signed ? -bits : bits });
      const low = signed ? -(2 ** (bits - 1)) : 0;
      values[name] = fc.integer({ min: low, max: low + 2 ** bits - 1 });
      bit += bits;
    } else {
      bit = Math.ceil(bit / 8) * 8;
      fields.push({ name, bit, bits: 0, made: member });
      values[name] = member.values;
      bit += member.size * 8;
    }
  }
  const size = Math.ceil(bit / 8);
  const name = `s${names++}`;
  return {
    add: (b) => {
      const specs = fields.map((field) => ({
        name: field.name,
        typeId: field.made?.add(b) ?? b.int(field.bits < 0 ? "int" : "unsigned int", 4, field.bits < 0 ? SIGNED : 0),
        bitOffset: field.bit,
        bitfieldSize: Math.abs(field.bits),
      }));
      if (!anonymous) return b.struct(name, size, specs);
      return b.struct(name, size, [{ name: "", typeId: b.struct("", size, specs), bitOffset: 0 }]);
    },
    size,
    values: fc.record(values),
  };
}

const { type: types } = fc.letrec<{ type: Made; struct: Made }>((tie) => ({
  type: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(...scalars),
    fc.integer({ min: 1, max: 40 }).map(text),
    fc.integer({ min: 1, max: 40 }).map(bytes),
    fc.tuple(tie("type"), fc.integer({ min: 1, max: 3 })).map(([element, count]) => arrayOf(element, count)),
    tie("struct"),
  ),
  struct: fc
    .tuple(
      fc.array(fc.oneof(tie("type"), fc.record({ bits: fc.integer({ min: 1, max: 32 }), signed: fc.boolean() })), {
        maxLength: 6,
      }),
      fc.boolean(),
    )
    .map(([members, anonymous]) => structOf(members, anonymous)),
}));

/** A type of a builder's, as the codec sees it. */
function codecOf<T>(
  add: (builder: BtfBuilder) => number,
  options?: { int64: "number" },
): { codec: Codec<T>; btf: Btf; id: number } {
  const builder = new BtfBuilder();
  const id = add(builder);
  const btf = Btf.parse(builder.finish());
  return { codec: codecFor<T>(btf, id, options), btf, id };
}

const u32 = (b: BtfBuilder): number => b.int("unsigned int", 4);
const u64 = (b: BtfBuilder): number => b.int("unsigned long long", 8);
const char = (b: BtfBuilder): number => b.int("char", 1, SIGNED);

describe("codecs", () => {
  test("what is written is read back, for any type", () => {
    fc.assert(
      fc.property(
        types.chain((made) => fc.tuple(fc.constant(made), made.values)),
        fc.nat({ max: 9 }),
        ([made, value], at) => {
          const { codec, btf, id } = codecOf(made.add);
          expect(codec.size).toBe(made.size);
          const view = new DataView(new ArrayBuffer(at + codec.size + 3));
          new Uint8Array(view.buffer).fill(0xa5);
          codec.write(view, at, value);
          expect(codec.read(view, at)).toEqual(value);
          // Nothing beside the value is touched.
          const around = [...new Uint8Array(view.buffer)].filter((_, i) => i < at || i >= at + codec.size);
          expect(around.every((byte) => byte === 0xa5)).toBe(true);
          // JSON of it is JSON, and has what was read.
          const json = formatValue(btf, id, view, at, { style: "json" });
          expect(() => JSON.parse(json)).not.toThrow();
          expect(formatValue(btf, id, view, at).length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 400 },
    );
  });

  test("64-bit integers as numbers", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const { codec } = codecOf<number>((b) => b.int("long", 8, SIGNED), { int64: "number" });
        expect(decodeValue(codec, encodeValue(codec, value))).toBe(value === 0 ? 0 : value);
      }),
    );
    const { codec } = codecOf<number>(u64, { int64: "number" });
    expect(decodeValue(codec, Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0x80]))).toBe(2 ** 63);
  });

  const event = (b: BtfBuilder): number =>
    b.struct("event", 40, [
      { name: "pid", typeId: u32(b), bitOffset: 0 },
      { name: "comm", typeId: b.array(char(b), 16), bitOffset: 32 },
      {
        name: "",
        typeId: b.union("", 8, [
          { name: "count", typeId: u64(b), bitOffset: 0 },
          {
            name: "",
            bitOffset: 0,
            typeId: b.struct("", 8, [
              { name: "low", typeId: u32(b), bitOffset: 0 },
              { name: "high", typeId: u32(b), bitOffset: 32 },
            ]),
          },
        ]),
        bitOffset: 192,
      },
      {
        name: "state",
        typeId: b.enum("state", 4, false, [
          { name: "RUNNING", value: 0n },
          { name: "ASLEEP", value: 1n },
        ]),
        bitOffset: 256,
      },
    ]);

  test("members that are absent are zero; constants by name", () => {
    const { codec } = codecOf<Record<string, unknown>>(event);
    expect(decodeValue(codec, encodeValue(codec, { state: "ASLEEP" }))).toEqual({
      pid: 0,
      comm: "",
      count: 0n,
      low: 0,
      high: 0,
      state: 1,
    });
  });

  test("of a union one member is given, or several that agree", () => {
    const { codec } = codecOf<Record<string, unknown>>(event);
    const read = (value: Record<string, unknown>): unknown => decodeValue(codec, encodeValue(codec, value));
    expect(read({ count: 0x1_0000_0002n })).toMatchObject({ low: 2, high: 1 });
    expect(read({ low: 2, high: 1 })).toMatchObject({ count: 0x1_0000_0002n });
    // As after reading, changing another member and writing back; numbers will do where bigints are read.
    expect(read({ ...(read({ count: 7 }) as object), pid: 3 })).toMatchObject({ pid: 3, count: 7n, low: 7 });
    expect(() => read({ count: 1n, low: 2 })).toThrow(
      "struct event: count and low, high share their bytes and say different things: give one of them",
    );
  });

  test("text of a union keeps what is behind its NUL", () => {
    const { codec } = codecOf<Record<string, unknown>>((b) =>
      b.union("either", 8, [
        { name: "text", typeId: b.array(char(b), 8), bitOffset: 0 },
        { name: "word", typeId: u64(b), bitOffset: 0 },
      ]),
    );
    const value = decodeValue(codec, encodeValue(codec, { word: 0x1122_0041n }));
    expect(value).toEqual({ text: "A", word: 0x1122_0041n });
    expect(decodeValue(codec, encodeValue(codec, value))).toEqual(value);
  });

  test.each<[string, unknown, string]>([
    ["no number", { pid: "1" }, 'struct event.pid: unsigned int wants an integer, not "1"'],
    ["fraction", { pid: 1.5 }, "struct event.pid: unsigned int wants an integer, not 1.5"],
    ["range", { pid: -1 }, "struct event.pid: unsigned int: -1 is not from 0 to 4294967295"],
    [
      "not exact",
      { count: 2 ** 60 },
      "struct event.count: unsigned long long: 1152921504606847000 is not exact: give a bigint",
    ],
    ["too long", { comm: "12345678901234567" }, "struct event.comm: char[16]: 17 bytes given, 16 fit"],
    ["no such member", { pod: 1 }, "struct event has no member pod; did you mean pid?"],
    [
      "no such constant",
      { state: "SLEEP" },
      "struct event.state: enum state has no constant SLEEP; did you mean ASLEEP?",
    ],
    ["no object", 3, "struct event wants an object of its members, not 3"],
  ])("refused: %s", (_, value, message) => {
    const { codec } = codecOf(event);
    expect(() => encodeValue(codec, value)).toThrow(message);
  });

  test("a flexible array extends to the end of the record", () => {
    const { codec, btf, id } = codecOf<{ n: number; items: number[] }>((b) =>
      b.struct("list", 4, [
        { name: "n", typeId: u32(b), bitOffset: 0 },
        { name: "items", typeId: b.array(b.int("short", 2, SIGNED), 0), bitOffset: 32 },
      ]),
    );
    const bytesOf = encodeValue(codec, { n: 3, items: [1, -2, 3] });
    expect(bytesOf.length).toBe(10);
    expect(decodeValue(codec, bytesOf)).toEqual({ n: 3, items: [1, -2, 3] });
    const view = new DataView(bytesOf.buffer);
    expect(codec.read(view, 0)).toEqual({ n: 3, items: [] });
    expect(formatValue(btf, id, view, 0, { end: 10 })).toBe("{ .n = 3, .items = { 1, -2, 3 } }");
    expect(() => codec.read(view, 0, 3)).toThrow("struct list: has 4 bytes, there are 3");
  });

  test("a section of variables is an object", () => {
    const { codec } = codecOf((b) =>
      b.dataSection(".bss", 16, [
        { typeId: b.variable("counter", u64(b)), offset: 0, size: 8 },
        { typeId: b.variable("last", u32(b)), offset: 8, size: 4 },
      ]),
    );
    expect(decodeValue(codec, encodeValue(codec, { counter: 5n, last: 6 }))).toEqual({ counter: 5n, last: 6 });
  });

  test("texts are remembered without being mixed up", () => {
    const { codec } = codecOf<string>((b) => b.array(char(b), 16));
    const view = new DataView(new ArrayBuffer(16));
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 5000; i++) {
        codec.write(view, 0, `name ${i}`);
        expect(codec.read(view, 0)).toBe(`name ${i}`);
      }
    }
  });

  test("members with the names of what objects have anyway", () => {
    const { codec } = codecOf<object>((b) =>
      b.struct(
        "odd",
        12,
        ["__proto__", "constructor", "toString"].map((name, i) => ({ name, typeId: u32(b), bitOffset: i * 32 })),
      ),
    );
    const value = decodeValue(codec, new Uint8Array(12).fill(1));
    expect(Object.entries(value)).toEqual([
      ["__proto__", 0x1010101],
      ["constructor", 0x1010101],
      ["toString", 0x1010101],
    ]);
    expect(encodeValue(codec, value)).toEqual(new Uint8Array(12).fill(1));
    expect(encodeValue(codec, {})).toEqual(new Uint8Array(12));
  });

  test.each<[string, (b: BtfBuilder) => number]>([
    ["void", () => 0],
    ["forward", (b) => b.forward("hidden")],
    ["function", (b) => b.func("f", b.funcProto(0, []))],
  ])("%s has no values", (_, add) => {
    expect(() => codecOf(add)).toThrow(/has no values/);
  });

  test("a struct that contains itself is damage, not a hang", () => {
    expect(() =>
      codecOf((b) => {
        const id = b.declareStruct("ring");
        b.defineStruct(id, 8, [{ name: "next", typeId: id, bitOffset: 0 }]);
        return id;
      }),
    ).toThrow(/contains itself/);
  });

  test("values as C and as JSON", () => {
    const { btf, id, codec } = codecOf<Record<string, unknown>>((b) =>
      b.struct("all", 48, [
        { name: "letter", typeId: char(b), bitOffset: 0 },
        { name: "mac", typeId: b.array(b.int("unsigned char", 1), 3), bitOffset: 8 },
        { name: "state", typeId: b.enum("state", 4, false, [{ name: "ON", value: 1n }]), bitOffset: 32 },
        { name: "address", typeId: b.pointer(), bitOffset: 64 },
        { name: "bits", typeId: u32(b), bitOffset: 128, bitfieldSize: 3 },
        { name: "sign", typeId: b.int("int", 4, SIGNED), bitOffset: 131, bitfieldSize: 4 },
        { name: "text", typeId: b.array(char(b), 8), bitOffset: 160 },
        { name: "half", typeId: b.float("float", 4), bitOffset: 224 },
        { name: "grid", typeId: b.array(b.array(b.int("short", 2, SIGNED), 2), 2), bitOffset: 256 },
        { name: "none", typeId: b.struct("none", 0, []), bitOffset: 320 },
      ]),
    );
    const bytesOf = encodeValue(codec, {
      letter: 39,
      mac: [1, 2, 255],
      state: "ON",
      address: 0xffff_8000_0000_1000n,
      bits: 5,
      sign: -3,
      text: 'a"\n\x01',
      half: 0.5,
      grid: [[1, -1], [2]],
      none: {},
    });
    const view = new DataView(bytesOf.buffer);
    expect(formatValue(btf, id, view)).toBe(
      "{ .letter = '\\'', .mac = { 0x01, 0x02, 0xff }, .state = ON, .address = 0xffff800000001000, .bits = 5, .sign = -3, " +
        '.text = "a\\"\\n\\001", .half = 0.5, .grid = { { 1, -1 }, { 2, 0 } }, .none = {} }',
    );
    expect(formatValue(btf, id, view, 0, { style: "json" })).toBe(
      '{"letter":39,"mac":[1,2,255],"state":"ON","address":"0xffff800000001000","bits":5,"sign":-3,' +
        '"text":"a\\"\\n\\u0001","half":0.5,"grid":[[1,-1],[2,0]],"none":{}}',
    );
  });
});
