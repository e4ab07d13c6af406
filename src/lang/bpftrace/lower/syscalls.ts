/** Numbers of system calls by the names of their tracefs events. */
import { SYSCALLS_AARCH64 } from "./syscalls-aarch64.ts";
import { SYSCALLS_X86_64 } from "./syscalls-x86_64.ts";

/** Architectures whose system calls are known. */
export type SyscallArch = "x86_64" | "aarch64";

const TABLES: Record<SyscallArch, string> = { x86_64: SYSCALLS_X86_64, aarch64: SYSCALLS_AARCH64 };
const parsed = new Map<SyscallArch, Map<string, number>>();

/** All system calls of an architecture: number by name. */
export function syscallNumbers(arch: SyscallArch): ReadonlyMap<string, number> {
  let numbers = parsed.get(arch);
  if (!numbers) {
    numbers = new Map();
    let next = 0;
    for (const word of TABLES[arch].split(/\s+/)) {
      if (word.endsWith(":")) next = Number(word.slice(0, -1));
      else if (word !== "") numbers.set(word, next++);
    }
    parsed.set(arch, numbers);
  }
  return numbers;
}

/** A tracefs event of the `syscalls` category: which side of the call, and the call's number. */
export interface SyscallEvent {
  readonly side: "enter" | "exit";
  readonly number: number;
}

/** What `sys_enter_NAME` or `sys_exit_NAME` stands for; undefined when the call's number is not known. */
export function syscallEvent(arch: SyscallArch, event: string): SyscallEvent | undefined {
  const match = /^sys_(enter|exit)_(.+)$/.exec(event);
  if (!match) return undefined;
  const number = syscallNumbers(arch).get(match[2]!);
  return number === undefined ? undefined : { side: match[1] as "enter" | "exit", number };
}
