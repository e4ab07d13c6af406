/** What requests to attach take from the machine. */
import { arch } from "node:os";
import { UnsupportedError } from "../../base/index.ts";
import type { UsdtArch } from "../../object/index.ts";
import { kprobesMissing } from "../../kernel/linux/diagnose.ts";
import { LinuxFacts } from "../../kernel/linux/facts.ts";
import { kernelFunctions } from "../../kernel/linux/kallsyms.ts";
import { machine } from "../../kernel/linux/machine.ts";
import { tracefs } from "../../kernel/linux/tracefs.ts";

/** A function of the kernel that can be traced. */
export interface TraceableFunction {
  readonly name: string;
  /** Absent: the kernel itself. */
  readonly module?: string;
}

/** A machine on which names stand for places. Everything is read when it is asked for. */
export interface AttachMachine {
  /** Undefined for architectures whose USDT operands and registers are not known. */
  readonly arch: UsdtArch | undefined;
  /** True from this kernel version on. */
  atLeast(major: number, minor: number): boolean;
  /** Functions that ftrace lists, in the kernel's order; undefined when this kernel does not list them. */
  traceableFunctions(): readonly TraceableFunction[] | undefined;
  /** Why functions of the kernel cannot be probed at all; undefined when nothing speaks against it. */
  readonly kprobesMissing: string | undefined;
  /** Names of all functions of the kernel. */
  kernelFunctions(): ReadonlySet<string>;
  /** `bpf_get_attach_cookie` answers where uprobes are. */
  readonly hasCookies: boolean;
}

/** What stands for functions that ftrace knows and kallsyms does not. */
const INVALID = "__ftrace_invalid_address__";

/** How long a list of functions serves: modules come and go, and objects have many programs. */
const LIST_LIFE_MS = 1000;

/** A list that is read again when it is old. */
class Fresh<T> {
  private readonly read: () => T;
  private value: { readonly of: T; readonly until: number } | undefined;

  constructor(read: () => T) {
    this.read = read;
  }

  get(): T {
    const now = performance.now();
    if (this.value === undefined || this.value.until < now) this.value = { of: this.read(), until: now + LIST_LIFE_MS };
    return this.value.of;
  }
}

/** The machine that this process runs on. Lists of functions are read again when they are a second old. */
export class LinuxAttachMachine implements AttachMachine {
  private readonly facts = new LinuxFacts();
  private readonly listed = new Fresh(() => listTraceable());
  private readonly known = new Fresh(() => kernelFunctions());

  get arch(): UsdtArch | undefined {
    const here = arch();
    return here === "x64" ? "x86_64" : here === "arm64" ? "aarch64" : undefined;
  }

  atLeast(major: number, minor: number): boolean {
    return machine.atLeast(major, minor);
  }

  get kprobesMissing(): string | undefined {
    return kprobesMissing();
  }

  traceableFunctions(): readonly TraceableFunction[] | undefined {
    return this.listed.get();
  }

  kernelFunctions(): ReadonlySet<string> {
    return this.known.get();
  }

  get hasCookies(): boolean {
    return this.facts.hasBpfCookie;
  }
}

function listTraceable(): TraceableFunction[] | undefined {
  const bytes = machine.source.read(`${tracefs()}/available_filter_functions`);
  if (bytes === undefined) return undefined;
  const found: TraceableFunction[] = [];
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    const [name = "", module] = line.split(/[ \t]+/);
    if (name === "" || name.startsWith(INVALID)) continue;
    found.push(module === undefined || !module.startsWith("[") ? { name } : { name, module: module.slice(1, -1) });
  }
  return found;
}

/** What requests mean by default: one for all, so that its lists serve all programs of an object. */
export const thisMachine: AttachMachine = new LinuxAttachMachine();

/** The architecture, or UnsupportedError that names it. */
export function requireArch(what: string, on: AttachMachine): UsdtArch {
  if (on.arch === undefined) throw new UnsupportedError(what, `${arch()}: known on x86-64 and arm64`);
  return on.arch;
}
