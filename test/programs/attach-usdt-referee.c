// What libbpf sees of the same probes: referee OBJECT BINARY PROVIDER NAME SLOT [NAME SLOT]..., then runs BINARY 5 and prints the map.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

struct seen {
  long runs, count, values[6], digest[6];
};

static int quiet(enum libbpf_print_level level, const char *format, va_list args) {
  return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

int main(int argc, char **argv) {
  libbpf_set_print(quiet);
  struct bpf_object *object = bpf_object__open(argv[1]);
  struct bpf_program *section = bpf_object__find_program_by_name(object, "by_section");
  bpf_program__set_autoload(section, false);
  if (!object || bpf_object__load(object)) return 1;
  struct bpf_program *program = bpf_object__find_program_by_name(object, "trace");
  int map = bpf_object__find_map_fd_by_name(object, "results");
  for (int i = 4; i + 1 < argc; i += 2) {
    LIBBPF_OPTS(bpf_usdt_opts, options, .usdt_cookie = strtoul(argv[i + 1], NULL, 10));
    if (!bpf_program__attach_usdt(program, -1, argv[2], argv[3], argv[i], &options)) fprintf(stderr, "%s: refused\n", argv[i]);
  }
  pid_t child = fork();
  if (child == 0) {
    execl(argv[2], argv[2], "5", NULL);
    _exit(127);
  }
  waitpid(child, NULL, 0);
  for (int i = 4; i + 1 < argc; i += 2) {
    __u32 slot = strtoul(argv[i + 1], NULL, 10);
    struct seen seen = {0};
    bpf_map_lookup_elem(map, &slot, &seen);
    printf("%s %ld %ld", argv[i], seen.runs, seen.count);
    for (int j = 0; j < 6; j++) printf(" %ld:%ld", seen.values[j], seen.digest[j]);
    printf("\n");
  }
  return 0;
}
