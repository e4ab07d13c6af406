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

/** Calls whose event is named after a function of another name than the constant's. */
const EVENT_NAMES: ReadonlyMap<string, string> = new Map([
  ["stat", "newstat"],
  ["fstat", "newfstat"],
  ["lstat", "newlstat"],
  ["uname", "newuname"],
  ["sendfile", "sendfile64"],
]);

/** The number that `__NR_NAME` or `SYS_NAME` of `asm/unistd.h` stands for; undefined for other names. */
export function syscallConstant(name: string, arch: SyscallArch): bigint | undefined {
  const call = /^(?:__NR|SYS)_([a-z]\w*)$/.exec(name)?.[1];
  if (call === undefined) return undefined;
  const numbers = syscallNumbers(arch);
  const number = numbers.get(call) ?? numbers.get(EVENT_NAMES.get(call) ?? "");
  return number === undefined ? undefined : BigInt(number);
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
