// Prints each program that is started, with its parent, as records of a perf buffer. Run it as root: node examples/execs.mjs [COUNT]
import { BPF } from "skep/bcc";

const b = new BPF({
  text: `
#include <linux/sched.h>

struct exec_t {
  u64 ns;
  u32 pid;
  u32 ppid;
  char comm[TASK_COMM_LEN];
  char file[128];
};
BPF_PERF_OUTPUT(execs);

TRACEPOINT_PROBE(sched, sched_process_exec) {
  struct task_struct *task = (struct task_struct *)bpf_get_current_task();
  struct exec_t exec = {};
  exec.ns = bpf_ktime_get_ns();
  exec.pid = args->pid;
  exec.ppid = task->real_parent->tgid;
  bpf_get_current_comm(&exec.comm, sizeof(exec.comm));
  TP_DATA_LOC_READ_STR(&exec.file, filename, sizeof(exec.file));
  execs.perf_submit(args, &exec, sizeof(exec));
  return 0;
}
`,
});

let left = Number(process.argv[2] ?? Infinity);
console.log("PID      PPID     COMMAND          FILE");
for await (const { pid, ppid, comm, file } of b.get("execs")) {
  console.log(`${String(pid).padEnd(8)} ${String(ppid).padEnd(8)} ${comm.padEnd(16)} ${file}`);
  if (--left <= 0) break;
}
b.close();
