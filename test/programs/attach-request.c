/* A library with two versions of one function, and functions that share the start of their names; probed by tests. */
__attribute__((noinline)) int old_call(int value) { return value + 1; }
__attribute__((noinline)) int new_call(int value) { return value + 2; }
__asm__(".symver old_call, skep_call@SKEP_1");
__asm__(".symver new_call, skep_call@@SKEP_2");

__attribute__((noinline)) int skep_one(int value) { return value * 2 + 1; }
__attribute__((noinline)) int skep_two(int value) { return value * 3 + 1; }
int skep_variable = 7;
