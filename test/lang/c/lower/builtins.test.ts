/** Builtins: bits, overflow, memory, atomics. */
import { describeCases } from "./support.ts";

const suffixes = ["", "l", "ll"] as const;
const integers = ["s8", "u8", "s16", "u16", "s32", "u32"];

describeCases("bits", [
  ...suffixes.map((s) => `return __builtin_popcount${s}(a) * 100 + __builtin_ffs${s}(b);`),
  ...suffixes.map(
    (s) => `${s === "" ? "u32" : "u64"} x = a; return x ? __builtin_clz${s}(x) * 100 + __builtin_ctz${s}(x) : -1;`,
  ),
  "return __builtin_parity(a);",
  "return __builtin_bswap16(a) + __builtin_bswap32(b) * 3 + __builtin_bswap64(a ^ b);",
  "return __builtin_abs((int)a >> 1) + __builtin_labs(b >> 1);",
  "return __builtin_popcount(0xff) + __builtin_clz(1) + __builtin_ctzll(0x100) + __builtin_bswap16(0x1234);",
  "return __builtin_constant_p(5) ? a : b;",
  'return __builtin_choose_expr(sizeof(long) == 8, a, "no");',
  "return __builtin_types_compatible_p(int, s32) * 2 + __builtin_types_compatible_p(int, long);",
  "struct s { int x; struct { char p, q[4]; } in; }; return __builtin_offsetof(struct s, in.q[2]) + __builtin_offsetof(struct s, in.q[a & 3]);",
  "if (a == 0x55aa) __builtin_unreachable(); return b;",
]);

describeCases(
  "overflow",
  ["add", "sub", "mul"].flatMap((op) => [
    ...integers.flatMap((x) =>
      ["s32", "u32", "s16", "u8", "s64", "u64"].map(
        (r) => `${x} x = a, y = b; ${r} r; int o = __builtin_${op}_overflow(x, y, &r); return o * 1000003 + r;`,
      ),
    ),
    `s32 x = a; u32 y = b; s64 r; u16 k; return __builtin_${op}_overflow(x, y, &r) * 7 + r + __builtin_${op}_overflow(y, x, &k) * 5 + k;`,
    ...["s64", "u64"].map(
      (t) => `${t} x = a, y = b, r; int o = __builtin_${op}_overflow(x, y, &r); return o * 1000003 + r;`,
    ),
    ...["s64", "u64"].map(
      (t) =>
        `${t} x = a; ${t === "s64" ? "s32" : "u16"} r; int o = __builtin_${op}_overflow(x, (${t})b, &r); return o * 1000003 + r;`,
    ),
  ]),
);

describeCases("memory", [
  "char x[16], y[16]; __builtin_memset(x, 0x5a, 16); __builtin_memcpy(y, x, 16); y[a & 15] = 1; return __builtin_memcmp(x, y, 16) != 0;",
  'char x[13] = "hello world", y[13]; __builtin_memcpy(y, x, 13); return !__builtin_memcmp(x, y, 13) + y[4];',
  'char x[8] = "abcdefg"; __builtin_memmove(x + 1, x, 6); return x[0] + x[1] * 3 + x[2] * 5 + x[6] * 7;',
  'char x[8] = "abcdefg"; __builtin_memmove(x, x + 2, 5); return x[0] + x[4] * 3 + x[5];',
  "u64 x = a, y = b; int r = __builtin_memcmp(&x, &y, 8); return (r > 0) - (r < 0);",
  "struct { u8 v[12]; } x = {}, y = {}; x.v[a & 7] = 200; y.v[b & 7] = 100; int r = __builtin_memcmp(&x, &y, 12); return (r > 0) - (r < 0);",
  'char x[6] = "hello"; x[4] = a; return __builtin_memcmp(x, "hello", 6) == 0;',
  "char x[8] = {}; __builtin_memset(x, a, 8); return *(long *)x;",
  "char x[8] = {}; __builtin_memset(x, a, b & 7); return x[0] + x[1] * 2 + x[6] * 3;",
  'char x[8] = "abcdefg", y[8] = {}; __builtin_memcpy(y, x, a & 7); return y[0] + y[3] * 3 + y[6] * 5;',
  'char x[8] = "abcdefg"; int n = a & 3; __builtin_memmove(x + 1, x, n); return x[1] + x[2] * 3 + x[3] * 5;',
  "u32 x[4]; __builtin_bzero(x, sizeof(x)); x[a & 3] = 1; return x[0] + x[1] * 2 + x[3] * 4;",
  'return __builtin_strlen("hello") + a;',
  'char x[8] = "abc"; x[1] = \'a\' + (a & 1); int r = __builtin_strcmp(x, "abc"); return ((r > 0) - (r < 0)) * 2 + !r;',
  'char x[8] = "abcd"; x[a & 3] = \'z\'; return !__builtin_strncmp(x, "abX", 2) + !__builtin_strncmp("abcd", x, 4) * 2;',
  "char x[4]; char *p = __builtin_memset(x, 1, 4); return p[2] + (p == x);",
  "struct { char c; u32 v[3]; } __attribute__((packed)) x = { 1, { a, b, 3 } }, y; __builtin_memcpy(&y, &x, sizeof(x)); return y.v[0] + y.v[1] * 3 + y.c;",
  "int x = 5; return __builtin_object_size(&x, 0) * 3;",
]);

describeCases("atomics", [
  ...["s32", "u32", "s64", "u64"].flatMap((t) => [
    `${t} x = a; ${t} o = __sync_fetch_and_add(&x, (${t})b); return o * 3 + x;`,
    `${t} x = a; ${t} o = __sync_sub_and_fetch(&x, (${t})b); return o * 3 + x;`,
    `${t} x = a; __sync_fetch_and_or(&x, (${t})b); __sync_fetch_and_and(&x, 0xff0f); __sync_fetch_and_xor(&x, 0x3c); return x;`,
    `${t} x = a; ${t} o = __sync_or_and_fetch(&x, (${t})b) + __sync_xor_and_fetch(&x, 9) * 3 + __sync_and_and_fetch(&x, 77) * 5; return o + x;`,
    `${t} x = a; ${t} o = __sync_val_compare_and_swap(&x, (${t})7, (${t})b); int k = __sync_bool_compare_and_swap(&x, (${t})1, 99); return o + x * 3 + k;`,
    `${t} x = a; ${t} o = __sync_lock_test_and_set(&x, (${t})b); o += x; __sync_lock_release(&x); return o * 3 + x;`,
    `${t} x = a, e = 7; int k = __atomic_compare_exchange_n(&x, &e, (${t})b, 0, 5, 5); return k + e * 3 + x * 5;`,
    `${t} x = a; __atomic_store_n(&x, (${t})b, 5); ${t} y = __atomic_load_n(&x, 2), z; __atomic_load(&x, &z, 5); __atomic_store(&x, &y, 5); return y + z + x + __atomic_exchange_n(&x, 5, 5);`,
    `${t} x = a; ${t} o = __atomic_fetch_add(&x, 3, 5) + __atomic_add_fetch(&x, (${t})b, 5) * 3 + __atomic_fetch_sub(&x, 2, 0); return o + x;`,
  ]),
  "struct { int p; u64 n; } s = { 1, a }; __sync_fetch_and_add(&s.n, b); return s.n;",
  "static u64 v[4];\n--- v[0] = 1; v[1] = 2; v[2] = 3; v[3] = 4; __sync_fetch_and_add(&v[a & 3], b); return v[0] + v[1] * 3 + v[2] * 5 + v[3] * 7;",
  'int x = a; int *p = &x; __sync_synchronize(); asm volatile("" ::: "memory"); return *p;',
  'int x = a; asm volatile("" : "+r"(x)); return x + 1;',
]);
