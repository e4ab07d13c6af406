/**
 * Probes of functions through the text files of tracefs: the way for kernels without the kprobe and uprobe event sources. Unlike
 * those, a probe registered here outlives the process; it does nothing then, since no program hangs on it, and the next process
 * that comes this way removes it.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { SkepError } from "../../base/index.ts";
import { tracefs } from "./tracefs.ts";

/** Which of the two files. */
export type ProbeFile = "kprobe_events" | "uprobe_events";

/** A registered probe. */
export interface RegisteredProbe {
  /** The config of its perf event. */
  readonly id: number;
  /** Removes it; its perf event must be closed before. */
  remove(): void;
}

const groupPrefix = "skep_";
let serial = 0;
const swept = new Set<ProbeFile>();

/** True when this kernel has the file. */
export function hasProbeFile(file: ProbeFile): boolean {
  return existsSync(`${tracefs()}/${file}`);
}

/**
 * Registers a probe. `place` is what the file's syntax wants: `func+16`, or `/path:0x1234(0x5678)`. Throws with the system's error
 * as its cause: ENOENT is an unknown function, EINVAL a place that cannot be probed. `maxActive` is of returns: 0 is the kernel's own.
 */
export function registerProbe(file: ProbeFile, place: string, isReturn: boolean, maxActive = 0): RegisteredProbe {
  const path = `${tracefs()}/${file}`;
  sweep(file, path);
  const group = `${groupPrefix}${process.pid}`;
  const name = `p${serial++}`;
  writeFileSync(path, `${isReturn ? "r" : "p"}${maxActive > 0 ? maxActive : ""}:${group}/${name} ${place}\n`, {
    flag: "a",
  });
  const remove = (): void => removeProbe(path, `${group}/${name}`);
  try {
    return { id: Number(readFileSync(`${tracefs()}/events/${group}/${name}/id`, "utf8")), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function removeProbe(path: string, event: string): void {
  try {
    writeFileSync(path, `-:${event}\n`, { flag: "a" });
  } catch (cause) {
    // ENOENT: someone emptied the file.
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") {
      throw new SkepError(
        "probe-left",
        `probe ${event}: cannot be removed: remove it with: echo '-:${event}' >> ${path}`,
        { cause },
      );
    }
  }
}

/** Removes what processes that died left behind, once a process. */
function sweep(file: ProbeFile, path: string): void {
  if (swept.has(file)) return;
  swept.add(file);
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const event = /^[pr]\d*:(skep_(\d+)\/\S+)/.exec(line);
    if (event !== null && !existsSync(`/proc/${event[2]}`)) removeProbe(path, event[1]!);
  }
}
