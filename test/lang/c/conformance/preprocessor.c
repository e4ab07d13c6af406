//: an object-like macro = 42
#define N 42
int test(void) { return N; }
//: a function-like macro = 7
#define ADD(a, b) ((a) + (b))
int test(void) { return ADD(3, 4); }
//: a macro's name without parentheses is a name = 5
#define f(x) 9
int test(void) { int f = 5; return f; }
//: arguments are expanded before they are put in = 33
#define ONE 1
#define TWICE(x) x x
#define PASTE(a, b) a##b
#define P2(a, b) PASTE(a, b)
int test(void) { return P2(3, 3) - 0 * ONE; }
//: operands of ## are not expanded = 8
#define A 1
#define CAT(a, b) a##b
int test(void) { int AB = 8; return CAT(A, B); }
//: # makes a string = 6
#define STR(x) #x
int test(void) { return sizeof(STR(a + b)); }
//: # keeps one blank between tokens and escapes quotes = 8
#define STR(x) #x
int test(void) { return sizeof(STR(  "a"    b c  )); }
//: a string of an expanded argument = 3
#define STR(x) #x
#define XSTR(x) STR(x)
#define N 42
int test(void) { return sizeof(XSTR(N)); }
//: a macro is not expanded in itself = 4
#define x (x + 1)
static int get(int y) { return y; }
#undef x
#define y y
int test(void) { int y = 4; return get(y); }
//: two macros that name each other = 6
#define a b
#define b a
int test(void) { int a = 6; return a; }
//: an empty argument = 5
#define SUM(a, b) (5 a b)
int test(void) { return SUM(,); }
//: an argument with commas in parentheses = 3
#define FIRST(p, rest) p rest
static int two(int a, int b) { return a + b; }
int test(void) { return FIRST(two, (1, 2)); }
//: variadic arguments = 10
static int sum(int a, int b, int c, int d) { return a + b + c + d; }
#define S(...) sum(__VA_ARGS__)
int test(void) { return S(1, 2, 3, 4); }
//: named variadic arguments of GNU = 6
static int sum(int a, int b, int c) { return a + b + c; }
#define S(first, rest...) sum(first, ##rest)
int test(void) { return S(1, 2, 3); }
//: a comma goes with what is missing = 1
static int one(int a) { return a; }
#define CALL(f, a, ...) f(a, ##__VA_ARGS__)
int test(void) { return CALL(one, 1); }
//: the number of arguments = 3
#define NTH(_1, _2, _3, _4, n, ...) n
#define COUNT(...) NTH(__VA_ARGS__, 4, 3, 2, 1)
int test(void) { return COUNT(a, b, c); }
//: #if with arithmetic = 2
#if (3 * 4 - 2) / 5 == 2 && !defined(NOTHING) && (-1 < 0)
int test(void) { return 2; }
#else
int test(void) { return 1; }
#endif
//: #if reads unknown names as 0 = 1
#if NOTHING
int test(void) { return 2; }
#else
int test(void) { return 1; }
#endif
//: #elif takes the first that holds = 20
#define V 2
#if V == 1
int test(void) { return 10; }
#elif V == 2
int test(void) { return 20; }
#elif V == 2
int test(void) { return 30; }
#else
int test(void) { return 40; }
#endif
//: #if divides by zero only where it counts = 1
#if 0 && 1 / 0
#error wrong
#endif
int test(void) { return 1; }
//: #if has unsigned numbers = 1
#if -1 > 0u
int test(void) { return 1; }
#else
int test(void) { return 0; }
#endif
//: #if with characters and shifts = 1
#if 'A' == 65 && (1 << 3) == 8 && (1 ? 2 : 3) == 2
int test(void) { return 1; }
#endif
//: skipped groups nest = 3
#if 0
#if 1
#error wrong
#else
#error wrong
#endif
#else
int test(void) { return 3; }
#endif
//: text that is skipped may be anything = 1
#ifdef NOTHING
it's " not C
#endif
int test(void) { return 1; }
//: lines are joined by a backslash = 9
#define LONG 4 + \
  5
int test(void) { return LO\
NG; }
//: comments are blanks = 7
int/* a */test(void)/**/{ return 3/* // */+4; } // end
//: a comment in a directive = 3
#define N /* one
two */ 3
int test(void) { return N; }
//: __LINE__ and #line = 101
#line 100
#define HERE __LINE__
int test(void) { return HERE; }
//: __COUNTER__ counts = 1
static int a = __COUNTER__, b = __COUNTER__;
int test(void) { return b - a; }
//: __func__ = 5
int test(void) { return sizeof(__func__); }
//: _Pragma is no text = 4
_Pragma("GCC diagnostic push") int test(void) { return 4; } _Pragma("GCC diagnostic pop")
//: #undef and #define again = 2
#define N 1
#undef N
#define N 2
int test(void) { return N; }
//: a macro that makes a call over lines = 6
#define ADD(a, b, c) a + b + c
int test(void) { return ADD(1,
  2,
  3); }
//: names are pasted into new macros = 11
#define AB 11
#define GLUE(a, b) a ## b
int test(void) { return GLUE(A, B); }
//: defined without parentheses = 1
#define X
#if defined X && !defined Y
int test(void) { return 1; }
#endif
//: __has_builtin and __has_attribute = 2
#if __has_builtin(__builtin_memcpy) && !__has_builtin(__builtin_nothing_at_all)
int test(void) { return 2; }
#endif
//: the machine = 64
int test(void) { return __BPF__ ? sizeof(void *) * __CHAR_BIT__ : 0; }
//: do while macros = 5
#define SET(x, v) do { x = v; } while (0)
int test(void) { int a; if (1) SET(a, 5); else SET(a, 6); return a; }
