//: what is missing is zero = 1
int test(void) { int a[4] = { 1 }; return a[0] + a[1] + a[2] + a[3]; }
//: the length of an array by its initialiser = 3
int test(void) { int a[] = { 1, 2, 3 }; return sizeof(a) / sizeof(*a); }
//: designated elements = 9
int test(void) { int a[5] = { [3] = 4, 5, [0] = 0 }; return a[3] + a[4]; }
//: designated ranges = 8
int test(void) { int a[6] = { [1 ... 4] = 2 }; return a[0] + a[1] + a[2] + a[3] + a[4] + a[5]; }
//: a designator makes an array longer = 6
int test(void) { int a[] = { [5] = 1 }; return sizeof(a) / 4; }
//: the last one counts = 7
int test(void) { int a[2] = { [0] = 3, [0] = 7 }; return a[0]; }
//: designated members = 5
struct s { int a, b, c; };
int test(void) { struct s x = { .c = 3, .a = 2 }; return x.a + x.b + x.c; }
//: behind a designator it goes on = 7
struct s { int a, b, c; };
int test(void) { struct s x = { .b = 3, 4 }; return x.b + x.c; }
//: designators into what is inside = 6
struct s { struct { int x[3]; } in; };
int test(void) { struct s v = { .in.x[1] = 6 }; return v.in.x[1] + v.in.x[0]; }
//: designators of anonymous members = 3
struct s { union { int a; long b; }; int c; };
int test(void) { struct s v = { .a = 1, .c = 2 }; return v.a + v.c; }
//: braces may be left out = 10
struct s { int a[2]; struct { int x, y; } b; };
int test(void) { struct s v = { 1, 2, 3, 4 }; return v.a[0] + v.a[1] + v.b.x + v.b.y; }
//: some braces = 21
int test(void) { int a[2][3] = { { 1, 2 }, 3, 4, 5 }; return a[0][0] + a[0][1] + a[0][2] + a[1][0] * 2 + a[1][1] + a[1][2] + 3; }
//: an array of characters by a string = 3
int test(void) { char s[] = "ab"; return sizeof(s); }
//: a string without its end = 98
int test(void) { char s[2] = "ab"; return s[1]; }
//: what is behind a string is zero = 0
int test(void) { char s[8] = "ab"; return s[2] + s[7]; }
//: a string in braces = 97
int test(void) { char s[] = { "ab" }; return s[0]; }
//: strings in a struct = 100
struct s { char a[4]; char b[4]; };
int test(void) { struct s x = { "ab", "cd" }; return x.b[1]; }
//: a table of strings = 101
int test(void) { static const char names[3][8] = { "one", "two", "three" }; return names[2][4]; }
//: an expression that is no constant = 7
static __attribute__((noinline)) int three(void) { return 3; }
int test(void) { int a[2] = { three(), three() + 1 }; return a[0] + a[1]; }
//: a struct by a struct = 2
struct s { int a, b; };
int test(void) { struct s x = { 1, 2 }; struct s y[2] = { x, x }; return y[1].b; }
//: a compound literal = 5
struct s { int a, b; };
int test(void) { struct s x; x = (struct s){ .b = 5 }; return x.a + x.b; }
//: the address of a compound literal = 4
struct s { int a; };
static __attribute__((noinline)) int get(struct s *p) { return p->a; }
int test(void) { return get(&(struct s){ 4 }); }
//: a compound literal of an array = 2
int test(void) { return ((int[]){ 1, 2, 3 })[1]; }
//: a scalar in braces = 3
int test(void) { int a = { 3 }; return a; }
//: an empty initialiser = 0
struct s { int a[3]; };
int test(void) { struct s x = {}; return x.a[0] + x.a[2]; }
//: a union's first member = 1
union u { char c; int i; };
int test(void) { union u x = { 0x101 }; return x.c; }
//: a union by a member = 258
union u { char c; int i; };
int test(void) { union u x = { .i = 258 }; return x.i; }
//: bitfields = 7
struct s { unsigned a : 2, b : 3; };
int test(void) { struct s x = { .b = 7 }; return x.b + x.a; }
//: constants of files = 9
enum { N = 3 };
static const int table[N] = { N, N * 2, N * 3 };
int test(void) { return table[N - 1]; }
//: sizeof in a constant = 8
static int n = sizeof(long) / sizeof(char);
int test(void) { return n; }
//: a conditional in a constant = 2
static int n = sizeof(long) == 8 ? 2 : 1;
int test(void) { return n; }
//: casts in constants = 255
static int n = (unsigned char)-1;
int test(void) { return n; }
//: data that changes = 6
static int n = 5;
int test(void) { n++; return n; }
//: data of 64 bits = 1
static unsigned long n = 0x123456789;
int test(void) { return n >> 32; }
//: a constant struct with arrays = 18
static const struct { int id; short v[3]; } t[2] = { { 1, { 2, 3 } }, { 4, { 5, 6, 7 } } };
int test(void) { int s = 0; for (int i = 0; i < 3; i++) s += t[1].v[i]; return s; }
