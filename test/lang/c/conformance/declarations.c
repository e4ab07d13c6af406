//: specifiers in any order = 24
long unsigned int long a; short int signed b; int long c; unsigned d; char signed e;
int test(void) { return sizeof(a) + sizeof(b) + sizeof(c) + sizeof(d) + sizeof(e) + 1; }
//: several declarators = 12
int test(void) { int a = 1, *p = &a, b[2] = { 4, 7 }, **q = &p; return **q + b[0] + b[1]; }
//: a pointer to an array = 6
int test(void) { int a[2][3] = { { 1, 2, 3 }, { 4, 5, 6 } }; int (*p)[3] = a; return p[1][2]; }
//: an array of pointers = 3
int test(void) { int a = 1, b = 2; int *p[2] = { &a, &b }; return *p[0] + *p[1]; }
//: a typedef of an array = 12
typedef int triple[3];
int test(void) { triple t = { 1, 2, 3 }; return sizeof(t) + t[0] - 1; }
//: a typedef's name as a variable = 5
typedef int T;
int test(void) { T T = 5; return T; }
//: a typedef's name as a member and a label = 7
typedef int T;
struct s { T T; };
int test(void) { struct s a = { 7 }; goto T; T: return a.T; }
//: a typedef hides for its block alone = 9
typedef char T;
int test(void) { { int T = 1; (void)T; } return sizeof(T) + 8; }
//: tags have a space of their own = 3
struct a { int a; };
int test(void) { struct a a = { 3 }; return a.a; }
//: an enum counts = 13
enum { A, B, C = 10, D, E = D + 1 };
int test(void) { return A + B + E; }
//: an enum with negative numbers = -1
enum e { LOW = -1, HIGH = 1 };
int test(void) { enum e x = LOW; return x < 0 ? x : 0; }
//: an enum in a block = 2
int test(void) { enum { X = 1 }; { enum { X = 2 }; return X; } }
//: inner scopes hide outer ones = 1
int test(void) { int a = 1; { int a = 2; { int a = 3; (void)a; } } return a; }
//: a for has a scope = 6
int test(void) { int i = 6; for (int i = 0; i < 3; i++) { int i = 9; (void)i; } return i; }
//: a static in a function keeps its value = 3
static __attribute__((noinline)) int next(void) { static int n; return ++n; }
int test(void) { next(); next(); return next(); }
//: two statics of one name = 11
static __attribute__((noinline)) int a(void) { static int n = 10; return n; }
static __attribute__((noinline)) int b(void) { static int n = 1; return n; }
int test(void) { return a() + b(); }
//: a tentative definition = 4
int v;
int v;
int test(void) { v = 4; return v; }
//: declared, then defined = 8
static int f(int);
int test(void) { return f(4); }
static int f(int x) { return x * 2; }
//: a struct declared before it is defined = 2
struct later;
static int get(struct later *p);
struct later { int a, b; };
static int get(struct later *p) { return p->b; }
int test(void) { struct later x = { 1, 2 }; return get(&x); }
//: a struct that points to its own kind = 3
struct node { int v; struct node *next; };
int test(void) { struct node a = { 1, 0 }, b = { 2, &a }; return b.v + b.next->v; }
//: qualifiers anywhere = 5
int test(void) { int const a = 2; volatile int b = 3; const int *const p = &a; return *p + b; }
//: sizes of types = 31
int test(void) { return sizeof(char) + sizeof(short) + sizeof(int) + sizeof(long) + sizeof(void *) + sizeof(long long); }
//: alignment = 15
struct s { char c; double *p; };
int test(void) { return _Alignof(struct s) + _Alignof(short) + _Alignof(int) + __alignof__(char); }
//: _Static_assert = 1
_Static_assert(sizeof(int) == 4, "int");
int test(void) { _Static_assert(1); return 1; }
//: a parameter that is an array is a pointer = 8
static int f(int a[10]) { return sizeof(a); }
int test(void) { return f(0); }
//: static storage is zero = 0
static struct { int a[4]; char b; } s;
int test(void) { return s.a[3] + s.b; }
//: _Thread_local's neighbours register and auto = 3
int test(void) { register int a = 1; auto int b = 2; return a + b; }
//: typeof = 4
int test(void) { int a = 3; typeof(a) b = 1; __typeof__(&a) p = &b; return a + *p; }
//: _Atomic-free inline functions = 9
static inline int sq(int x) { return x * x; }
int test(void) { return sq(3); }
//: an abstract declarator in a cast = 2
int test(void) { int a[2] = { 1, 2 }; return ((int (*)[2])&a)[0][1]; }
//: sizeof of abstract declarators = 24
int test(void) { return sizeof(int *[2]) + sizeof(int (*)[2]); }
