/*
 * What libbpf's CO-RE makes of an object: its programs' instructions after relocation against the types in a file.
 *
 *   core OBJECT BTF           all programs at once
 *   core -e OBJECT BTF        each program alone, the object opened anew
 *   core -n NAME OBJECT BTF   one program
 *
 * BTF is a file with types, or `-` for those of the running kernel and its modules. Prints a line a program: its name, then instructions in hexadecimal, or `refused` when libbpf refused a relocation, or `failed` with
 * libbpf's words when it gave up before it relocated. Whether the kernel then takes the programs does not matter.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static char said[4096];
static int refused;

static int note(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char text[1024];

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(text, sizeof(text), format, arguments);
	if (strstr(text, "failed to relocate: -") || strstr(text, "failed to patch insn") ||
	    strstr(text, "failed to perform CO-RE relocations"))
		refused = 1;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s", text);
	if (getenv("VERBOSE"))
		fputs(text, stderr);
	return 0;
}

static void print_program(const struct bpf_program *program)
{
	const unsigned char *bytes = (const void *)bpf_program__insns(program);
	size_t i, size = bpf_program__insn_cnt(program) * 8;

	printf("%s ", bpf_program__name(program));
	if (refused) {
		puts("refused");
		return;
	}
	for (i = 0; i < size; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
}

static int relocate(const char *path, const char *btf, const char *only)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = strcmp(btf, "-") ? btf : NULL);
	struct bpf_object *object = bpf_object__open_file(path, &options);
	struct bpf_program *program;
	int error;

	if (!object) {
		fprintf(stderr, "%s: not opened: %s\n%s", path, strerror(errno), said);
		return 1;
	}
	said[0] = 0;
	refused = 0;
	bpf_object__for_each_program(program, object) {
		if (only)
			bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), only));
		bpf_program__set_log_level(program, 0);
	}
	error = bpf_object__load(object);
	bpf_object__for_each_program(program, object) {
		if (!bpf_program__autoload(program))
			continue;
		if (error && !refused && !strstr(said, "prog '")) {
			char *end = strchr(said, '\n');

			printf("%s failed %.*s\n", bpf_program__name(program), end ? (int)(end - said) : 0, said);
			continue;
		}
		print_program(program);
	}
	bpf_object__close(object);
	return 0;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	struct bpf_program *program;

	libbpf_set_print(note);
	if (argc == 3)
		return relocate(argv[1], argv[2], NULL);
	if (argc == 5 && !strcmp(argv[1], "-n"))
		return relocate(argv[3], argv[4], argv[2]);
	if (argc != 4 || strcmp(argv[1], "-e")) {
		fputs("usage: core [-e | -n NAME] OBJECT BTF\n", stderr);
		return 2;
	}
	object = bpf_object__open_file(argv[2], NULL);
	if (!object)
		return 1;
	bpf_object__for_each_program(program, object)
		relocate(argv[2], argv[3], bpf_program__name(program));
	bpf_object__close(object);
	return 0;
}
