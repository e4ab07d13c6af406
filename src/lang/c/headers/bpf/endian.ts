/** `<bpf/bpf_endian.h>`: byte order. The compiler folds swaps of constants, so one form serves for all. */

const swaps: readonly (readonly [names: readonly string[], bits: 16 | 32 | 64])[] = [
  [["ntohs", "htons"], 16],
  [["ntohl", "htonl"], 32],
  [["be64_to_cpu", "cpu_to_be64"], 64],
];

const forms: readonly string[] = ["bpf_", "__bpf_", "__bpf_constant_"];

/** As what libbpf chooses by a condition: 16 bits become an int, 64 bits are a `__u64`. */
const casts: Readonly<Record<number, string>> = { 16: "+", 32: "", 64: "(__u64)" };

function definitions(swap: (bits: number) => string): string {
  return swaps
    .flatMap(([names, bits]) =>
      names.flatMap((name) => forms.map((form) => `#define ${form}${name}(x) (${casts[bits]}${swap(bits)})`)),
    )
    .join("\n");
}

/** The header's text. */
export const bpfEndianHeader: string = `#pragma once
#define __BPF_ENDIAN__
${[16, 32, 64].map((bits) => `#define ___bpf_swab${bits}(x) __builtin_bswap${bits}(x)`).join("\n")}
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
${definitions((bits) => `__builtin_bswap${bits}(x)`)}
#else
${definitions((bits) => `(__u${bits})(x)`)}
#endif
`;
