/** What `bin/skep.js` calls. */
import { main } from "./main.ts";

/** Runs the process' command line. */
export async function start(): Promise<void> {
  // Streams flush what is left when the status is only set.
  process.exitCode = await main(process.argv.slice(2));
}

/**
 * Compiles a script that uses what most scripts use and runs it on no kernel, so that the code cache, written after it, holds the
 * functions of an ordinary run.
 */
export async function warmUp(): Promise<void> {
  const [{ compileScript }, { offlineEnvironment }, { TraceSession }, { FdOutput }, { LinuxKernel }, { pretendCalls }] =
    await Promise.all([
      import("../lang/bpftrace/compile.ts"),
      import("./offline.ts"),
      import("../runtime/trace.ts"),
      import("../runtime/output.ts"),
      import("../kernel/linux/linux.ts"),
      import("../kernel/linux/sys.ts"),
      import("./trace.ts"),
    ]);
  const text = `
    BEGIN { printf("%s %d\\n", "start", 1); @start = nsecs; }
    interval:s:1 /@start/ { @[comm, pid] = count(); @h = hist(nsecs - @start); if (pid > 1) { print(@h); } }
    tracepoint:syscalls:sys_enter_openat { @t[tid] = count(); @l = lhist(pid, 0, 100, 10); }
    profile:hz:99 { @s[kstack] = count(); $x = (uint64)cpu; @m[$x] = max($x); exit(); }
  `;
  const { object, plan } = compileScript(
    { name: "warm-up", text },
    {
      ...offlineEnvironment(),
      hasBtf: true,
      tracepoints: () => ["syscalls:sys_enter_openat"],
      tracepointFormat: () => ({ id: 1, fields: [] }),
    },
  );
  await warmUpC();
  pretendCalls();
  try {
    const output = FdOutput.file("/dev/null");
    const session = new TraceSession({ kernel: new LinuxKernel(), object, plan, output, quiet: true });
    session.stop();
    await session.run();
    output.close();
  } catch {
    // What this machine does not have (/proc, /sys) the cache does without.
  }
}

/** Compiles C of both dialects, for no kernel. */
async function warmUpC(): Promise<void> {
  const [{ compileC }, { writeElf, readObject }] = await Promise.all([
    import("../lang/c/index.ts"),
    import("../object/index.ts"),
    import("./run.ts"),
  ]);
  const libbpf = `
    #include <linux/bpf.h>
    #include <bpf/bpf_helpers.h>
    #include <bpf/bpf_tracing.h>
    #include <bpf/bpf_core_read.h>
    struct task { int pid; struct task *parent; char comm[16]; } __attribute__((preserve_access_index));
    struct event { __u64 ns; __u32 pid; char comm[16]; };
    struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 65536); } events SEC(".maps");
    struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64); __type(key, __u32); __type(value, struct event); } start SEC(".maps");
    const volatile __u64 min_ns = 0;
    static __always_inline int wanted(__u64 ns) { return ns > min_ns; }
    SEC("kprobe/f") int BPF_KPROBE(enter, struct task *task, int size) {
      struct event event = {.ns = bpf_ktime_get_ns(), .pid = BPF_CORE_READ(task, parent, pid)};
      for (int i = 0; i < 4; i++) event.comm[i] = size >> i;
      bpf_get_current_comm(event.comm, sizeof(event.comm));
      return bpf_map_update_elem(&start, &event.pid, &event, BPF_ANY);
    }
    SEC("tp/sched/sched_switch") int leave(void *ctx) {
      __u32 pid = bpf_get_current_pid_tgid() >> 32;
      struct event *found = bpf_map_lookup_elem(&start, &pid), *e;
      if (!found || !wanted(bpf_ktime_get_ns() - found->ns)) return 0;
      e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
      if (!e) return 0;
      __builtin_memcpy(e, found, sizeof(*e));
      bpf_ringbuf_submit(e, 0);
      bpf_printk("%d: %llu", pid, found->ns);
      return bpf_map_delete_elem(&start, &pid);
    }
    char LICENSE[] SEC("license") = "GPL";
  `;
  const bcc = `
    struct data_t { u32 pid; char comm[16]; };
    BPF_PERF_OUTPUT(events);
    BPF_HASH(counts, u32);
    int kprobe__f(struct pt_regs *ctx) {
      struct data_t data = {.pid = bpf_get_current_pid_tgid() >> 32};
      counts.increment(data.pid);
      bpf_get_current_comm(&data.comm, sizeof(data.comm));
      events.perf_submit(ctx, &data, sizeof(data));
      return 0;
    }
  `;
  readObject(
    writeElf(compileC({ name: "warm-up.bpf.c", text: libbpf }, { localTypes: true }).object, { libbpfMinor: 8 }),
  );
  compileC({ name: "warm-up.c", text: bcc }, { localTypes: true });
}
