// Types that are hard to name in another language, and a map of every shape: what generated TypeScript must cope with.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// Names that are one when written as TypeScript writes them; names of TypeScript and of its library.
struct item {
  enum Item { item_none, item_some } item;
  int class;
};
struct string {
  char constructor[4];
};
struct Promise {
  int then;
};
typedef struct {
  int unnamed;
} alias_t;
typedef struct item item_t;

struct tree {
  struct tree *left;
  struct tree *right;
  const volatile struct tree *const parent;
  void *payload;
  alias_t alias;
  item_t item;
  union {
    struct {
      int a;
      struct {
        int b;
      };
    };
    long c;
  };
  struct {
    union {
      int inner;
      char bytes[4];
    } choice[2];
  } nested;
  char rows[2][8];
  unsigned char raw[2][3];
  signed char small[4];
  int grid[2][3][4];
  unsigned long long wide : 40;
  int narrow : 3;
  _Bool flag : 1;
  __int128 huge;
  double ratio;
  enum { first, second } kind;
  int tail[];
};

struct key {
  __u32 prefix;
  __u8 address[4];
};

#define MAP(name, kind, entries, k, v) \
  struct {                             \
    __uint(type, kind);                \
    __uint(max_entries, entries);      \
    __type(key, k);                    \
    __type(value, v);                  \
  } name SEC(".maps")

MAP(hash, BPF_MAP_TYPE_HASH, 8, struct key, struct item);
MAP(lru, BPF_MAP_TYPE_LRU_HASH, 8, __u64, struct string);
MAP(array, BPF_MAP_TYPE_ARRAY, 8, __u32, struct Promise);
MAP(percpu, BPF_MAP_TYPE_PERCPU_HASH, 8, __u32, alias_t);
MAP(percpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, 8, __u32, __u64);

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 8);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct key);
  __type(value, enum Item);
} routes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(max_entries, 8);
  __type(value, struct item);
} queue SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 8);
  __type(key, __u32);
  __type(value, __u32);
} jumps SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_STACK_TRACE);
  __uint(max_entries, 8);
  __uint(key_size, 4);
  __uint(value_size, 127 * 8);
} stacks SEC(".maps");

struct inner {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, struct item);
} inner SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
  __uint(max_entries, 4);
  __type(key, __u32);
  __array(values, struct inner);
} maps SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct item);
} storage SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, 4);
  __uint(value_size, 4);
} perf SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
  __type(value, struct tree);
} ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4);
  __uint(key_size, 12);
  __uint(value_size, 20);
} untyped SEC(".maps");

extern int LINUX_KERNEL_VERSION __kconfig;

const volatile struct item limits = {};
struct tree *root;
int class_ SEC(".data.more");
__u64 total;

SEC("raw_tp/sys_enter")
int enter(void *ctx) {
  total += LINUX_KERNEL_VERSION + limits.class;
  return class_;
}

SEC("?raw_tp/sys_exit")
int leave(void *ctx) {
  return root != 0;
}

char LICENSE[] SEC("license") = "GPL";
