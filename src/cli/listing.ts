/** The instructions of an object with the script's lines between them, below its maps. */
import { objectText } from "../compiler/stages.ts";
import { MapType } from "../isa/index.ts";
import type { BpfObject } from "../object/index.ts";

/** Text of all maps and programs. */
export function listObject(object: BpfObject): string {
  const names = new Map(Object.entries(MapType).map(([name, type]) => [type as number, name]));
  const maps = object.maps.map((map) => {
    const size = `${map.keySize} -> ${map.valueSize} bytes, ${map.maxEntries} entries`;
    return `map ${map.name}: ${names.get(map.type) ?? map.type}, ${size}${map.frozen ? ", frozen" : ""}\n`;
  });
  return `${maps.join("")}\n${objectText(object)}`;
}
