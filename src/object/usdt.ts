/**
 * Static probes of user programs (USDT, `sys/sdt.h`): notes of owner `stapsdt`, type 3, in the section `.note.stapsdt`. A note holds three
 * words (address of the probe, link-time address of `.stapsdt.base`, address of the semaphore or 0) and three texts, each with its NUL:
 * provider, name, arguments as the compiler's assembler writes operands.
 */
import { ParseError } from "../base/index.ts";
import type { Elf } from "./elf.ts";
import { ElfSegmentFlag, ElfSegmentType } from "./elf-format.ts";

const NOTE_OWNER = "stapsdt";
const NOTE_TYPE = 3;
const NOTE_SECTION = ".note.stapsdt";

/** One place of a static probe; a probe has one for each time that the compiler copied its code. */
export interface UsdtProbe {
  readonly provider: string;
  readonly name: string;
  /** Virtual address in the file's own numbering, with what prelink(8) moved. */
  readonly address: bigint;
  /** Where a uprobe goes: bytes from the start of the file. Undefined when the linker dropped the code around it, and kept its note. */
  readonly fileOffset: number | undefined;
  /** File offset of the counter that switches the probe's code on while it is above 0; undefined when there is none. */
  readonly semaphoreOffset?: number;
  /** As the note has them, such as `-4@%edi 8@-24(%rbp)`. */
  readonly arguments: string;
}

/** All static probes of a file, in the order of its notes. Throws {@link ParseError} when a note is damaged, or its semaphore outside of the file. */
export function usdtProbes(elf: Elf): UsdtProbe[] {
  const section = elf.sectionByName(NOTE_SECTION);
  if (section === undefined) return [];
  const where = `${elf.name}: ${NOTE_SECTION}`;
  const base = elf.sectionByName(".stapsdt.base")?.address ?? 0n;
  const word = elf.header.class === 64 ? 8 : 4;
  const probes: UsdtProbe[] = [];
  for (const { owner, type, description } of elf.notes()) {
    if (owner !== NOTE_OWNER || type !== NOTE_TYPE) continue;
    const view = new DataView(description.buffer, description.byteOffset, description.byteLength);
    const texts = new TextDecoder().decode(description.subarray(word * 3)).split("\0");
    if (description.length < word * 3 + 3 || texts.length < 4)
      throw new ParseError(where, 0, `a probe's note of ${description.length} bytes is cut short`);
    const address = (index: number): bigint =>
      word === 8
        ? view.getBigUint64(index * 8, !elf.header.bigEndian)
        : BigInt(view.getUint32(index * 4, !elf.header.bigEndian));
    const [provider = "", name = "", operands = ""] = texts;
    const [linkAddress, linkBase, semaphore] = [address(0), address(1), address(2)];
    // Prelink moves sections and not notes: the section's address tells by how much.
    const moved = base !== 0n && linkBase !== 0n ? base - linkBase : 0n;
    const at = BigInt.asUintN(64, linkAddress + moved);
    const probe = `${provider}:${name}`;
    const fileOffset = fileOffsetIn(elf, at, true);
    const counter = semaphore === 0n ? undefined : BigInt.asUintN(64, semaphore + moved);
    const semaphoreOffset = counter === undefined ? undefined : fileOffsetIn(elf, counter, false);
    if (fileOffset !== undefined && counter !== undefined && semaphoreOffset === undefined)
      throw new ParseError(
        where,
        0,
        `the semaphore of ${probe} is at 0x${counter.toString(16)}, where the file has no data`,
      );
    probes.push({
      provider,
      name,
      address: at,
      fileOffset,
      ...(semaphoreOffset === undefined ? {} : { semaphoreOffset }),
      // Some assemblers write a lone colon for no arguments.
      arguments: operands.startsWith(":") ? "" : operands.trim(),
    });
  }
  return probes;
}

/** Semaphores may lie in the part of a segment that is only in memory: their offset then is where the segment would go on. */
function fileOffsetIn(elf: Elf, address: bigint, isCode: boolean): number | undefined {
  for (const segment of elf.segments) {
    if (segment.type !== ElfSegmentType.LOAD) continue;
    if (((segment.flags & ElfSegmentFlag.EXECUTE) !== 0) !== isCode) continue;
    const into = address - segment.virtualAddress;
    if (into >= 0n && into < segment.memorySize) return segment.offset + Number(into);
  }
  return undefined;
}

/** Where the value of a probe's argument is while the probe runs. */
export type UsdtArgument = UsdtArgumentType &
  (
    | { readonly kind: "constant"; readonly value: bigint }
    | { readonly kind: "register"; readonly register: UsdtRegister }
    /** In memory at `base + index * scale + offset`, plus the address of `symbol`. */
    | {
        readonly kind: "memory";
        readonly base?: UsdtRegister;
        readonly index?: UsdtRegister;
        readonly scale: 1 | 2 | 4 | 8;
        readonly offset: bigint;
        readonly symbol?: string;
      }
    /** In a place that programs cannot read, such as a vector register. */
    | { readonly kind: "unreadable"; readonly reason: string }
  );

/** What an argument is, wherever it is. */
export interface UsdtArgumentType {
  /** Bytes. */
  readonly size: number;
  readonly isSigned: boolean;
  readonly isFloat: boolean;
  /** As the note has it. */
  readonly text: string;
}

/** A register as `struct pt_regs` holds it. */
export interface UsdtRegister {
  /** Of all its bits, such as `rdi` for `%edi`. */
  readonly name: string;
  /** Bytes from the start of `struct pt_regs` (x86-64) or `struct user_pt_regs` (arm64) to the part that is named. */
  readonly offset: number;
}

/** Architectures whose operands are known. */
export type UsdtArch = "x86_64" | "aarch64";

/** Registers in the order of x86-64's `struct pt_regs`, with the names of their parts. */
const x86Registers: readonly (readonly string[])[] = [
  ["r15", "r15d", "r15w", "r15b"],
  ["r14", "r14d", "r14w", "r14b"],
  ["r13", "r13d", "r13w", "r13b"],
  ["r12", "r12d", "r12w", "r12b"],
  ["rbp", "ebp", "bp", "bpl"],
  ["rbx", "ebx", "bx", "bl", "bh"],
  ["r11", "r11d", "r11w", "r11b"],
  ["r10", "r10d", "r10w", "r10b"],
  ["r9", "r9d", "r9w", "r9b"],
  ["r8", "r8d", "r8w", "r8b"],
  ["rax", "eax", "ax", "al", "ah"],
  ["rcx", "ecx", "cx", "cl", "ch"],
  ["rdx", "edx", "dx", "dl", "dh"],
  ["rsi", "esi", "si", "sil"],
  ["rdi", "edi", "di", "dil"],
  ["orig_rax"],
  ["rip", "eip"],
  ["cs"],
  ["eflags"],
  ["rsp", "esp", "sp", "spl"],
];

/** Position of `ah` and its like among the names, whose bits begin at the second byte. */
const HIGH_BYTE = 4;

const x86ByName: ReadonlyMap<string, UsdtRegister> = new Map(
  x86Registers.flatMap((names, slot) =>
    names.map((name, part) => [name, { name: names[0]!, offset: slot * 8 + (part === HIGH_BYTE ? 1 : 0) }] as const),
  ),
);

const STACK_POINTER_SLOT = 31;

function armRegister(name: string): UsdtRegister | undefined {
  if (name === "sp" || name === "wsp") return { name: "sp", offset: STACK_POINTER_SLOT * 8 };
  if (name === "pc") return { name: "pc", offset: (STACK_POINTER_SLOT + 1) * 8 };
  if (name === "lr") return { name: "x30", offset: 30 * 8 };
  const number = /^[xw](\d{1,2})$/.exec(name);
  return number === null || Number(number[1]) > 30
    ? undefined
    : { name: `x${Number(number[1])}`, offset: Number(number[1]) * 8 };
}

/** The program counter of an architecture: the address of the probe while it runs. */
export function usdtProgramCounter(arch: UsdtArch): UsdtRegister {
  return arch === "x86_64" ? x86ByName.get("rip")! : armRegister("pc")!;
}

/** Sizes that an operand without `N@` may have: a word. */
const WORD = 8;

/** Pieces of a list of arguments: blanks part them, but not inside brackets. */
const PIECE = /(?:\[[^\]]*\]|\([^)]*\)|[^\s[(])+/g;

/**
 * Reads the arguments of a probe. One that is in no form known here is `unreadable`, with its text: the others can still be read.
 */
export function parseUsdtArguments(text: string, arch: UsdtArch): UsdtArgument[] {
  const parse = arch === "x86_64" ? parseX86 : parseArm;
  return (text.match(PIECE) ?? []).map((piece) => {
    const typed = /^(-?)(\d+)(f?)@(.*)$/s.exec(piece);
    const size = typed === null ? WORD : Number(typed[2]);
    const type = { size, isSigned: typed?.[1] === "-", isFloat: typed?.[3] === "f", text: piece };
    const place =
      size === 1 || size === 2 || size === 4 || size === 8
        ? parse((typed === null ? piece : typed[4]!).trim())
        : unreadable(`values of ${size} bytes do not fit a register`);
    return { ...type, ...place };
  });
}

type Place = {
  [K in UsdtArgument["kind"]]: Omit<Extract<UsdtArgument, { kind: K }>, keyof UsdtArgumentType>;
}[UsdtArgument["kind"]];

function unreadable(reason: string): Place {
  return { kind: "unreadable", reason };
}

function integer(text: string): bigint | undefined {
  const match = /^([+-]?)(0[xX][0-9a-fA-F]+|\d+)$/.exec(text);
  if (match === null) return undefined;
  const value = BigInt(match[2]!);
  return match[1] === "-" ? -value : value;
}

/** `symbol`, a number, or a sum of them, as assemblers write displacements. */
function displacement(text: string): { readonly offset: bigint; readonly symbol?: string } | undefined {
  let offset = 0n;
  let symbol: string | undefined;
  let rest = text;
  while (rest !== "") {
    const term = /^([+-]?)([\w.$@]+)/.exec(rest);
    if (term === null) return undefined;
    const value = integer(term[2]!);
    if (value !== undefined) offset += term[1] === "-" ? -value : value;
    else if (symbol !== undefined || term[1] === "-") return undefined;
    else symbol = term[2]!.replace(/@.*$/, "");
    rest = rest.slice(term[0].length);
  }
  return symbol === undefined ? { offset } : { offset, symbol };
}

function parseX86(text: string): Place {
  if (text.startsWith("$")) {
    const value = integer(text.slice(1));
    return value === undefined ? unreadable(`${text} is no number`) : { kind: "constant", value };
  }
  if (text.startsWith("%")) {
    const register = x86ByName.get(text.slice(1));
    return register === undefined
      ? unreadable(`programs cannot read register ${text}`)
      : { kind: "register", register };
  }
  const match = /^([^()]*)(?:\(\s*([^,()]*?)\s*(?:,\s*([^,()]*?)\s*(?:,\s*(\d+)\s*)?)?\))?$/.exec(text);
  const place = match === null ? undefined : displacement(match[1]!.trim());
  if (match === null || place === undefined) return unreadable("it is no operand that is known here");
  const scale = Number(match[4] ?? 1);
  if (scale !== 1 && scale !== 2 && scale !== 4 && scale !== 8) return unreadable(`${scale} is no scale`);
  const [base, index] = [match[2], match[3]].map((name) => (name === undefined || name === "" ? undefined : name));
  const found = [base, index].map((name) => (name?.startsWith("%") ? x86ByName.get(name.slice(1)) : undefined));
  if ((base !== undefined && found[0] === undefined) || (index !== undefined && found[1] === undefined))
    return unreadable(`programs cannot read register ${found[0] === undefined ? base : index}`);
  return {
    kind: "memory",
    ...(found[0] === undefined ? {} : { base: found[0] }),
    ...(found[1] === undefined ? {} : { index: found[1] }),
    scale,
    ...place,
  };
}

function parseArm(text: string): Place {
  const value = integer(text.replace(/^#/, ""));
  if (value !== undefined) return { kind: "constant", value };
  if (text === "xzr" || text === "wzr") return { kind: "constant", value: 0n };
  const inside = /^\[\s*(\w+)\s*(?:,\s*(?:#?(-?\w+)\s*)?(?:,\s*lsl\s+#?(\d)\s*)?)?\]$/.exec(text);
  if (inside === null) {
    const register = armRegister(text);
    if (register !== undefined) return { kind: "register", register };
    return unreadable(
      /^\w+$/.test(text) ? `programs cannot read register ${text}` : "it is no operand that is known here",
    );
  }
  const base = armRegister(inside[1]!);
  if (base === undefined) return unreadable(`programs cannot read register ${inside[1]}`);
  const offset = inside[2] === undefined ? 0n : integer(inside[2]);
  if (offset !== undefined) return { kind: "memory", base, scale: 1, offset };
  const index = armRegister(inside[2]!);
  const scale = 1 << Number(inside[3] ?? 0);
  if (index === undefined || (scale !== 1 && scale !== 2 && scale !== 4 && scale !== 8))
    return unreadable(`programs cannot read register ${inside[2]}`);
  return { kind: "memory", base, index, scale, offset: 0n };
}

/**
 * Replaces a symbol, or an address without a base, by what programs can compute: a distance from the program counter, which is the
 * probe's own address. `address` is that of the symbol in the file's numbering; undefined makes the argument unreadable.
 */
export function resolveUsdtArgument(
  argument: UsdtArgument,
  probe: UsdtProbe,
  arch: UsdtArch,
  address: (symbol: string) => bigint | undefined,
): UsdtArgument {
  if (argument.kind !== "memory") return argument;
  const counter = usdtProgramCounter(arch);
  const isRelative = argument.base === undefined || argument.base.name === counter.name;
  if (argument.symbol === undefined && argument.base !== undefined) return argument;
  const { size, isSigned, isFloat, text, symbol } = argument;
  const type = { size, isSigned, isFloat, text };
  if (!isRelative)
    return { ...type, ...unreadable(`symbol ${symbol} and a register together have no address here`) } as UsdtArgument;
  const start = symbol === undefined ? 0n : address(symbol);
  if (start === undefined) return { ...type, ...unreadable(`the file has no symbol ${symbol}`) } as UsdtArgument;
  return {
    ...type,
    kind: "memory",
    base: counter,
    ...(argument.index === undefined ? {} : { index: argument.index }),
    scale: argument.scale,
    offset: start + argument.offset - probe.address,
  };
}
