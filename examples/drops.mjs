// Counts the packets that the kernel drops, by process, and prints the counts each second.
// Run it as root: node examples/drops.mjs [kprobe|kretprobe|tracepoint] [SECONDS]
import { setTimeout as sleep } from "node:timers/promises";
import { BPF } from "skep/bcc";

const program = `
#include <uapi/linux/ptrace.h>
#include <linux/sched.h>

struct key_t {
  u32 pid;
  char comm[TASK_COMM_LEN];
};

BPF_HASH(counts, struct key_t);

int on_drop(void *ctx) {
  struct key_t key = {};
  u64 zero = 0, *count;

  key.pid = bpf_get_current_pid_tgid() >> 32;
  bpf_get_current_comm(&key.comm, sizeof(key.comm));

  count = counts.lookup_or_try_init(&key, &zero);
  if (count) {
    *count += 1;
  }
  return 0;
}
`;

const [how = "tracepoint", seconds = "Infinity"] = process.argv.slice(2);
const b = new BPF({ text: program });

// Since Linux 5.17 kfree_skb is inline, and since 6.12 so is what it calls.
const event = ["kfree_skb", "kfree_skb_reason", "sk_skb_reason_drop"].find((name) => BPF.ksymname(name) !== -1n);
if (how === "kprobe") b.attachKprobe({ event, fnName: "on_drop" });
else if (how === "kretprobe") b.attachKretprobe({ event, fnName: "on_drop" });
else b.attachTracepoint({ tp: "skb:kfree_skb", fnName: "on_drop" });

console.log(`${"PID".padStart(8)} ${"COMMAND".padEnd(16)} ${"COUNT".padStart(8)}`);
const counts = b.get("counts");
for (let second = 0; second < Number(seconds); second++) {
  await sleep(1000);
  for (const [{ pid, comm }, count] of counts.items()) {
    console.log(`${String(pid).padStart(8)} ${comm.padEnd(16)} ${String(count).padStart(8)}`);
  }
}
b.close();
