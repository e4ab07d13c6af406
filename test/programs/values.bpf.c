/* Types of values: what a map's value can be made of. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

enum color { RED, GREEN = 5, PAST = -1 };

typedef unsigned char mac_address[6];

struct inner {
  int number;
  char letter;
};

struct key {
  int id;
  enum color color;
};

struct value {
  mac_address mac;
  char name[16];
  signed char tiny;
  bool is_set;
  short small;
  void *address;
  enum color color;
  __int128 wide;
  unsigned three : 3;
  int five : 5;
  unsigned long long forty : 40;
  struct inner inner;
  struct inner pair[2];
  union {
    int as_int;
    unsigned as_unsigned;
  };
  long minus;
  unsigned long plus;
  int grid[2][3];
  char names[2][8];
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16);
  __type(key, struct key);
  __type(value, struct value);
} entries SEC(".maps");

char LICENSE[] SEC("license") = "GPL";
