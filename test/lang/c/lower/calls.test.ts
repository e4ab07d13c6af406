/** Calls of functions: values, structs, pointers, callbacks. */
import { describeCases } from "./support.ts";

describeCases("functions of the file", [
  "static int f(int x, long y) { return x * 3 + y; }\n--- return f(a, b) + f(b, a);",
  "static noinline int f(int x, long y) { return x * 3 + y; }\n--- return f(a, b) + f(b, a);",
  ...["s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "bool"].map(
    (t) => `static noinline ${t} f(${t} x, ${t} y) { return x + y; }\n--- ${t} r = f(a, b); return r * 3 + f(r, 1);`,
  ),
  "static noinline void f(long *p, int by) { *p += by; }\n--- long x = a; f(&x, b); f(&x, 3); return x;",
  "struct s { int x; long y; };\nstatic noinline long f(struct s s) { s.x++; return s.x + s.y; }\n--- struct s s = { a, b }; return f(s) + s.x;",
  "struct s { int x; long y; };\nstatic inline struct s f(int x) { struct s s = { x, x * 2 }; return s; }\n--- struct s s = f(a); return s.x + f(b).y;",
  "struct s { long v[4]; };\nstatic noinline struct s f(struct s s, int i) { s.v[i & 3] = 7; return s; }\n--- struct s s = { { 1, 2, a, b } }; struct s t = f(s, a); return t.v[0] + t.v[1] * 3 + t.v[2] * 5 + s.v[0] + f(f(s, 1), 2).v[2];",
  "struct s { int x, y; };\nstatic noinline int f(const struct s *p, int n) { int r = 0; for (int i = 0; i < n && i < 3; i++) r += p[i].x * p[i].y; return r; }\n--- struct s s[3] = { { 1, 2 }, { a, 3 }, { b, 5 } }; return f(s, 3);",
  "static int fact(int n) { int r = 1; for (int i = 2; i <= n && i < 12; i++) r *= i; return r; }\n--- return fact(a & 7) + fact(5);",
  "inlined long six(long a, long b, long c, long d, long e, long f) { return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6; }\n--- return six(a, b, 1, 2, 3, 4);",
  "static noinline int even(u32 n) { return n % 2 == 0; }\nstatic noinline int odd(u32 n) { return !even(n); }\n--- return even(a) + odd(b) * 2;",
  "static int (*const f)(int) = 0;\nstatic int g(int x) { return x * 2; }\nstatic int (*const h)(int) = g;\n--- return h(a) + (*g)(b) + (&g)(1) + !f;",
  "static noinline int f() { return 3; }\nstatic noinline int g(void) { return 4; }\n--- return f() + g() + a;",
  "static noinline int f(int x) { if (x > 0) return 1; if (x < 0) return -1; return 0; }\n--- return f(a) * 10 + f(b);",
  "static noinline void f(int x, int *out) { if (x < 0) return; *out = x; }\n--- int r = -5; f(a, &r); return r;",
  "static noinline u64 f(void *p) { return *(u64 *)p; }\n--- u64 x = a; return f(&x) + f(&(u64){ b });",
  "static noinline int twice(int (*f)(int, int), int x) { return f(x, 1) + f(x, 2); }\nstatic int plus(int a, int b) { return a + b; }\nstatic int minus(int a, int b) { return a - b; }\nstatic inline int pass(int (*g)(int, int), int x) { return twice(g, x) * 2; }\n--- return twice(plus, a) * 3 + twice(minus, b) + pass(&plus, 5) + pass(minus, a);",
  "struct e {};\nstatic struct e f(struct e x) { return x; }\n--- struct e x = {}; f(x); return a;",
]);

describeCases("variables of the file", [
  "static int g; static long h = 5; static u8 v[4] = { 1, 2, 3 };\n--- g = a; h = h + 1; v[a & 3] = b; long r = g + h + v[0] + v[3]; h = 5; v[0] = 1; v[1] = 2; v[2] = 3; v[3] = 0; return r;",
  "static const volatile int limit = 7;\n--- return limit + a;",
  "static struct { int x; struct { u8 y, z; } in; } g = { 1, { 2, 3 } };\n--- g.in.y += a; g.x ^= b; int r = g.x + g.in.y + g.in.z; g.x = 1; g.in.y = 2; return r;",
  "static u32 m[4][4];\n--- for (int i = 0; i < 4; i++) m[i][(a + i) & 3] = b + i; u32 r = 0; for (int i = 0; i < 16; i++) { r = r * 3 + m[i >> 2][i & 3]; m[i >> 2][i & 3] = 0; } return r;",
]);
