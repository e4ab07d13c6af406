/**
 * The kernel functions that a program may call by number, and what they take and give.
 * The set is closed: Linux 6.2 added the last one, newer functions are kfuncs. What a helper takes follows the kernel's
 * `struct bpf_func_proto`; where one id has several definitions for several program types, the most general one is listed.
 */
import { HELPER_TABLE } from "./helper-table.ts";

/** What an argument must be: the kernel's `enum bpf_arg_type` in lower case, without `ARG_` and `PTR_TO_`. */
export type HelperArgKind =
  /** The map itself, from an ld_imm64 of a map. */
  | "const_map_ptr"
  /** Pointer to `keySize` readable bytes. */
  | "map_key"
  /** Pointer to `valueSize` bytes, read unless `uninit`. */
  | "map_value"
  /** Pointer to memory whose size is the next argument, or `size` when it is fixed. */
  | "mem"
  /** Size in bytes of the `mem` before it, known to be above zero. */
  | "const_size"
  /** Size in bytes of the `mem` before it. */
  | "const_size_or_zero"
  /** Constant size of the memory returned. */
  | "const_alloc_size_or_zero"
  /** The program's context, as r1 was at entry. */
  | "ctx"
  /** Any initialised register. */
  | "anything"
  | "spin_lock"
  | "sock_common"
  | "socket"
  /** Pointer to a kernel object of the struct that `cType` names. */
  | "btf_id"
  | "btf_id_sock_common"
  | "percpu_btf_id"
  /** What `bpf_ringbuf_reserve` returned. */
  | "ringbuf_mem"
  /** A subprogram, from an ld_imm64 of a function. */
  | "func"
  /** Pointer into the stack. */
  | "stack"
  /** Address of a NUL-terminated string in a frozen, read-only map. */
  | "const_str"
  | "timer"
  | "kptr_xchg_dest"
  | "dynptr";

/** What a helper leaves in r0: the kernel's `enum bpf_return_type` in lower case, without `RET_` and `PTR_TO_`. */
export type HelperReturnKind =
  | "integer"
  | "void"
  | "map_value"
  | "mem"
  | "mem_or_btf_id"
  | "btf_id"
  | "socket"
  | "tcp_sock"
  | "sock_common";

/** One argument of a helper. */
export interface HelperArg {
  readonly kind: HelperArgKind;
  /** As the kernel's documentation names it. */
  readonly name: string;
  /** C type, such as `const void *`. */
  readonly cType: string;
  /** NULL is allowed. */
  readonly maybeNull: boolean;
  /** The helper only reads, read-only memory will do. */
  readonly readOnly: boolean;
  /** The memory need not be initialised. */
  readonly uninit: boolean;
  /** The helper writes the memory. */
  readonly write: boolean;
  /** The memory must be aligned to its size. */
  readonly aligned: boolean;
  /** The call gives the reference up. */
  readonly release: boolean;
  /** Bytes of memory of fixed size. */
  readonly size?: number;
  /** Kind of dynamic pointer, where only one will do. */
  readonly dynptr?: "local" | "ringbuf";
}

/** What r0 holds after the call. */
export interface HelperReturn {
  readonly kind: HelperReturnKind;
  readonly cType: string;
  /** May be NULL, and must be compared before use. */
  readonly maybeNull: boolean;
  readonly readOnly: boolean;
  /** Memory is a reservation of a ring buffer that must be submitted or discarded. */
  readonly ringbuf: boolean;
  /** The kernel vouches for the pointer, so that it may be given to kfuncs and helpers. */
  readonly trusted: boolean;
}

/** A helper function. */
export interface Helper {
  /** `imm` of the call. */
  readonly id: number;
  /** With its prefix: `bpf_map_lookup_elem`. */
  readonly name: string;
  /** First kernel version, such as `5.8`. */
  readonly since: string;
  /** Only for programs under a licence compatible with the GPL. */
  readonly gplOnly: boolean;
  /** Only for sleepable programs. */
  readonly mightSleep: boolean;
  /** C prototype. */
  readonly prototype: string;
  readonly returns: HelperReturn;
  readonly args: readonly HelperArg[];
  /** Takes further arguments up to r5, which may be anything (`bpf_trace_printk`). */
  readonly variadic: boolean;
}

interface TypeText {
  readonly kind: string;
  readonly maybeNull: boolean;
  readonly marks: ReadonlySet<string>;
  readonly size?: number;
}

/** `mem?:rdonly:20` is a kind, may be NULL, marks, and a size in bytes. */
function parseType(text: string): TypeText {
  const [head = "", ...marks] = text.split(":");
  const maybeNull = head.endsWith("?");
  const sizeText = marks.find((mark) => /^\d+$/.test(mark));
  return {
    kind: maybeNull ? head.slice(0, -1) : head,
    maybeNull,
    marks: new Set(marks),
    ...(sizeText === undefined ? {} : { size: Number(sizeText) }),
  };
}

/** Splits `const void *key` into its type and its name. */
function splitDeclaration(text: string): { cType: string; name: string } {
  const name = /\w+$/.exec(text)?.[0] ?? "";
  return { cType: text.slice(0, text.length - name.length).trim(), name };
}

function parseHelper(line: string): Helper {
  const [head = "", prototype = "", returnText = "", argsText = ""] = line.split("|").map((part) => part.trim());
  const [id, since = "", flags = ""] = head.split(" ");
  const open = prototype.indexOf("(");
  const own = splitDeclaration(prototype.slice(0, open));
  const declarations = prototype.slice(open + 1, -1).split(", ");
  const returned = parseType(returnText);
  const args = argsText
    .split(" ")
    .filter(Boolean)
    .map((text, i): HelperArg => {
      const type = parseType(text);
      const dynptr = type.marks.has("local") ? "local" : type.marks.has("ringbuf") ? "ringbuf" : undefined;
      return {
        kind: type.kind as HelperArgKind,
        ...splitDeclaration(declarations[i] ?? ""),
        maybeNull: type.maybeNull,
        readOnly: type.marks.has("rdonly"),
        uninit: type.marks.has("uninit"),
        write: type.marks.has("write"),
        aligned: type.marks.has("aligned"),
        release: type.marks.has("release"),
        ...(type.size === undefined ? {} : { size: type.size }),
        ...(dynptr === undefined ? {} : { dynptr }),
      };
    });
  return {
    id: Number(id),
    name: own.name,
    since,
    gplOnly: flags.includes("gpl"),
    mightSleep: flags.includes("sleeps"),
    prototype,
    returns: {
      kind: returned.kind as HelperReturnKind,
      cType: own.cType,
      maybeNull: returned.maybeNull,
      readOnly: returned.marks.has("rdonly"),
      ringbuf: returned.marks.has("ringbuf"),
      trusted: returned.marks.has("trusted"),
    },
    args,
    variadic: declarations.at(-1) === "...",
  };
}

// Parsing all of the table takes milliseconds, which a tool that starts and asks for three helpers should not pay.
let lines: readonly string[] | undefined;
let idsByName: Map<string, number> | undefined;
const parsed: Helper[] = [];

function tableLines(): readonly string[] {
  lines ??= HELPER_TABLE.trim().split("\n");
  return lines;
}

function nameOfLine(line: string): string {
  const open = line.indexOf("(");
  return line.slice(line.lastIndexOf("bpf_", open), open);
}

/** All helpers, by id from 1. */
export function allHelpers(): readonly Helper[] {
  return tableLines().map((_, index) => helperById(index + 1) as Helper);
}

/** Names of all helpers with their prefix, by id from 1. */
export function helperNames(): readonly string[] {
  return tableLines().map(nameOfLine);
}

/** The helper of a name, with or without its `bpf_` prefix; undefined when there is none. */
export function helperByName(name: string): Helper | undefined {
  idsByName ??= new Map(helperNames().map((one, index) => [one, index + 1]));
  const id = idsByName.get(name) ?? idsByName.get(`bpf_${name}`);
  return id === undefined ? undefined : helperById(id);
}

/** The helper of a number; undefined when there is none. */
export function helperById(id: number): Helper | undefined {
  const line = tableLines()[id - 1];
  if (line === undefined) return undefined;
  return (parsed[id] ??= parseHelper(line));
}
