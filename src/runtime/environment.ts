/** The running Linux as the front end asks about it. Nothing is read before it is asked for: most scripts ask for one thing. */
import { statSync } from "node:fs";
import { arch } from "node:os";
import type { Btf } from "../btf/index.ts";
import { UnsupportedError } from "../base/index.ts";
import { hasKernelBtf, kernelBtf } from "../kernel/linux/kernel-btf.ts";
import { kprobesMissing } from "../kernel/linux/diagnose.ts";
import { probeFeature } from "../kernel/linux/features.ts";
import { machine } from "../kernel/linux/machine.ts";
import { listTracepoints, tracefs, tracepointFormat } from "../kernel/linux/tracefs.ts";
import type { Binary, TraceEnvironment, TracepointField, TracepointFormat } from "../lang/bpftrace/environment.ts";
import { ElfBinary, mappedBinaries, resolveBinaryPaths } from "./binary.ts";
import { readProcFile } from "./symbols/file.ts";
import { Kallsyms } from "./symbols/kallsyms.ts";

/** Inode of the first namespace of process ids (linux: PROC_PID_INIT_INO). */
const INIT_PID_NAMESPACE = 0xeffffffcn;

const FIELD = /^\tfield:(.*);\toffset:(\d+);\tsize:(\d+);\tsigned:(\d);$/gm;
const OPTION = /^--([A-Za-z_][\w-]*)(?:=(.*))?$/s;
const ID = /^ID: (\d+)$/m;

/** Parses a tracefs `format` file. */
export function parseTracepointFormat(text: string): TracepointFormat {
  const fields: TracepointField[] = [];
  for (const [, declaration, offset, size, signed] of text.matchAll(FIELD)) {
    // `char comm[16]` declares comm of type char[16]; a function pointer's name is inside its parentheses.
    const match = /^(.*?)(\w+)(\[[^\]]*\])?$/.exec(declaration!.trim());
    if (!match) continue;
    fields.push({
      ctype: match[1]!.trim() + (match[3] ?? ""),
      name: match[2]!,
      byteOffset: Number(offset),
      size: Number(size),
      signed: signed === "1",
    });
  }
  return { id: Number(ID.exec(text)?.[1] ?? 0), fields };
}

/** Options of {@link LinuxEnvironment}. */
export interface LinuxEnvironmentOptions {
  /** What is given to the script: `--name=value` is an option of its own (`getopt`), everything else is `$1 ...` */
  readonly positional?: readonly string[];
  /** `-p`, or the pid of `-c`. */
  readonly pid?: number;
  /** Where `BPFTRACE_*` is looked up. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
}

/** The machine that this process runs on. */
export class LinuxEnvironment implements TraceEnvironment {
  readonly arch: "x86_64" | "aarch64";
  readonly positional: readonly string[];
  readonly named: ReadonlyMap<string, string>;
  declare readonly pid?: number;
  readonly config: ReadonlyMap<string, string>;
  private tracepointList: readonly string[] | undefined;
  private readonly formats = new Map<string, TracepointFormat | undefined>();
  /** By module; undefined: all. */
  private readonly functionLists = new Map<string | undefined, readonly string[] | null>();
  private symbols: Kallsyms | null | undefined;
  private readonly binaryCache = new Map<string, readonly Binary[]>();

  /** Throws UnsupportedError on a processor that programs cannot be compiled for. */
  constructor(options: LinuxEnvironmentOptions = {}) {
    const machineArch = arch();
    if (machineArch !== "x64" && machineArch !== "arm64") {
      throw new UnsupportedError("processor", `${machineArch}: x86-64 and arm64 are supported`);
    }
    this.arch = machineArch === "x64" ? "x86_64" : "aarch64";
    const given = options.positional ?? [];
    this.positional = given.filter((word) => !OPTION.test(word));
    this.named = new Map(
      given.flatMap((word) => {
        const match = OPTION.exec(word);
        return match ? [[match[1]!, match[2] ?? ""] as const] : [];
      }),
    );
    if (options.pid !== undefined) this.pid = options.pid;
    const config = new Map<string, string>();
    for (const [name, value] of Object.entries(options.variables ?? process.env)) {
      if (name.startsWith("BPFTRACE_") && value !== undefined) {
        config.set(name.slice("BPFTRACE_".length).toLowerCase(), value);
      }
    }
    this.config = config;
  }

  get kernelVersion(): readonly [number, number, number] {
    return machine.kernelVersion;
  }

  get hasBtf(): boolean {
    return hasKernelBtf();
  }

  get btf(): Btf | null {
    return hasKernelBtf() ? kernelBtf() : null;
  }

  get possibleCpus(): number {
    return machine.possibleCpus.length;
  }

  tracepoints(): readonly string[] {
    this.tracepointList ??= listTracepoints().map(({ category, name }) => `${category}:${name}`);
    return this.tracepointList;
  }

  tracepointFormat(category: string, name: string): TracepointFormat | undefined {
    const event = `${category}:${name}`;
    if (!this.formats.has(event)) this.formats.set(event, this.readFormat(category, name));
    return this.formats.get(event);
  }

  private readFormat(category: string, name: string): TracepointFormat | undefined {
    if (category.includes("/") || name.includes("/")) return undefined;
    const bytes = readProcFile(`${tracefs()}/events/${category}/${name}/format`, 4096);
    if (bytes) return parseTracepointFormat(new TextDecoder().decode(bytes));
    // Distinguishes an event that is missing from one that this user may not read.
    if (!this.tracepoints().includes(`${category}:${name}`)) return undefined;
    return parseTracepointFormat(tracepointFormat(category, name));
  }

  kernelFunctions(module?: string): readonly string[] | null {
    const known = this.functionLists.get(module);
    if (known !== undefined) return known;
    const list = this.readKernelFunctions(module);
    this.functionLists.set(module, list);
    return list;
  }

  /** What ftrace says can be probed; without it, the functions of the kernel's symbols, which tell no modules. */
  private readKernelFunctions(module: string | undefined): readonly string[] | null {
    let list: Uint8Array | undefined;
    try {
      list = readProcFile(`${tracefs()}/available_filter_functions`, 4 << 20);
    } catch {
      list = undefined;
    }
    const names: string[] = [];
    if (list) {
      // A line is `name` or `name [module]`.
      for (const line of new TextDecoder().decode(list).split("\n")) {
        const [name = "", of] = line.split(/[ \t]+/);
        if (module === undefined || module === (of === undefined ? "vmlinux" : of.slice(1, -1))) names.push(name);
      }
    } else if (module === undefined) {
      names.push(...(this.kallsyms?.functionNames() ?? []));
    }
    if (names.length === 0 && (!list || module === undefined)) return null;
    return [...new Set(names)].filter((name) => /^[A-Za-z_][\w.]*$/.test(name)).toSorted();
  }

  private get kallsyms(): Kallsyms | null {
    if (this.symbols === undefined) this.symbols = Kallsyms.read();
    return this.symbols;
  }

  get kprobeProblem(): string | null {
    return kprobesMissing() ?? null;
  }

  get kprobeMulti(): boolean {
    const [major, minor] = this.kernelVersion;
    // The first kernels that have it find no functions of modules by name.
    return (major > 6 || (major === 6 && minor >= 6)) && probeFeature("kprobe_multi").available === true;
  }

  kernelSymbol(name: string): bigint | undefined {
    return this.kallsyms?.find(name);
  }

  binaries(pattern: string, pid?: number): readonly Binary[] {
    const cacheKey = `${pid ?? ""} ${pattern}`;
    let found = this.binaryCache.get(cacheKey);
    if (!found) {
      const mapped = pid !== undefined && pattern.includes("*") && !pattern.includes("/");
      found = (mapped ? mappedBinaries(pid, pattern) : resolveBinaryPaths(pattern, { arch: this.arch, pid }))
        .map((path) => new ElfBinary(path))
        .filter((binary) => binary.isElf);
      this.binaryCache.set(cacheKey, found);
    }
    return found;
  }

  get pidNamespace(): { readonly device: bigint; readonly inode: bigint } | null {
    try {
      const { dev, ino } = statSync("/proc/self/ns/pid", { bigint: true });
      return ino === INIT_PID_NAMESPACE ? null : { device: dev, inode: ino };
    } catch {
      return null;
    }
  }

  cgroupId(path: string): bigint | undefined {
    try {
      // Since Linux 5.5 a cgroup's id is the number of its directory's inode.
      return statSync(path, { bigint: true }).ino;
    } catch {
      return undefined;
    }
  }
}
