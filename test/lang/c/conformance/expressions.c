//: precedence of arithmetic = 7
int test(void) { return 1 + 2 * 3; }
//: left to right = -4
int test(void) { return 1 - 2 - 3; }
//: division truncates toward zero = -3
int test(void) { unsigned a = 7, b = 2; return -(int)(a / b); }
//: comparison before equality before and = 1
int test(void) { int a = 5, b = 3; return a > b == 1 & 1; }
//: shift after addition = 16
int test(void) { return 1 << 2 + 2; }
//: assignment from the right = 15
int test(void) { int a, b, c; a = b = c = 5; return a + b + c; }
//: comma = 3
int test(void) { int a; return (a = 1, a += 1, a + 1); }
//: ternary from the right = 2
int test(void) { int a = 0; return a ? 1 : !a ? 2 : 3; }
//: ternary without a middle = 8
int test(void) { int a = 8; return (a ?: 3) + (0 ?: 0); }
//: and does not look at what it need not = 0
int test(void) { int a = 0, b = 0; (void)(a && ++b); return b; }
//: or does not look at what it need not = 1
int test(void) { int b = 1; (void)(1 || ++b); return b; }
//: prefix and postfix = 12
int test(void) { int a = 5; int b = a++; int c = ++a; return b + c; }
//: ++ on pointers = 3
int test(void) { int a[3] = { 1, 2, 3 }; int *p = a; p++; ++p; return *p; }
//: the value of *p++ = 12
int test(void) { int a[2] = { 5, 7 }; int *p = a; int x = *p++; return x + *p; }
//: pointers differ in elements = 3
int test(void) { long a[4]; a[0] = 0; return &a[3] - &a[0]; }
//: an index from the left = 4
int test(void) { int a[3] = { 1, 4, 9 }; return 1[a]; }
//: narrow types are promoted = 510
int test(void) { unsigned char a = 255, b = 255; return a + b; }
//: unsigned wins at one rank = 1
int test(void) { unsigned a = 1; int b = -1; return a < b; }
//: the wider signed type wins over a narrower unsigned one = 1
int test(void) { unsigned a = 1; long b = -1; return b < a; }
//: unsigned short becomes int = 1
int test(void) { unsigned short a = 1; int b = -1; return b < a; }
//: char is signed here = -1
int test(void) { char c = 255; return c; }
//: a conversion to bool is a comparison = 1
int test(void) { _Bool b = 256; return b; }
//: a conversion to bool of a pointer = 1
int test(void) { int a; _Bool b = &a; return b; }
//: ++ of a bool stays true = 1
int test(void) { _Bool b = 1; b++; return b; }
//: a narrow assignment has its value cut = 44
int test(void) { unsigned char c; int x = (c = 300); return x; }
//: signed right shift keeps the sign = -2
int test(void) { int a = -8; return a >> 2; }
//: unsigned right shift does not = 63
int test(void) { unsigned a = -8u; return a >> 26; }
//: shifts have the type of the left side = 0
int test(void) { unsigned a = 1; return (int)((unsigned long)(a << 31 << 1) >> 32); }
//: 64-bit shifts = 1
int test(void) { unsigned long a = 1; return (a << 40) >> 40; }
//: integer constants have the type that holds them = 20
int test(void) { return sizeof(1) + sizeof(2147483648) + sizeof(0xffffffff) + sizeof(1u); }
//: suffixes = 32
int test(void) { return sizeof(1l) + sizeof(1ul) + sizeof(1ll) + sizeof(1LLU); }
//: octal, hexadecimal, binary = 30
int test(void) { return 010 + 0x10 + 0b110; }
//: characters = 280
int test(void) { return 'a' + '\n' + '\x10' + '\101' + '\\'; }
//: a character is an int = 4
int test(void) { return sizeof('a'); }
//: a string's size = 6
int test(void) { return sizeof("hello"); }
//: strings are joined = 7
int test(void) { return sizeof("abc" "def"); }
//: a character of a string = 101
int test(void) { return "hello"[1]; }
//: escapes in strings = 10
int test(void) { static const char s[] = "\t\n\0x\x41\101"; return s[1] + s[2]; }
//: compound assignment converts = 127
int test(void) { unsigned char c = 255; c >>= 1; return c; }
//: compound assignment evaluates its place once = 1
int test(void) { int a[2] = { 0, 0 }, i = 0; a[i++] += 5; return i; }
//: ~ and - and ! = -6
int test(void) { int a = 5; return ~a + !a; }
//: - of an unsigned number = 1
int test(void) { unsigned a = 1; return -a > 0; }
//: modulo = 2
int test(void) { unsigned a = 17; return a % 5; }
//: a cast cuts = -1
int test(void) { return (signed char)0xff; }
//: a cast of a cast = 255
int test(void) { return (unsigned char)(signed char)-1; }
//: casts from 64 to 32 bits = 5
int test(void) { unsigned long a = 0x100000005; return (int)a; }
//: sign is extended to 64 bits = -1
int test(void) { int a = -1; long b = a; return b >> 32; }
//: zeros are extended to 64 bits = 0
int test(void) { unsigned a = -1; long b = a; return b >> 32; }
//: a comparison is an int = 4
int test(void) { long a = 1, b = 2; return sizeof(a < b); }
//: sizeof evaluates nothing = 0
int test(void) { int a = 0; (void)sizeof(a++); return a; }
//: equality of pointers = 1
int test(void) { int a[2]; a[0] = 0; return &a[1] == a + 1; }
//: 64-bit multiplication = 6
int test(void) { unsigned long a = 0x200000000, b = 3; return (a * b) >> 32; }
//: 64-bit constants = 18
int test(void) { unsigned long a = 0x123456789abcdef0ul; return a >> 56; }
//: the smallest int = 1
int test(void) { int a = -2147483647 - 1; return a < 0 && -a == a; }
//: overflow wraps = -2147483648
int test(void) { unsigned a = 2147483647; return (int)(a + 1); }
//: an address of a dereference = 4
int test(void) { int a = 4; int *p = &a; return *&*p; }
//: members by pointer and by value = 5
struct s { struct { int x, y; } in; };
int test(void) { struct s a = { { 2, 3 } }, *p = &a; return p->in.x + (*p).in.y; }
//: assignment of structs = 3
struct s { int a[3]; };
int test(void) { struct s a = { { 1, 2, 3 } }, b; b = a; a.a[2] = 9; return b.a[2]; }
//: a struct from a ternary = 4
struct s { int v; };
int test(void) { struct s a = { 3 }, b = { 4 }; return (a.v > 5 ? a : b).v; }
//: a member of a call's result = 7
struct s { int a, b; };
static struct s make(void) { struct s x = { 3, 4 }; return x; }
int test(void) { return make().a + make().b; }
//: offsetof = 8
struct s { char a; long b; };
int test(void) { return __builtin_offsetof(struct s, b); }
//: offsetof as it was written before = 4
struct s { char a; int b; };
int test(void) { return (long)&((struct s *)0)->b; }
//: container_of = 6
struct s { int a; int b; };
int test(void) { struct s x = { 6, 7 }; int *p = &x.b; return ((struct s *)((char *)p - __builtin_offsetof(struct s, b)))->a; }
//: _Generic = 2
#define KIND(x) _Generic((x), int: 1, unsigned long: 2, default: 3)
int test(void) { return KIND(1ul); }
//: _Generic's default = 3
#define KIND(x) _Generic((x), int: 1, default: 3)
int test(void) { char *p = 0; return KIND(p); }
