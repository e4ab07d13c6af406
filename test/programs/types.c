// Types of many shapes, compiled with `clang -g -O2 -target bpf -c` (and `bpfeb`) by the tests of BTF.
typedef unsigned int u32;
typedef unsigned long long u64;
typedef void (*callback_t)(const char *fmt, ...);
typedef int (*(*nested_t)(void))(int, long);

enum color { RED, GREEN = 5, BLUE = -3 };

struct node {
  struct node *next;
  const volatile u32 *const *table[3][4];
};

struct __attribute__((packed)) tight {
  char c;
  u64 wide;
  u32 bits : 5;
  u32 more : 11;
};

union both {
  u64 whole;
  struct {
    u32 low;
    u32 high;
  };
  double real;
};

struct all {
  struct node node;
  struct tight tight;
  union both either;
  callback_t callback;
  nested_t nested;
  enum color color;
  _Bool flag;
  char name[16];
  char rest[];
};

struct all *everything;
static u64 counter;
const volatile int limit = 10;

__attribute__((noinline)) static int helper(struct all *all) {
  return all->color + limit;
}

__attribute__((section("tracepoint/x"))) int program(void *ctx) {
  counter++;
  return helper(everything);
}

char _license[] __attribute__((section("license"))) = "GPL";
