/*
 * What a loader hands to the kernel, seen from outside: a library for LD_PRELOAD that passes on syscall(2), through which libbpf and
 * Skep both make their bpf(2) and perf_event_open(2) calls, and appends a JSON line for each to the file named by $SKEP_WATCH.
 * Descriptors are replaced by what they stand for, so that lines of two processes can be compared.
 *
 *   cc -O2 -Wall -shared -fPIC -o watch.so watch.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Kernel headers of the machine may be older than the kernel. */
#define WATCH_MAP_ARENA 33
#define WATCH_SRC_MAP_FD 1
#define WATCH_SRC_MAP_VALUE 2
#define WATCH_SRC_BTF_ID 3
#define WATCH_SRC_MAP_IDX 5
#define WATCH_SRC_MAP_IDX_VALUE 6
#define WATCH_SRC_KFUNC 2

static long (*real)(long, ...);

static long bpf(int cmd, union bpf_attr *attr, unsigned int size)
{
	return real(__NR_bpf, (long)cmd, (long)attr, (long)size, 0L, 0L, 0L);
}

static uint32_t hash_bytes(uint32_t hash, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	while (size--)
		hash = (hash ^ *at++) * 16777619u;
	return hash;
}

#define HASH_START 2166136261u

/* A growing line of text. */
struct line {
	char *text;
	size_t used, room;
};

static void add(struct line *line, const char *format, ...)
{
	va_list args;
	int more;

	for (;;) {
		va_start(args, format);
		more = vsnprintf(line->text + line->used, line->room - line->used, format, args);
		va_end(args);
		if (line->used + more < line->room)
			break;
		line->room = (line->used + more + 1) * 2;
		line->text = realloc(line->text, line->room);
	}
	line->used += more;
}

static void add_text(struct line *line, const char *key, const char *text, size_t limit)
{
	add(line, ",\"%s\":\"", key);
	for (size_t i = 0; i < limit && text[i]; i++) {
		if (text[i] == '"' || text[i] == '\\' || (unsigned char)text[i] < ' ')
			add(line, "\\u%04x", (unsigned char)text[i]);
		else
			add(line, "%c", text[i]);
	}
	add(line, "\"");
}

/* Writes the line and frees it. The descriptor is kept, and is high, so that the loader's own numbers stay as they would be. */
static void finish(struct line *line)
{
	static int fd = -1;

	add(line, "}\n");
	if (fd < 0) {
		const char *path = getenv("SKEP_WATCH");
		int low = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;

		if (low >= 0) {
			fd = fcntl(low, F_DUPFD_CLOEXEC, 900);
			close(low);
		}
	}
	if (fd >= 0 && write(fd, line->text, line->used) < 0)
		abort();
	free(line->text);
}

static int map_info(int fd, struct bpf_map_info *info)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	memset(info, 0, sizeof(*info));
	attr.info.bpf_fd = fd;
	attr.info.info_len = sizeof(*info);
	attr.info.info = (uintptr_t)info;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
}

/* A number that stands for the map whatever its descriptor is. */
static uint32_t map_identity(int fd, struct line *line, int with_value)
{
	struct bpf_map_info info;
	uint32_t hash = HASH_START;
	union bpf_attr attr;

	if (map_info(fd, &info))
		return 0;
	hash = hash_bytes(hash, info.name, strnlen(info.name, sizeof(info.name)));
	hash = hash_bytes(hash, &info.type, sizeof(info.type));
	hash = hash_bytes(hash, &info.key_size, 4);
	hash = hash_bytes(hash, &info.value_size, 4);
	if (line) {
		add(line, "%s{\"flags\":%u,\"type\":%u,\"key\":%u,\"value\":%u,\"entries\":%u", line->text[line->used - 1] == '[' ? "" : ",",
		    info.map_flags, info.type, info.key_size, info.value_size, info.max_entries);
		add_text(line, "name", info.name, sizeof(info.name));
		if (with_value && info.type == BPF_MAP_TYPE_ARRAY) {
			uint32_t zero = 0;
			void *value = calloc(1, info.value_size);

			memset(&attr, 0, sizeof(attr));
			attr.map_fd = fd;
			attr.key = (uintptr_t)&zero;
			attr.value = (uintptr_t)value;
			if (!bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)))
				add(line, ",\"content\":\"%08x\"", hash_bytes(HASH_START, value, info.value_size));
			free(value);
		}
		add(line, "}");
	}
	return hash;
}

static void add_offsets(struct line *line, const char *key, uint64_t records, uint32_t count, uint32_t size)
{
	uint32_t hash = HASH_START;

	for (uint32_t i = 0; i < count; i++)
		hash = hash_bytes(hash, (const char *)(uintptr_t)records + (size_t)i * size, 4);
	add(line, ",\"%s\":\"%u/%08x\"", key, count, count ? hash : 0);
}

/* A field of the attribute when the caller's is long enough to have it. */
#define FIELD(attr, size, name) (size >= offsetof(union bpf_attr, name) + sizeof((attr)->name) ? (attr)->name : 0)

static void watch_prog_load(const union bpf_attr *attr, unsigned int size, int error)
{
	const struct bpf_insn *insns = (const void *)(uintptr_t)attr->insns;
	struct line line = { 0 }, maps = { 0 };
	unsigned char seen[1024] = { 0 };
	const char *hex = "0123456789abcdef";

	add(&line, "{\"call\":\"prog_load\",\"errno\":%d,\"type\":%u,\"attachType\":%u,\"flags\":%u,\"attachBtfId\":%u,\"attachOther\":%d", error,
	    attr->prog_type, FIELD(attr, size, expected_attach_type), FIELD(attr, size, prog_flags), FIELD(attr, size, attach_btf_id),
	    FIELD(attr, size, attach_prog_fd) != 0);
	add_text(&line, "name", attr->prog_name, sizeof(attr->prog_name));
	add_text(&line, "license", (const char *)(uintptr_t)attr->license, 200);
	add_offsets(&line, "funcInfo", FIELD(attr, size, func_info), FIELD(attr, size, func_info_cnt), attr->func_info_rec_size);
	add_offsets(&line, "lineInfo", FIELD(attr, size, line_info), FIELD(attr, size, line_info_cnt), attr->line_info_rec_size);
	add(&line, ",\"btf\":%d,\"insns\":\"", attr->prog_btf_fd != 0);
	add(&maps, "[");
	for (uint32_t i = 0; i < attr->insn_cnt; i++) {
		struct bpf_insn insn = insns[i];
		const unsigned char *bytes = (const void *)&insn;

		if (insn.code == (BPF_LD | BPF_DW | BPF_IMM) && (insn.src_reg == WATCH_SRC_MAP_FD || insn.src_reg == WATCH_SRC_MAP_VALUE)) {
			int first = insn.imm >= 0 && insn.imm < (int)sizeof(seen) && !seen[insn.imm];

			if (first)
				seen[insn.imm] = 1;
			insn.imm = map_identity(insn.imm, first ? &maps : NULL, insn.src_reg == WATCH_SRC_MAP_VALUE);
		} else if (i && insns[i - 1].code == (BPF_LD | BPF_DW | BPF_IMM) && insns[i - 1].src_reg == WATCH_SRC_BTF_ID) {
			/* The BTF of a module. */
			insn.imm = insn.imm != 0;
		} else if (insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == WATCH_SRC_KFUNC) {
			insn.off = insn.off != 0;
		}
		for (int b = 0; b < 8; b++)
			add(&line, "%c%c", hex[bytes[b] >> 4], hex[bytes[b] & 15]);
	}
	add(&line, "\",\"maps\":%s]", maps.text);
	free(maps.text);
	finish(&line);
}

static void watch_map_create(const union bpf_attr *attr, unsigned int size, int error)
{
	struct line line = { 0 };

	add(&line, "{\"call\":\"map_create\",\"errno\":%d,\"type\":%u,\"key\":%u,\"value\":%u,\"entries\":%u,\"flags\":%u", error, attr->map_type,
	    attr->key_size, attr->value_size, attr->max_entries, attr->map_flags);
	add_text(&line, "name", FIELD(attr, size, map_flags) || size > 28 ? attr->map_name : "", sizeof(attr->map_name));
	add(&line, ",\"numaNode\":%u,\"inner\":%d,\"btf\":%d,\"keyType\":%d,\"valueType\":%d,\"kernelType\":%u,\"extra\":\"%llx\"",
	    FIELD(attr, size, numa_node), FIELD(attr, size, inner_map_fd) != 0, FIELD(attr, size, btf_fd) != 0,
	    FIELD(attr, size, btf_key_type_id) != 0, FIELD(attr, size, btf_value_type_id) != 0,
	    FIELD(attr, size, btf_vmlinux_value_type_id), (unsigned long long)FIELD(attr, size, map_extra));
	finish(&line);
}

static void watch_attach(const char *call, const union bpf_attr *attr, unsigned int size, int cmd, int error)
{
	struct line line = { 0 };

	add(&line, "{\"call\":\"%s\",\"errno\":%d", call, error);
	if (cmd == BPF_RAW_TRACEPOINT_OPEN) {
		if (attr->raw_tracepoint.name)
			add_text(&line, "name", (const char *)(uintptr_t)attr->raw_tracepoint.name, 128);
	} else if (cmd == BPF_LINK_CREATE) {
		add(&line, ",\"attachType\":%u,\"flags\":%u", attr->link_create.attach_type, attr->link_create.flags);
	} else {
		add(&line, ",\"attachType\":%u,\"flags\":%u", attr->attach_type, attr->attach_flags);
	}
	finish(&line);
}

static void watch_perf_event(const struct perf_event_attr *attr, long pid, long cpu, int error)
{
	struct line line = { 0 };

	add(&line, "{\"call\":\"perf_event_open\",\"errno\":%d,\"type\":%u,\"config\":\"%llx\",\"offset\":\"%llx\",\"period\":%llu,\"pid\":%ld,\"oneCpu\":%d", error,
	    attr->type, (unsigned long long)attr->config, attr->type > PERF_TYPE_BREAKPOINT ? (unsigned long long)attr->probe_offset : 0,
	    (unsigned long long)attr->sample_period, pid, cpu >= 0);
	finish(&line);
}

long syscall(long number, ...)
{
	long a[6], result;
	va_list args;
	int error;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	result = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	error = errno;
	if (number == __NR_bpf) {
		const union bpf_attr *attr = (const void *)a[1];
		int answer = result < 0 ? error : 0;

		switch (a[0] & 0xffff) {
		case BPF_PROG_LOAD:
			watch_prog_load(attr, a[2], answer);
			break;
		case BPF_MAP_CREATE:
			watch_map_create(attr, a[2], answer);
			break;
		case BPF_RAW_TRACEPOINT_OPEN:
			watch_attach("raw_tracepoint_open", attr, a[2], BPF_RAW_TRACEPOINT_OPEN, answer);
			break;
		case BPF_LINK_CREATE:
			watch_attach("link_create", attr, a[2], BPF_LINK_CREATE, answer);
			break;
		case BPF_PROG_ATTACH:
			watch_attach("prog_attach", attr, a[2], BPF_PROG_ATTACH, answer);
			break;
		}
	} else if (number == __NR_perf_event_open) {
		watch_perf_event((const void *)a[0], (int)a[1], (int)a[2], result < 0 ? error : 0);
	}
	errno = error;
	return result;
}
