/*
 * The peer of the ring benchmark: loads ring.bpf.o with libbpf, starts the load, reads the ring with ring_buffer__poll and prints what it got
 * as JSON. As "load" it is the load itself: getppid in a loop, at a rate or as fast as it goes, after a warm-up that does not count.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct state {
  unsigned long long pid, call, burst, sent, lost;
};

static unsigned long long received, sum;

static int on_record(void *context, void *data, size_t size) {
  (void)context;
  (void)size;
  received++;
  sum += *(unsigned long long *)data;
  return 0;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void call(long calls, double rate) {
  double start = now(), due;
  long done = 0;

  while (done < calls) {
    due = rate > 0 ? (now() - start) * rate : calls;
    if (due > calls) due = calls;
    while (done < due) {
      syscall(SYS_getppid);
      done++;
    }
  }
}

/* At each byte on its input: the warm-up, which it tells the end of, then what is measured. */
static int load(long calls, double rate) {
  char go;

  if (read(0, &go, 1) != 1) return 1;
  call(calls / 3, rate);
  if (write(1, "w", 1) != 1 || read(0, &go, 1) != 1) return 1;
  call(calls, rate);
  return 0;
}

static double cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "load") == 0) return load(atol(argv[2]), atof(argv[3]));
  if (argc != 6) {
    fprintf(stderr, "usage: %s OBJECT RING-BYTES BURST CALLS RATE\n", argv[0]);
    return 2;
  }
  struct bpf_object *object = bpf_object__open(argv[1]);
  if (object == NULL) return 1;
  bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "ring"), strtoul(argv[2], NULL, 10));
  if (bpf_object__load(object) != 0) return 1;

  int pipes[2], warm[2];
  if (pipe(pipes) != 0 || pipe(warm) != 0) return 1;
  pid_t child = fork();
  if (child == 0) {
    dup2(pipes[0], 0);
    dup2(warm[1], 1);
    close(pipes[1]);
    execl(argv[0], argv[0], "load", argv[4], argv[5], NULL);
    _exit(127);
  }
  int states = bpf_map__fd(bpf_object__find_map_by_name(object, "states"));
  unsigned zero = 0;
  struct state state = {.pid = child, .call = SYS_getppid, .burst = strtoul(argv[3], NULL, 10)};
  bpf_map_update_elem(states, &zero, &state, 0);
  struct bpf_link *link = bpf_program__attach(bpf_object__find_program_by_name(object, "write_records"));
  struct ring_buffer *ring =
      ring_buffer__new(bpf_map__fd(bpf_object__find_map_by_name(object, "ring")), on_record, NULL, NULL);
  if (link == NULL || ring == NULL) return 1;

  if (write(pipes[1], "w", 1) != 1) return 1;
  struct pollfd warmed = {.fd = warm[0], .events = POLLIN};
  while (poll(&warmed, 1, 0) == 0) ring_buffer__poll(ring, 20);
  ring_buffer__consume(ring);
  received = 0;
  state.sent = state.lost = 0;
  bpf_map_update_elem(states, &zero, &state, 0);

  double start = now(), before = cpu();
  if (write(pipes[1], "g", 1) != 1) return 1;
  int status, ended = 0;
  while (!ended) {
    ring_buffer__poll(ring, 20);
    ended = waitpid(child, &status, WNOHANG) == child;
  }
  double seconds = now() - start;
  ring_buffer__consume(ring);
  bpf_map_lookup_elem(states, &zero, &state);
  printf("{\"sent\":%llu,\"lost\":%llu,\"received\":%llu,\"seconds\":%f,\"cpu\":%f,\"sum\":%llu}\n", state.sent, state.lost,
         received, seconds, cpu() - before, sum);
  return 0;
}
