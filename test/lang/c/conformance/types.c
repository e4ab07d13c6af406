//: padding = 24
struct s { char a; long b; char c; };
int test(void) { return sizeof(struct s); }
//: packed = 10
struct __attribute__((packed)) s { char a; long b; char c; };
int test(void) { return sizeof(struct s); }
//: a packed member is where it is = 1
struct s { char a; int b; } __attribute__((packed));
int test(void) { return __builtin_offsetof(struct s, b); }
//: aligned = 16
struct s { int a; } __attribute__((aligned(16)));
int test(void) { return sizeof(struct s); }
//: an aligned member = 16
struct s { char a; char b __attribute__((aligned(8))); };
int test(void) { return sizeof(struct s); }
//: a union = 8
union u { char c; int i; long l; };
int test(void) { return sizeof(union u); }
//: the bytes of a number = 0x78
union u { unsigned i; unsigned char b[4]; };
int test(void) { union u x = { 0x12345678 }; return x.b[0]; }
//: anonymous members = 6
struct s { int a; union { int b; int c; }; struct { int d; }; };
int test(void) { struct s x = { 1, { 2 }, { 3 } }; return x.a + x.c + x.d; }
//: anonymous members of anonymous members = 5
struct s { struct { union { struct { int deep; }; long other; }; }; };
int test(void) { struct s x; x.deep = 5; return x.other; }
//: bitfields share a unit = 4
struct s { unsigned a : 3, b : 5, c : 24; };
int test(void) { return sizeof(struct s); }
//: a bitfield cuts = 5
struct s { unsigned a : 3; };
int test(void) { struct s x; x.a = 13; return x.a; }
//: a signed bitfield = -1
struct s { int a : 3; };
int test(void) { struct s x; x.a = 7; return x.a; }
//: a bitfield of one signed bit = -1
struct s { int a : 1; };
int test(void) { struct s x = { 1 }; return x.a; }
//: bitfields do not touch their neighbours = 15
struct s { unsigned a : 4, b : 4, c : 4; };
int test(void) { struct s x = { 15, 15, 15 }; x.b = 0; return x.a & x.c; }
//: a width of zero starts a unit = 8
struct s { unsigned a : 3; unsigned : 0; unsigned b : 3; };
int test(void) { return sizeof(struct s); }
//: unnamed bitfields take room = 16
union u { struct { unsigned a : 4; unsigned : 4; unsigned b : 4; } s; unsigned v; };
int test(void) { union u x = { .v = 0x1000 }; x.v >>= 4; return x.s.b * 16; }
//: a bitfield of 64 bits = 1
struct s { unsigned long a : 40, b : 24; };
int test(void) { struct s x = { 1ul << 39, 3 }; return x.a >> 39; }
//: packed bitfields straddle = 5
struct s { unsigned char a : 3; unsigned b : 30; unsigned char c : 7; } __attribute__((packed));
int test(void) { return sizeof(struct s); }
//: what straddles is read whole = 0x155
struct s { unsigned char a : 7; unsigned b : 10; unsigned char c : 7; } __attribute__((packed));
int test(void) { struct s x = { 0, 0x155, 0 }; return x.b; }
//: an increment of a bitfield wraps = 0
struct s { unsigned a : 2; };
int test(void) { struct s x = { 3 }; x.a++; return x.a; }
//: a bool of one bit = 1
struct s { _Bool a : 1; };
int test(void) { struct s x; x.a = 2; return x.a; }
//: narrow bitfields promote to int = 1
struct s { unsigned a : 4; };
int test(void) { struct s x = { 1 }; return x.a - 2 < 0; }
//: a flexible array takes no room = 4
struct s { int n; char data[]; };
int test(void) { return sizeof(struct s); }
//: an array of no elements = 4
struct s { int n; char data[0]; };
int test(void) { return sizeof(struct s); }
//: a struct of nothing = 0
struct s { };
int test(void) { return sizeof(struct s); }
//: an array in a struct = 40
struct s { int a[10]; };
int test(void) { return sizeof(struct s); }
//: arrays of structs = 6
struct s { int a, b; };
int test(void) { struct s x[3] = { { 1, 2 }, { 3, 4 }, { 5, 6 } }; return x[2].b; }
//: arrays of arrays = 23
int test(void) { static int a[3][4]; a[2][3] = 23; return ((int *)a)[11]; }
//: sizes of arrays = 12
int test(void) { int a[3][4]; return sizeof(a) / sizeof(a[0][0]); }
//: enums are ints = 4
enum e { A };
int test(void) { return sizeof(enum e); }
//: enums of 64 bits = 8
enum e { BIG = 0x100000000 };
int test(void) { return sizeof(enum e); }
//: __attribute__((mode)) free: fixed widths = 15
typedef __INT8_TYPE__ i8; typedef __UINT16_TYPE__ u16; typedef __INT32_TYPE__ i32; typedef __UINT64_TYPE__ u64;
int test(void) { return sizeof(i8) + sizeof(u16) + sizeof(i32) + sizeof(u64); }
//: a pointer to void counts bytes = 3
int test(void) { char a[4] = { 0, 1, 2, 3 }; void *p = a; p += 3; return *(char *)p; }
//: a struct in a function = 2
int test(void) { struct in { short a; } x = { 2 }; return x.a; }
//: a struct of one name in two scopes = 9
struct s { char c; };
int test(void) { struct s { long l; }; struct s x = { 1 }; return sizeof(struct s) + x.l; }
