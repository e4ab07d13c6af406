/** Macros that are there before any file is read, as clang has them for `-target bpf`: C11 with GNU extensions, 64 bits. */

/** What the macros depend on. */
export interface PredefinedOptions {
  /** Byte order of the machine that runs the program; default little. */
  readonly byteOrder?: "little" | "big";
  /** Instruction set of eBPF, 1 to 4; default 3. */
  readonly cpu?: 1 | 2 | 3 | 4;
}

/** The version of clang whose extensions are understood, for headers that ask. */
const CLANG_MAJOR = 19;

interface Integer {
  readonly type: string;
  readonly bits: number;
  /** Suffix of its constants. */
  readonly suffix: string;
  /** Length modifier of printf. */
  readonly length: string;
}

const bySize: Readonly<Record<number, Integer>> = {
  8: { type: "signed char", bits: 8, suffix: "", length: "hh" },
  16: { type: "short", bits: 16, suffix: "", length: "h" },
  32: { type: "int", bits: 32, suffix: "", length: "" },
  64: { type: "long int", bits: 64, suffix: "L", length: "l" },
};

const unsignedTypes: Readonly<Record<number, string>> = {
  8: "unsigned char",
  16: "unsigned short",
  32: "unsigned int",
  64: "long unsigned int",
};

/** Types of a width of their own: prefix of the macros' names, bits, and whether there are constants of them. */
const families: readonly (readonly [string, number, boolean])[] = [
  ...[8, 16, 32, 64].flatMap((bits): (readonly [string, number, boolean])[] => [
    [`INT${bits}`, bits, true],
    [`INT_LEAST${bits}`, bits, false],
    [`INT_FAST${bits}`, bits, false],
  ]),
  ["INTMAX", 64, true],
  ["INTPTR", 64, false],
];

const fixed: readonly (readonly [string, string])[] = [
  ["_LP64", "1"],
  ["__LP64__", "1"],
  ["__STDC__", "1"],
  ["__STDC_HOSTED__", "1"],
  ["__STDC_VERSION__", "201112L"],
  ["__STDC_UTF_16__", "1"],
  ["__STDC_UTF_32__", "1"],
  ["__GNUC__", "4"],
  ["__GNUC_MINOR__", "2"],
  ["__GNUC_PATCHLEVEL__", "1"],
  ["__GNUC_STDC_INLINE__", "1"],
  ["__GXX_ABI_VERSION", "1002"],
  ["__clang__", "1"],
  ["__clang_major__", String(CLANG_MAJOR)],
  ["__clang_minor__", "0"],
  ["__clang_patchlevel__", "0"],
  ["__clang_version__", `"${CLANG_MAJOR}.0.0 "`],
  ["__VERSION__", '"Skep"'],
  ["__skep__", "1"],
  ["__bpf__", "1"],
  ["__BPF__", "1"],
  ["__CHAR_BIT__", "8"],
  ["__BOOL_WIDTH__", "8"],
  ["__BITINT_MAXWIDTH__", "128"],
  ["__BIGGEST_ALIGNMENT__", "8"],
  ["__POINTER_WIDTH__", "64"],
  ["__USER_LABEL_PREFIX__", ""],
  ["__NO_INLINE__", "1"],
  ["__ORDER_LITTLE_ENDIAN__", "1234"],
  ["__ORDER_BIG_ENDIAN__", "4321"],
  ["__ORDER_PDP_ENDIAN__", "3412"],
  ["__ATOMIC_RELAXED", "0"],
  ["__ATOMIC_CONSUME", "1"],
  ["__ATOMIC_ACQUIRE", "2"],
  ["__ATOMIC_RELEASE", "3"],
  ["__ATOMIC_ACQ_REL", "4"],
  ["__ATOMIC_SEQ_CST", "5"],
  ["__SCHAR_MAX__", "127"],
  ["__SHRT_MAX__", "32767"],
  ["__INT_MAX__", "2147483647"],
  ["__LONG_MAX__", "9223372036854775807L"],
  ["__LONG_LONG_MAX__", "9223372036854775807LL"],
  ["__SHRT_WIDTH__", "16"],
  ["__INT_WIDTH__", "32"],
  ["__LONG_WIDTH__", "64"],
  ["__LLONG_WIDTH__", "64"],
  ["__SIZEOF_SHORT__", "2"],
  ["__SIZEOF_INT__", "4"],
  ["__SIZEOF_LONG__", "8"],
  ["__SIZEOF_LONG_LONG__", "8"],
  ["__SIZEOF_INT128__", "16"],
  ["__SIZEOF_FLOAT__", "4"],
  ["__SIZEOF_DOUBLE__", "8"],
  ["__SIZEOF_LONG_DOUBLE__", "8"],
  ["__SIZEOF_POINTER__", "8"],
  ["__SIZEOF_SIZE_T__", "8"],
  ["__SIZEOF_PTRDIFF_T__", "8"],
  ["__SIZEOF_WCHAR_T__", "4"],
  ["__SIZEOF_WINT_T__", "4"],
  ["__SIZE_TYPE__", "long unsigned int"],
  ["__SIZE_MAX__", "18446744073709551615UL"],
  ["__SIZE_WIDTH__", "64"],
  ["__PTRDIFF_TYPE__", "long int"],
  ["__PTRDIFF_MAX__", "9223372036854775807L"],
  ["__PTRDIFF_WIDTH__", "64"],
  ["__WCHAR_TYPE__", "int"],
  ["__WCHAR_MAX__", "2147483647"],
  ["__WCHAR_WIDTH__", "32"],
  ["__WINT_TYPE__", "int"],
  ["__WINT_MAX__", "2147483647"],
  ["__WINT_WIDTH__", "32"],
  ["__CHAR16_TYPE__", "unsigned short"],
  ["__CHAR32_TYPE__", "unsigned int"],
  ["__SIG_ATOMIC_MAX__", "2147483647"],
  ["__SIG_ATOMIC_WIDTH__", "32"],
];

/** What each instruction set adds (`__BPF_FEATURE_*`, since clang 19). */
const cpuFeatures: readonly (readonly [string, number])[] = [
  ["JMP_EXT", 2],
  ["JMP32", 3],
  ["ALU32", 3],
  ["LDSX", 4],
  ["MOVSX", 4],
  ["BSWAP", 4],
  ["SDIV_SMOD", 4],
  ["GOTOL", 4],
  ["ST", 4],
];

/** The macros as a text of `#define` lines. */
export function predefinedMacros(options: PredefinedOptions = {}): string {
  const { byteOrder = "little", cpu = 3 } = options;
  const lines: string[] = [];
  const define = (name: string, value: string): unknown => lines.push(`#define ${name} ${value}`);
  for (const [name, value] of fixed) define(name, value);
  const order = byteOrder === "little" ? "LITTLE" : "BIG";
  define("__BYTE_ORDER__", `__ORDER_${order}_ENDIAN__`);
  define(`__${order}_ENDIAN__`, "1");
  for (const [family, bits, hasConstants] of families) {
    const { type, suffix, length } = bySize[bits]!;
    const most = 2n ** BigInt(bits - 1) - 1n;
    const unsignedSuffix = bits >= 32 ? `U${suffix}` : "";
    define(`__${family}_TYPE__`, type);
    define(`__${family}_MAX__`, `${most}${suffix}`);
    define(`__U${family}_TYPE__`, unsignedTypes[bits]!);
    define(`__U${family}_MAX__`, `${most * 2n + 1n}${unsignedSuffix}`);
    for (const letter of ["d", "i"]) define(`__${family}_FMT${letter}__`, `"${length}${letter}"`);
    for (const letter of ["o", "u", "x", "X"]) define(`__U${family}_FMT${letter}__`, `"${length}${letter}"`);
    if (hasConstants) {
      define(`__${family}_C_SUFFIX__`, suffix);
      define(`__U${family}_C_SUFFIX__`, unsignedSuffix);
    }
    if (!/^INT\d/.test(family)) define(`__${family}_WIDTH__`, String(bits));
  }
  define("__BPF_CPU_VERSION__", String(cpu));
  for (const [feature, since] of cpuFeatures) if (cpu >= since) define(`__BPF_FEATURE_${feature}`, "1");
  return `${lines.join("\n")}\n`;
}
