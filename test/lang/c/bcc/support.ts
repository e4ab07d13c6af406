/** Programs of BCC's dialect for tests. */
import { CompileError, compileC } from "../../../../src/lang/c/index.ts";
import type { BccOptions, CCompilation, CCompileOptions } from "../../../../src/lang/c/index.ts";

/** Fields as the kernel has them behind those that all tracepoints share. */
function common(): NonNullable<ReturnType<NonNullable<BccOptions["tracepointFields"]>>>[number][] {
  return [
    { name: "common_type", ctype: "unsigned short", byteOffset: 0, size: 2, signed: false },
    { name: "common_pid", ctype: "int", byteOffset: 4, size: 4, signed: true },
  ];
}

/** Two tracepoints: one with text of its own length, one of a system call. */
export const tracepointFields: NonNullable<BccOptions["tracepointFields"]> = (category, event) => {
  if (`${category}:${event}` === "sched:sched_process_exec") {
    return [
      ...common(),
      { name: "filename", ctype: "__data_loc char[]", byteOffset: 8, size: 4, signed: false },
      { name: "pid", ctype: "pid_t", byteOffset: 12, size: 4, signed: true },
      { name: "comm", ctype: "char[16]", byteOffset: 16, size: 16, signed: false },
    ];
  }
  if (`${category}:${event}` === "syscalls:sys_enter_openat") {
    return [
      ...common(),
      { name: "__syscall_nr", ctype: "int", byteOffset: 8, size: 4, signed: true },
      { name: "dfd", ctype: "int", byteOffset: 16, size: 8, signed: false },
      { name: "filename", ctype: "const char *", byteOffset: 24, size: 8, signed: false },
    ];
  }
  return undefined;
};

/** What programs of kprobes need to be declared where no kernel's types are. */
export const REGISTERS =
  "struct pt_regs { unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss; };\n";

/** Compiles a text of the dialect. */
export function compile(text: string, options: CCompileOptions = {}): CCompilation {
  return compileC({ name: "t.c", text }, { dialect: "bcc", bcc: { tracepointFields, onlineCpus: 4 }, ...options });
}

/** What is said of a text that does not compile; empty for one that does. */
export function complaint(text: string, options: CCompileOptions = {}): string {
  try {
    compile(text, options);
  } catch (error) {
    if (error instanceof CompileError) return error.message;
    throw error;
  }
  return "";
}
