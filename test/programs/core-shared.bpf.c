/* Relocations of one object share candidates: against kernel 3 of core-target.c the first question of each type decides for the later ones. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

typedef unsigned long long u64;

char LICENSE[] SEC("license") = "GPL";

#define core __attribute__((preserve_access_index))

struct basics { u64 b; short a; char small; int narrow; int only_first; } core;
struct basics___again { int narrow; int only_first; short a; u64 b; } core;
struct renamed { int old_name; int new_name; } core;

/* Only the first struct basics of the kernel has it. */
SEC("socket") int first(void *ctx) { struct basics *p = ctx; return p->only_first; }
/* Alone, the second has it. */
SEC("socket") int narrow(void *ctx) { struct basics *p = ctx; return bpf_core_field_exists(p->narrow); }
SEC("socket") int narrow_load(void *ctx) { struct basics *p = ctx; return p->narrow; }
/* Both have it, at one place. */
SEC("socket") int both(void *ctx) { struct basics *p = ctx; return (int)p->b; }
/* Another root type begins anew. */
SEC("socket") int again(void *ctx) { struct basics___again *p = ctx; return p->narrow; }
SEC("socket") int again_first(void *ctx) { struct basics___again *p = ctx; return bpf_core_field_exists(p->only_first); }
/* Decided for the struct that has the old name. */
SEC("socket") int old(void *ctx) { struct renamed *p = ctx; return p->old_name; }
SEC("socket") int new(void *ctx) { struct renamed *p = ctx; return p->new_name; }
