/** Counters of the CPUs in a table, which programs read. */
import { machine, type LinuxMap, openPerfCounter } from "../kernel/linux/index.ts";

/** Opens a counter on each online CPU that the map has an index for, and puts it there. The caller closes them. */
export function openCounter(
  map: LinuxMap,
  evType: number,
  evConfig: number | bigint,
  pid: number,
): Map<number, { close(): void }> {
  const counters = new Map<number, { close(): void }>();
  try {
    for (const cpu of machine.onlineCpus) {
      if (cpu >= map.spec.maxEntries) continue;
      const counter = openPerfCounter(evType, evConfig, pid, cpu);
      counters.set(cpu, counter);
      const bytes = new DataView(new ArrayBuffer(8));
      bytes.setUint32(0, cpu, true);
      bytes.setUint32(4, counter.value, true);
      map.update(new Uint8Array(bytes.buffer, 0, 4), new Uint8Array(bytes.buffer, 4, 4));
    }
    return counters;
  } catch (error) {
    for (const counter of counters.values()) counter.close();
    throw error;
  }
}
