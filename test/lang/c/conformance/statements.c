//: if and else = 2
int test(void) { int a = 0; if (a) return 1; else return 2; }
//: else belongs to the nearest if = 0
int test(void) { int r = 0; if (0) if (1) r = 1; else r = 2; return r; }
//: while = 10
int test(void) { int i = 0, s = 0; while (i < 5) s += i++; return s; }
//: do while runs once = 1
int test(void) { int i = 0; do i++; while (0); return i; }
//: for without parts = 3
int test(void) { int i = 0; for (;;) { if (i == 3) break; i++; } return i; }
//: continue goes to the step = 20
int test(void) { int s = 0; for (int i = 0; i < 10; i++) { if (i & 1) continue; s += i; } return s; }
//: continue in do while goes to the condition = 5
int test(void) { int i = 0; do { if (i < 10) continue; } while (++i < 5); return i; }
//: nested loops break one = 9
int test(void) { int n = 0; for (int i = 0; i < 3; i++) for (int j = 0; j < 9; j++) { if (j == 3) break; n++; } return n; }
//: switch = 20
int test(void) { int a = 2; switch (a) { case 1: return 10; case 2: return 20; default: return 30; } }
//: switch falls through = 6
int test(void) { int s = 0; switch (2) { case 1: s += 1; case 2: s += 2; case 3: s += 4; break; case 4: s += 8; } return s; }
//: default in the middle = 5
int test(void) { int s = 0; switch (9) { case 1: s = 1; default: s = 2; case 3: s += 3; } return s; }
//: switch without a case that fits = 1
int test(void) { int s = 1; switch (7) { case 1: s = 2; } return s; }
//: switch over negative numbers = 2
int test(void) { int a = -3; switch (a) { case -3: return 2; case 3: return 3; } return 0; }
//: switch over 64 bits = 2
int test(void) { long a = 0x100000001; switch (a) { case 1: return 1; case 0x100000001: return 2; } return 0; }
//: case ranges = 3
int test(void) { switch ('q') { case 'a' ... 'f': return 1; case 'g' ... 'z': return 3; } return 0; }
//: switch converts its cases = 1
int test(void) { unsigned char c = 200; switch (c) { case 200: return 1; } return 0; }
//: a switch in a switch = 4
int test(void) { switch (1) { case 1: switch (2) { case 2: break; } return 4; } return 0; }
//: a loop into which a switch jumps = 4
int test(void) { int n = 0, i = 3; switch (i & 1) { case 0: do { n++; case 1: n++; } while (--i > 1); } return n + 1; }
//: goto forward = 1
int test(void) { int a = 1; goto end; a = 2; end: return a; }
//: goto backward = 4
int test(void) { int i = 0; again: if (++i < 4) goto again; return i; }
//: goto out of loops = 12
int test(void) { int n = 0; for (int i = 0; i < 5; i++) for (int j = 0; j < 5; j++) { n++; if (n == 12) goto out; } out: return n; }
//: goto into a block = 3
int test(void) { int a = 3; goto in; { a = 9; in: ; } return a; }
//: an empty statement = 1
int test(void) { ;;; { } return 1; }
//: a declaration after statements = 3
int test(void) { int a = 1; a++; int b = a; return b + 1; }
//: a label before a declaration's block = 2
int test(void) { int n = 0; l: { int k = 1; n += k; } if (n < 2) goto l; return n; }
//: a bounded loop over an array = 36
int test(void) { int a[8], s = 0; for (int i = 0; i < 8; i++) a[i] = i + 1; for (int i = 0; i < 8; i++) s += a[i]; return s; }
//: two counters in one for = 5
int test(void) { int i, j; for (i = 0, j = 10; i < j; i++, j--) ; return i; }
//: recursion-free calls = 21
static __attribute__((noinline)) int tri(int n) { int s = 0; for (int i = 1; i <= n && i < 10; i++) s += i; return s; }
int test(void) { return tri(6); }
//: a function without a result = 4
static int g;
static __attribute__((noinline)) void set(int v) { g = v; }
int test(void) { set(4); return g; }
//: an early return = 1
static __attribute__((noinline)) int f(int a) { if (a) return 1; return 2; }
int test(void) { return f(1); }
//: arguments by value = 5
static __attribute__((noinline)) void f(int a) { a = 9; (void)a; }
int test(void) { int a = 5; f(a); return a; }
//: arguments by address = 9
static __attribute__((noinline)) void f(int *a) { *a = 9; }
int test(void) { int a = 5; f(&a); return a; }
//: structs by value = 3
struct s { int a, b; };
static __attribute__((noinline)) int f(struct s x) { x.a += 1; return x.a; }
int test(void) { struct s x = { 2, 0 }; return f(x) + x.b; }
//: structs as results = 11
struct s { long a, b, c; };
static __attribute__((noinline)) struct s f(long a) { struct s x = { a, a + 1, a + 2 }; return x; }
int test(void) { struct s x = f(4); return x.b + x.c; }
//: five arguments = 15
static __attribute__((noinline)) int f(int a, int b, int c, int d, int e) { return a + b + c + d + e; }
int test(void) { return f(1, 2, 3, 4, 5); }
//: more than five arguments where they are inlined = 21
static inline __attribute__((always_inline)) int f(int a, int b, int c, int d, int e, int g) { return a + b + c + d + e + g; }
int test(void) { return f(1, 2, 3, 4, 5, 6); }
