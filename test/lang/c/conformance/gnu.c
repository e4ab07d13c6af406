//: a statement expression = 3
int test(void) { return ({ int a = 1; a + 2; }); }
//: a statement expression in a condition = 1
int test(void) { if (({ int a = 1; a; })) return 1; return 0; }
//: one in another = 6
#define max(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a > _b ? _a : _b; })
int test(void) { return max(3, max(6, 5)); }
//: a jump out of a statement expression = 4
int test(void) { int a = ({ if (1) return 4; 1; }); return a; }
//: a statement expression of a struct = 2
struct s { int a, b; };
int test(void) { return ({ struct s x = { 1, 2 }; x; }).b; }
//: __builtin_types_compatible_p = 1
int test(void) { return __builtin_types_compatible_p(int, signed int) && !__builtin_types_compatible_p(int, long); }
//: __builtin_choose_expr = 5
int test(void) { return __builtin_choose_expr(1, 5, (void)0); }
//: __builtin_constant_p = 1
int test(void) { return __builtin_constant_p(3 * 4); }
//: __builtin_expect = 7
int test(void) { return __builtin_expect(7, 1); }
//: __builtin_memcpy = 6
int test(void) { int a[3] = { 1, 2, 3 }, b[3]; __builtin_memcpy(b, a, sizeof(a)); return b[0] + b[1] + b[2]; }
//: __builtin_memset = -1
int test(void) { int a[2]; __builtin_memset(a, 0xff, sizeof(a)); return a[1]; }
//: bytes swapped = 0x3412
int test(void) { unsigned short a = 0x1234; return __builtin_bswap16(a); }
//: bytes of 64 bits swapped = 1
int test(void) { unsigned long a = 1; return __builtin_bswap64(a) >> 56; }
//: add with overflow = 1
int test(void) { int r; return __builtin_add_overflow(2147483647, 1, &r); }
//: multiply without overflow = 6
int test(void) { int r; return __builtin_mul_overflow(2, 3, &r) ? 0 : r; }
//: fetch and add = 12
static long n = 5;
int test(void) { long old = __sync_fetch_and_add(&n, 2); return old + n; }
//: add and fetch = 7
static int n = 5;
int test(void) { return __sync_add_and_fetch(&n, 2); }
//: compare and swap that fits = 9
static long n = 5;
int test(void) { __sync_val_compare_and_swap(&n, 5, 9); return n; }
//: compare and swap that does not = 5
static long n = 5;
int test(void) { return __sync_val_compare_and_swap(&n, 4, 9); }
//: exchange = 8
static unsigned n = 3;
int test(void) { unsigned old = __sync_lock_test_and_set(&n, 5); return old + n; }
//: or, and, xor = 6
static unsigned long n = 12;
int test(void) { __sync_fetch_and_or(&n, 3); __sync_fetch_and_and(&n, 7); __sync_fetch_and_xor(&n, 1); return n; }
//: an empty asm keeps a value = 4
int test(void) { int a = 4; asm volatile("" : "+r"(a)); return a; }
//: a barrier = 2
static int n;
int test(void) { n = 2; asm volatile("" ::: "memory"); return n; }
//: assembly of BPF = 7
int test(void) { unsigned long a = 3, b = 4; asm volatile("%0 += %1" : "+r"(a) : "r"(b)); return a; }
//: cleanup runs at the end of the block = 15
static int n;
static void add(int *p) { n += *p; }
int test(void) { { int a __attribute__((cleanup(add))) = 5; int b __attribute__((cleanup(add))) = 10; (void)a; (void)b; } return n; }
//: cleanup runs when a loop is left = 3
static int n;
static void add(int *p) { n += *p; }
int test(void) { for (int i = 0; i < 5; i++) { int a __attribute__((cleanup(add))) = 1; if (i == 2) break; } return n; }
//: unused is a word = 1
int test(void) { int a __attribute__((unused)) = 1; return a; }
//: always_inline = 4
static __attribute__((always_inline)) inline int f(int a) { return a + 1; }
int test(void) { return f(3); }
//: a weak function = 6
__attribute__((weak, noinline)) int f(int a) { return a * 2; }
int test(void) { return f(3); }
//: #pragma unroll = 10
int test(void) { int s = 0;
#pragma unroll
for (int i = 0; i < 5; i++) s += i;
return s; }
//: __extension__ = 2
int test(void) { return __extension__ ({ 2; }); }
//: alternate spellings = 3
int test(void) { __signed__ int a = 1; __const int b = 2; __volatile__ int c = 0; return a + b + c; }
//: __builtin_unreachable = 1
int test(void) { int a = 1; if (a == 1) return 1; __builtin_unreachable(); }
//: __auto_type = 8
int test(void) { __auto_type a = 8l; return sizeof(a); }
//: __builtin_ffs-free bit tricks = 3
int test(void) { unsigned v = 8; int n = 0; for (int i = 0; i < 32; i++) { if (v & (1u << i)) { n = i; break; } } return n; }
//: section and used = 5
static int kept __attribute__((used)) = 5;
int test(void) { return kept; }
//: a variable in a section of its own = 6
static int v __attribute__((section(".data.own"))) = 6;
int test(void) { return v; }
//: const volatile in .rodata = 7
const volatile int setting = 7;
int test(void) { return setting; }
