// The peer's side of `npm run bench -- load`: opens and loads an object with libbpf, and tells how long each part took.
// cc -O2 -o load load.c -lbpf -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <bpf/libbpf.h>

static double in_verifier;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

// libbpf reaches bpf(2) through syscall(3), which is this one: the time inside program loads is the kernel's.
long syscall(long number, ...)
{
	static long (*real)(long, ...);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	va_list list;
	va_start(list, number);
	long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
	long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
	va_end(list);
	if (number != __NR_bpf || a != 5 /* BPF_PROG_LOAD */)
		return real(number, a, b, c, d, e, f);
	double begun = now();
	long result = real(number, a, b, c, d, e, f);
	in_verifier += now() - begun;
	return result;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN && getenv("SKEP_VERBOSE") ? vfprintf(stderr, format, args) : 0;
}

int main(int argc, char **argv)
{
	libbpf_set_print(quiet);
	struct rusage before;
	getrusage(RUSAGE_SELF, &before);
	double begun = now();
	struct bpf_object *object = bpf_object__open(argv[argc - 1]);
	if (!object)
		return 1;
	double opened = now();
	if (bpf_object__load(object))
		return 1;
	double loaded = now();
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	double user = (usage.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1e3 +
		      (usage.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e3;
	printf("{\"openMs\":%.3f,\"loadMs\":%.3f,\"verifierMs\":%.3f,\"rssMib\":%.2f,\"userMs\":%.3f}\n", opened - begun, loaded - opened,
	       in_verifier, usage.ru_maxrss / 1024.0, user);
	return 0;
}
