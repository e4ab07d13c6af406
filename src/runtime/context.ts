/** The running machine as formatting asks about it: symbols, names, stacks, clocks. Each is read when the first value asks. */
import { readFileSync } from "node:fs";
import { bootTimeNs } from "../kernel/linux/clock.ts";
import type { KernelMap } from "../kernel/kernel.ts";
import type { PlannedStackMap, TracePlan } from "../lang/bpftrace/plan.ts";
import type { Compat, FormatContext } from "./format/context.ts";
import { CgroupPaths } from "./cgroups.ts";
import { demangle } from "./symbols/demangle/demangle.ts";
import { Symbolizer } from "./symbols/symbolizer.ts";

/** {@link FormatContext} of a run on the running Linux. */
export class LinuxFormatContext implements FormatContext {
  readonly compat: Compat;
  readonly strTruncTrailer: string;
  readonly probeNames: readonly string[];
  readonly possibleCpus: number;
  readonly symbolizer: Symbolizer;
  private readonly stackMaps: readonly PlannedStackMap[];
  private readonly mapByName: (name: string) => KernelMap;
  private readonly cgroups = new CgroupPaths();
  private users: Map<number, string> | undefined;
  private bootNs: bigint | undefined;

  constructor(
    plan: TracePlan,
    options: {
      readonly compat: Compat;
      readonly possibleCpus: number;
      readonly map: (name: string) => KernelMap;
      readonly symbolizer?: Symbolizer;
    },
  ) {
    this.compat = options.compat;
    this.strTruncTrailer = plan.config.strTruncTrailer;
    this.probeNames = plan.probeNames;
    this.possibleCpus = options.possibleCpus;
    this.stackMaps = plan.stackMaps;
    this.mapByName = options.map;
    const style = plan.config.cppDemangle ? (name: string) => demangle(name) ?? name : undefined;
    this.symbolizer = options.symbolizer ?? new Symbolizer(style, probedBinaries(plan));
  }

  kernelSymbol(address: bigint, withOffset: boolean): string {
    return this.symbolizer.kernelSymbol(address, withOffset);
  }

  userSymbol(address: bigint, pid: number, withOffset: boolean, perf: boolean): string {
    return this.symbolizer.userSymbol(address, pid, withOffset, perf);
  }

  stackAddresses(of: "kernel" | "user", limit: number, id: number): readonly bigint[] | null {
    const planned = this.stackMaps.find((map) => map.of === of && map.limit === limit);
    if (!planned) return null;
    const map = this.mapByName(planned.kernelMap);
    const key = new Uint8Array(4);
    new DataView(key.buffer).setUint32(0, id, true);
    const value = map.lookup(key);
    if (!value) return null;
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    const addresses: bigint[] = [];
    for (let at = 0; at + 8 <= value.length && addresses.length < limit; at += 8) {
      const address = view.getBigUint64(at, true);
      if (address === 0n) break;
      addresses.push(address);
    }
    return addresses;
  }

  userName(uid: number): string {
    if (!this.users) {
      this.users = new Map();
      let passwd = "";
      try {
        passwd = readFileSync("/etc/passwd", "utf8");
      } catch {
        // Without the file nobody has a name.
      }
      for (const line of passwd.split("\n")) {
        const [name, , id] = line.split(":");
        if (id !== undefined && !this.users.has(Number(id))) this.users.set(Number(id), name!);
      }
    }
    return this.users.get(uid) ?? "";
  }

  cgroupPath(id: bigint, filter: string): string {
    return this.cgroups.find(id, filter);
  }

  bootTimeNs(): bigint {
    this.bootNs ??= bootTimeNs();
    return this.bootNs;
  }
}

/** Files that the plan's uprobes are in. */
function probedBinaries({ probes }: TracePlan): string[] {
  const paths = probes.flatMap(({ run }) =>
    run.when === "attached" && run.attach.kind === "uprobe" ? [run.attach.path] : [],
  );
  return [...new Set(paths)];
}
