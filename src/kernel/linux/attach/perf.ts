/** Attaches to perf events: tracepoints, samples of counters and clocks. */
import { readFileSync } from "node:fs";
import { UnsupportedError } from "../../../base/index.ts";
import { tryPerfEventLink } from "../bpf-link.ts";
import { Errno } from "../../errno.ts";
import { OwnedFd } from "../fd.ts";
import { type LinkFds, LinuxLink } from "../link.ts";
import { machine } from "../machine.ts";
import {
  type PerfEventRequest,
  PerfType,
  enablePerfEvent,
  perfEventOpen,
  perfFailure,
  setPerfEventProg,
  tryPerfEventOpen,
} from "../perf.ts";
import type { LinuxProgram } from "../programs.ts";
import { tracepointId } from "../tracefs.ts";
import { type SpecOf, attachFailure } from "./common.ts";

/** Links to perf events are known to this kernel; undefined until tried. */
let perfLinks: boolean | undefined;

const NO_PERF_LINK = "a perf event (links to them came with Linux 5.15)";

/**
 * Lets a program run at a perf event. The link (Linux 5.15) or, before, the event itself holds the program. Closes the event on
 * failure.
 */
export function runAtEvent(program: LinuxProgram, event: OwnedFd, what: string, cookie = 0): LinkFds {
  let link: OwnedFd | undefined;
  try {
    if (perfLinks ?? machine.atLeast(5, 15)) {
      const result = tryPerfEventLink(program.fd.value, event.value, cookie);
      if (result >= 0) {
        link = new OwnedFd(result, `link ${what}`);
        perfLinks = true;
      } else if (result !== -Errno.EINVAL) {
        throw attachFailure(what, -result);
      }
      // EINVAL: a kernel that calls itself newer than it is; else the program does not fit, which the ioctl will say again.
    }
    if (link === undefined && cookie !== 0)
      throw new UnsupportedError(what, "a cookie needs links to perf events, which came with Linux 5.15");
    if (link === undefined) setPerfEventProg(event, program.fd.value);
    enablePerfEvent(event);
    return link === undefined
      ? { holders: [event], events: [], noLink: NO_PERF_LINK }
      : { holders: [link], events: [event] };
  } catch (error) {
    link?.close();
    event.close();
    throw error;
  }
}

/** Tracepoints and probes fire wherever they are hit: one event on any CPU carries the program for all. */
export const anywhere: { readonly pid: number; readonly cpu: number } = { pid: -1, cpu: 0 };

/** Attaches to an event of tracefs. */
export function attachTracepoint(program: LinuxProgram, spec: SpecOf<"tracepoint">): LinuxLink {
  const what = `tracepoint ${spec.category}:${spec.name}`;
  const config = tracepointId(spec.category, spec.name);
  const event = perfEventOpen({ type: PerfType.TRACEPOINT, config, period: 1, what, ...anywhere });
  return new LinuxLink(spec, runAtEvent(program, event, what, spec.cookie));
}

/** Attaches to samples, one event a CPU. */
export function attachPerfEvent(program: LinuxProgram, spec: SpecOf<"perf-event">): LinuxLink {
  if ((spec.period === undefined) === (spec.frequencyHz === undefined)) {
    throw new TypeError("perf event: give either a period or a frequency");
  }
  const { type, config, pid } = spec;
  // One process is followed wherever it runs; all processes are seen by one event a CPU.
  const cpus = pid !== undefined && spec.cpus === undefined ? [-1] : (spec.cpus ?? machine.onlineCpus);
  const holders: OwnedFd[] = [];
  const events: OwnedFd[] = [];
  let noLink: string | undefined;
  try {
    for (const cpu of cpus) {
      const what = `perf event ${type}:${config}${cpu < 0 ? "" : ` on CPU ${cpu}`}`;
      const request: PerfEventRequest = {
        type,
        config,
        ...(spec.period === undefined ? {} : { period: spec.period }),
        ...(spec.frequencyHz === undefined ? {} : { frequencyHz: spec.frequencyHz }),
        ...(spec.groupFd === undefined ? {} : { groupFd: spec.groupFd }),
        ...(spec.config1 === undefined ? {} : { config1: spec.config1 }),
        ...(spec.config2 === undefined ? {} : { config2: spec.config2 }),
        ...(spec.breakpointType === undefined ? {} : { breakpointType: spec.breakpointType }),
        ...(spec.only === undefined ? {} : { only: spec.only }),
        pid: pid ?? -1,
        cpu,
        what,
      };
      const event = tryPerfEventOpen(request);
      if (typeof event === "number") {
        // The CPU went offline after the list was made.
        if (event === -Errno.ENODEV && spec.cpus === undefined && cpus.length > 1) continue;
        throw perfEventFailure(request, spec, -event);
      }
      const fds = runAtEvent(program, event, what, spec.cookie);
      holders.push(...fds.holders);
      events.push(...fds.events);
      noLink ??= fds.noLink;
    }
    if (holders.length === 0) throw perfFailure(`perf event ${type}:${config}`, Errno.ENODEV);
    return new LinuxLink(spec, { holders, events, ...(noLink === undefined ? {} : { noLink }) });
  } catch (error) {
    for (const fd of [...holders, ...events]) fd.close();
    throw error;
  }
}

function perfEventFailure(request: PerfEventRequest, spec: SpecOf<"perf-event">, errno: number): Error {
  const lacksCounter: readonly number[] = [Errno.ENOENT, Errno.ENODEV, Errno.EOPNOTSUPP];
  if (lacksCounter.includes(errno) && request.type !== PerfType.SOFTWARE) {
    return new UnsupportedError(
      request.what,
      "this machine has no such hardware counter (virtual machines often have none)",
    );
  }
  if (errno === Errno.EINVAL && spec.frequencyHz !== undefined) {
    const most = readNumber("/proc/sys/kernel/perf_event_max_sample_rate");
    if (most !== undefined && spec.frequencyHz > most) {
      return new UnsupportedError(
        request.what,
        `${spec.frequencyHz} samples a second; kernel.perf_event_max_sample_rate allows ${most}`,
      );
    }
  }
  if (errno === Errno.ESRCH) return new UnsupportedError(request.what, `there is no process ${spec.pid}`);
  return perfFailure(request.what, errno);
}

function readNumber(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
