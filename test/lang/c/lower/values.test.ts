/** Values: what expressions compute is what the host's compiler computes. */
import { describeCases } from "./support.ts";

const widths = ["s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64"];

describeCases("arithmetic of every width and sign", [
  ...widths.flatMap((x) =>
    widths.map(
      (y) => `${x} x = a; ${y} y = b;
  long long r = x + y; r = r * 31 + (x - y); r = r * 31 + (x * y);
  r = r * 31 + (x & y); r = r * 31 + (x | y); r = r * 31 + (x ^ y);
  r = r * 31 + (x < y) + 2 * (x <= y) + 4 * (x > y) + 8 * (x >= y) + 16 * (x == y) + 32 * (x != y);
  return r;`,
    ),
  ),
  ...["u8", "u16", "u32", "u64"].map((t) => `${t} x = a, y = b; return (y ? x / y : 1) + 3 * (y ? x % y : 2);`),
  ...["s8", "s16", "s32", "s64"].map(
    (t) => `${t} x = a, y = b; if (y == 0 || y == -1) y = 3; return x / y * 1000 + x % y;`,
  ),
  ...["s32", "s64"].flatMap((t) =>
    [3, 7, 8, 10, -5, 1000, 4096].map((n) => `${t} x = a; return x / ${n} * 3 + x % ${n};`),
  ),
  ...widths.map((t) => `${t} x = a; return (x << (b & 15)) + (x >> (b & 7)) * 7;`),
  ...widths.map((t) => `${t} x = a; return -x * 3 + ~x + !x * 100 + !!x * 1000;`),
  ...widths.map(
    (t) => `${t} x = a; ${t} o = x++; o += --x; x += 5; x -= b; x *= 3; x ^= a >> 3; return x + o++ + ++o;`,
  ),
  ...widths.map((t) => `${t} x = a; x <<= 3; x |= 1; x &= b; x >>= 1; x = x % 77; return x;`),
  "int x = a; long y = x; unsigned z = y; return z + (long)(short)z;",
  "return (char)a == (signed char)a;",
  "u32 x = a; s32 y = b; return x < y;",
  "u32 x = a; s64 y = b; return (x < y) * 2 + (y > x);",
  "u16 x = a; s16 y = b; return (x < y) * 2 + (x == y);",
  "bool x = a; bool y = b & 1; return x + y * 2 + (x && y) * 4 + (x || y) * 8 + (x ^ y) * 16;",
  "bool x = a; x++; bool y = b; y--; return x + 2 * y;",
  "bool x = a; x += b; x |= 4; x = x - 1; return x;",
  "bool x = (u8)a; return x == 1;",
  "return (bool)(a & 0x100) + (bool)&a * 2;",
]);

describeCases("order and choice", [
  "int n = 0; int r = (a > b && ++n) || (b > 5 && (n += 10)); return r * 100 + n;",
  "int n = 0; (void)(a && (n = 1)); (void)(b || (n |= 2)); return n;",
  "return a ? b ? 1 : 2 : b ? 3 : 4;",
  "return a ?: b ?: 7;",
  "int n = 0; return (n++, a) ?: n;",
  "int x = a; int y = (x++, x + 1); return x * 2 + y;",
  "return a > b ? (u8)a : (s64)b;",
  "u32 x = a; int y = -1; return 1 ? x : y;",
  "return (a > 0) - (a < 0) + (a == b) * 10;",
  "return !(a > b) + !(a && b) * 2 + !!(a | b) * 4 + (!a == !b) * 8;",
  "return ((a < b) == 0) * 2 + ((a && b) != 0);",
  "return ({ int x = a; x * 2; }) + ({ int y = b; if (y < 0) y = -y; y; });",
  "int r = 0; for (int i = 0; i < 4; i++) r += ({ int k = i * (int)a; if (k & 1) continue; k; }); return r;",
  "long x = a, y = b; x = y = x + 1; return x * y;",
  "int x, y; x = (y = a) + 1; return x ^ y;",
  "u8 x; int y = (x = a); return y;",
  "return (a, b, a + b);",
  "return a < 0 ? -1 : a == 0 ? 0 : 1;",
  "int r = 0; if (a) r |= 1; else r |= 2; if (!b) r |= 4; if (a && !b) r |= 8; else if (b) r |= 16; return r;",
  "if (__builtin_expect(!!(a > b), 1)) return 1; return 2;",
  "if (__builtin_expect(a, 0) && b) return 1; return 2;",
  "return sizeof(int[3]) + sizeof(a) + _Alignof(short);",
  "enum e { A, B = 5, C, N = -3 } x = a & 1 ? C : N; return x + B;",
  "enum big { Q = 0x123456789 } x = Q; return x + a;",
  "return 'a' + '\\n' + '\\xff';",
  "return _Generic(a, int: 1, long long: 2, default: 3);",
  "typeof(a) x = b; __auto_type y = x; return y + 1;",
  "return 0x80000000 + 2147483648 - 1u + -1ll;",
  "const int n = 5; static const u8 m = 7; return n * m + a;",
]);
