/* A program with static probes in all the ways that compilers write their arguments; run by tests. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

/* Counted up by the kernel while the probe is attached. */
__extension__ unsigned short skep_guarded_semaphore __attribute__((unused)) __attribute__((section(".probes")));
__extension__ unsigned short skep_plain_semaphore __attribute__((unused)) __attribute__((section(".probes")));
__extension__ unsigned short skep_sizes_semaphore __attribute__((unused)) __attribute__((section(".probes")));
__extension__ unsigned short skep_memory_semaphore __attribute__((unused)) __attribute__((section(".probes")));
__extension__ unsigned short skep_twice_semaphore __attribute__((unused)) __attribute__((section(".probes")));
__extension__ unsigned short skep_none_semaphore __attribute__((unused)) __attribute__((section(".probes")));

/* Not static: the compiler does not know its value, and reads it by its name. */
long global_value = -77;
int table[8] = {10, 11, 12, 13, 14, 15, 16, 17};

/* Two copies of the same probe, with other registers. */
static inline __attribute__((always_inline)) void twice(long a, int b) { DTRACE_PROBE2(skep, twice, a, b); }

__attribute__((noinline, noipa)) static void once(int8_t a, uint8_t b, int16_t c, uint16_t d, int e, unsigned f) {
  DTRACE_PROBE6(skep, sizes, a, b, c, d, e, f);
}

__attribute__((noinline, noipa)) static long memory(volatile long *pointer, long index) {
  struct {
    long first, second;
  } local = {index, index + 1};
  __asm__ volatile("" : : "r"(&local) : "memory");
  DTRACE_PROBE4(skep, memory, global_value, table[index], local.second, *pointer);
  return local.first;
}

int main(int argc, char **argv) {
  /* Programs read only what is in memory: a page that nobody touched is not. */
  *(volatile int *)table;
  int rounds = argc > 1 ? atoi(argv[1]) : 1;
  for (int i = 0; i < rounds; i++) {
    volatile long pointed = 1000 + i;
    DTRACE_PROBE(skep, none);
    DTRACE_PROBE3(skep, plain, i, 42, (int64_t)-5000000000);
    once(-1, 255, -300, 65000, -70000 - i, 4000000000u);
    memory(&pointed, i & 7);
    twice(i, -i);
    twice(i * 3L, i + 100);
    if (skep_guarded_semaphore) DTRACE_PROBE1(skep, guarded, skep_guarded_semaphore);
  }
  printf("%d\n", skep_guarded_semaphore);
  return 0;
}
