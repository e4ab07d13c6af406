/** The program that records events, in C: one function for each tracepoint, two for all system calls. */
import type { TracepointFormat } from "../../lang/bpftrace/environment.ts";

/** Most bytes of a text that a record points to. */
const MOST_TEXT = 256;
/** Bytes for the record and its pieces. */
const ROOM = 4000;
/** Numbers of events of system calls: the call's number is added. */
export const SYSCALL_ENTER = 10_000;
/** As {@link SYSCALL_ENTER}, for the return. */
export const SYSCALL_EXIT = 20_000;
/** System calls have numbers below. */
export const MOST_SYSCALLS = 512;

/** A tracepoint to record. */
export interface RecordedTracepoint {
  readonly id: number;
  readonly category: string;
  readonly name: string;
  readonly format: TracepointFormat;
}

/** Offsets of the arguments of system calls in `struct pt_regs`. */
const syscallRegisters = {
  x86_64: [112, 104, 96, 56, 72, 64],
  aarch64: [272, 8, 16, 24, 32, 40],
} as const;

const PRELUDE = `
#define SEC(name) __attribute__((section(name), used))
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64; typedef long long s64;
struct head { u16 size, event; u32 pid, tgid, uid, gid; u16 cpu, record; u64 time; char comm[16]; };
struct scratch { struct head head; u8 data[${ROOM}]; };
struct piece { u64 address; u32 length, kind; };
struct { int (*type)[6]; int (*max_entries)[1]; u32 *key; struct scratch *value; } scratch SEC(".maps");
struct { int (*type)[27]; int (*max_entries)[RING_BYTES]; } ring SEC(".maps");
char license[] SEC("license") = "GPL";
u64 lost;
const volatile u32 own_tgid;

static inline __attribute__((always_inline)) struct scratch *begin(u32 event, u32 record) {
  u64 ids = bpf_get_current_pid_tgid(), owners;
  u32 zero = 0;
  struct scratch *s;
  if (ids >> 32 == own_tgid) return 0;
  s = bpf_map_lookup_elem(&scratch, &zero);
  if (!s) return 0;
  s->head.event = event;
  s->head.record = record;
  s->head.pid = ids;
  s->head.tgid = ids >> 32;
  owners = bpf_get_current_uid_gid();
  s->head.uid = owners;
  s->head.gid = owners >> 32;
  s->head.cpu = bpf_get_smp_processor_id();
  s->head.time = bpf_ktime_get_ns();
  bpf_get_current_comm(s->head.comm, sizeof(s->head.comm));
  return s;
}

static inline __attribute__((always_inline)) int finish(struct scratch *s, u32 used) {
  u32 size = sizeof(s->head) + used;
  if (size > sizeof(*s)) return 0;
  s->head.size = size;
  if (bpf_ringbuf_output(&ring, s, size, 0)) __sync_fetch_and_add(&lost, 1);
  return 0;
}

static inline __attribute__((always_inline)) u32 add_data(struct scratch *s, u32 used, u8 *record, u32 location) {
  u32 length = location >> 16, from = location & 0xffff;
  struct piece *p;
  if (length > ${MOST_TEXT}) length = ${MOST_TEXT};
  if (used > ${ROOM - MOST_TEXT - 32}) return used;
  p = (struct piece *)(s->data + used);
  p->address = from;
  p->length = length;
  p->kind = 0;
  if (bpf_probe_read_kernel(s->data + used + sizeof(*p), length, (void *)((u64)record + from))) p->length = 0;
  return used + sizeof(*p) + ((length + 7) & ~7u);
}

static inline __attribute__((always_inline)) u32 add_text(struct scratch *s, u32 used, u64 address) {
  struct piece *p;
  long length;
  if (used > ${ROOM - MOST_TEXT - 32}) return used;
  p = (struct piece *)(s->data + used);
  length = bpf_probe_read_user_str(s->data + used + sizeof(*p), ${MOST_TEXT}, (void *)address);
  if (length <= 0 || length > ${MOST_TEXT}) return used;
  p->address = address;
  p->length = length;
  p->kind = 1;
  return used + sizeof(*p) + (((u32)length + 7) & ~7u);
}
`;

const SYSCALLS = `
struct syscall { u64 common, number, args[6]; };
/* Bit 7: wanted. Bits 0 to 5: the argument is a text. */
const volatile u8 wanted_enter[${MOST_SYSCALLS}], wanted_exit[${MOST_SYSCALLS}];

SEC("raw_tp/sys_enter") int record_enter(u64 *ctx) {
  u64 number = ctx[1];
  struct syscall *call;
  struct scratch *s;
  u32 used = sizeof(*call), i;
  u8 wanted;
  if (number >= ${MOST_SYSCALLS}) return 0;
  wanted = wanted_enter[number];
  if (!wanted) return 0;
  s = begin(${SYSCALL_ENTER} + number, sizeof(*call));
  if (!s) return 0;
  call = (struct syscall *)s->data;
  call->common = 0;
  call->number = number;
  READ_ARGUMENTS
  return finish(s, used);
}

SEC("raw_tp/sys_exit") int record_exit(u64 *ctx) {
  struct { u64 common, number; s64 result; } *call;
  struct scratch *s;
  u64 number = 0;
  bpf_probe_read_kernel(&number, 8, (void *)(ctx[0] + NUMBER_AT));
  if (number >= ${MOST_SYSCALLS} || !wanted_exit[number]) return 0;
  s = begin(${SYSCALL_EXIT} + number, sizeof(*call));
  if (!s) return 0;
  call = (void *)s->data;
  call->common = 0;
  call->number = number;
  call->result = ctx[1];
  return finish(s, sizeof(*call));
}
`;

/** Offset of the call's number in `struct pt_regs`. */
const numberAt = { x86_64: 120, aarch64: 280 } as const;

/** Bytes of a record's fields. */
export function recordBytes(format: TracepointFormat): number {
  return format.fields.reduce((end, field) => Math.max(end, field.byteOffset + field.size), 8);
}

/** The source of a recorder. */
export function recorderSource(
  tracepoints: readonly RecordedTracepoint[],
  options: { readonly arch: "x86_64" | "aarch64"; readonly syscalls: boolean; readonly ringBytes: number },
): string {
  const parts = [`#define RING_BYTES ${options.ringBytes}`, PRELUDE];
  if (options.syscalls) {
    const reads = syscallRegisters[options.arch].flatMap((offset, i) => [
      `bpf_probe_read_kernel(&call->args[${i}], 8, (void *)(ctx[0] + ${offset}));`,
      `if (wanted & ${1 << i}) used = add_text(s, used, call->args[${i}]);`,
    ]);
    parts.push(`#define NUMBER_AT ${numberAt[options.arch]}`);
    parts.push(SYSCALLS.replace("READ_ARGUMENTS", reads.join("\n  ")));
  }
  for (const { id, category, name, format } of tracepoints) {
    const bytes = recordBytes(format);
    const located = format.fields.filter((field) => /^__data_loc\b/.test(field.ctype) && field.size === 4);
    const relative = format.fields.filter((field) => /^__rel_loc\b/.test(field.ctype) && field.size === 4);
    parts.push(`SEC("tracepoint/${category}/${name}") int record_${id}(u8 *ctx) {
  struct scratch *s = begin(${id}, ${bytes});
  u32 used = ${(bytes + 7) & ~7};
  if (!s) return 0;
  bpf_probe_read_kernel(s->data, ${bytes}, ctx);
${located.map((field) => `  used = add_data(s, used, ctx, *(u32 *)(s->data + ${field.byteOffset}));`).join("\n")}
${relative.map((field) => `  used = add_data(s, used, ctx, *(u32 *)(s->data + ${field.byteOffset}) + ${field.byteOffset + 4});`).join("\n")}
  return finish(s, used);
}`);
  }
  return parts.join("\n");
}
