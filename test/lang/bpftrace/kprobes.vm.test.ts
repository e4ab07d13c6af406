/** Functions of the kernel and of programs, traced on kernels that have kprobes: what scripts see, beside what bpftrace 0.17 sees at once. */
import { test } from "vitest";
import { describeUnless } from "../../support/needs.ts";
import { SKEP } from "../../support/skep.ts";
import { runCasesInVm, vmKernels, vmSkipReason, type VmCase, type VmResult } from "../../vm/testbed.ts";

const skep = `"${process.execPath}" "${SKEP}"`;

/** What all scripts watch: 300 reads of 100 bytes, a file and one that is not there, a shell, a refused connection, a module. */
const WORK = `{
    dd if=/dev/zero of=/dev/null bs=100 count=300; cat /etc/hostname /nonexistent; bash -c "true; false; true"; : </dev/tcp/127.0.0.1/99; : <>/dev/net/tun
  } >/dev/null 2>&1`;

/** Set for both tracers: they print its name once they are attached. */
const NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";

/** A directory of its own: the guest sees the files of the host. */
const OWN_DIRECTORY = "cd $(mktemp -d /run/functions.XXXXXX)";

/** Waits until all of the files say so, or one of the processes is gone. */
const awaitAttached = (files: string, processes: string): string => `
  for i in $(seq 800); do
    ready=1; for f in ${files}; do grep -qs ${NOTIFY} $f || ready=; done
    [ $ready ] && break
    for p in ${processes}; do kill -0 $p 2>/dev/null || { cat ${files}; exit 99; }; done
    sleep 0.1
  done`;

/** Runs a script over the work, and prints what it printed. */
const traced = (script: string, work = WORK): string => `
  ${OWN_DIRECTORY}
  cat >script.bt <<'SCRIPT'
${script}
SCRIPT
  ${NOTIFY}=1 ${skep} trace script.bt >out 2>&1 & pid=$!
  ${awaitAttached("out", "$pid")}
  ${work}
  kill -INT $pid; wait $pid; status=$?
  grep -v ${NOTIFY} out
  exit $status`;

/** A script that both tracers understand, each function probed once: 0.17 loads no more. */
const PEER_SCRIPT = `
kprobe:vfs_read /comm == "dd"/ {
  @argh = hist(arg2); @arg2[arg2] = count(); @func[func] = count(); @probe[probe] = count();
  @ks[kstack] = count(); @ks3[kstack(3)] = count(); @ksp[kstack(perf, 4)] = count();
}
kretprobe:vfs_read /comm == "dd"/ {
  @ret[retval] = count(); @retl = lhist(retval, 0, 2000, 200); @retp[probe] = count(); @rets = stats(retval);
  @rks[kstack(2)] = count();
}
kprobe:vfs_write /comm == "dd"/ {
  $f = (struct file *)arg0; $t = (struct task_struct *)curtask;
  @name[str($f->f_path.dentry->d_name.name)] = count(); @file[$f->f_flags, $f->f_inode->i_mode & 0170000] = count();
  @ip[ksym(reg("ip"))] = count(); @task[$t->comm, $t->real_parent->comm] = count(); @kaddr[kaddr("vfs_write") == 0] = count();
}
kretprobe:do_sys_openat2 /comm == "dd" || comm == "cat"/ {
  @open[comm, (int32)retval < 0, retval] = count(); @below[retval < 0] = count();
}
kprobe:vfs_open /comm == "cat"/ { @path[str(((struct path *)arg0)->dentry->d_name.name)] = count(); }
kprobe:vfs_getattr* /comm == "cat"/ { @wild[probe] = count(); @wildf[func] = count(); }
kprobe:tcp_v4_connect { @connect[func, arg2] = count(); @connects[kstack(2)] = count(); }
tracepoint:syscalls:sys_enter_read /comm == "dd"/ { @tp[args->fd] = count(); @tpk[kstack] = count(); @tpp[probe] = count(); }
tracepoint:syscalls:sys_exit_read /comm == "dd"/ { @tpr[args->ret] = count(); @tprk[kstack(2)] = count(); }
`;

const PEER: VmCase = {
  name: "peer",
  timeoutMs: 150_000,
  script: `
  ${OWN_DIRECTORY}
  cat >script.bt <<'SCRIPT'
${PEER_SCRIPT}
SCRIPT
  ${NOTIFY}=1 ${skep} trace --compat 0.17 script.bt >ours 2>&1 & a=$!
  ${NOTIFY}=1 bpftrace script.bt >theirs 2>&1 & b=$!
  ${awaitAttached("ours theirs", "$a $b")}
  ${WORK}
  kill -INT $a $b; wait $a $b
  cat ours; echo "=== bpftrace"; cat theirs`,
};

/** The maps that were printed, each entry with all of its lines, sorted: entries of equal counts come in any order. */
function entries(output: string): string[] {
  const found: string[] = [];
  for (const line of output.split("\n")) {
    if (line.startsWith("@")) found.push(line);
    else if (line !== "" && found.length > 0) found.push(`${found.pop()!}\n${line}`);
  }
  return found.toSorted();
}

/** What a case prints: these must be found, those must not. */
interface Expected extends VmCase {
  readonly status?: number;
  readonly prints: readonly RegExp[];
  readonly never?: readonly RegExp[];
}

const CASES: readonly Expected[] = [
  {
    name: "kernel functions",
    script: traced(`
kprobe:vfs_read /comm == "dd"/ { @start[tid] = nsecs; @size[tid] = arg2; @me[curtask->comm == comm, curtask->pid == tid] = count(); }
kretprobe:vfs_read /@start[tid]/ {
  @ns = hist(nsecs - @start[tid]); @fits[@size[tid] >= retval] = count(); @rfunc[func] = count();
  delete(@start, tid); delete(@size[tid]);
}
kprobe:vfs_write,kprobe:vfs_open,kretprobe:vfs_write /comm == "dd"/ {
  @list[probe] = count(); @func[func] = count(); if (probe == "kretprobe:vfs_write") { @text++; }
}
kprobe:vfs_write /comm == "dd"/ { @second++; }
kprobe:vfs_write /comm == "dd"/ { @third[comm] = count(); @user[ustack(perf, 1)] = count(); }
kretprobe:do_sys_openat2 /comm == "cat" && (int32)retval < 0/ { printf("open %s %d\\n", comm, (int32)retval); }
kprobe:vmlinux:vfs_fstatat,kprobe:vmlinux:vfs_fstat { @vmlinux[probe, func] = count(); }
kprobe:tun:tun_chr_* { @module[probe, func] = count(); }`),
    prints: [
      /^@me\[true, true\]: 30\d$/m,
      /^@fits\[true\]: 30\d$/m,
      /^@rfunc\[vfs_read\]: 30\d$/m,
      /^@ns: ?\n(?:\[.*\|\n)+/m,
      /^@list\[kprobe:vfs_write\]: 30\d$/m,
      /^@list\[kretprobe:vfs_write\]: 30\d$/m,
      /^@list\[kprobe:vfs_open\]: \d+$/m,
      /^@func\[vfs_write\]: 60\d$/m,
      /^@func\[vfs_open\]: \d+$/m,
      /^@text: 30\d$/m,
      /^@second: 30\d$/m,
      /^@third\[dd\]: 30\d$/m,
      /^@user\[\n/m,
      /^open cat -2$/m,
      /^@module\[kprobe:tun:tun_chr_open, tun_chr_open\]: \d+$/m,
      /^@vmlinux\[kprobe:(?:vmlinux:)?vfs_fstat(?:at)?, vfs_fstat(?:at)?\]: \d+$/m,
    ],
    never: [/^@start/m, /^@size/m, /^@fits\[false\]/m, /ERROR|WARNING/],
  },
  {
    name: "functions of programs, tracepoints, timers",
    script: traced(`
uprobe:/bin/bash:execute_command_internal { @ue[probe] = count(); @us[ustack(perf, 1)] = count(); @of[func] = count(); }
uretprobe:/bin/bash:execute_command_internal { @ur[retval] = count(); }
uprobe:libc:malloc,uprobe:libc:free /comm == "cat"/ { @libc[probe] = count(); @libf[func] = count(); }
tracepoint:syscalls:sys_enter_read,tracepoint:syscalls:sys_enter_openat /comm == "dd"/ { @sys[probe] = count(); @nr[args.__syscall_nr] = count(); }
tracepoint:syscalls:sys_enter_openat /comm == "cat"/ { @file[str(args.filename)] = count(); }
tracepoint:syscalls:sys_exit_openat /comm == "cat" && args.ret == -2/ { @fail[args.ret, kstack(1)] = count(); }
tracepoint:sched:sched_process_exec { @exec[str(args.filename), args.pid == pid, args.old_pid > 0] = count(); }
tracepoint:sched:sched_process_fork { @fork[args.parent_comm] = count(); }
tracepoint:sched:sched_process_exit,tracepoint:sched:sched_process_exec { @life[probe, pid > 0] = count(); }
tracepoint:task:task_newtask,tracepoint:sched:sched_wakeup_new { @task[probe, args.comm == comm] = count(); }
rawtracepoint:sched_process_exec { @raw[str(args.bprm->filename)] = count(); }
profile:hz:49 { @prof = count(); } interval:ms:100 { @int = count(); } software:page-faults:1 /comm == "cat"/ { @faults = count(); }`),
    prints: [
      /^@ue\[uprobe:\S*\/bash:execute_command_internal\]: \d+$/m,
      /^@of\[execute_command_internal\]: \d+$/m,
      /^\t[0-9a-f]+ execute_command_internal\+0 \(\S*\/bash\)\n/m,
      /^@ur\[0\]: \d+$/m,
      /^@ur\[1\]: \d+$/m,
      /^@libc\[uprobe:\S*libc.so.6:malloc\]: \d+$/m,
      /^@libc\[uprobe:\S*libc.so.6:free\]: \d+$/m,
      /^@sys\[tracepoint:syscalls:sys_enter_read\]: 30\d$/m,
      /^@sys\[tracepoint:syscalls:sys_enter_openat\]: \d+$/m,
      /^@nr\[0\]: 30\d$/m,
      /^@file\[\/nonexistent\]: 1$/m,
      /^@fail\[-2, ?\n/m,
      /^@exec\[\/\S*bin\/dd, true, true\]: 1$/m,
      /^@fork\[bash\]: \d+$/m,
      /^@life\[tracepoint:sched:sched_process_exit, true\]: \d+$/m,
      /^@task\[tracepoint:task:task_newtask, \w+\]: \d+$/m,
      /^@raw\[\/\S*bin\/cat\]: 1$/m,
      /^@prof: \d+$/m,
      /^@int: \d+$/m,
      /^@faults: \d+$/m,
    ],
    never: [/ERROR|WARNING/],
  },
  {
    // Where the kernel has kprobe_multi this is one attachment, else one by one.
    name: "hundreds of functions; nothing is left of a tracer that is killed",
    script: `
  ${OWN_DIRECTORY}
  echo 'kprobe:tcp_* { @[probe] = count(); @f[func] = count(); } kretprobe:vfs_* { @r[probe] = count(); }' >many.bt
  ${NOTIFY}=1 ${skep} trace many.bt >out 2>&1 & pid=$!
  ${awaitAttached("out", "$pid")}
  ${WORK}
  kill -INT $pid; wait $pid; echo "status $?"
  cat out
  ${NOTIFY}=1 ${skep} trace -e 'kprobe:vfs_wr*,kretprobe:vfs_read { @[probe] = count(); } uprobe:/bin/bash:execute_command_internal { @n++; }' >out 2>&1 & pid=$!
  ${awaitAttached("out", "$pid")}
  kill -KILL $pid; wait $pid 2>/dev/null
  left() { bpftool prog show | grep -c kprobe; cat /sys/kernel/debug/kprobes/list /sys/kernel/tracing/kprobe_events /sys/kernel/tracing/uprobe_events | wc -l; }
  for i in $(seq 200); do [ "$(echo $(left))" = "0 0" ] && break; sleep 0.1; done
  echo left $(left)`,
    prints: [
      /^status 0$/m,
      /^Attached [45]\d\d probes$/m,
      /^@\[kprobe:tcp_v4_connect\]: 1$/m,
      /^@\[kprobe:tcp_connect\]: 1$/m,
      /^@f\[tcp_v4_connect\]: 1$/m,
      /^@r\[kretprobe:vfs_read\]: \d+$/m,
      /^@r\[kretprobe:vfs_open\]: \d+$/m,
      /^left 0 0$/m,
    ],
    never: [/ERROR/],
  },
  {
    name: "functions that cannot be probed",
    script: `
  ${skep} trace -e 'kprobe:vfs_raed,kprobe:notify_die,kprobe:nomodule:vfs_read,kprobe:tun:tun_chr_opan,kprobe:no_such_* { @ = count(); }' 2>&1
  echo "status $?"
  ${skep} trace -e 'kprobe:vfs_read+3 { @ = count(); }' 2>&1
  echo "status $?"`,
    prints: [
      /^stdin:1:1-16: ERROR: kernel function not found or not traceable: vfs_raed\n.*\n.*\nHINT: did you mean kprobe:vfs_read\b/m,
      /ERROR: kernel function not traceable: notify_die\n.*\n.*\nHINT: the kernel has it, and refuses probes on it/,
      /ERROR: no kernel module is loaded that has functions to trace: nomodule\n/,
      /ERROR: kernel function not found or not traceable in tun: tun_chr_opan\n.*\n.*\nHINT: did you mean kprobe:tun:tun_chr_open\b/,
      /ERROR: No matches for kprobe:no_such_\*\n[^]*?status 2$/m,
      /^ERROR: .*vfs_read\+3: the offset is not where an instruction of vfs_read starts.*\nstatus 3$/m,
    ],
  },
];

function check(result: VmResult, { status = 0, prints, never = [] }: Expected): string[] {
  const faults = result.status === status ? [] : [`ended with ${result.status}: ${result.stderr}`];
  for (const pattern of prints) if (!pattern.test(result.stdout)) faults.push(`lacks ${pattern}`);
  for (const pattern of never) if (pattern.test(result.stdout)) faults.push(`has ${pattern}`);
  if (faults.length > 0) faults.push(result.stdout.slice(0, 6000));
  return faults;
}

describeUnless(vmSkipReason(), "functions traced in a VM", () => {
  test.concurrent.for(vmKernels)("kernel %s", { timeout: 600_000 }, async (kernel, context) => {
    const cases = [PEER, ...CASES].map((each) => ({ timeoutMs: 150_000, ...each }));
    const results = await runCasesInVm(kernel, cases, { timeoutMs: 580_000, modules: ["tun"] });
    const peer = results.get(PEER.name)!;
    const [ours = "", theirs = ""] = peer.stdout.split("=== bpftrace\n");
    context.expect(peer.status, peer.stdout).toBe(0);
    context.expect.soft(entries(ours)).toEqual(entries(theirs));
    context.expect.soft(entries(ours).length).toBeGreaterThan(30);
    for (const each of CASES) context.expect.soft(check(results.get(each.name)!, each), each.name).toEqual([]);
  });
});
