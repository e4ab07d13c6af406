/* One program a question to the kernel's types, against the made-up kernels of core-target.c. Every program is relocated alone. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

char LICENSE[] SEC("license") = "GPL";

#define core __attribute__((preserve_access_index))
/* A program that computes something of a pointer to a type. */
#define PROGRAM(name, type, expression) \
	SEC("socket") int name(void *ctx) { type *p = ctx; return (int)(u64)(expression); }
#define ASK(name, expression) \
	SEC("socket") int name(void *ctx) { return (int)(u64)(expression); }
#define STORE(name, type, statement) \
	SEC("socket") int name(void *ctx) { type *p = ctx; statement; return 0; }

enum state { STATE_NEW = 1, STATE_IDLE, STATE_RUN, STATE_NEG };
enum state___flavour { STATE_RUN___flavour = 9 };
enum wide { WIDE_A = 1, WIDE_BIG = 0x1000000000ULL, WIDE_TOP = 0xffffffffffffffffULL };
enum signs { SIGNS_LOW = -1, SIGNS_HIGH = 1 };
enum unsign { UNSIGN_TOP = 0x80000000u, UNSIGN_ONE = 2 };
enum width { WIDTH_X = 1, WIDTH_Y = 2 };
enum gone { GONE_X = 4 };

struct inner { int value; char tail[3]; } core;
typedef struct { int x; } core point_t;
typedef int (*callback_t)(struct inner *, int);
typedef int (*callback_other_t)(struct inner *);
typedef u64 number_t;

struct basics {
	short a;
	u64 b;
	u8 small;
	u8 grown;
	u32 wide;
	u64 narrow;
	s64 signed_narrow;
	int signed_wide;
	struct inner in;
	struct inner list[4];
	int grid[2][4];
	enum state state;
	char name[16];
	void *pointer;
	int (*call)(void);
	double real;
	int missing;
	int flexible[];
} core;
struct basics___mine { u64 b; int narrow; } core;
struct basics___none { int nothing_like_it; } core;
struct bits {
	u32 low: 3, mid: 20, high: 9;
	int sig: 9;
	u64 wide: 40;
	u32 plain_now: 4;
	u16 bit_now;
	enum state state: 8;
	u64 straddle_a: 10, straddle_b: 40;
} core;
struct packed_bits { u8 a; u64 b: 60; u32 c: 7; } __attribute__((packed)) core;
union either { int a; char bytes[8]; } core;
struct renamed___old { int old_name; } core;
struct renamed___new { int new_name; } core;
struct only_here { int x; } core;
struct sized { int x; } core;
struct fwd_a { int x; } core;
struct last { int n; } core;
struct matched { int b; int a; struct inner *in; } core;
struct matched___full { int a; struct inner *in; enum state s; int list[4]; u32 (*call)(int, void *); struct fwd_a *f; } core;
struct matched___list { int list[5]; } core;
struct matched___call { u32 (*call)(int); } core;
struct matched___type { u32 a; } core;

/* Loads: the offset in the instruction, or in a constant that is added. */
PROGRAM(load_short, struct basics, p->a)
PROGRAM(load_u64, struct basics, p->b)
PROGRAM(load_u8, struct basics, p->small)
PROGRAM(load_grown, struct basics, p->grown)
PROGRAM(load_wide, struct basics, p->wide)
PROGRAM(load_narrow, struct basics, p->narrow)
PROGRAM(load_signed_narrow, struct basics, p->signed_narrow)
PROGRAM(load_signed_wide, struct basics, p->signed_wide)
PROGRAM(load_inner, struct basics, p->in.value)
PROGRAM(load_inner_tail, struct basics, p->in.tail[2])
PROGRAM(load_list, struct basics, p->list[3].value)
PROGRAM(load_grid, struct basics, p->grid[1][3])
PROGRAM(load_state, struct basics, p->state)
PROGRAM(load_name, struct basics, p->name[15])
PROGRAM(load_pointer, struct basics, p->pointer)
PROGRAM(load_call, struct basics, p->call)
PROGRAM(load_missing, struct basics, p->missing)
PROGRAM(load_flexible, struct basics, p->flexible[7])
PROGRAM(load_second, struct basics, p[2].b)
PROGRAM(load_mine, struct basics___mine, p->b)
PROGRAM(load_mine_narrow, struct basics___mine, p->narrow)
PROGRAM(load_none, struct basics___none, p->nothing_like_it)
PROGRAM(load_union, union either, p->a)
PROGRAM(load_union_bytes, union either, p->bytes[5])
PROGRAM(load_old, struct renamed___old, p->old_name)
PROGRAM(load_new, struct renamed___new, p->new_name)
PROGRAM(load_only, struct only_here, p->x)
PROGRAM(load_typedef, point_t, p->x)
PROGRAM(load_last, struct last, p->n)
PROGRAM(load_fwd, struct fwd_a, p->x)
STORE(store_register, struct basics, p->wide = (u64)ctx)
STORE(store_number, struct basics, p->narrow = 7)
STORE(store_signed, struct basics, p->signed_narrow = 7)
STORE(store_small, struct basics, p->small = 7)
STORE(store_missing, struct basics, p->missing = 7)

PROGRAM(address_in, struct basics, &p->in)
PROGRAM(address_list, struct basics, &p->list[1])
PROGRAM(address_grid, struct basics, &p->grid[1])
PROGRAM(address_real, struct basics, &p->real)
PROGRAM(probe_read, struct basics, BPF_CORE_READ(p, b))
PROGRAM(probe_read_tail, struct basics, BPF_CORE_READ(p, in.tail[1]))

#define ANY_FIELD(name, type, field) \
	PROGRAM(size_##name, type, bpf_core_field_size(p->field)) \
	PROGRAM(exists_##name, type, bpf_core_field_exists(p->field)) \
	PROGRAM(offset_##name, type, __builtin_preserve_field_info(p->field, BPF_FIELD_BYTE_OFFSET))
/* clang knows signs and shifts of integers and enums only. */
#define FIELD(name, type, field) ANY_FIELD(name, type, field) \
	PROGRAM(signed_##name, type, __builtin_preserve_field_info(p->field, BPF_FIELD_SIGNED)) \
	PROGRAM(lshift_##name, type, __builtin_preserve_field_info(p->field, BPF_FIELD_LSHIFT_U64)) \
	PROGRAM(rshift_##name, type, __builtin_preserve_field_info(p->field, BPF_FIELD_RSHIFT_U64))
FIELD(a, struct basics, a)
FIELD(b, struct basics, b)
FIELD(grown, struct basics, grown)
FIELD(signed_wide, struct basics, signed_wide)
FIELD(in_value, struct basics, in.value)
FIELD(state, struct basics, state)
ANY_FIELD(pointer, struct basics, pointer)
FIELD(missing, struct basics, missing)
FIELD(low, struct bits, low)
FIELD(mid, struct bits, mid)
FIELD(high, struct bits, high)
FIELD(sig, struct bits, sig)
FIELD(wide_bits, struct bits, wide)
FIELD(plain_now, struct bits, plain_now)
FIELD(bit_now, struct bits, bit_now)
FIELD(state_bits, struct bits, state)
FIELD(straddle_a, struct bits, straddle_a)
FIELD(straddle_b, struct bits, straddle_b)
ANY_FIELD(in, struct basics, in)
ANY_FIELD(list, struct basics, list)
ANY_FIELD(name, struct basics, name)
ANY_FIELD(list_3, struct basics, list[3])
ANY_FIELD(grid_1, struct basics, grid[1])
ANY_FIELD(grid_1_3, struct basics, grid[1][3])
PROGRAM(exists_flexible, struct basics, bpf_core_field_exists(p->flexible))
PROGRAM(exists_old, struct renamed___old, bpf_core_field_exists(p->old_name))
PROGRAM(exists_new, struct renamed___new, bpf_core_field_exists(p->new_name))
PROGRAM(exists_none, struct basics___none, bpf_core_field_exists(p->nothing_like_it))
/* The macros have a variable of their own called p. */
#define BITFIELD(name, expression) SEC("socket") int name(void *ctx) { struct bits *q = ctx; return (int)(u64)(expression); }
BITFIELD(bit_low, BPF_CORE_READ_BITFIELD(q, low))
BITFIELD(bit_sig, BPF_CORE_READ_BITFIELD(q, sig))
BITFIELD(bit_wide, BPF_CORE_READ_BITFIELD(q, wide))
BITFIELD(bit_probed, BPF_CORE_READ_BITFIELD_PROBED(q, high))

#define TYPE(name, type) \
	ASK(type_exists_##name, bpf_core_type_exists(type)) \
	ASK(type_size_##name, bpf_core_type_size(type)) \
	ASK(type_local_##name, bpf_core_type_id_local(type)) \
	ASK(type_kernel_##name, bpf_core_type_id_kernel(type))
TYPE(basics, struct basics)
TYPE(mine, struct basics___mine)
TYPE(bits, struct bits)
TYPE(either, union either)
TYPE(renamed, struct renamed___new)
TYPE(only, struct only_here)
TYPE(sized, struct sized)
TYPE(last, struct last)
TYPE(fwd, struct fwd_a)
TYPE(state, enum state)
TYPE(wide, enum wide)
TYPE(width, enum width)
TYPE(signs, enum signs)
TYPE(gone, enum gone)
TYPE(point, point_t)
TYPE(callback, callback_t)
TYPE(number, number_t)

#define VALUE(name, type, constant) \
	ASK(value_exists_##name, bpf_core_enum_value_exists(type, constant)) \
	ASK(value_##name, bpf_core_enum_value(type, constant))
VALUE(new, enum state, STATE_NEW)
VALUE(idle, enum state, STATE_IDLE)
VALUE(run, enum state, STATE_RUN)
VALUE(neg, enum state, STATE_NEG)
VALUE(flavour, enum state___flavour, STATE_RUN___flavour)
VALUE(wide_a, enum wide, WIDE_A)
VALUE(wide_big, enum wide, WIDE_BIG)
VALUE(wide_top, enum wide, WIDE_TOP)
VALUE(low, enum signs, SIGNS_LOW)
VALUE(high, enum signs, SIGNS_HIGH)
VALUE(unsign_top, enum unsign, UNSIGN_TOP)
VALUE(unsign_one, enum unsign, UNSIGN_ONE)
VALUE(width_x, enum width, WIDTH_X)
VALUE(width_y, enum width, WIDTH_Y)
VALUE(gone, enum gone, GONE_X)

/*
 * clang 14 has no builtin that asks whether types match: the test turns the questions after existence in section tc into that one.
 */
#define MATCH(name, type) SEC("tc") int name(void *ctx) { return bpf_core_type_exists(type); }
MATCH(match_full, struct matched___full)
MATCH(match_plain, struct matched)
MATCH(match_list, struct matched___list)
MATCH(match_call, struct matched___call)
MATCH(match_type, struct matched___type)
MATCH(match_state, enum state___flavour)
MATCH(match_enum, enum state)
MATCH(match_wide, enum wide)
MATCH(match_signs, enum signs)
MATCH(match_union, union either)
MATCH(match_callback, callback_t)
MATCH(match_number, number_t)
MATCH(match_last, struct last)
MATCH(match_only, struct only_here)
MATCH(match_bits, struct bits)
