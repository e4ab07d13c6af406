/** What this machine has: functions to probe, tracepoints, types of the kernel, functions of binaries. */
import { existsSync, statSync } from "node:fs";
import { UnsupportedError } from "../base/index.ts";
import { BtfKind } from "../btf/index.ts";
import { hasKernelBtf, kernelBtf, kprobesMissing, listTracepoints, machine, tracefs } from "../kernel/linux/index.ts";
import { LinuxAttachMachine, kernelFunctionOf } from "../runtime/attachment/index.ts";
import { findLibrary } from "../runtime/ld-cache.ts";
import { ElfBinary, resolveBinaryPaths } from "../runtime/index.ts";
import { mappedBinaries } from "../runtime/binary.ts";
import { ksymname } from "./symbols.ts";

/** A pattern: a regular expression, or its source. */
export type Pattern = RegExp | string;

function sourceOf(pattern: Pattern): string {
  return typeof pattern === "string" ? pattern : pattern.source;
}

/** A test of whole names, as `re.fullmatch`. */
function wholeMatch(pattern: Pattern): RegExp {
  return new RegExp(`^(?:${sourceOf(pattern)})$`, "s");
}

/** A test of how names begin, as `re.match`. */
function startMatch(pattern: Pattern): RegExp {
  return new RegExp(`^(?:${sourceOf(pattern)})`, "s");
}

/** Functions of these parts of the kernel cannot be probed: their names stand between two symbols. */
const closedParts: readonly (readonly [begin: string, end: string])[] = [
  ["__init_begin", "__init_end"],
  ["__irqentry_text_start", "__irqentry_text_end"],
];

/** Functions that bear no probe whatever lists say: perf's own, and what the compiler and the kernel make of others. */
const unprobed = /^(?:_kbl_addr_|__perf|perf_|__SCT__)|\.cold(?:\.\d+)?$/;

/** In a line of kallsyms: 16 digits of the address, the type, the name, and a tab with the module. */
const TYPE_COLUMN = 17;
const NAME_COLUMN = 19;

function lines(path: string): string[] | undefined {
  const bytes = machine.source.read(path);
  return bytes === undefined ? undefined : new TextDecoder("latin1").decode(bytes).split("\n");
}

/**
 * Functions of the kernel that can be probed and whose whole name matches. Throws UnsupportedError for a kernel without kprobes, and when
 * it tells no names.
 */
export function getKprobeFunctions(eventRe: Pattern): Set<string> {
  const what = `functions ${sourceOf(eventRe)}`;
  const none = kprobesMissing();
  if (none !== undefined) throw new UnsupportedError(what, none);
  const symbols = lines("/proc/kallsyms");
  if (symbols === undefined) throw new UnsupportedError(what, "/proc/kallsyms cannot be read");
  const matches = wholeMatch(eventRe);
  const blacklist = new Set((lines("/sys/kernel/debug/kprobes/blacklist") ?? []).map((line) => line.split(/\s+/)[1]));
  const traceable = lines(`${tracefs()}/available_filter_functions`);
  const available = traceable === undefined ? undefined : new Set(traceable.map((line) => line.split(/\s/, 1)[0]));
  const found = new Set<string>();
  const inside = closedParts.map(() => false);
  for (const line of symbols) {
    const type = line[TYPE_COLUMN] ?? "?";
    const tab = line.indexOf("\t", NAME_COLUMN);
    const name = line.slice(NAME_COLUMN, tab === -1 ? undefined : tab);
    if (name.startsWith("__i")) {
      closedParts.forEach(([begin, end], i) => {
        if (name === begin) inside[i] = true;
        else if (name === end) inside[i] = false;
      });
    }
    if (inside.includes(true) || !"tTwW".includes(type) || unprobed.test(name) || !matches.test(name)) continue;
    if (!blacklist.has(name) && available?.has(name) !== false) found.add(name);
  }
  return found;
}

/** Tracepoints whose `category:event` begins with a match. */
export function getTracepoints(tpRe: Pattern): string[] {
  const matches = startMatch(tpRe);
  return listTracepoints()
    .map(({ category, name }) => `${category}:${name}`)
    .filter((name) => matches.test(name));
}

/** Whether the kernel has a tracepoint. */
export function tracepointExists(category: string, event: string): boolean {
  if (`${category}${event}`.includes("/") || category === "" || event === "") return false;
  const path = `${tracefs()}/events/${category}/${event}`;
  return existsSync(path) && statSync(path).isDirectory();
}

/** Whether a struct or union of the kernel has a member, those of anonymous parts included. False without kernel BTF. */
export function kernelStructHasField(structName: string, fieldName: string): boolean {
  if (!hasKernelBtf()) return false;
  const btf = kernelBtf();
  const found = btf.structByName(structName) ?? btf.unionByName(structName);
  return found !== undefined && btf.memberPath(found.id, fieldName) !== undefined;
}

/** Whether an enum of the kernel has a constant. False without kernel BTF. */
export function kernelEnumHasVal(enumName: string, valueName: string): boolean {
  if (!hasKernelBtf()) return false;
  const btf = kernelBtf();
  const ids = [...btf.findAllByName(enumName, BtfKind.ENUM), ...btf.findAllByName(enumName, BtfKind.ENUM64)];
  return ids.some((id) => {
    const type = btf.typeById(id);
    return "values" in type && type.values.some(({ name }) => name === valueName);
  });
}

/** Prefixes of the functions that handle system calls, in the order in which BCC tries them. */
const syscallPrefixes: readonly string[] = [
  "sys_",
  "__x64_sys_",
  "__x32_compat_sys_",
  "__ia32_compat_sys_",
  "__arm64_sys_",
  "__s390x_sys_",
  "__s390_sys_",
  "__riscv_sys_",
];

/** What this kernel's handlers of system calls begin with, such as `__x64_sys_`; `sys_` when it does not tell. */
export function getSyscallPrefix(): string {
  return syscallPrefixes.find((prefix) => ksymname(`${prefix}bpf`) !== -1n) ?? syscallPrefixes[0]!;
}

/** The function that handles a system call: `clone` is `__x64_sys_clone`. */
export function getSyscallFnname(name: string): string {
  return getSyscallPrefix() + name;
}

/** The name that this kernel has for a handler of a system call as another kernel calls it; other names stay. */
export function fixSyscallFnname(name: string): string {
  const prefix = syscallPrefixes.find((each) => name.startsWith(each));
  return prefix === undefined ? name : getSyscallFnname(name.slice(prefix.length));
}

/** Its list of functions serves for a second. */
const attachMachine = new LinuxAttachMachine();

/** The function that an event names: itself, or the handler of the system call that it means. */
export function probedFunction(event: string): string {
  return kernelFunctionOf(event, attachMachine);
}

/** Whether programs can be attached to functions by `KFUNC_PROBE` (fentry). */
export function supportKfunc(): boolean {
  return hasKernelBtf() && ksymname("bpf_trampoline_link_prog") !== -1n;
}

/** Whether the kernel runs BPF programs as security hooks (`LSM_PROBE`). */
export function supportLsm(): boolean {
  return hasKernelBtf() && ksymname("bpf_lsm_bpf") !== -1n;
}

/** Whether programs may change what functions return (`KMOD_RET`). */
export function supportFmodRet(): boolean {
  return kernelEnumHasVal("bpf_attach_type", "BPF_MODIFY_RETURN");
}

/** Whether there are raw tracepoints (`RAW_TRACEPOINT_PROBE`). */
export function supportRawTracepoint(): boolean {
  const listed = ksymname("bpf_find_raw_tracepoint") !== -1n || ksymname("bpf_get_raw_tracepoint") !== -1n;
  return listed || machine.atLeast(4, 17);
}

/** Whether raw tracepoints of modules can be attached to. */
export function supportRawTracepointInModule(): boolean {
  return ksymname("bpf_trace_modules") !== -1n;
}

function archName(): string {
  return process.arch === "arm64" ? "aarch64" : "x86_64";
}

/**
 * The binary that a name stands for, as BCC looks for it: a path; a library without its `lib` (`c`), in a process among what it has mapped;
 * a program in `PATH`. Undefined when there is none.
 */
export function findBinaryFile(name: string, pid?: number): string | undefined {
  const options = { arch: archName(), ...(pid === undefined ? {} : { pid }) };
  if (name.includes("/")) return resolveBinaryPaths(name, options)[0];
  return findMappedLibrary(name, pid) ?? findLibrary(`lib${name}`, archName()) ?? resolveBinaryPaths(name, options)[0];
}

function findMappedLibrary(name: string, pid: number | undefined): string | undefined {
  if (pid === undefined) return undefined;
  return mappedBinaries(pid, `lib${name}.so*`)[0] ?? mappedBinaries(pid, `lib${name}-*.so`)[0];
}

/** Path of the library `lib<name>`: among what a process has mapped, or in the linker's cache. Undefined when there is none. */
export function findLibraryFile(name: string, pid: number = 0): string | undefined {
  return pid > 0 ? findMappedLibrary(name, pid) : findLibrary(`lib${name}`, archName());
}

/** Path of a program in `PATH`; undefined when there is none. */
export function findExe(name: string): string | undefined {
  return resolveBinaryPaths(name, { arch: archName() })[0];
}

/** A function of a binary: its name and virtual address. */
export type UserFunction = readonly [name: string, address: bigint];

/** Functions of a binary whose names begin with a match, with their addresses. Throws UnsupportedError when there is no such binary. */
export function getUserFunctionsAndAddresses(name: string, symRe: Pattern): UserFunction[] {
  const path = findBinaryFile(name);
  const what = `functions of ${name}`;
  if (path === undefined) throw new UnsupportedError(what, "there is no binary of that name");
  const binary = new ElfBinary(path);
  if (!binary.isElf) throw new UnsupportedError(what, `${path} is no ELF file`);
  const matches = startMatch(symRe);
  return binary
    .functions()
    .filter((found) => matches.test(found.name))
    .map((found) => [found.name, found.address]);
}

/** Names of functions of a binary that begin with a match. */
export function getUserFunctions(name: string, symRe: Pattern): Set<string> {
  return new Set(getUserFunctionsAndAddresses(name, symRe).map(([found]) => found));
}

/** Addresses of functions of a binary whose names begin with a match: each once, whatever names it has. */
export function getUserAddresses(name: string, symRe: Pattern): Set<bigint> {
  return new Set(getUserFunctionsAndAddresses(name, symRe).map(([, address]) => address));
}
