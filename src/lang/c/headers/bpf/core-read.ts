/** `<bpf/bpf_core_read.h>`: accesses to the kernel's types that the loader fits to the kernel at hand (CO-RE). */
import { range } from "../text.ts";

/** Constants that the second argument of `__builtin_preserve_*` may be. */
const kinds = `
enum bpf_field_info_kind {
  BPF_FIELD_BYTE_OFFSET = 0, BPF_FIELD_BYTE_SIZE = 1, BPF_FIELD_EXISTS = 2,
  BPF_FIELD_SIGNED = 3, BPF_FIELD_LSHIFT_U64 = 4, BPF_FIELD_RSHIFT_U64 = 5,
};
enum bpf_type_id_kind { BPF_TYPE_ID_LOCAL = 0, BPF_TYPE_ID_TARGET = 1 };
enum bpf_type_info_kind { BPF_TYPE_EXISTS = 0, BPF_TYPE_SIZE = 1, BPF_TYPE_MATCHES = 2 };
enum bpf_enum_value_kind { BPF_ENUMVAL_EXISTS = 0, BPF_ENUMVAL_VALUE = 1 };
`;

const fieldQuestions: readonly (readonly [name: string, kind: string])[] = [
  ["bpf_core_field_exists", "EXISTS"],
  ["bpf_core_field_size", "BYTE_SIZE"],
  ["bpf_core_field_offset", "BYTE_OFFSET"],
];

const typeQuestions: readonly (readonly [name: string, builtin: string, kind: string])[] = [
  ["bpf_core_type_id_local", "__builtin_btf_type_id", "BPF_TYPE_ID_LOCAL"],
  ["bpf_core_type_id_kernel", "__builtin_btf_type_id", "BPF_TYPE_ID_TARGET"],
  ["bpf_core_type_exists", "__builtin_preserve_type_info", "BPF_TYPE_EXISTS"],
  ["bpf_core_type_size", "__builtin_preserve_type_info", "BPF_TYPE_SIZE"],
  ["bpf_core_type_matches", "__builtin_preserve_type_info", "BPF_TYPE_MATCHES"],
];

const enumQuestions: readonly (readonly [name: string, kind: string])[] = [
  ["bpf_core_enum_value_exists", "EXISTS"],
  ["bpf_core_enum_value", "VALUE"],
];

const questions = `
#define ___bpf_typeof(type) ((__typeof__(type) *)0)
#define ___bpf_field_ref1(field) (field)
#define ___bpf_field_ref2(type, field) (___bpf_typeof(type)->field)
#define ___bpf_field_ref(args...) ___bpf_apply(___bpf_field_ref, ___bpf_narg(args))(args)
#define __CORE_RELO(src, field, info) __builtin_preserve_field_info((src)->field, BPF_FIELD_##info)
${fieldQuestions
  .map(
    ([name, kind]) =>
      `#define ${name}(field...) __builtin_preserve_field_info(___bpf_field_ref(field), BPF_FIELD_${kind})`,
  )
  .join("\n")}
${typeQuestions.map(([name, builtin, kind]) => `#define ${name}(type) ${builtin}(*___bpf_typeof(type), ${kind})`).join("\n")}
${enumQuestions
  .map(
    ([name, kind]) =>
      `#define ${name}(enum_type, enum_value) __builtin_preserve_enum_value(*(__typeof__(enum_type) *)enum_value, BPF_ENUMVAL_${kind})`,
  )
  .join("\n")}
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;
#define bpf_core_cast(ptr, type) ((__typeof__(type) *)bpf_rdonly_cast((ptr), bpf_core_type_id_kernel(type)))
`;

/** Middle part of the reading helpers' names, by the suffix of the macros. */
const spaces: readonly (readonly [suffix: string, space: string])[] = [
  ["", "kernel"],
  ["_USER", "user"],
];

const single = spaces.flatMap(([suffix, space]) =>
  ["", "_str"].map(
    (str) =>
      `#define bpf_core_read${suffix.toLowerCase()}${str}(dst, sz, src) \\
  bpf_probe_read_${space}${str}(dst, sz, (const void *)__builtin_preserve_access_index(src))`,
  ),
);

/** The compiler reads chains by itself: `__builtin_skep_read(HELPER, CORE, SOURCE, members…)`. */
const chains = ["CORE", "PROBE"].flatMap((family) =>
  spaces.flatMap(([suffix, space]) => {
    const builtin = (kind: string, args: string): string =>
      `__builtin_skep_${family.toLowerCase()}_read${kind}_${space}(${args}src, a, ##__VA_ARGS__)`;
    return [
      `#define BPF_${family}_READ${suffix}(src, a, ...) ${builtin("", "")}`,
      `#define BPF_${family}_READ${suffix}_INTO(dst, src, a, ...) ${builtin("_into", "dst, ")}`,
      `#define BPF_${family}_READ${suffix}_STR_INTO(dst, src, a, ...) ${builtin("_str_into", "dst, ")}`,
    ];
  }),
);

/** Sizes of integers that a bitfield may lie in. */
const units: readonly (readonly [bytes: number, type: string])[] = [
  [1, "unsigned char"],
  [2, "unsigned short"],
  [4, "unsigned int"],
  [8, "unsigned long long"],
];

/** The bits of a field brought down from the word `___v` that holds them. */
const extract = `___v <<= __CORE_RELO(s, field, LSHIFT_U64); \\
  __CORE_RELO(s, field, SIGNED) ? (unsigned long long)((long long)___v >> __CORE_RELO(s, field, RSHIFT_U64)) \\
                                : ___v >> __CORE_RELO(s, field, RSHIFT_U64); })`;

const bitfields = `
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ___core_low_bytes(size) 0
#else
#define ___core_low_bytes(size) (8 - (size))
#endif
#define BPF_CORE_READ_BITFIELD_PROBED(s, field) ({ \\
  unsigned long long ___v = 0; \\
  bpf_probe_read_kernel((void *)&___v + ___core_low_bytes(__CORE_RELO(s, field, BYTE_SIZE)), \\
                        __CORE_RELO(s, field, BYTE_SIZE), (const void *)(s) + __CORE_RELO(s, field, BYTE_OFFSET)); \\
  ${extract}
#define BPF_CORE_READ_BITFIELD(s, field) ({ \\
  const void *___at = (const void *)(s) + __CORE_RELO(s, field, BYTE_OFFSET); \\
  unsigned long long ___v = 0; \\
  __asm__ volatile("" : "+r"(___at)); \\
  switch (__CORE_RELO(s, field, BYTE_SIZE)) { \\
${units.map(([bytes, type]) => `  case ${bytes}: ___v = *(const ${type} *)___at; break; \\`).join("\n")}
  } \\
  ${extract}
#define BPF_CORE_WRITE_BITFIELD(s, field, new_val) ({ \\
  void *___at = (void *)(s) + __CORE_RELO(s, field, BYTE_OFFSET); \\
  unsigned int ___size = __CORE_RELO(s, field, BYTE_SIZE); \\
  unsigned int ___left = __CORE_RELO(s, field, LSHIFT_U64), ___right = __CORE_RELO(s, field, RSHIFT_U64); \\
  unsigned long long ___v = 0, ___new = (new_val), ___mask = (~0ULL << ___right) >> ___left; \\
  __asm__ volatile("" : "+r"(___at)); \\
  switch (___size) { \\
${units.map(([bytes, type]) => `  case ${bytes}: ___v = *(${type} *)___at; break; \\`).join("\n")}
  } \\
  ___v = (___v & ~___mask) | ((___new << (___right - ___left)) & ___mask); \\
  switch (___size) { \\
${units.map(([bytes, type]) => `  case ${bytes}: *(${type} *)___at = ___v; break; \\`).join("\n")}
  } })
`;

/** Names of libbpf's own steps that programs build on. */
const steps = `
#define ___concat(a, b) a ## b
#define ___apply(fn, n) ___concat(fn, n)
#define ___nth(${range(1, 10)
  .map((n) => `_${n}`)
  .join(", ")}, _11, N, ...) N
#define ___narg(...) ___nth(_, ##__VA_ARGS__, ${range(0, 10).toReversed().join(", ")})
${range(1, 10)
  .map((count) => {
    const names = range(1, count).map((n) => `x${n}`);
    return `#define ___arrow${count}(${names.join(", ")}) ${names.join("->")}`;
  })
  .join("\n")}
#define ___arrow(...) ___apply(___arrow, ___narg(__VA_ARGS__))(__VA_ARGS__)
#define ___type(...) __typeof_unqual__(___arrow(__VA_ARGS__))
`;

/** The header's text. */
export const bpfCoreReadHeader: string = `#pragma once
#define __BPF_CORE_READ_H__
#include <bpf/bpf_helpers.h>
${kinds}${questions}${single.join("\n")}
${chains.join("\n")}
${steps}${bitfields}`;
