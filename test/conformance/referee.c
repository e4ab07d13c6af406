/*
 * What libbpf makes of objects: each program of each object opened, loaded alone, attached where its section says, let go. Verdicts are
 * lines of JSON appended to the file named by $SKEP_WATCH, among those that watch.c writes there.
 *
 *   cc -O2 -Wall -o referee referee.c -lbpf
 *   SKEP_WATCH=out.jsonl LD_PRELOAD=./watch.so ./referee [--no-attach] [--btf FILE] OBJECT...
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int out = -1;
static const char *custom_btf;
static int attaching = 1;

static void say(const char *format, ...)
{
	char line[4096];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	line[size++] = '\n';
	if (write(out, line, size) != size)
		abort();
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	if (getenv("SKEP_REFEREE_VERBOSE"))
		return vfprintf(stderr, format, args);
	return 0;
}

/* One line of what libbpf warned of last, for people who read the table. */
static char warning[512];

static int keep_warning(enum libbpf_print_level level, const char *format, va_list args)
{
	char text[512];

	if (level == LIBBPF_WARN) {
		vsnprintf(text, sizeof(text), format, args);
		text[strcspn(text, "\n")] = 0;
		for (char *at = text; *at; at++)
			if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ')
				*at = '\'';
		/* The first one is the cause; what follows says that it was fatal. */
		if (!warning[0])
			strcpy(warning, text);
	}
	return quiet(level, format, args);
}

static struct bpf_object *open_object(const char *path)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = custom_btf);

	warning[0] = 0;
	return bpf_object__open_file(path, &opts);
}

/* Programs of user space set the sizes of some maps before they load them; here all get the same. ours.mjs has the same table. */
static void give_sizes(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		int type = bpf_map__type(map);
		int sized = type != BPF_MAP_TYPE_PERF_EVENT_ARRAY && type != BPF_MAP_TYPE_CGROUP_STORAGE &&
			    type != BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE && type != BPF_MAP_TYPE_SK_STORAGE && type != BPF_MAP_TYPE_STRUCT_OPS &&
			    type != BPF_MAP_TYPE_INODE_STORAGE && type != BPF_MAP_TYPE_TASK_STORAGE && type != 32 /* CGRP_STORAGE */;

		if (bpf_map__max_entries(map) == 0 && sized)
			bpf_map__set_max_entries(map, type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_USER_RINGBUF ? 4096 : 1024);
		if (type == BPF_MAP_TYPE_STACK_TRACE && bpf_map__value_size(map) == 0)
			bpf_map__set_value_size(map, 127 * 8);
	}
}

/*
 * Attaches a program: where its section says, or, of types whose sections say no place, to the loopback interface and the network
 * namespace of this process, which is its own, and to the cgroup $SKEP_CGROUP. ours.mjs has the same table.
 */
static struct bpf_link *attach(struct bpf_program *program)
{
	const char *path = getenv("SKEP_CGROUP");
	struct bpf_link *link = NULL;
	int fd = -1;

	switch ((int)bpf_program__type(program)) {
	case BPF_PROG_TYPE_XDP:
		if (bpf_program__expected_attach_type(program) == BPF_XDP || !bpf_program__expected_attach_type(program))
			return bpf_program__attach_xdp(program, 1);
		break;
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_CGROUP_SOCK:
	case BPF_PROG_TYPE_SOCK_OPS:
	case BPF_PROG_TYPE_CGROUP_DEVICE:
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
	case BPF_PROG_TYPE_CGROUP_SYSCTL:
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
		fd = open(path ? path : "/sys/fs/cgroup", O_RDONLY | O_CLOEXEC);
		link = bpf_program__attach_cgroup(program, fd);
		break;
	case BPF_PROG_TYPE_FLOW_DISSECTOR:
	case BPF_PROG_TYPE_SK_LOOKUP:
		fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		link = bpf_program__attach_netns(program, fd);
		break;
#if LIBBPF_MAJOR_VERSION > 1 || LIBBPF_MINOR_VERSION >= 3
	case BPF_PROG_TYPE_SCHED_CLS:
		if (bpf_program__expected_attach_type(program) == BPF_TCX_INGRESS || bpf_program__expected_attach_type(program) == BPF_TCX_EGRESS)
			return bpf_program__attach_tcx(program, 1, NULL);
		break;
	case BPF_PROG_TYPE_NETFILTER: {
		LIBBPF_OPTS(bpf_netfilter_opts, opts, .pf = 2, .hooknum = 0, .priority = -128);

		return bpf_program__attach_netfilter(program, &opts);
	}
#endif
	}
	if (fd < 0)
		return bpf_program__attach(program);
	if (!link) {
		int error = errno;

		close(fd);
		errno = error;
		return NULL;
	}
	close(fd);
	return link;
}

static void one_program(const char *path, const char *name)
{
	struct bpf_object *object = open_object(path);
	struct bpf_program *program, *wanted = NULL;
	struct bpf_link *link;
	int error;

	if (!object)
		return;
	bpf_object__for_each_program(program, object) {
		int same = strcmp(bpf_program__name(program), name) == 0;

		bpf_program__set_autoload(program, same);
		if (same)
			wanted = program;
	}
	give_sizes(object);
	error = bpf_object__load(object);
	say("{\"loaded\":%d,\"why\":\"%s\"}", -error, error ? warning : "");
	warning[0] = 0;
	if (!error && attaching) {
		link = attach(wanted);
		error = link ? 0 : errno;
		say("{\"attached\":%d,\"why\":\"%s\"}", error, error ? warning : "");
		bpf_link__destroy(link);
	}
	bpf_object__close(object);
}

/* The whole object loaded as it is; with the name of a struct_ops map, that registered. */
static void whole_object(const char *path, const char *name)
{
	struct bpf_object *object = open_object(path);
	struct bpf_link *link;
	int error;

	if (!object)
		return;
	give_sizes(object);
	error = bpf_object__load(object);
	say("{\"loaded\":%d,\"why\":\"%s\"}", -error, error ? warning : "");
	warning[0] = 0;
	if (name && !error && attaching) {
		link = bpf_map__attach_struct_ops(bpf_object__find_map_by_name(object, name));
		error = link ? 0 : errno;
		say("{\"attached\":%d,\"why\":\"%s\"}", error, error ? warning : "");
		bpf_link__destroy(link);
	}
	bpf_object__close(object);
}

static void one_object(const char *path)
{
	const char *base = strrchr(path, '/');
	struct bpf_object *object = open_object(path);
	struct bpf_program *program;
	struct bpf_map *map;

	base = base ? base + 1 : path;
	if (!object) {
		say("{\"object\":\"%s\",\"opened\":%d,\"why\":\"%s\"}", base, errno, warning);
		return;
	}
	say("{\"object\":\"%s\",\"opened\":0}", base);
	bpf_object__for_each_map(map, object) {
		say("{\"map\":\"%s\",\"type\":%d,\"key\":%u,\"value\":%u,\"entries\":%u,\"flags\":%u}", bpf_map__name(map), bpf_map__type(map),
		    bpf_map__key_size(map), bpf_map__value_size(map), bpf_map__max_entries(map), bpf_map__map_flags(map));
	}
	bpf_object__for_each_program(program, object) {
		say("{\"program\":\"%s\",\"section\":\"%s\",\"type\":%d,\"attachType\":%d,\"autoload\":%d}", bpf_program__name(program),
		    bpf_program__section_name(program), bpf_program__type(program), bpf_program__expected_attach_type(program),
		    bpf_program__autoload(program));
		one_program(path, bpf_program__name(program));
	}
	say("{\"program\":\"(all)\",\"section\":\"\",\"type\":0,\"attachType\":0,\"autoload\":1}");
	whole_object(path, NULL);
	bpf_object__for_each_map(map, object) {
		if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
			continue;
		say("{\"program\":\"struct_ops %s\",\"section\":\"\",\"type\":0,\"attachType\":0,\"autoload\":1}", bpf_map__name(map));
		whole_object(path, bpf_map__name(map));
	}
	bpf_object__close(object);
}

int main(int argc, char **argv)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const char *to = getenv("SKEP_WATCH");
	int first = 1;

	for (; first < argc && argv[first][0] == '-'; first++) {
		if (strcmp(argv[first], "--no-attach") == 0)
			attaching = 0;
		else if (strcmp(argv[first], "--btf") == 0 && first + 1 < argc)
			custom_btf = argv[++first];
	}
	out = open(to ? to : "/dev/stdout", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (out < 0 || first == argc) {
		fprintf(stderr, "usage: SKEP_WATCH=FILE referee [--no-attach] [--btf FILE] OBJECT...\n");
		return 2;
	}
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(keep_warning);
	for (int i = first; i < argc; i++)
		one_object(argv[i]);
	return 0;
}
