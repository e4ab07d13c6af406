/** Static probes of binaries: what notes say, and what operands of assemblers mean. */
import { expect, test } from "vitest";
import { ParseError } from "../../src/base/index.ts";
import {
  Elf,
  type UsdtArgument,
  findVersionedSymbol,
  parseUsdtArguments,
  resolveUsdtArgument,
  usdtProbes,
} from "../../src/object/index.ts";

/** An argument in short: size, sign, place. */
function short({ size, isSigned, isFloat, ...rest }: UsdtArgument): string {
  const type = `${isFloat ? "f" : isSigned ? "s" : "u"}${size * 8}`;
  if (rest.kind === "constant") return `${type} ${rest.value}`;
  if (rest.kind === "register") return `${type} ${rest.register.name}@${rest.register.offset}`;
  if (rest.kind === "unreadable") return `${type} ? ${rest.reason}`;
  const parts = [
    rest.base?.name,
    rest.index && `${rest.index.name}*${rest.scale}`,
    rest.symbol,
    rest.offset === 0n ? undefined : String(rest.offset),
  ];
  return `${type} [${parts.filter((part) => part !== undefined).join(" + ")}]`;
}

test.each<[text: string, places: string[]]>([
  ["", []],
  ["-4@%edi 8@%rax", ["s32 rdi@112", "u64 rax@80"]],
  ["1@%al 1@%ah 2@%r15w 1@%sil", ["u8 rax@80", "u8 rax@81", "u16 r15@0", "u8 rsi@104"]],
  ["4@$5 -8@$-5000000000 2@$0x1f", ["u32 5", "s64 -5000000000", "u16 31"]],
  ["-4@-20(%rbp) 8@(%rsp) 8@16(%r12)", ["s32 [rbp + -20]", "u64 [rsp]", "u64 [r12 + 16]"]],
  [
    "-1@-96(%rbp,%rax,8) 1@(%rbp,%rax,8) 1@-96(%rbp,%rax) 1@(%rbp,%rax)",
    ["s8 [rbp + rax*8 + -96]", "u8 [rbp + rax*8]", "u8 [rbp + rax*1 + -96]", "u8 [rbp + rax*1]"],
  ],
  [
    "8@counter(%rip) 8@counter+8(%rip) 4@8+counter(%rip)",
    ["u64 [rip + counter]", "u64 [rip + counter + 8]", "u32 [rip + counter + 8]"],
  ],
  ["8@table(,%rax,4) 4@counter 4@4096", ["u64 [rax*4 + table]", "u32 [counter]", "u32 [4096]"]],
  [
    "8f@%xmm0 16@%xmm1",
    ["f64 ? programs cannot read register %xmm0", "u128 ? values of 16 bytes do not fit a register"],
  ],
  ["8@%rdi, 8@((%rax))", ["u64 ? programs cannot read register %rdi,", "u64 ? it is no operand that is known here"]],
  ["%eax", ["u64 rax@80"]],
  ["8@(%rax,%rbx,3)", ["u64 ? 3 is no scale"]],
  ["8@(%foo)", ["u64 ? programs cannot read register %foo"]],
])("x86-64: %s", (text, places) => {
  expect(parseUsdtArguments(text, "x86_64").map(short)).toEqual(places);
});

test.each<[text: string, places: string[]]>([
  ["-4@x0 8@x30 4@w7 8@sp", ["s32 x0@0", "u64 x30@240", "u32 x7@56", "u64 sp@248"]],
  ["-4@[sp, 12] 8@[x1] 8@[x29, #-8]", ["s32 [sp + 12]", "u64 [x1]", "u64 [x29 + -8]"]],
  ["8@[x0, x1] 4@[x0, x1, lsl 2] 4@[x0, x1, lsl #3]", ["u64 [x0 + x1*1]", "u32 [x0 + x1*4]", "u32 [x0 + x1*8]"]],
  ["4@5 -8@-7 4@xzr", ["u32 5", "s64 -7", "u32 0"]],
  ["8@x31 8@d0", ["u64 ? programs cannot read register x31", "u64 ? programs cannot read register d0"]],
])("arm64: %s", (text, places) => {
  expect(parseUsdtArguments(text, "aarch64").map(short)).toEqual(places);
});

test("symbols and addresses become distances from the probe", () => {
  const probe = { provider: "p", name: "n", address: 0x1200n, fileOffset: 0x200, arguments: "" };
  const resolve = (text: string): string =>
    short(
      resolveUsdtArgument(parseUsdtArguments(text, "x86_64")[0]!, probe, "x86_64", (name) =>
        name === "counter" ? 0x4000n : undefined,
      ),
    );
  expect(resolve("8@counter+8(%rip)")).toBe("u64 [rip + 11784]");
  expect(resolve("8@counter(,%rax,4)")).toBe("u64 [rip + rax*4 + 11776]");
  expect(resolve("8@4096")).toBe("u64 [rip + -512]");
  expect(resolve("8@other(%rip)")).toBe("u64 ? the file has no symbol other");
  expect(resolve("8@counter(%rbx)")).toBe("u64 ? symbol counter and a register together have no address here");
  expect(resolve("8@8(%rbx)")).toBe("u64 [rbx + 8]");
});

/** An ELF file of 64 bits with one segment of code, one of data, and notes. */
function fileWith(content: Uint8Array, section = ".note.stapsdt"): Uint8Array {
  const names = `\0${section}\0.stapsdt.base\0.shstrtab\0`;
  const bytes = new Uint8Array(0x800);
  const view = new DataView(bytes.buffer);
  const text = new TextEncoder();
  const [segmentsAt, sectionsAt, notesAt, namesAt] = [0x40, 0x400, 0x200, 0x300];
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 3, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(32, BigInt(segmentsAt), true);
  view.setBigUint64(40, BigInt(sectionsAt), true);
  for (const [at, value] of [
    [54, 56],
    [56, 2],
    [58, 64],
    [60, 4],
    [62, 3],
  ] as const)
    view.setUint16(at, value, true);
  const segment = (at: number, flags: number, offset: number, address: number): void => {
    view.setUint32(at, 1, true);
    view.setUint32(at + 4, flags, true);
    [offset, address, address, 0x100, 0x180].forEach((value, i) =>
      view.setBigUint64(at + 8 + i * 8, BigInt(value), true),
    );
  };
  segment(segmentsAt, 5, 0x100, 0x1100);
  segment(segmentsAt + 56, 6, 0x200, 0x3200);
  const note = new Uint8Array(12 + 8 + ((content.length + 3) & ~3));
  const noteView = new DataView(note.buffer);
  [8, content.length, 3].forEach((value, i) => noteView.setUint32(i * 4, value, true));
  note.set(text.encode("stapsdt\0"), 12);
  note.set(content, 20);
  bytes.set(note, notesAt);
  bytes.set(text.encode(names), namesAt);
  const header = (index: number, name: string, type: number, address: number, offset: number, size: number): void => {
    const at = sectionsAt + index * 64;
    view.setUint32(at, names.indexOf(name), true);
    view.setUint32(at + 4, type, true);
    [0, address, offset, size].forEach((value, i) => view.setBigUint64(at + 8 + i * 8, BigInt(value), true));
  };
  header(1, section, 7, 0, notesAt, note.length);
  header(2, ".stapsdt.base", 1, 0x2010, 0x300, 1);
  header(3, ".shstrtab", 3, 0, namesAt, names.length);
  return bytes;
}

function description(address: number, base: number, semaphore: number, ...texts: string[]): Uint8Array {
  const tail = new TextEncoder().encode(texts.map((each) => `${each}\0`).join(""));
  const bytes = new Uint8Array(24 + tail.length);
  const view = new DataView(bytes.buffer);
  [address, base, semaphore].forEach((value, i) => view.setBigUint64(i * 8, BigInt(value), true));
  bytes.set(tail, 24);
  return bytes;
}

test("a note moves with its base, and a semaphore may lie where the file ends", () => {
  const probes = usdtProbes(Elf.parse(fileWith(description(0x1120, 0x2000, 0x32f0, "lib", "call", "8@%rdi"))));
  expect(probes).toEqual([
    { provider: "lib", name: "call", address: 0x1130n, fileOffset: 0x130, semaphoreOffset: 0x300, arguments: "8@%rdi" },
  ]);
  const [none] = usdtProbes(Elf.parse(fileWith(description(0x1120, 0, 0, "lib", "call", ":"))));
  expect(none).toMatchObject({ address: 0x1120n, arguments: "" });
  expect(none).not.toHaveProperty("semaphoreOffset");
  // Its code is in no segment: dropped by the linker.
  const [dropped] = usdtProbes(Elf.parse(fileWith(description(0, 0, 0x9999, "lib", "call", "8@%rdi"))));
  expect(dropped).toMatchObject({ address: 0n, fileOffset: undefined });
  expect(usdtProbes(Elf.parse(fileWith(description(0, 0, 0, "a", "b", ""), ".note.other")))).toEqual([]);
});

test.each<[string, Uint8Array, string]>([
  ["cut short", description(0x1120, 0, 0, "a"), "is cut short"],
  ["without texts", new Uint8Array(24), "is cut short"],
  [
    "with a semaphore in the code",
    description(0x1120, 0, 0x1140, "a", "b", ""),
    "the semaphore of a:b is at 0x1140, where the file has no data",
  ],
])("a note %s is refused with its place", (_, bytes, message) => {
  expect(() => usdtProbes(Elf.parse(fileWith(bytes)))).toThrow(message);
});

test("damaged files are refused, and nothing else is thrown", () => {
  const whole = fileWith(
    description(0x1120, 0x2000, 0x32f0, "lib", "call", "8@%rdi -4@symbol+8(%rip) 1@(%rax,%rbx,8)"),
  );
  let state = 7;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let round = 0; round < 3000; round++) {
    const bytes = whole.slice(0, random(8) === 0 ? random(whole.length) : whole.length);
    for (let i = random(6); i >= 0; i--) bytes[random(bytes.length)] = random(256);
    try {
      const elf = Elf.parse(bytes);
      for (const probe of usdtProbes(elf)) {
        for (const argument of parseUsdtArguments(probe.arguments, "x86_64"))
          resolveUsdtArgument(argument, probe, "x86_64", (name) => findVersionedSymbol(elf, name)?.value);
      }
      findVersionedSymbol(elf, "a@B");
    } catch (error) {
      expect(error).toBeInstanceOf(ParseError);
    }
  }
});
