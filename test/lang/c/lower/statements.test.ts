/** Statements: every way through a function. */
import { describeCases } from "./support.ts";

describeCases("loops and jumps", [
  "int s = 0; for (int i = 0; i < 10; i++) { if (i == (a & 7)) continue; if (i == 8) break; s = s * 3 + i; } return s;",
  "int s = 0, i = 0; while (i < 10) { i++; if (i & 1) continue; s += i * (int)a; } return s;",
  "int s = 0, i = 0; do { s += i; if (i == (b & 3)) break; } while (++i < 5); return s * 10 + i;",
  "int s = 0, i = 0; do { if (i & 1) continue; s += i; } while (++i < 9); return s;",
  "int s = 0; for (int i = 0; i < 5; i++) for (int j = i; j < 5; j++) { if (j == 3) break; s = s * 2 + j; } return s;",
  "int s = 0; for (int i = 0, j = 9; i < j; i++, j--) s += i * j; return s + a;",
  "int i = 0; for (;;) { if (++i > (a & 15)) break; } return i;",
  "int s = 0;\n#pragma unroll\nfor (int i = 0; i < 8; i++) { if (i == (a & 7)) continue; s = s * 3 + i; if (i == 6) break; } return s;",
  "int s = 0;\n#pragma unroll\nfor (int i = 10; i > 0; i -= 3) s += i * a; return s;",
  "int i = a & 7, s = 0; again: s += i; if (--i > 0) goto again; return s;",
  "int r = 0; if (a > 0) goto in; r = 5; { in: r++; } return r;",
  "int i = 0, s = 0; if (a & 1) goto middle; for (i = 0; i < 4; i++) { s += 10; middle: s += i; } return s;",
  "if (a > 0) goto out; if (b > 0) return 2; out: return 3;",
  "int r = 1; if (0) { dead: r = 7; goto end; } if (a & 1) goto dead; r = 3; end: return r;",
  "int r = 0; while (0) { body: r++; if (r < 3) continue; } if (!r && a) goto body; return r;",
  "{ int x = a; { int x = b; (void)x; } return x; }",
  "int s = 0; for (int i = 0; i < 3; i++) { int x; if (i == 0) x = a; s += x + i; x = 0; if (i == 0) break; } return s;",
  "if (a) ; else return 1; for (int i = 0; i < 3; i++) ; while (0) ; return 2;",
]);

describeCases("switch", [
  "switch (a) { case 0: return 1; case 1: return 2; case -1: return 3; case 7: return 4; default: return 5; }",
  "int r = 0; switch (a & 7) { case 0: r = 1; case 1: r += 2; break; case 2 ... 4: r = 9; break; default: r = 7; case 6: r++; } return r;",
  "int r = 0; switch ((u32)b) { default: r = 1; break; case 0xffffffff: r = 2; break; case 0x80000000 ... 0x90000000: r = 3; } return r;",
  "int r = 0; switch (a) { case 0x123456789abcdef0: r = 1; break; case -0x8000000000000000ll ... -2: r = 2; } return r;",
  "switch ((u8)a) { case 10 ... 20: return 1; case 200: return 2; case 255: return 3; case 240: return 4; } return 0;",
  "int r = 0; switch (a & 3) { int x; case 0: x = 3; r = x; break; case 1: { x = 4; r = x * 2; } } return r;",
  `u32 n = a & 31, s = 0; int c = (n + 7) / 8; if (!n) return 0;
   switch (n % 8) { case 0: do { s++; case 7: s += 2; case 6: s += 3; case 5: s += 4; case 4: s += 5; case 3: s += 6; case 2: s += 7; case 1: s += 8; } while (--c > 0); }
   return s;`,
  `switch (a & 31) { ${Array.from({ length: 20 }, (_, i) => `case ${(i * 3) % 29}: return ${i * i};`).join(" ")} default: return -1; }`,
  "for (int i = 0; i < 5; i++) { switch (i) { case 2: continue; case 3: break; default: if (a < 0) return i; } if (i == 4) return 50; } return 9;",
  "switch (5) { case 5: return a; case 6: return b; } return 0;",
  "enum e { A, B, C } e = a & 3; switch (e) { case A: return 5; case B: return 6; case C: return 7; } return 8;",
  "int s = 0;\n#pragma unroll\nfor (int i = 0; i < 4; i++) switch (i + (a & 1)) { case 1: s += 1; break; case 2: s += 20; case 3: s += 300; } return s;",
  "switch (a) { } switch (b) { default: return 3; }",
  "int r = 0; switch (a & 1) case 1: r = 5; return r;",
]);

describeCases("scopes that clean up", [
  "static long t; static void done(int *x) { t = t * 10 + *x; }\n#define C __attribute__((cleanup(done)))\n--- t = 0; { int x C = 1; int y C = 2; } return t;",
  "static long t; static void done(int *x) { t = t * 10 + *x; }\n#define C __attribute__((cleanup(done)))\n--- t = 0; for (int i = 0; i < 4; i++) { int x C = i; if (i == (a & 1)) continue; int y C = 5; if (i == 2) break; } return t;",
  "static long t; static void done(int *x) { t = t * 10 + *x; }\n#define C __attribute__((cleanup(done)))\nstatic int f(long a) { int x C = 1; if (a > 0) { int y C = 2; return x + y; } int z C = 3; return z; }\n--- t = 0; int r = f(a); return t * 10 + r;",
  "static long t; static void done(int *x) { t = t * 10 + *x; }\n#define C __attribute__((cleanup(done)))\n--- t = 0; int i = 0; { int x C = 7; again: { int y C = ++i; if (i < 3) goto again; if (a > 0) goto out; } int z C = 8; } out: return t;",
  "static long t; static void done(int *x) { t = t * 10 + *x; }\n#define C __attribute__((cleanup(done)))\n--- t = 0; int r = ({ int x C = 4; x + 1; }); return t * 100 + r;",
  "static long t; static void done(int *x) { t = t * 10 + *x; }\n#define C __attribute__((cleanup(done)))\n--- t = 0; { int i C = 3; for (int k = 0; k < 3; k++) { int z C = k + 5; } } switch (a & 1) { case 0: { int x C = 1; break; } case 1: { int y C = 2; } } return t;",
]);
