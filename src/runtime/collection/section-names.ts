/** What the sections of variables are called from TypeScript. */
import type { BpfObject } from "../../object/index.ts";

/** Map of the kernel's configuration, as libbpf calls it. */
export const KCONFIG_MAP = ".kconfig";

/** `.rodata` as `rodata`, `.data.custom` as `data_custom`. */
export function sectionKey(map: string): string {
  return map.replace(/^\.+/, "").replace(/[^\w]/g, "_");
}

/** The maps of an object that hold variables, by what they are called, in the object's order. */
export function variableSections(object: BpfObject): Map<string, string> {
  const holding = new Set((object.variables ?? []).map(({ map }) => map));
  if ((object.externs ?? []).some(({ kind }) => kind === "kconfig")) holding.add(KCONFIG_MAP);
  return new Map(object.maps.flatMap(({ name }) => (holding.has(name) ? [[sectionKey(name), name] as const] : [])));
}
