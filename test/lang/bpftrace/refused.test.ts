import { describe, expect, test } from "vitest";
import { complaints } from "./support/check.ts";

/** Scripts that are refused: each complaint as the text under its marks, the message, and the hint. */
const REJECTED: readonly (readonly [string, readonly string[]])[] = [
  [
    'BEGIN { @x = 1; @x = "a"; }',
    [
      "@x = \"a\": Type mismatch for @x: trying to assign value of type 'string[2]' when map already contains a value of type 'int64' | use another map for other values",
    ],
  ],
  [
    'BEGIN { @x[1] = 1; @x["a"] = 2; }',
    [
      "@x[\"a\"]: Argument mismatch for @x: trying to access with arguments: 'string[2]' when map expects arguments: 'int64' | all keys of a map have the same types",
    ],
  ],
  [
    "BEGIN { @x[1] = 1; @x[1, 2] = 2; }",
    [
      "@x[1, 2]: Argument mismatch for @x: trying to access with arguments: '(int64,int64)' when map expects arguments: 'int64' | all keys of a map have the same types",
    ],
  ],
  [
    "BEGIN { @x[1] = 1; @x = 2; }",
    [
      "@x: @x used as a map without an explicit key (scalar map), previously used with an explicit key (non-scalar map) | write @x[key]",
    ],
  ],
  [
    "BEGIN { @x = 1; @x[1] = 2; }",
    [
      "@x[1]: @x used as a map with an explicit key (non-scalar map), previously used without an explicit key (scalar map) | write @x without brackets everywhere, or with a key everywhere",
    ],
  ],
  [
    'BEGIN { $a = 1; $a = "x"; }',
    [
      "$a = \"x\": Type mismatch for $a: trying to assign value of type 'string[2]' when variable already contains a value of type 'int64' | use another variable, or a cast",
    ],
  ],
  ["BEGIN { print($x); }", ["$x: Undefined or undeclared variable: $x | assign it first: $x = 1;"]],
  ["BEGIN { $abc = 1; print($abd); }", ["$abd: Undefined or undeclared variable: $abd | did you mean $abc?"]],
  [
    "BEGIN { if (1) { $a = 1; } print($a); }",
    [
      "$a: Undefined or undeclared variable: $a | it lives only in the block where it was first assigned: write let $a; before that block",
    ],
  ],
  ["BEGIN { $x = $x + 1; }", ["$x: Undefined or undeclared variable: $x | assign it first: $x = 1;"]],
  ["BEGIN { $x++; }", ["$x: Undefined or undeclared variable: $x | assign it first: $x = 1;"]],
  [
    "BEGIN { let $x = 1; let $x = 2; }",
    [
      "$x: Variable $x was already declared. Variable shadowing is not allowed. | choose another name, or leave out let",
    ],
  ],
  [
    "BEGIN { @k[1] = 1; $kv = 1; for ($kv : @k) { } }",
    ["$kv: Loop declaration shadows existing variable: $kv | choose another name for the loop's variable"],
  ],
  [
    "BEGIN { let $c: uint8 = 300; }",
    [
      "let $c: uint8 = 300: Type mismatch for $c: trying to assign value of type 'int64' when variable already contains a value of type 'uint8' | 300 does not fit into uint8",
    ],
  ],
  [
    'BEGIN { let $c: string[2] = "abc"; }',
    [
      "let $c: string[2] = \"abc\": Type mismatch for $c: trying to assign value of type 'string[4]' when variable already contains a value of type 'string[2]' | the text may have 4 bytes: declare string[4], or cut it with (string[2])",
    ],
  ],
  ["BEGIN { let $c: count_t; }", ["count_t: Invalid type: count_t | only maps hold aggregations: @x = count();"]],
  ["BEGIN { let $c: nosuch_t; }", ['nosuch_t: Cannot resolve unknown type "nosuch_t"']],
  ["BEGIN { break; }", ["break: break statement is only allowed in loops"]],
  ['BEGIN { return "a"; }', ['return "a": Probe return values can only be integers. Found string[2]']],
  ["BEGIN { print(@x); }", ["@x: Undefined map: @x | nothing is assigned to it: @x = 1; or @x = count();"]],
  ["BEGIN { @xyz = 1; print(@xyw); }", ["@xyw: Undefined map: @xyw | did you mean @xyz?"]],
  [
    "BEGIN { clear(@a[1]); @a[1] = 1; }",
    ["@a[1]: The map passed to clear() should not be indexed by a key | write clear(@a)"],
  ],
  [
    "BEGIN { @a[1] = 1; delete(@a); }",
    [
      "delete(@a): call to delete() expects a map without explicit keys (scalar map), or a key: @a has keys | write delete(@a, key), or clear(@a) for all",
    ],
  ],
  [
    "BEGIN { @a = 1; delete(@a, 1); }",
    ["@a: call to delete() expects a map with explicit keys (non-scalar map) | @a has no keys"],
  ],
  [
    "BEGIN { @a = 1; has_key(@a, 1); }",
    ["@a: call to has_key() expects a map with explicit keys (non-scalar map) | @a has no keys"],
  ],
  [
    "BEGIN { clear(1); delete(1); zero(); }",
    [
      "1: clear() expects a map argument | write clear(@x)",
      "1: delete() expects a map argument | write delete(@x, key)",
      "zero(): zero() requires one argument (0 provided) | write zero(map)",
    ],
  ],
  [
    "BEGIN { @x = count(); @x = sum(1); }",
    [
      "@x = sum(1): Type mismatch for @x: trying to assign value of type 'sum_t' when map already contains a value of type 'count_t' | use another map for other values",
    ],
  ],
  [
    "BEGIN { @x = count(); @x = 1; }",
    [
      "@x = 1: Type mismatch for @x: trying to assign value of type 'int64' when map already contains a value of type 'count_t' | use another map for other values",
    ],
  ],
  [
    "BEGIN { @x = 1; @x = count(); }",
    [
      "@x = count(): Type mismatch for @x: trying to assign value of type 'count_t' when map already contains a value of type 'int64' | use another map for other values",
    ],
  ],
  [
    "BEGIN { @x = count(); @x++; }",
    [
      "@x++: The ++ operator can not be used on expressions of type 'count_t' | count_t is changed by its own function: @x = count();",
    ],
  ],
  [
    "BEGIN { @x = count(); @x += 1; }",
    [
      "@x += 1: Type mismatch for @x: trying to assign value of type 'int64' when map already contains a value of type 'count_t' | count_t is changed by its own function",
    ],
  ],
  [
    "BEGIN { @x = hist(1); @x = hist(1, 2); }",
    [
      "@x = hist(1, 2): Type mismatch for @x: trying to assign value of type 'hist_t' when map already contains a value of type 'hist_t' | one histogram has 0 bits, the other 2",
    ],
  ],
  [
    "BEGIN { @x = lhist(1, 0, 10, 1); @x = lhist(1, 0, 20, 1); }",
    [
      "@x = lhist(1, 0, 20, 1): Type mismatch for @x: trying to assign value of type 'lhist_t' when map already contains a value of type 'lhist_t' | one histogram is (0, 10, 1), the other (0, 20, 1)",
    ],
  ],
  [
    "BEGIN { @x = hist(1); $y = @x; print(@x + 1); }",
    [
      "$y = @x: Value 'hist_t' cannot be assigned to a scratch variable. | print the map with print(@map)",
      "@x: operator +: a map of type hist_t can not be used as a value | print it with print(@map)",
    ],
  ],
  [
    "BEGIN { @x = count(); @y = @x; }",
    [
      "@y = @x: Map value 'count_t' cannot be assigned from one map to another. The function that returns this type must be called directly e.g. `@y = count(...);`. | Add a cast to integer if you want the value of the aggregate, e.g. `@y = (int64)@x;`.",
    ],
  ],
  [
    "BEGIN { @x = stats(1); @y = @x; }",
    [
      "@y = @x: Map value 'stats_t' cannot be assigned from one map to another. The function that returns this type must be called directly e.g. `@y = stats(...);`.",
    ],
  ],
  ["BEGIN { count(); }", ["count(): count() should be directly assigned to a map | write @x = count();"]],
  ["BEGIN { $x = count(); }", ["count(): count() should be directly assigned to a map | write @x = count();"]],
  ['BEGIN { @x = hist("a"); }', ['"a": hist() only supports integer arguments (string provided)']],
  ["BEGIN { @x = hist(1, 9); }", ["9: hist: bits 9 must be 0..5"]],
  [
    "BEGIN { @x = lhist(1, 10, 5, 1); }",
    ["lhist(1, 10, 5, 1): lhist() min must be less than max (provided min 10 and max 5)"],
  ],
  ["BEGIN { @x = lhist(1, 0, 10, 0); }", ["lhist(1, 0, 10, 0): lhist() step must be >= 1 (0 provided)"]],
  [
    "BEGIN { @x = lhist(1, 0, 100000, 1); }",
    ["lhist(1, 0, 100000, 1): lhist() too many buckets, must be <= 1000 (would need 100000) | a step of 100 would do"],
  ],
  [
    "BEGIN { @x = lhist(1, 0, 10, pid); }",
    ["pid: lhist() expects a integer literal (integer provided) | its value must be known when the script is compiled"],
  ],
  [
    "BEGIN { @x = lhist(1, 2); }",
    ["lhist(1, 2): lhist() requires 4 arguments (2 provided) | write lhist(value, min, max, step)"],
  ],
  ["BEGIN { @x = count(1); }", ["count(1): count() requires no arguments (1 provided) | write count()"]],
  ["BEGIN { @x = sum(); }", ["sum(): sum() requires one argument (0 provided) | write sum(value)"]],
  [
    "BEGIN { @x = tseries(1, 1s, 5); }",
    [
      "tseries: not supported by this version of skep yet: tseries() | use hist, or interval:s:1 with print and clear instead",
    ],
  ],
  [
    'BEGIN { printf("%d %s", 1); }',
    ['printf("%d %s", 1): printf: Not enough arguments for format string (1 supplied, 2 expected)'],
  ],
  [
    'BEGIN { printf("%d", 1, 2); }',
    ['printf("%d", 1, 2): printf: Too many arguments for format string (2 supplied, 1 expected)'],
  ],
  [
    'BEGIN { printf("%s", 1); }',
    [
      'printf("%s", 1): printf: %s specifier expects a value of type string (integer supplied) | text is read from an address by str(); numbers are printed by %d, %u or %x',
    ],
  ],
  [
    'BEGIN { printf("%d", comm); }',
    [
      'printf("%d", comm): printf: %d specifier expects a value of type integer (string supplied) | it is printed by %s',
    ],
  ],
  [
    'BEGIN { printf("%r", comm); }',
    ['printf("%r", comm): printf: %r specifier expects a value of type buffer (string supplied) | it is printed by %s'],
  ],
  ['BEGIN { printf("%q", 1); }', ['"%q": printf: unknown conversion "%q" | a percent sign itself is written %%']],
  ['BEGIN { printf("100%"); }', ['"100%": printf: unknown conversion "%" | a percent sign itself is written %%']],
  ['BEGIN { printf("%*d", comm, 1); }', ["comm: printf: * expects a value of type integer (string supplied)"]],
  [
    "BEGIN { printf(comm); }",
    ['comm: printf() expects a string literal (string provided) | write printf("%s\\n", ...)'],
  ],
  [
    "BEGIN { printf(); }",
    ["printf(): printf() requires at least one argument (0 provided) | write printf(format[, ...])"],
  ],
  ["BEGIN { foo(); }", ["foo: Unknown function: foo"]],
  ['BEGIN { printff("a"); }', ["printff: Unknown function: printff | did you mean printf, print?"]],
  ["BEGIN { foo; }", ["foo: Unknown identifier: 'foo' | variables are written $name, maps @name"]],
  ["BEGIN { kstak; }", ["kstak: Unknown identifier: 'kstak' | did you mean kstack?"]],
  ["BEGIN { printf; }", ["printf: Unknown identifier: 'printf' | printf is a function: write printf(...)"]],
  [
    "BEGIN { args.x; }",
    ["args: The args builtin can only be used with tracepoint and rawtracepoint probes (begin used here)"],
  ],
  [
    "BEGIN { arg0; }",
    ["arg0: The arg0 builtin can only be used with rawtracepoint, kprobe and uprobe probes (begin used here)"],
  ],
  [
    "BEGIN { arg99; }",
    ["arg99: The arg99 builtin can only be used with rawtracepoint, kprobe and uprobe probes (begin used here)"],
  ],
  ["kprobe:vfs_read { arg99; }", ["arg99: arg99 doesn't exist | arguments are arg0 to arg9"]],
  [
    "kprobe:vfs_read { retval; }",
    [
      "retval: The retval builtin can only be used with kretprobe, uretprobe and fexit probes (kprobe used here) | write kretprobe:...",
    ],
  ],
  [
    "kprobe:vfs_read { args.x; }",
    [
      "args: The args builtin can only be used with tracepoint and rawtracepoint probes (kprobe used here) | arguments are arg0, arg1, ... here",
    ],
  ],
  [
    "kretprobe:vfs_read { arg0; }",
    [
      "arg0: The arg0 builtin can only be used at the start of a function (kretprobe used here) | keep it: kprobe:... { @arg[tid] = arg0; }",
    ],
  ],
  [
    "tracepoint:sched:sched_switch { arg0; }",
    [
      "arg0: The arg0 builtin can only be used with rawtracepoint, kprobe and uprobe probes (tracepoint used here) | fields are args.NAME here; list them with skep trace -lv",
    ],
  ],
  [
    "tracepoint:syscalls:sys_exit_read { retval; }",
    [
      "retval: The retval builtin can only be used with kretprobe and uretprobe probes (tracepoint used here) | what a system call returned is args.ret in tracepoint:syscalls:sys_exit_*",
    ],
  ],
  [
    "tracepoint:sched:sched_switch { args.next_pidd; }",
    [
      "next_pidd: Struct/union of type 'struct _tracepoint_sched_sched_switch' does not contain a field named 'next_pidd' | did you mean next_pid?",
    ],
  ],
  [
    "tracepoint:sched:sched_switch { args.common_pid; }",
    ["common_pid: BPF does not support accessing common tracepoint fields | use builtins instead: pid, cpu"],
  ],
  [
    "tracepoint:syscalls:sys_enter_* { args.filename; }",
    [
      "filename: Struct/union of type 'struct _tracepoint_syscalls_sys_enter_read' does not contain a field named 'filename' | fields are __syscall_nr, fd, buf, count",
    ],
  ],
  [
    "tracepoint:sched:sched_swich { }",
    [
      "tracepoint:sched:sched_swich: tracepoint not found: sched:sched_swich | did you mean tracepoint:sched:sched_switch?",
    ],
  ],
  [
    "tracepoint:shed:sched_switch { }",
    [
      "tracepoint:shed:sched_switch: tracepoint not found: shed:sched_switch | did you mean tracepoint:sched:sched_switch?",
    ],
  ],
  [
    "tracepoint:nope:* { }",
    ["tracepoint:nope:*: No matches for tracepoint:nope:* | list them with skep trace -l 'tracepoint:*'"],
  ],
  [
    "tracepoint:sched:xyz* { }",
    ["tracepoint:sched:xyz*: No matches for tracepoint:sched:xyz* | list them with skep trace -l 'tracepoint:sched:*'"],
  ],
  [
    "tracepoint:sched { }",
    ["tracepoint:sched: tracepoint probe type requires 2 arguments | write tracepoint:CATEGORY:EVENT"],
  ],
  ["tracepoint: { }", ["tracepoint:: tracepoint probe type requires 2 arguments | write tracepoint:CATEGORY:EVENT"]],
  [
    "kprobe:vfs_raed { }",
    [
      "kprobe:vfs_raed: kernel function not found or not traceable: vfs_raed | did you mean kprobe:vfs_read, kprobe:vfs_readv?",
    ],
  ],
  ["kprobe:nope* { }", ["kprobe:nope*: No matches for kprobe:nope*"]],
  [
    "kretprobe:vfs_read+4 { }",
    [
      "vfs_read+4: Offset not allowed for kretprobes | a kretprobe is on the return of the function: kretprobe:FUNCTION",
    ],
  ],
  ["uprobe:/nope:f { }", ["/nope: uprobe target file '/nope' does not exist or is not executable"]],
  ["uprobe:libc:maloc { }", ["maloc: Could not resolve symbol: /lib/libc.so.6:maloc | did you mean malloc?"]],
  ["uprobe:libc:malloc+0x100 { }", ["malloc+0x100: Offset outside the function bounds ('malloc' size is 64)"]],
  [
    "uretprobe:libc:malloc+4 { }",
    ["malloc+4: uretprobes can not be attached at function offset | write uretprobe:BINARY:FUNCTION"],
  ],
  ["uprobe:libc:0x10 { }", ["0x10: no code at address 0x10 of /lib/libc.so.6"]],
  ["uprobe:/bin/bash:rust:f { }", ['rust: Invalid language: rust | only cpp stands there: uprobe:BINARY:cpp:"name"']],
  [
    "rawtracepoint:sched_swich { }",
    ["rawtracepoint:sched_swich: raw tracepoint not found: sched_swich | did you mean rawtracepoint:sched_switch?"],
  ],
  [
    "rawtracepoint:xfs:foo { }",
    ["xfs: raw tracepoints of modules are not supported by this version of skep yet: xfs | write rawtracepoint:EVENT"],
  ],
  [
    "software:fault { }",
    ["fault: Invalid event of software probe: fault | did you mean faults, page-faults, major-faults?"],
  ],
  [
    "hardware:foo { }",
    [
      "foo: Invalid event of hardware probe: foo | events are cpu-cycles, instructions, cache-references, cache-misses, branch-instructions, branch-misses, bus-cycles, frontend-stalls, backend-stalls, ref-cycles",
    ],
  ],
  ["software:faults:0 { }", ["0: Invalid count of software probe: 0 | write software:faults:100"]],
  ["profile:xx:1 { }", ["xx: Invalid unit of profile probe: xx | units are hz, s, ms, us"]],
  [
    "profile:hz:0 { }",
    ["0: Rate of profile probe is out of range: 0 | write profile:hz:99, profile:ms:100 or profile:1s"],
  ],
  ["profile:hz:a { }", ["a: Invalid rate of profile probe: a | write profile:hz:99, profile:ms:100 or profile:1s"]],
  ["interval:s { }", ["s: Invalid duration: s | write interval:hz:99, interval:ms:100 or interval:1s"]],
  ["interval:0 { }", ["0: interval of 0 is not possible | write interval:hz:99, interval:ms:100 or interval:1s"]],
  [
    "self:signal:SIGUSR2 { }",
    ["SIGUSR2: SIGUSR2 is not supported | the tracer listens to SIGUSR1: self:signal:SIGUSR1"],
  ],
  ["BEGIN:x { }", ["BEGIN:x: begin probe type requires no arguments | write begin"]],
  [
    "usdt:/bin/bash:foo { }",
    [
      "usdt: not supported by this version of skep yet: usdt | use a uprobe on the function that holds the marker instead",
    ],
  ],
  [
    "fentry:vfs_read { $x = args.file; }",
    ["fentry: not supported by this version of skep yet: fentry | use kprobe, or a tracepoint instead"],
  ],
  [
    "iter:task { }",
    [
      "iter: not supported by this version of skep yet: iter | use profile or a tracepoint of the same subsystem instead",
    ],
  ],
  [
    "watchpoint:0x1:8:w { }",
    [
      "watchpoint: not supported by this version of skep yet: watchpoint | use a uprobe or kprobe on the code that writes there instead",
    ],
  ],
  ["BEGIN { $a = (struct foo *)0; }", ["struct foo: Unknown struct/union: 'struct foo'"]],
  [
    "BEGIN { $a = (union task_struct *)0; }",
    ["union task_struct: Unknown struct/union: 'union task_struct' | did you mean struct task_struct?"],
  ],
  ["BEGIN { $a = (foo_t)0; }", ['foo_t: Cannot resolve unknown type "foo_t"']],
  [
    "BEGIN { $a = (struct task_struct)0; }",
    [
      '(struct task_struct)0: Cannot cast from "int64" to "struct task_struct" | a cast makes a pointer: (struct task_struct *)',
    ],
  ],
  [
    "BEGIN { $a = (string[4])1; }",
    ['(string[4])1: Cannot cast from "int64" to "string[4]" | text is read from an address by str()'],
  ],
  [
    "BEGIN { $a = (uint64)comm; }",
    ['(uint64)comm: Cannot cast from "string[16]" to "uint64" | text is not read as a number'],
  ],
  [
    "BEGIN { $a = (uint8[3])nsecs; }",
    ['(uint8[3])nsecs: Cannot cast from "uint64" to "uint8[3]" | the sizes differ: 8 and 3 bytes'],
  ],
  [
    "BEGIN { curtask.pidd; }",
    ["pidd: Struct/union of type 'struct task_struct' does not contain a field named 'pidd' | did you mean pid?"],
  ],
  [
    "BEGIN { curtask.pid.x; }",
    ["x: Can not access field 'x' on expression of type 'int32' | cast it first: ((struct NAME *)arg0).field"],
  ],
  [
    "BEGIN { pid.x; }",
    ["x: Can not access field 'x' on expression of type 'uint32' | cast it first: ((struct NAME *)arg0).field"],
  ],
  [
    "BEGIN { $t = (1, 2); $t.5; $t.x; }",
    [
      "5: Invalid tuple index: 5. Found 2 elements in tuple. | items of tuples are .0, .1, ...",
      "x: Can not access field 'x' on expression of type '(int64,int64)' | items of tuples are .0, .1, ...",
    ],
  ],
  ["BEGIN { $t = (a=1, b=2); $t.c; }", ["c: Record does not contain a field named 'c' | did you mean a, b?"]],
  [
    'BEGIN { curtask.mac[6]; comm[16]; pid[0]; curtask.mac["a"]; }',
    [
      "curtask.mac[6]: the index 6 is out of bounds for array of size 6",
      "comm[16]: the index 16 is out of bounds for array of size 16",
      "pid[0]: The array index operator [] can only be used on arrays, pointers, and tuples, found uint32.",
      '"a": The array index operator [] only accepts non-negative integer indices. Got: string[2]',
    ],
  ],
  ['BEGIN { "a" + 1; }', ["\"a\" + 1: Type mismatch for '+': comparing 'string[2]' with 'int64'"]],
  [
    'BEGIN { comm < "a"; }',
    ['comm < "a": The < operator can not be used on expressions of types string[16], string[2]'],
  ],
  ["BEGIN { comm == 1; }", ["comm == 1: Type mismatch for '==': comparing 'string[16]' with 'int64'"]],
  ["BEGIN { if (comm) { } }", ['(comm): Invalid condition: string[16] | compare it: comm == "name"']],
  [
    'BEGIN { -comm; *comm; ~"a"; }',
    [
      "-comm: The - operator can not be used on expressions of type 'string[16]'",
      "*comm: Can not dereference type 'string[16]'. It is not a pointer.",
      "~\"a\": The ~ operator can not be used on expressions of type 'string[2]'",
    ],
  ],
  ["BEGIN { 1 / 0; }", ["1 / 0: division by zero | in the kernel it gives 0; guard it with an if"]],
  [
    'BEGIN { pid ? 1 : "a"; }',
    [
      "pid ? 1 : \"a\": Ternary operator must return the same type: have 'int64' and 'string[2]' | both sides are to be of one type",
    ],
  ],
  [
    "BEGIN { curtask * 2; }",
    [
      "curtask * 2: The * operator can not be used on expressions of types struct task_struct *, int64 | cast the pointer first: (uint64)$p",
    ],
  ],
  ["BEGIN { $x = print(1); }", ["$x = print(1): Value 'void' cannot be assigned to a scratch variable."]],
  ["BEGIN { @x = print(1); }", ["@x = print(1): Value 'void' cannot be assigned to a map."]],
  [
    "BEGIN { print(print(1)); }",
    ["print(1): print(): this has no value | a call that only does something can not be used as a value"],
  ],
  [
    "BEGIN { str(1, 2, 3); str(); }",
    [
      "str(1, 2, 3): str() takes up to 2 arguments (3 provided) | write str(address[, length])",
      "str(): str() requires at least one argument (0 provided) | write str(address[, length])",
    ],
  ],
  [
    "BEGIN { str((1, 2)); }",
    ["(1, 2): str() expects a string, integer or a pointer type as first argument (tuple provided)"],
  ],
  ["BEGIN { str(0, -1); }", ["-1: str() cannot use negative length (-1)"]],
  [
    "BEGIN { buf(0); buf(0, 0); }",
    [
      "buf(0): buf() expects a length argument for non-array type integer | write buf(data, length)",
      "0: buf() of 0 bytes holds nothing",
    ],
  ],
  [
    "BEGIN { kstack(1500); kstack(foo); kstack(build_id); kstack(1, 2); kstack(pid); }",
    [
      "1500: kstack([int limit]): limit shouldn't exceed 1024, 1500 given",
      "foo: Invalid stack mode: foo | modes are bpftrace, perf, raw, build_id",
      "build_id: 'build_id' stack mode can only be used for ustack",
      "1: kstack: expected stack mode as first argument | write kstack(perf, 5)",
      "pid: Invalid stack mode: pid | modes are bpftrace, perf, raw, build_id",
    ],
  ],
  [
    'BEGIN { strftime("%d", "a"); strftime(comm, 1); time(1); }',
    [
      '"a": strftime() only supports integer arguments (string provided)',
      "comm: strftime() expects a string literal (string provided) | write it in quotes",
      "1: time() expects a string literal (integer provided) | write it in quotes",
    ],
  ],
  [
    'BEGIN { strncmp(comm, "a", 0); strncmp(comm, "a", pid); strncmp(1, "a", 1); }',
    [
      "0: Builtin strncmp requires a positive length (0 provided)",
      "pid: strncmp() expects a integer literal (integer provided) | its value must be known when the script is compiled",
      "1: strncmp() only supports string arguments (integer provided) | read it first: strncmp(str(...))",
    ],
  ],
  [
    'BEGIN { ntop("abc"); ntop(comm, 1); pton("nope"); pton(comm); macaddr("abcdef"); }',
    [
      "comm: ntop() only supports integer arguments (string provided) | write ntop(AF_INET, address)",
      'pton("nope"): pton() expects a valid IPv4/IPv6 address, got nope | write pton("127.0.0.1") or pton("::1")',
      "comm: pton() expects a string literal (string provided) | write it in quotes",
      'macaddr("abcdef"): macaddr() does not support literal string arguments',
    ],
  ],
  [
    'BEGIN { kaddr("nope"); cgroupid("/nope"); }',
    [
      'kaddr("nope"): Failed to resolve kernel symbol: nope | symbols are in /proc/kallsyms; those of variables only in kernels built with CONFIG_KALLSYMS_ALL',
      'cgroupid("/nope"): cgroup not found: /nope | give a directory under /sys/fs/cgroup',
    ],
  ],
  [
    'kprobe:vfs_read { reg("zz"); }',
    [
      "\"zz\": 'zz' is not a valid register on this architecture (x86_64) | registers are r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss",
    ],
  ],
  [
    'BEGIN { reg("ip"); uaddr("x"); }',
    ['reg("ip"): reg can not be used with "begin" probes', 'uaddr("x"): uaddr can not be used with "begin" probes'],
  ],
  [
    'uprobe:libc:malloc { uaddr("countr"); }',
    ['uaddr("countr"): Could not resolve symbol: /lib/libc.so.6:countr | did you mean counter?'],
  ],
  [
    'BEGIN { system("ls"); }',
    ['system("ls"): system() is an unsafe function being used in safe mode | allow it with --unsafe'],
  ],
  [
    'BEGIN { signal("KILL"); }',
    [
      'signal("KILL"): signal() is an unsafe function being used in safe mode | allow it with --unsafe',
      'signal("KILL"): signal can not be used with "begin" probes',
    ],
  ],
  [
    "BEGIN { nsecs(foo); nsecs(1); pid(foo); comm(1); }",
    [
      "foo: Invalid timestamp mode: foo | write one of boot, monotonic, tai, sw_tai",
      "1: nsecs() expects a timestamp mode | write one of boot, monotonic, tai, sw_tai",
      "foo: Invalid namespace: foo | write one of curr_ns, init",
      "comm(1): not supported by this version of skep yet: comm(pid) | use comm, the name of the current thread",
    ],
  ],
  [
    "BEGIN { pid(1, 2); uid(1); }",
    [
      "pid(1, 2): pid() takes up to one argument (2 provided) | write pid([namespace])",
      "uid(1): uid() requires no arguments (1 provided)",
    ],
  ],
  [
    "BEGIN { print(1, 2); print(@x, 1, 0); @x = 1; }",
    [
      "print(1, 2): Non-map print() only takes 1 argument, 2 found | top and div are for maps: print(@x, 5)",
      "0: print() can not divide by 0",
    ],
  ],
  [
    "BEGIN { unroll(0) { } unroll(101) { } unroll(pid) { } }",
    [
      "(0): unroll minimum value is 1",
      "(101): unroll maximum value is 100 | use a loop: for ($i : 0..1000) { }",
      "(pid): invalid unroll value | the number of rounds must be known when the script is compiled",
    ],
  ],
  ['BEGIN { for ($i : 0.."a") { } }', ['"a": Loop range requires an integer for the end value']],
  [
    "BEGIN { @s = 1; for ($kv : @s) { } }",
    ["@s: @s has no explicit keys (scalar map), and cannot be used for iteration"],
  ],
  [
    "BEGIN { @h[1] = hist(1); for ($kv : @h) { } }",
    ["@h: Loop expression does not support type: hist_t | print the map with print(@map)"],
  ],
  [
    'BEGIN { exit("a"); exit(1, 2); }',
    [
      '"a": exit() only supports integer arguments (string provided)',
      "exit(1, 2): exit() takes up to one argument (2 provided) | write exit([code])",
    ],
  ],
  [
    "BEGIN { sizeof(struct nope); offsetof(struct task_struct, nope); offsetof(struct task_struct, low); }",
    [
      "struct nope: Unknown struct/union: 'struct nope'",
      "offsetof(struct task_struct, nope): Struct/union of type 'struct task_struct' does not contain a field named 'nope'",
      "offsetof(struct task_struct, low): 'low' is a bit field, which has no offset in bytes",
    ],
  ],
  [
    "BEGIN { comptime pid; }",
    ["comptime pid: Unable to resolve comptime expression | its value must be known when the script is compiled"],
  ],
  ["BEGIN { join(comm); }", ["comm: join() only supports integer and pointer arguments (string provided)"]],
  [
    'BEGIN { skboutput("a", 1, 2, 3); strlen(comm); find(@a, 1, $x); }',
    [
      "skboutput: not supported by this version of skep yet: skboutput() | use buf and printf instead",
      "strlen: not supported by this version of skep yet: strlen() | use compare, or print with printf instead",
      "find: not supported by this version of skep yet: find() | use has_key and @map[key] instead",
      "@a: Undefined map: @a | nothing is assigned to it: @a = 1; or @a = count();",
      "$x: Undefined or undeclared variable: $x | assign it first: $x = 1;",
    ],
  ],
  [
    "BEGIN { &1; &pid; }",
    [
      "&1: address-of operator (&) can only be used on a map or variable",
      "&pid: address-of operator (&) can only be used on a map or variable",
    ],
  ],
  [
    "let @a = foo(1); let @b = hash(0); let @c = hash(1); let @c = hash(2); BEGIN { @a = 1; @b = 1; @c[1] = 1; }",
    [
      "let @a = foo(1): Invalid bpf map type: foo | Valid map types: hash, lruhash, percpuhash, percpulruhash",
      "let @b = hash(0): Invalid number of entries: 0 | a map holds 1 to 2147483647 entries",
      "let @c = hash(2): @c was already declared",
    ],
  ],
  [
    "let @a = hash(10); let @b = percpuhash(5); BEGIN { @a[1] = count(); @b[1] = 1; }",
    [
      "let @a = hash(10): Incompatible map types. Type from declaration: hash. Type from value/key type: percpuhash or percpulruhash | declare let @a = percpuhash(10);",
      "let @b = percpuhash(5): Incompatible map types. Type from declaration: percpuhash. Type from value/key type: hash or lruhash | declare let @b = hash(5);",
    ],
  ],
  [
    'config = { max_strlen = 0; foo = 1; stack_mode = x; max_map_keys = "x"; print_maps_on_exit = 7; license = "MIT" } BEGIN { }',
    [
      "max_strlen = 0: Invalid value for max_strlen: 0 | it goes from 1 to 65536",
      "foo: foo: not a known config option",
      "stack_mode = x: Invalid value for stack_mode: x | it is one of bpftrace, perf, raw, build_id",
      'max_map_keys = "x": Invalid type for max_map_keys. Type: string. Expected Type: int | write max_map_keys = 4096',
      "print_maps_on_exit = 7: Invalid value for print_maps_on_exit: expected true, false, 1, or 0 | write print_maps_on_exit = true",
      'license = "MIT": Invalid license: MIT | it is one of GPL, GPL v2, GPL and additional rights, Dual BSD/GPL, Dual MIT/GPL, Dual MPL/GPL',
    ],
  ],
  [
    "fn f($x: int64): int64 { return 1; } BEGIN { }",
    ["f: not supported by this version of skep yet: fn f | write out what it does"],
  ],
  [
    'import "x"; BEGIN { }',
    ['import "x": not supported by this version of skep yet: import | put the definitions into the script'],
  ],
  ["struct a { nope_t x; }; BEGIN { }", ["nope_t: Unknown type: 'nope_t' | define it before it is used"]],
  [
    "struct a { int x[; }; BEGIN { }",
    [";: not a constant | write an integer, or the name of a constant that was defined before"],
  ],
  ["struct a { int x; }; struct a { int y; }; BEGIN { }", ["struct a { int y; }: redefinition of 'struct a'"]],
  [
    "kprobe:vfs_read { @a = 1; } kprobe:nope { @b = 2; } END { print(@b); print(@a); }",
    ["kprobe:nope: kernel function not found or not traceable: nope"],
  ],
  [
    "BEGIN { @a = nope(); print(@a); $x = nope(); print($x); }",
    ["nope: Unknown function: nope", "nope: Unknown function: nope"],
  ],
];

describe("refused", () => {
  test.each(REJECTED)("%s", (text, expected) => {
    expect(complaints(text)).toEqual(expected);
  });
});
