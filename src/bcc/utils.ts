/** Names and lists that BCC's tools take from its smaller modules (`utils`, `syscall`, `tcp`). */
import { machine } from "../kernel/linux/index.ts";
import { syscallNumbers } from "../lang/bpftrace/lower/syscalls.ts";

/** Numbers of the CPUs that are online. */
export function getOnlineCpus(): number[] {
  return machine.onlineCpus;
}

/** Numbers of the CPUs that may ever be online: per-CPU tables have a value for each. */
export function getPossibleCpus(): number[] {
  return machine.possibleCpus;
}

/** Calls that the kernel's functions have other names for than user space. */
const userNames: Readonly<Record<string, string>> = {
  newstat: "stat",
  newfstat: "fstat",
  newlstat: "lstat",
  newuname: "uname",
  sendfile64: "sendfile",
};

let callsByNumber: ReadonlyMap<number, string> | undefined;

/** Name of the system call with a number, on this machine's architecture; `[unknown: 999]` when there is none. */
export function syscallName(number: number): string {
  callsByNumber ??= new Map(
    Array.from(syscallNumbers(process.arch === "arm64" ? "aarch64" : "x86_64"), ([name, own]) => [own, name]),
  );
  const name = callsByNumber.get(number);
  return name === undefined ? `[unknown: ${number}]` : (userNames[name] ?? name);
}

/** States of TCP connections by number (`include/net/tcp_states.h`). */
const tcpStates: readonly string[] = [
  "",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
];

/** Name of a state of a TCP connection; the number when it is none. */
export function tcpStateName(state: number): string {
  return tcpStates[state] || String(state);
}

/** Flags of a TCP header, from the lowest bit. */
const tcpFlags: readonly string[] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/** Flags of a TCP header as text: `SYN|ACK`. */
export function tcpFlagsText(flags: number): string {
  return tcpFlags.filter((_, bit) => (flags & (1 << bit)) !== 0).join("|");
}
