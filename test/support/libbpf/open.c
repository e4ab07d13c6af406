// Referee for reading objects: what libbpf makes of object files, as two lines of JSON a file: what opening tells, and the code. Nothing
// is loaded: code is put together by libbpf's generator of light skeletons, in which maps are numbers and CO-RE is left to do.
// cc -O2 -o open open.c -lbpf
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

static int report(enum libbpf_print_level level, const char *format, va_list args)
{
	return getenv("LIBBPF_LOG") && level != LIBBPF_DEBUG ? vfprintf(stderr, format, args) : 0;
}

static void hex(const char *key, const void *data, size_t size)
{
	printf("\"%s\":\"", key);
	for (size_t i = 0; i < size; i++)
		printf("%02x", ((const unsigned char *)data)[i]);
	printf("\"");
}

static void maps(struct bpf_object *obj)
{
	struct bpf_map *map;
	const char *comma = "";

	printf("\"maps\":[");
	bpf_object__for_each_map(map, obj) {
		size_t size = 0;
		const void *value = bpf_map__initial_value(map, &size);
		struct bpf_map *inner = bpf_map__inner_map(map);

		printf("%s{\"name\":\"%s\",\"type\":%u,\"key\":%u,\"value\":%u,\"entries\":%u,\"flags\":%u,\"keyType\":%u,\"valueType\":%u,",
		       comma, bpf_map__name(map), bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
		       bpf_map__max_entries(map), bpf_map__map_flags(map), bpf_map__btf_key_type_id(map),
		       bpf_map__btf_value_type_id(map));
		printf("\"numa\":%u,\"extra\":\"%llu\",\"autocreate\":%d,\"pinned\":%d,", bpf_map__numa_node(map),
		       (unsigned long long)bpf_map__map_extra(map), bpf_map__autocreate(map), bpf_map__pin_path(map) != NULL);
		if (inner)
			printf("\"inner\":[%u,%u,%u,%u,%u],", bpf_map__type(inner), bpf_map__key_size(inner),
			       bpf_map__value_size(inner), bpf_map__max_entries(inner), bpf_map__map_flags(inner));
		// Functions of struct_ops are addresses of this process.
		if (value && bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
			hex("initial", value, size);
		else
			printf("\"initial\":null");
		printf("}");
		comma = ",";
	}
	printf("],");
}

static void programs(struct bpf_object *obj)
{
	struct bpf_program *prog;
	const char *comma = "";

	printf("\"programs\":[");
	bpf_object__for_each_program(prog, obj) {
		printf("%s{\"name\":\"%s\",\"section\":\"%s\",\"type\":%u,\"attachType\":%u,\"autoload\":%d}", comma,
		       bpf_program__name(prog), bpf_program__section_name(prog), bpf_program__type(prog),
		       bpf_program__expected_attach_type(prog), bpf_program__autoload(prog));
		comma = ",";
	}
	printf("],");
}

static void code(struct bpf_object *obj)
{
	struct bpf_program *prog;
	const char *comma = "";

	printf("\"code\":[");
	bpf_object__for_each_program(prog, obj) {
		printf("%s{", comma);
		hex("insns", bpf_program__insns(prog), bpf_program__insn_cnt(prog) * 8);
#if LIBBPF_MAJOR_VERSION > 1 || LIBBPF_MINOR_VERSION >= 7
		printf(",");
		hex("funcs", bpf_program__func_info(prog), bpf_program__func_info_cnt(prog) * 8);
		printf(",");
		hex("lines", bpf_program__line_info(prog), bpf_program__line_info_cnt(prog) * 16);
#endif
		printf("}");
		comma = ",";
	}
	printf("]");
}

static void file(const char *path)
{
	struct bpf_object_open_opts open_opts = { .sz = sizeof(open_opts), .pin_root_path = "/pins" };
	struct gen_loader_opts gen_opts = { .sz = sizeof(gen_opts) };
	struct bpf_object *obj = bpf_object__open_file(path, &open_opts);
	struct bpf_program *prog;
	struct bpf_map *map;
	unsigned int size = 0;
	const void *types;
	int err;

	if (!obj) {
		printf("{\"file\":\"%s\",\"open\":%d}\n", path, -errno);
		return;
	}
	printf("{\"file\":\"%s\",\"open\":0,\"name\":\"%s\",", path, bpf_object__name(obj));
	maps(obj);
	programs(obj);
	printf("\"end\":0}\n");
	fflush(stdout);
	printf("{\"file\":\"%s\",", path);
	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, true);
	bpf_object__for_each_map(map, obj)
		bpf_map__set_pin_path(map, NULL);
	err = bpf_object__gen_loader(obj, &gen_opts);
	if (!err)
		err = bpf_object__load(obj);
	printf("\"load\":%d,", err);
	code(obj);
	printf(",");
	// After the types are mended.
	types = bpf_object__btf(obj) ? btf__raw_data(bpf_object__btf(obj), &size) : NULL;
	hex("btf", types, size);
	printf("}\n");
}

int main(int argc, char **argv)
{
	libbpf_set_print(report);
	for (int i = 1; i < argc; i++) {
		// The generator falls over some objects: a process for each, and a line only of what was told to the end.
		pid_t child = fork();
		int status;

		if (child == 0) {
			setvbuf(stdout, malloc(1 << 26), _IOFBF, 1 << 26);
			file(argv[i]);
			fflush(stdout);
			_exit(0);
		}
		waitpid(child, &status, 0);
		if (status != 0)
			dprintf(1, "{\"file\":\"%s\",\"crash\":%d}\n", argv[i], status);
	}
	return 0;
}
