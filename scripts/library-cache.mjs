// Writes V8's compiled form of the library's bundle, behind a run that opens and loads an object on no kernel: it holds the functions
// of ordinary use.
import { writeFileSync } from "node:fs";
import loader from "../bin/load-bundle.cjs";

const { exports: rooms, script } = loader.loadBundle("library.cjs");
const { index, object, btf, isa } = rooms;

/** Types with the members that the program looks at, at other places in the kernel than in the program. */
function taskTypes(pad) {
  const builder = new btf.BtfBuilder();
  const int = builder.int("int", 4, btf.BtfIntEncoding.SIGNED);
  const char = builder.int("char", 1, btf.BtfIntEncoding.SIGNED);
  const text = builder.array(char, 16);
  const task = builder.struct("task_struct", 24 + pad, [
    { name: "pid", typeId: int, bitOffset: pad * 8 },
    { name: "comm", typeId: text, bitOffset: (pad + 8) * 8 },
  ]);
  const state = builder.enum("state", 4, false, [{ name: "RUNNING", value: BigInt(pad) }]);
  return { builder, int, text, task, state };
}

/** A program of a few instructions with CO-RE relocations, a map, variables and lines: what most object files have. */
function example() {
  const { builder, int, text, task, state } = taskTypes(0);
  const pointer = builder.pointer();
  const proto = builder.funcProto(int, [{ name: "ctx", typeId: pointer }]);
  const func = builder.func("program", proto, btf.BtfFuncLinkage.GLOBAL);
  const event = builder.struct("event", 24, [
    { name: "pid", typeId: int, bitOffset: 0 },
    { name: "comm", typeId: text, bitOffset: 64 },
  ]);
  const variable = builder.variable("wanted", int);
  builder.dataSection(".rodata", 4, [{ typeId: variable, offset: 0, size: 4 }]);
  const line = (insn, source) => [insn, builder.string("example.bpf.c"), builder.string(source), (1 << 10) | 1];
  const lines = [line(0, "int program(void *ctx)"), line(2, "return task->pid;")].flat();
  const code = isa.encode(
    isa.assemble(
      `r6 = r1
       r1 = 0 ll
       r2 = 0
       r3 = 16
       w4 = 0
       r0 = 0
       exit`,
    ),
  );
  return {
    license: "GPL",
    name: "example",
    programs: [
      {
        name: "program",
        type: index.ProgType.TRACEPOINT,
        expectedAttachType: 0,
        section: "tracepoint/sched/sched_switch",
        code,
        relocations: [{ kind: "map", insnIndex: 1, map: "events" }],
        funcInfo: new Uint8Array(Uint32Array.of(0, func).buffer),
        lineInfo: new Uint8Array(Uint32Array.from(lines).buffer),
        coreRelocations: [
          { insnIndex: 3, typeId: task, access: "0:0", kind: 0 },
          { insnIndex: 4, typeId: task, access: "0:1", kind: 1 },
          { insnIndex: 5, typeId: state, access: "0", kind: 11 },
        ],
      },
    ],
    maps: [
      {
        name: "events",
        type: index.MapType.RINGBUF,
        keySize: 0,
        valueSize: 0,
        maxEntries: 4096,
        flags: 0,
        valueTypeId: event,
      },
      {
        name: ".rodata",
        type: index.MapType.ARRAY,
        keySize: 4,
        valueSize: 4,
        maxEntries: 1,
        flags: isa.MapFlags.RDONLY_PROG,
        initialValue: new Uint8Array(4),
        frozen: true,
      },
    ],
    variables: [{ name: "wanted", map: ".rodata", offset: 0, size: 4, typeId: variable, linkage: "global" }],
    externs: [],
    btf: builder.finish(),
  };
}

const file = object.writeElf(example(), { libbpfMinor: 8 });
const coreBtf = btf.Btf.parse(taskTypes(8).builder.finish());
rooms.pretendCalls();
for (let round = 0; round < 2; round++) {
  const opened = await index.open(file, { name: "example.bpf.o" });
  for (const section of Object.values(opened.globals)) for (const name of Object.keys(section)) void section[name];
  try {
    await opened.load({ coreBtf });
    await opened.attach();
  } catch (error) {
    // What this machine does not have (/proc, /sys) the cache does without.
    if (process.env.SKEP_WARM_UP !== undefined) console.error(error);
  } finally {
    opened.close();
  }
}
// A source of C, for no kernel.
rooms.c.compileC(
  {
    name: "example.bpf.c",
    text: `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct event { __u32 pid; char comm[16]; };
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 65536); } events SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
const volatile __u32 only = 0;
SEC("tp/sched/sched_switch") int program(void *ctx) {
  __u32 pid = bpf_get_current_pid_tgid() >> 32;
  __u64 one = 1, *count = bpf_map_lookup_elem(&counts, &pid);
  if (only && pid != only) return 0;
  if (count) __sync_fetch_and_add(count, 1);
  else bpf_map_update_elem(&counts, &pid, &one, BPF_ANY);
  struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
  if (!e) return 0;
  e->pid = pid;
  for (int i = 0; i < 16; i++) e->comm[i] = i;
  bpf_ringbuf_submit(e, 0);
  bpf_printk("%d", pid);
  return 0;
}
char LICENSE[] SEC("license") = "GPL";
`,
  },
  { localTypes: true },
);
writeFileSync(loader.cacheOf("library.cjs"), script.createCachedData());
process.exit(0);
