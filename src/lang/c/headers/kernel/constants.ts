/** Numbers that kernel headers define as macros, and enumerators of the UAPI: found by name, from tables and from the kernel's types. */
import { integerConstant } from "../../preprocessor/constants.ts";
import { constantType } from "../../types/compatible.ts";
import type { KernelTypes } from "../../types/kernel-types.ts";
import { type CType, INT, UNSIGNED_INT, shapeOf } from "../../types/types.ts";
import type { CArch } from "../registers.ts";
import { bpfFlagConstants, bpfKindConstants } from "./constants-bpf.ts";
import {
  fileConstants,
  memoryConstants,
  numberConstants,
  socketConstants,
  taskConstants,
  timeConstants,
} from "./constants-kernel.ts";
import { ethernetConstants, icmpConstants, internetConstants, socketsConstants } from "./constants-network.ts";
import {
  bpfConstants,
  errnoConstants,
  filesConstants,
  numbersConstants,
  processesConstants,
} from "./constants-system.ts";
import { syscallNumbers } from "./syscall-numbers.ts";

/** A number and the type that C gives it. */
export interface NamedNumber {
  readonly value: bigint;
  readonly type: CType;
}

/** What the tables hold, by what it is about; the first to name a constant decides. */
export const constantTables: readonly { readonly title: string; readonly text: string }[] = [
  { title: "errors", text: errnoConstants },
  { title: "time", text: timeConstants },
  { title: "memory", text: memoryConstants },
  { title: "tasks", text: taskConstants },
  { title: "files of the kernel", text: fileConstants },
  { title: "networking of the kernel", text: socketConstants },
  { title: "integers", text: numberConstants },
  { title: "sockets", text: socketsConstants },
  { title: "IP, TCP and UDP", text: internetConstants },
  { title: "Ethernet and tunnels", text: ethernetConstants },
  { title: "ICMP, traffic control, routes", text: icmpConstants },
  { title: "files", text: filesConstants },
  { title: "processes", text: processesConstants },
  { title: "limits", text: numbersConstants },
  { title: "BPF", text: bpfConstants },
  { title: "kinds of BPF", text: bpfKindConstants },
  { title: "flags of BPF", text: bpfFlagConstants },
];

/** Flags of `open` that arm64 numbers in its own way. */
const arm64Constants = "O_DIRECTORY 0x4000 O_NOFOLLOW 0x8000 O_DIRECT 0x10000 O_LARGEFILE 0x20000";

/** Names and spellings of a table's numbers. */
export function* tableEntries(text: string): Generator<readonly [name: string, number: string]> {
  const words = text.trim().split(/\s+/);
  for (let i = 0; i + 1 < words.length; i += 2) yield [words[i]!, words[i + 1]!];
}

/** What decides the numbers that differ. */
export interface KernelConstantOptions {
  readonly types?: KernelTypes | undefined;
  readonly arch?: CArch | undefined;
  readonly kernelVersion?: readonly [number, number, number] | undefined;
}

type Computed = (types: KernelTypes) => bigint | undefined;

/** Elements of an array that is a member of a kernel struct. */
function elements(tag: string, member: string): Computed {
  return (types) => {
    const field = types.record(false, tag)?.contents?.fields.find(({ name }) => name === member);
    let shape = field === undefined ? undefined : shapeOf(field.type);
    // Since Linux 6.14 the short name of a dentry is a union with words.
    if (shape?.kind === "record") {
      const inner = shape.contents?.fields[0];
      shape = inner === undefined ? undefined : shapeOf(inner.type);
    }
    return shape?.kind === "array" && shape.count !== undefined ? BigInt(shape.count) : undefined;
  };
}

/** Bits that are numbered by enumerators, together. */
function bits(...enumerators: readonly string[]): Computed {
  return (types) => {
    let value = 0n;
    for (const name of enumerators) {
      const bit = types.constant(name);
      if (bit === undefined) return undefined;
      value |= 1n << bit.value;
    }
    return value;
  };
}

const gfp = (...names: readonly string[]): Computed => bits(...names.map((name) => `___GFP_${name}_BIT`));
const RECLAIM = ["DIRECT_RECLAIM", "KSWAPD_RECLAIM"] as const;

/** Numbers that the kernel's types tell better than any table. */
const computed: Readonly<Record<string, Computed>> = {
  DNAME_INLINE_LEN: (types) => elements("dentry", "d_iname")(types) ?? elements("dentry", "d_shortname")(types),
  DISK_NAME_LEN: elements("gendisk", "disk_name"),
  IFNAMSIZ: elements("net_device", "name"),
  TASK_COMM_LEN: elements("task_struct", "comm"),
  TCP_CA_NAME_MAX: elements("tcp_congestion_ops", "name"),
  CGROUP_SUBSYS_COUNT: elements("css_set", "subsys"),
  GFP_KERNEL: gfp(...RECLAIM, "IO", "FS"),
  GFP_USER: gfp(...RECLAIM, "IO", "FS", "HARDWALL"),
  GFP_ATOMIC: gfp("HIGH", "KSWAPD_RECLAIM"),
  GFP_NOWAIT: gfp("KSWAPD_RECLAIM", "NOWARN"),
  GFP_NOIO: gfp(...RECLAIM),
  GFP_NOFS: gfp(...RECLAIM, "IO"),
  GFP_KERNEL_ACCOUNT: gfp(...RECLAIM, "IO", "FS", "ACCOUNT"),
  __GFP_RECLAIM: gfp(...RECLAIM),
};

/** Prefixes of flags whose bits are numbered by enumerators of the same name with something before it. */
const flagsOfBits: readonly (readonly [flag: string, enumerator: string, behind: string])[] = [
  ["REQ_", "__REQ_", ""],
  ["__GFP_", "___GFP_", "_BIT"],
];

/** All such numbers, for a kernel. */
export class KernelConstants {
  private readonly options: KernelConstantOptions;
  private readonly found = new Map<string, NamedNumber | undefined>();
  private spelled: Map<string, string> | undefined;

  constructor(options: KernelConstantOptions = {}) {
    this.options = options;
  }

  /** Undefined for what is no such constant; enumerators that the kernel's types have are not looked up here. */
  find(name: string): NamedNumber | undefined {
    if (!/^[A-Z_tfa]/.test(name)) return undefined;
    if (this.found.has(name)) return this.found.get(name);
    const number = this.version(name) ?? this.fromTypes(name) ?? this.fromTables(name);
    this.found.set(name, number);
    return number;
  }

  /** All names in the tables. */
  names(): IterableIterator<string> {
    return this.table.keys();
  }

  private version(name: string): NamedNumber | undefined {
    if (name !== "LINUX_VERSION_CODE") return undefined;
    return { value: BigInt(versionCode(this.options.kernelVersion)), type: INT };
  }

  private fromTypes(name: string): NamedNumber | undefined {
    const { types } = this.options;
    if (types === undefined) return undefined;
    const make = Object.hasOwn(computed, name) ? computed[name] : undefined;
    let value = make?.(types);
    for (const [flag, enumerator, behind] of flagsOfBits) {
      if (value !== undefined || !name.startsWith(flag)) continue;
      value = bits(`${enumerator}${name.slice(flag.length)}${behind}`)(types);
    }
    return value === undefined ? undefined : { value, type: value < 1n << 31n ? INT : UNSIGNED_INT };
  }

  private fromTables(name: string): NamedNumber | undefined {
    const spelling = this.table.get(name);
    if (spelling === undefined) return undefined;
    const negative = spelling.startsWith("-");
    const constant = integerConstant(negative ? spelling.slice(1) : spelling);
    if ("problem" in constant) throw new TypeError(`${name}: ${constant.problem}`);
    const { value, unsigned, longs, decimal } = constant;
    return { value: negative ? -value : value, type: constantType(value, unsigned, longs, decimal) };
  }

  private get table(): Map<string, string> {
    if (this.spelled !== undefined) return this.spelled;
    const table = new Map<string, string>();
    const { arch = "x86_64" } = this.options;
    if (arch === "arm64") for (const [name, number] of tableEntries(arm64Constants)) table.set(name, number);
    for (const { text } of constantTables)
      for (const [name, number] of tableEntries(text)) if (!table.has(name)) table.set(name, number);
    for (const [name, number] of tableEntries(syscallNumbers[arch])) table.set(`__NR_${name}`, number);
    this.spelled = table;
    return table;
  }
}

/** `LINUX_VERSION_CODE` of a version; of 6.12.0 when there is none. */
export function versionCode(version: readonly [number, number, number] = [6, 12, 0]): number {
  const [major, minor, patch] = version;
  return major * 65536 + minor * 256 + Math.min(patch, 255);
}
