/* The types of made-up kernels, against which core-types.bpf.c is relocated. KERNEL chooses one:
 *  1  fields moved, resized, in anonymous members; bitfields shifted; enums renumbered
 *  2  fields missing, types replaced by others, some structs gone
 *  3  several types of one name, as flavours, which agree in some fields and differ in others
 *  4  as 1, with pointers and long of four bytes: made by gcc -m32 -gbtf, since clang writes BTF for BPF only
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

struct inner { int before; int value; char tail[3]; };
#if KERNEL == 2
typedef int point_t;
#else
typedef struct { long pad; int x; } point_t;
#endif
typedef int (*callback_t)(struct inner *, int);
typedef u32 number_t;

#if KERNEL == 1 || KERNEL == 4
enum state { STATE_NEW, STATE_IDLE = 5, STATE_RUN = 77, STATE_NEG___old };
enum wide { WIDE_A = 1, WIDE_BIG = 0x1234567890ULL, WIDE_TOP = 0xfedcba9876543210ULL };
enum signs { SIGNS_LOW = -100, SIGNS_ZERO = 0, SIGNS_HIGH = 100 };
enum unsign { UNSIGN_TOP = 0x90000000u, UNSIGN_ONE = 1 };
enum width { WIDTH_X = 3, WIDTH_Y = 0x100000000ULL };
struct basics {
	char gap[40];
	const char *pointer;
	union { struct { int __unused; short a; }; u64 whole; };
	const volatile u64 b;
	u8 small;
	u16 grown;
	u64 wide;
	u32 narrow;
	int signed_narrow;
	s64 signed_wide;
	struct inner in;
	struct inner list[8];
	int grid[3][5];
	enum state state;
	char name[32];
	int (*call)(void);
	double real;
	int flexible[];
};
struct bits {
	int gap;
	u32 low: 5, mid: 13, high: 14;
	int sig: 7;
	u64 wide: 33;
	u8 plain_now;
	u16 bit_now: 3;
	enum state state: 4;
	u64 straddle_a: 30, straddle_b: 40;
};
union either { int a; long b; char bytes[20]; };
struct renamed { int new_name; };
struct only_here { int x; };
struct sized { char bytes[100]; };
struct matched { int a; int b; struct inner *in; enum state s; int list[4]; u32 (*call)(int, void *); struct fwd_a *f; };
struct fwd_a;
union fwd_b;
struct last { int n; };
#elif KERNEL == 2
enum state { STATE_NEW, STATE_OTHER };
enum wide { WIDE_A = 1 };
struct signs { int x; };
struct basics {
	int a[4];
	struct inner b;
	int list;
	struct inner grid[3];
	long *name;
	float in;
	union { u64 x; } state;
	u64 small: 3;
	int narrow;
	s64 wide;
};
struct bits { int low; int mid; u64 high; u32 sig; u64 wide; };
struct either { int a; };
struct renamed___new { int x; };
struct matched { long a; int b; struct inner in; };
struct last { int n; int more; };
#elif KERNEL == 3
enum state { STATE_NEW = 1, STATE_IDLE = 2, STATE_RUN = 3 };
enum state___b { STATE_NEW___b = 1, STATE_IDLE___b = 20, STATE_RUN___b = 3 };
enum wide { WIDE_A = 1, WIDE_BIG = 2 };
enum wide___x { WIDE_A___x = 1, WIDE_BIG___x = 0x1234567890ULL };
struct basics { int only_first; u64 b; short a; char small; };
struct basics___second { int gap; u64 b; short a; int narrow; };
struct basics____x { int a; };
struct basics___ { int a; };
struct ___basics { int a; };
struct basics___third___deep { int a; };
struct sized { int x; };
struct sized___2 { int x; };
struct sized___3 { int y[2]; };
struct renamed { int new_name; int old_name; };
struct renamed___a { int new_name; };
struct either { int a; };
union either___x { int b; int a; };
struct last { int n; };
struct last___x { char c; int n; };
struct bits { u32 low: 5, mid: 13; };
struct bits___x { u32 low: 5, mid: 13; };
#endif

/* Compilers describe what is used. */
struct inner keep_inner;
point_t keep_point;
callback_t keep_callback;
number_t keep_number;
enum state keep_state;
enum wide keep_wide;
struct basics keep_basics;
struct bits keep_bits;
struct last keep_last;
#if KERNEL == 1 || KERNEL == 4
enum signs keep_signs;
enum unsign keep_unsign;
enum width keep_width;
union either keep_either;
struct renamed keep_renamed;
struct matched keep_matched;
struct sized keep_sized;
struct only_here keep_only_here;
struct fwd_a *keep_fwd_a;
union fwd_b *keep_fwd_b;
#elif KERNEL == 2
struct signs keep_signs;
struct either keep_either;
struct matched keep_matched;
struct renamed___new keep_renamed_new;
#elif KERNEL == 3
enum state___b keep_state_b;
enum wide___x keep_wide_x;
struct basics___second keep_second;
struct basics____x keep_basics_x;
struct basics___ keep_basics_none;
struct ___basics keep_basics_front;
struct basics___third___deep keep_deep;
struct sized keep_sized;
struct sized___2 keep_sized_2;
struct sized___3 keep_sized_3;
struct renamed keep_renamed;
struct renamed___a keep_renamed_a;
struct either keep_either;
union either___x keep_either_x;
struct last___x keep_last_x;
struct bits___x keep_bits_x;
#endif
