/** Dynamic event sources of perf: their type number and the bits of their config, as /sys describes them. */
import { type Machine, machine as thisMachine } from "./machine.ts";

/** An event source. */
export interface EventSource {
  /** `type` of `perf_event_attr`. */
  readonly type: number;
  /** Lowest bit in config of each field that lies there, such as `retprobe` 0 and `ref_ctr_offset` 32. */
  readonly configBits: ReadonlyMap<string, number>;
}

const devices = "/sys/bus/event_source/devices";

/** The event source of this name (`kprobe`, `uprobe`), undefined when this kernel has none. */
export function eventSource(
  name: string,
  fields: readonly string[],
  machine: Machine = thisMachine,
): EventSource | undefined {
  const type = machine.file(`${devices}/${name}/type`);
  if (type === undefined) return undefined;
  const configBits = new Map<string, number>();
  for (const field of fields) {
    const bits = /^config:(\d+)/.exec(machine.file(`${devices}/${name}/format/${field}`) ?? "");
    if (bits !== null) configBits.set(field, Number(bits[1]));
  }
  return { type: Number(type), configBits };
}
