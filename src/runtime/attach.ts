/** Attaches the programs of a plan: what a pattern found may be refused, what the script names may not. */
import { SyscallError, UnsupportedError } from "../base/index.ts";
import type { Kernel, Link, LoadedObject } from "../kernel/kernel.ts";
import type { PlannedProbe, TracePlan } from "../lang/bpftrace/plan.ts";

/** What {@link attachProbes} leaves out: how many of a pattern's probes the kernel refused. */
export interface Refused {
  readonly count: number;
  /** How many were tried. */
  readonly of: number;
  /** Of the first. */
  readonly reason: string;
}

/**
 * Attaches every program of the plan that runs at a place, pushing each link on `links`. Probes that a pattern found are left out when
 * the kernel refuses them, unless it refuses all of a program: some functions that can be traced must not be probed, others share
 * their name. Throws what attaching throws.
 */
export function attachProbes(
  kernel: Kernel,
  loaded: LoadedObject,
  plan: TracePlan,
  links: Link[],
): Refused | undefined {
  const tried = new Map<string, { links: number; refused: number; first: Error }>();
  for (const { program, run } of inOrder(plan.probes)) {
    if (run.when !== "attached") continue;
    try {
      links.push(kernel.attach(loaded.program(program), run.attach));
      const known = tried.get(program);
      if (known) known.links++;
      else if (run.optional) tried.set(program, { links: 1, refused: 0, first: new Error() });
    } catch (error) {
      if (!run.optional || !(error instanceof UnsupportedError || error instanceof SyscallError)) throw error;
      const known = tried.get(program);
      if (known) {
        if (known.refused++ === 0) known.first = error;
      } else tried.set(program, { links: 0, refused: 1, first: error });
    }
  }
  let refused: Refused | undefined;
  for (const { links: attached, refused: count, first } of tried.values()) {
    if (attached === 0) throw first;
    if (count > 0) {
      refused = {
        count: count + (refused?.count ?? 0),
        of: attached + count + (refused?.of ?? 0),
        reason: refused?.reason ?? first.message,
      };
    }
  }
  return refused;
}

/**
 * The order of attaching in which programs at one place run in the order of the script: tracepoints run what was attached first, uprobes
 * what was attached last (linux: consumer_add).
 */
function inOrder(probes: readonly PlannedProbe[]): PlannedProbe[] {
  const isUprobe = ({ run }: PlannedProbe): boolean => run.when === "attached" && run.attach.kind.startsWith("uprobe");
  return [...probes.filter((probe) => !isUprobe(probe)), ...probes.filter(isUprobe).reverse()];
}
