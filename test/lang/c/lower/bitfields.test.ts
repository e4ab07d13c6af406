/** Bitfields: every width, sign and place. */
import { describeCases } from "./support.ts";

const declarations = [
  "struct s { u32 x : 3, y : 7, z : 22; }",
  "struct s { s32 x : 3, y : 7, z : 22; }",
  "struct s { u64 x : 33, y : 12, z : 19; }",
  "struct s { s64 x : 33, y : 12, z : 19; }",
  "struct s { u8 x : 1, y : 5; u16 z : 9; }",
  "struct s { s16 x : 15, y : 9; s8 z : 4; }",
  "struct s { s32 x : 32; u32 y : 31; bool z : 1; }",
  "struct __attribute__((packed)) s { u32 x : 17, y : 17; u64 z : 37; }",
  "struct __attribute__((packed)) s { u8 pad; s64 x : 63; s32 y : 31, z : 5; }",
  "struct s { char c; u32 x : 20; long l; u16 : 3; u16 y : 2; unsigned : 0; int z : 9; }",
  "union s { u32 x : 5; u32 y : 13; s32 z : 7; }",
];

describeCases("bitfields are read and written", [
  ...declarations.map((d) => `${d} s = {}; s.x = a; s.y = b; s.z = a >> 7; return s.x * 31 + s.y * 17 + s.z;`),
  ...declarations.map(
    (d) => `${d} s = { .x = a, .y = b, .z = a }; s.x++; s.y += 3; --s.z; return (s.x++ * 31 + --s.y) * 17 + s.z;`,
  ),
  ...declarations.map(
    (d) =>
      `${d} s = { .x = a, .y = b }; int k = (s.z = b); int m = (s.x ^= 5); return k * 3 + m + s.x + s.y * 9 + s.z;`,
  ),
  ...declarations.map(
    (d) =>
      `${d} s = { .x = 1, .y = 1, .z = 1 }, *p = &s, t; p->y = a; p->z |= b; t = *p; return t.x + t.y * 5 + t.z * 7;`,
  ),
  "struct s { u32 x : 3, y : 29; } s[3] = { { 1, 2 }, { a, b } }; return s[a & 1].x + s[b & 1].y + s[2].x;",
  "struct s { u32 x : 4; } s = { a }; return (s.x - 8 < 0) + (s.x << 2) + (s.x > -1) * 100;",
  "struct s { u64 x : 40; } s = { a }; return (s.x << 24) + (s.x > 0);",
  "struct s { bool f : 1, g : 1; } s = { a, b }; s.f = a & 2; return s.f + s.g * 2 + (s.f && s.g) * 4;",
  "struct s { volatile u32 x : 4, y : 4; } s = { a, b }; s.x += 2; return s.x + s.y;",
]);
