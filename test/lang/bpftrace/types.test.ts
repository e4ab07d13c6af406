import { describe, expect, test } from "vitest";
import { check, typesOf } from "./support/check.ts";

/** Scripts that are accepted: types of their maps by name, then of their variables in order. */
const ACCEPTED: readonly (readonly [string, string])[] = [
  ["BEGIN { @x = 1; }", "@x=int64"],
  ["BEGIN { @x = nsecs; }", "@x=uint64"],
  ["BEGIN { @x = nsecs; @x = -1; }", "@x=int64"],
  ["BEGIN { @x = 1; @x = pid; }", "@x=uint64"],
  ["BEGIN { @x++; @y--; ++@z; }", "@x=int64 @y=int64 @z=int64"],
  ["BEGIN { @x += pid; @y[1] += 2; }", "@x=uint64 @y[int64]=int64"],
  [
    'BEGIN { @x = comm; @y = "ab"; @y = "abcdef"; @z = str(0); @w = str(0, 10); }',
    "@w=string[10] @x=string[16] @y=string[7] @z=string[1024]",
  ],
  ["BEGIN { @x[pid] = 1; @x[1] = 2; }", "@x[uint32]=int64"],
  ["BEGIN { @x[1] = 1; @x[pid] = 2; @y[300] = 1; @y[(uint8)1] = 2; }", "@x[uint32]=int64 @y[uint16]=int64"],
  [
    "BEGIN { @x[pid, comm] = count(); @y[(pid, comm)] = count(); }",
    "@x[(uint32,string[16])]=count_t @y[(uint32,string[16])]=count_t",
  ],
  ['BEGIN { @x["a"] = 1; @x["abc"] = 2; @x[comm] = 3; }', "@x[string[16]]=int64"],
  [
    "BEGIN { @ = count(); @s = sum(pid); @m = min(-1); @M = max(1); @a = avg(nsecs); @t = stats(1); @h = hist(1); @l = lhist(1, 0, 10, 2); @h2 = hist(1, 3); }",
    "@=count_t @M=max_t @a=avg_t @h=hist_t @h2=hist_t @l=lhist_t @m=min_t @s=sum_t @t=stats_t",
  ],
  ["BEGIN { @s = sum(1); @s = sum(-1); }", "@s=sum_t"],
  [
    "BEGIN { @c = count(); $x = @c; $y = (int64)@c; if (@c > 5) { } @z = 0; @z = @c; }",
    "@c=count_t @z=uint64 $x=uint64 $y=int64",
  ],
  ["BEGIN { $x = 1; $y = pid; $z = comm; $u = (uint8)1; }", "$x=int64 $y=uint32 $z=string[16] $u=uint8"],
  ["BEGIN { $x = 1; $x = pid; $y = 0; $y = nsecs; $z = (int8)1; $z = (uint8)1; }", "$x=uint32 $y=uint64 $z=int16"],
  [
    "BEGIN { $x = pid + 1; $y = pid - 1; $z = -pid; $w = ~pid; $v = 1 << 3; $u = nsecs / 1000; }",
    "$x=uint64 $y=int64 $z=int64 $w=uint64 $v=int64 $u=uint64",
  ],
  ['BEGIN { $x = pid == 1; $y = pid && uid; $z = !pid; $w = comm == "a"; }', "$x=bool $y=bool $z=bool $w=bool"],
  [
    'BEGIN { $x = pid ? 1 : 2; $y = pid ? "a" : "abc"; $z = pid ?: 5; $w = pid ? pid : uid; }',
    "$x=int64 $y=string[4] $z=uint32 $w=uint64",
  ],
  [
    'BEGIN { let $x: uint16; let $y: uint8 = 255; let $z: string[8] = "abc"; let $w; $w = 1; $x = 3; }',
    "$x=uint16 $y=uint8 $z=string[8] $w=int64",
  ],
  [
    'BEGIN { $t = (1, "ab", pid, (1, 2)); $a = $t.0; $b = $t.3.1; $c = $t[1]; $r = (x=1, y=comm); $d = $r.y; }',
    "$t=(int64,string[3],uint32,(int64,int64)) $a=int64 $b=int64 $c=string[3] $r=(x=int64,y=string[16]) $d=string[16]",
  ],
  ['BEGIN { @t = (1, "ab"); @t = (nsecs, "abcd"); }', "@t=(uint64,string[5])"],
  [
    "BEGIN { @k[(1, 2)] = 1; for ($kv : @k) { $a = $kv.0.1; $b = $kv.1; } }",
    "@k[(int64,int64)]=int64 $kv=((int64,int64),int64) $a=int64 $b=int64",
  ],
  ["BEGIN { @k[1] = count(); for ($kv : @k) { $b = $kv.1; } }", "@k[int64]=count_t $kv=(int64,uint64) $b=uint64"],
  ["BEGIN { for ($i : 0..10) { } for ($j : 0..nsecs) { } }", "$i=int64 $j=uint64"],
  [
    "BEGIN { $t = curtask; $p = $t->pid; $q = $t.real_parent.comm; $m = $t->mm->owner; $e = $t->type; $f = $t->exit_code; $g = $t->mac; $h = $t->high; $i = $t.on_cpu; $j = $t->mm->user; $k = $t->mac[0]; $l = *$t; }",
    "$t=struct task_struct * $p=int32 $q=string[16] $m=struct task_struct * $e=enum pid_type $f=int32 $g=uint8[6] $h=uint32 $i=bool $j=int8 * $k=uint8 $l=struct task_struct",
  ],
  [
    "kprobe:vfs_read { $t = (struct task_struct *)arg0; $u = (struct task_struct **)arg1; $v = *$u; $w = *(uint32 *)arg0; $x = *arg0; $y = $t + 1; $z = $t - $t; }",
    "$t=struct task_struct * $u=struct task_struct * * $v=struct task_struct * $w=uint32 $x=uint64 $y=struct task_struct * $z=int64",
  ],
  ["kretprobe:vfs_read { @[retval] = count(); $f = func; }", "@[uint64]=count_t $f=ksym"],
  [
    'uprobe:/bin/bash:readline { $f = func; $a = arg0; $s = str(arg0); $u = ustack; $r = reg("sp"); $c = (char *)arg1; $d = *$c; }',
    "$f=usym $a=uint64 $s=string[1024] $u=ustack $r=uint64 $c=int8 * $d=int8",
  ],
  ['uprobe:libc:malloc { $x = uaddr("counter"); $y = *$x; }', "$x=int32 * $y=int32"],
  [
    "tracepoint:syscalls:sys_enter_openat { $f = args.filename; $s = str(args->filename); $d = args.dfd; $m = args.mode; @f[tid] = args.filename; }",
    "@f[uint32]=int8 * $f=int8 * $s=string[1024] $d=int32 $m=uint16",
  ],
  [
    "tracepoint:sched:sched_switch { @[args.prev_comm, args.next_pid] = count(); $s = args.prev_state; }",
    "@[(string[16],int32)]=count_t $s=int64",
  ],
  [
    "tracepoint:sched:sched_process_exec { $f = args.filename; $g = str(args.filename); }",
    "$f=string[1024] $g=string[1024]",
  ],
  [
    "tracepoint:sock:inet_sock_set_state { $a = args.saddr; $b = ntop(args.saddr); $c = ntop(AF_INET6, args.saddr_v6); $n = args.note; $r = args.raw; $p = (struct task_struct *)args.skaddr; $s = bswap(args.sport); }",
    "$a=uint8[4] $b=inet $c=inet $n=string[1024] $r=uint8 * $p=struct task_struct * $s=uint16",
  ],
  ["tracepoint:raw_syscalls:sys_enter { $a = args.args[2]; $i = args.id; }", "$a=uint64 $i=int64"],
  [
    "tracepoint:block:block_rq_issue { @[args.dev, args.rwbs] = sum(args.bytes); $s = args.sector; }",
    "@[(uint32,string[8])]=sum_t $s=uint64",
  ],
  [
    "rawtracepoint:sched_switch { $a = arg0; $p = args.prev; $c = args.next.comm; $b = args.preempt; }",
    "$a=uint64 $p=struct task_struct * $c=string[16] $b=bool",
  ],
  [
    "profile:hz:99 { @[kstack, ustack(5), comm] = count(); @b[kstack(perf, 3)] = count(); }",
    "@[(kstack,ustack,string[16])]=count_t @b[kstack]=count_t",
  ],
  ["software:faults:100 { @ = count(); }", "@=count_t"],
  [
    'BEGIN { $x = (uint8[8])nsecs; $y = (uint8[])"abc"; $z = (uint64)$x; $w = (string[4])comm; $b = (bool)1; $i = (int32)nsecs; $u = (u32)1; $l = (unsigned long)1; $e = (enum pid_type)1; }',
    "$x=uint8[8] $y=uint8[4] $z=uint64 $w=string[4] $b=bool $i=int32 $u=uint32 $l=uint64 $e=enum pid_type",
  ],
  [
    'BEGIN { $a = ksym(0); $b = usym(0); $c = kaddr("jiffies_64"); $d = cgroupid("/sys/fs/cgroup"); $e = pton("127.0.0.1"); $f = pton("::1"); $g = buf("abc"); $h = buf(0, 16); $i = strncmp("a", comm, 2); $j = strcontains(comm, "a"); $k = strerror(2); $l = macaddr(curtask.mac); }',
    "$a=ksym $b=usym $c=uint64 $d=uint64 $e=uint8[4] $f=uint8[16] $g=buffer[4] $h=buffer[16] $i=uint64 $j=bool $k=string[64] $l=mac_address",
  ],
  [
    'BEGIN { $a = strftime("%H", nsecs); $b = cgroup_path(cgroup); $c = username; $d = probe; $e = nsecs(tai); $f = pid(init); $g = pid(); $h = comm(); $i = rand; $j = jiffies; $k = elapsed; $l = kptr(0); $m = uptr(curtask); }',
    "$a=timestamp $b=cgroup_path $c=username $d=probe-name $e=uint64 $f=uint32 $g=uint32 $h=string[16] $i=uint32 $j=uint64 $k=uint64 $l=uint8 * $m=struct task_struct *",
  ],
  [
    "BEGIN { $a = sizeof(uint32); $b = sizeof(struct task_struct); $c = offsetof(struct task_struct, comm); $d = sizeof($a); $e = offsetof(struct task_struct, exit_code); $f = is_ptr(curtask); $g = sizeof(comm); }",
    "$a=uint64 $b=uint64 $c=uint64 $d=uint64 $e=uint64 $f=bool $g=uint64",
  ],
  [
    "BEGIN { delete(@a, 1); @a[1] = 1; delete(@a[1]); $d = delete(@a, 2); $h = has_key(@a, 1); $l = len(@a); $m = len(kstack); clear(@a); zero(@a); @s = 1; delete(@s); }",
    "@a[int64]=int64 @s=int64 $d=bool $h=bool $l=int64 $m=int64",
  ],
  [
    "BEGIN { $e = PIDTYPE_TGID; @e = PIDTYPE_PID; $f = AF_INET; $s = SIGKILL; }",
    "@e=enum pid_type $e=enum pid_type $f=int64 $s=int64",
  ],
  [
    "struct s { int a; char b[8]; struct s *next; union { int c; long d; }; int e : 3; unsigned f : 5; u8 m[6]; } BEGIN { $p = (struct s *)0; $a = $p->a; $b = $p->next->b; $d = $p->d; $e = $p->e; $m = $p->m; $z = sizeof(struct s); }",
    "$p=struct s * $a=int32 $b=string[8] $d=int64 $e=int32 $m=uint8[6] $z=uint64",
  ],
  ["enum color { RED = 5, GREEN } BEGIN { @a = RED; $g = GREEN; }", "@a=enum color $g=enum color"],
  [
    "let @m = lruhash(10); let @c = percpuhash(5); BEGIN { @m[1] = 2; @c[1] = count(); }",
    "@c[int64]=count_t @m[int64]=int64",
  ],
  [
    'BEGIN { if (1) { $a = 1; } else { $a = "x"; } { $b = 1; } { $b = "y"; } }',
    "$a=int64 $a=string[2] $b=int64 $b=string[2]",
  ],
  ['BEGIN { $x = { $y = 1; $y + 1 }; $z = if (1) { "a" } else { "abc" }; }', "$y=int64 $x=int64 $z=string[4]"],
  ["BEGIN { @a = @b; @b = 1; $x = @c[1]; @c[1] = comm; }", "@a=int64 @b=int64 @c[int64]=string[16] $x=string[16]"],
  ['BEGIN { $s = "abcdef"[2]; $t = comm[0]; }', "$s=int8 $t=int8"],
  ["BEGIN { $a = comptime (1 + 2); unroll (2 * 2) { $b = 1; } }", "$a=int64 $b=int64"],
  [
    "struct f { float a; int b } BEGIN { $x = (struct f *)0; $y = $x.b; $z = sizeof(struct f); }",
    "$x=struct f * $y=int32 $z=uint64",
  ],
  [
    'BEGIN { $a = sizeof(PIDTYPE_PID); $b = __builtin_comm; @[strftime("%m", nsecs)] = 1; }',
    "@[timestamp]=int64 $a=uint64 $b=string[16]",
  ],
  ["BEGIN { $x = if (1) { if (0) { 1 } else { 2 } } else { 3 }; }", "$x=int64"],
];

describe("types", () => {
  test.each(ACCEPTED)("%s", (text, types) => {
    expect(typesOf(check(text))).toBe(types);
  });
});
