/** The running Linux kernel as a `Kernel`. */
import { SkepError } from "../../base/index.ts";
import type { AttachSpec, BpfObject } from "../../object/index.ts";
import type { Kernel, KernelMap, KernelProgram, Link, LoadOptions, Owner } from "../kernel.ts";
import { attachProgram } from "./attach.ts";
import type { AlternativeHint } from "./attach/common.ts";
import { attachStructOpsMap } from "./attach/struct-ops.ts";
import { enableStatistics } from "./bpf.ts";
import { requirePrivileges } from "./diagnose.ts";
import { LinuxLink } from "./link.ts";
import { type LinuxObject, loadObject } from "./load.ts";
import { machine } from "./machine.ts";
import { LinuxMap } from "./maps.ts";
import { LinuxProgram } from "./programs.ts";
import { LinuxRingReader } from "./ring.ts";
import { loadNative } from "./sys.ts";

/** How to open the running kernel. */
export interface LinuxKernelOptions {
  /** Asked when a kernel function cannot be probed: a sentence such as `tracepoint syscalls:sys_enter_openat is near`. */
  readonly alternative?: AlternativeHint;
  /** This process has no privileges of its own: each load names a bpffs whose token gives them (`tokenPath`). They are not checked then. */
  readonly delegated?: boolean;
}

/** The kernel that this process runs on. Holds nothing itself: links, objects and readers are closed by whoever made them. */
export class LinuxKernel implements Kernel {
  readonly name: "linux" = "linux" as const;
  readonly possibleCpus: number;
  private readonly alternative: AlternativeHint;

  constructor(options: LinuxKernelOptions = {}) {
    this.alternative = options.alternative ?? (() => undefined);
    this.possibleCpus = machine.possibleCpus.length;
  }

  load(object: BpfObject, options: LoadOptions = {}): LinuxObject {
    return loadObject(object, options);
  }

  attach(program: KernelProgram, spec: AttachSpec): LinuxLink {
    if (!(program instanceof LinuxProgram))
      throw new TypeError(`program ${program.spec.name}: was loaded into another kernel`);
    return attachProgram(program, spec, this.alternative);
  }

  /** Registers a struct_ops map whose value is written: by a link where its section says so (Linux 6.4). Throws as {@link attach}. */
  attachStructOps(map: KernelMap): LinuxLink {
    if (!(map instanceof LinuxMap)) throw new TypeError(`map ${map.spec.name}: belongs to another kernel`);
    return attachStructOpsMap(map);
  }

  detach(links: readonly Link[]): Promise<void> {
    return LinuxLink.detachAll(
      links.map((link) => {
        if (!(link instanceof LinuxLink)) throw new TypeError("link: belongs to another kernel");
        return link;
      }),
    );
  }

  ringReader(map: KernelMap): LinuxRingReader {
    if (!(map instanceof LinuxMap)) throw new TypeError(`map ${map.spec.name}: belongs to another kernel`);
    return new LinuxRingReader(map);
  }

  enableStats(): Owner {
    if (!machine.atLeast(5, 8)) {
      throw new SkepError(
        "unsupported",
        "statistics: this kernel is older than 5.8: set kernel.bpf_stats_enabled to 1 with sysctl",
        { exitStatus: 3 },
      );
    }
    return enableStatistics();
  }

  close(): void {
    // Nothing is held.
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Opens the running kernel. Throws UnsupportedError when this is no Linux, when koffi's native part is missing, or when this
 * process may not trace, with what it lacks and the mend.
 */
export function openLinuxKernel(options: LinuxKernelOptions = {}): LinuxKernel {
  if (options.delegated !== true) requirePrivileges();
  loadNative();
  return new LinuxKernel(options);
}
