/** `<bpf/bpf_tracing.h>`: arguments of probes, by registers of the machine or by the words of a context. */
import { type CArch, type RegisterNames, registerNames } from "../registers.ts";
import { MOST_ARGUMENTS, byCount, range } from "../text.ts";

/** Parameters that `PT_REGS_PARMn` knows, whatever the machine; those that it has no register for are an error when they are used. */
const MOST_PARAMS = 8;
const MOST_SYSCALL_PARAMS = 7;

function registers(names: RegisterNames): string {
  const cast = names.struct === null ? "(x)" : `((const struct ${names.struct} *)(x))`;
  const lines = [
    `#define bpf_target_${names.macro}`,
    "#define bpf_target_defined",
    `#define __PT_REGS_CAST(x) ${cast}`,
  ];
  for (const n of range(1, MOST_PARAMS))
    lines.push(`#define __PT_PARM${n}_REG ${names.params[n - 1] ?? "__unsupported__"}`);
  for (const n of range(1, MOST_SYSCALL_PARAMS))
    lines.push(`#define __PT_PARM${n}_SYSCALL_REG ${names.syscall[n - 1] ?? "__unsupported__"}`);
  for (const key of ["ret", "fp", "rc", "sp", "ip"] as const)
    lines.push(`#define __PT_${key.toUpperCase()}_REG ${names[key]}`);
  if (names.syscallFirst !== undefined) {
    const { struct, member } = names.syscallFirst;
    lines.push(`struct ${struct} { unsigned long ${member}; } __attribute__((preserve_access_index));`);
    lines.push(`#define ___pt_syscall_first(x) ((const struct ${struct} *)(x))`);
  } else lines.push("#define ___pt_syscall_first(x) __PT_REGS_CAST(x)");
  if (names.returnOnStack) {
    lines.push(
      "#define BPF_KPROBE_READ_RET_IP(ip, ctx) ({ bpf_probe_read_kernel(&(ip), sizeof(ip), (void *)PT_REGS_RET(ctx)); })",
      "#define BPF_KRETPROBE_READ_RET_IP(ip, ctx) \\",
      "  ({ bpf_probe_read_kernel(&(ip), sizeof(ip), (void *)(PT_REGS_FP(ctx) + sizeof(ip))); })",
    );
  } else {
    lines.push(
      "#define BPF_KPROBE_READ_RET_IP(ip, ctx) ({ (ip) = PT_REGS_RET(ctx); })",
      "#define BPF_KRETPROBE_READ_RET_IP BPF_KPROBE_READ_RET_IP",
    );
  }
  return lines.join("\n");
}

const chosen = Object.values(registerNames)
  .map(({ macro }) => `defined(__TARGET_ARCH_${macro})`)
  .join(" || ");

/** By `-D__TARGET_ARCH_…`; what the compilation is for when none is given. */
function choice(arch: CArch): string {
  const branches = Object.values(registerNames).map(
    (names, i) => `#${i === 0 ? "if" : "elif"} defined(__TARGET_ARCH_${names.macro})\n${registers(names)}`,
  );
  return `#if !(${chosen})
#define __TARGET_ARCH_${registerNames[arch].macro}
#endif
${branches.join("\n")}
#endif`;
}

const accessors = [...range(1, MOST_PARAMS).map((n) => `PARM${n}`), "RET", "FP", "RC", "SP", "IP"].flatMap((what) => [
  `#define PT_REGS_${what}(x) (__PT_REGS_CAST(x)->__PT_${what}_REG)`,
  `#define PT_REGS_${what}_CORE(x) BPF_CORE_READ(__PT_REGS_CAST(x), __PT_${what}_REG)`,
]);

const syscallAccessors = range(1, MOST_SYSCALL_PARAMS).flatMap((n) => {
  const regs = n === 1 ? "___pt_syscall_first(x)" : "__PT_REGS_CAST(x)";
  return [
    `#define PT_REGS_PARM${n}_SYSCALL(x) (${regs}->__PT_PARM${n}_SYSCALL_REG)`,
    `#define PT_REGS_PARM${n}_CORE_SYSCALL(x) BPF_CORE_READ(${regs}, __PT_PARM${n}_SYSCALL_REG)`,
  ];
});

/** Arguments of a call: the context, then what `argument` makes of each number from 1 on. */
function callArguments(prefix: string, most: number, argument: (n: number) => string): string {
  return `${byCount(prefix, most, (count) => `(args...) ${["ctx", ...range(1, count).map(argument)].join(", ")}`)}
#define ${prefix}(args...) ___bpf_apply(${prefix}, ___bpf_narg(args))(args)`;
}

const word = "(unsigned long long)";

/**
 * A program that takes its arguments as a function would: `name` gets the context and calls `____name`, whose body is the user's.
 * `call` is what `name` does.
 */
function program(
  macro: string,
  context: string,
  call: string,
  declared: string = ", ##args",
  more: string = "",
): string {
  const inner = `static __always_inline __typeof__(name(0)) ____##name(${context}${declared})`;
  return `#define ${macro}(name, args...) \\
name(${context}); ${more}\\
${inner}; \\
__typeof__(name(0)) name(${context}) { ${call} } \\
${inner}`;
}

const regsContext = "struct pt_regs *ctx";

/** `BPF_PROG2`: pairs of type and name; a struct of up to 16 bytes takes as many words of the context as it needs. */
function pairs(): string {
  const named = (count: number): string =>
    range(1, count)
      .map((n) => `t${n}, x${n}`)
      .join(", ");
  const before = (n: number): string => ["0", ...range(1, n - 1).map((i) => `___bpf_words(t${i})`)].join(" + ");
  const numbers = range(0, MOST_ARGUMENTS)
    .toReversed()
    .flatMap((count) => (count === 0 ? ["0"] : [`${count}`, `${count}`]))
    .join(", ");
  const places = range(1, MOST_ARGUMENTS * 2)
    .map((n) => `_${n}`)
    .join(", ");
  return `#define ___bpf_nth2(_, ${places}, N, ...) N
#define ___bpf_narg2(...) ___bpf_nth2(_, ##__VA_ARGS__, ${numbers})
#define ___bpf_words(t) ((sizeof(t) + 7) / 8)
#define ___bpf_from_words(t, n) ({ union { unsigned long long w[___bpf_words(t)]; t x; } ___u; \\
  ___u.w[0] = ctx[n]; if (___bpf_words(t) == 2) ___u.w[___bpf_words(t) - 1] = ctx[(n) + 1]; ___u.x; })
${byCount(
  "___bpf_ctx_decl",
  MOST_ARGUMENTS,
  (count) =>
    `(${named(count)})${range(1, count)
      .map((n) => `, t${n} x${n}`)
      .join("")}`,
)}
#define ___bpf_ctx_decl(args...) ___bpf_apply(___bpf_ctx_decl, ___bpf_narg2(args))(args)
${byCount(
  "___bpf_ctx_arg",
  MOST_ARGUMENTS,
  (count) =>
    `(${named(count)})${range(1, count)
      .map((n) => `, ___bpf_from_words(t${n}, ${before(n)})`)
      .join("")}`,
)}
#define ___bpf_ctx_arg(args...) ___bpf_apply(___bpf_ctx_arg, ___bpf_narg2(args))(args)
${program("BPF_PROG2", "unsigned long long *ctx", "return ____##name(ctx ___bpf_ctx_arg(args));", " ___bpf_ctx_decl(args)")}`;
}

/** The header's text. */
export function bpfTracingHeader(arch: CArch): string {
  return `#pragma once
#define __BPF_TRACING_H__
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
struct pt_regs;
${choice(arch)}
${accessors.join("\n")}
${syscallAccessors.join("\n")}
#ifndef PT_REGS_SYSCALL_REGS
#define PT_REGS_SYSCALL_REGS(ctx) ((struct pt_regs *)PT_REGS_PARM1(ctx))
#endif
${callArguments("___bpf_ctx_cast", MOST_ARGUMENTS, (n) => `ctx[${n - 1}]`)}
${program("BPF_PROG", "unsigned long long *ctx", "return ____##name(___bpf_ctx_cast(args));")}
${pairs()}
${callArguments("___bpf_kprobe_args", MOST_PARAMS, (n) => `${word}PT_REGS_PARM${n}(ctx)`)}
${program("BPF_KPROBE", regsContext, "return ____##name(___bpf_kprobe_args(args));")}
${callArguments("___bpf_kretprobe_args", 1, () => `${word}PT_REGS_RC(ctx)`)}
${program("BPF_KRETPROBE", regsContext, "return ____##name(___bpf_kretprobe_args(args));")}
${callArguments("___bpf_syscall_args", MOST_SYSCALL_PARAMS, (n) => `${word}PT_REGS_PARM${n}_SYSCALL(regs)`)}
${callArguments("___bpf_syswrap_args", MOST_SYSCALL_PARAMS, (n) => `${word}PT_REGS_PARM${n}_CORE_SYSCALL(regs)`)}
${program(
  "BPF_KSYSCALL",
  regsContext,
  `\\
  struct pt_regs *regs = LINUX_HAS_SYSCALL_WRAPPER ? (struct pt_regs *)PT_REGS_PARM1(ctx) : ctx; \\
  if (LINUX_HAS_SYSCALL_WRAPPER) return ____##name(___bpf_syswrap_args(args)); \\
  else return ____##name(___bpf_syscall_args(args)); `,
  undefined,
  "extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig; ",
)}
#define BPF_KPROBE_SYSCALL BPF_KSYSCALL
#define BPF_UPROBE(name, args...) BPF_KPROBE(name, ##args)
#define BPF_URETPROBE(name, args...) BPF_KRETPROBE(name, ##args)
`;
}
