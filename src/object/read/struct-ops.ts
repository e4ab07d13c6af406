/** Maps of sections `.struct_ops` and `.struct_ops.link`: each variable is a struct that programs of the file fill with functions. */
import { BtfKind } from "../../btf/index.ts";
import type { Btf, BtfComposite, BtfDataSection } from "../../btf/index.ts";
import { INSN_SIZE, MapFlags, MapType, ProgType } from "../../isa/index.ts";
import { sectionMeaning } from "../section-names.ts";
import type { MapSpec, StructOpsSpec } from "../spec.ts";
import type { CodeFunction } from "./code.ts";
import { damagedAt } from "./image.ts";
import type { ImageSection, ObjectImage } from "./image.ts";

/** Names of such sections. With `?` their maps are created only when asked for. */
export const STRUCT_OPS: RegExp = /^\??\.struct_ops(\.link)?$/;

/** The maps of one section, in the order of their places. */
export function readStructOps(
  image: ObjectImage,
  section: ImageSection,
  btf: Btf | undefined,
  functions: readonly CodeFunction[],
): MapSpec[] {
  const id = btf?.findByName(section.name, BtfKind.DATASEC);
  if (btf === undefined || id === undefined) {
    throw damagedAt(image, section, 0, "its structs are described by BTF, which the file has not: compile it with -g");
  }
  const link = section.name.endsWith(".link");
  const isOptional = section.name.startsWith("?");
  const byPlace = new Map(functions.map((f) => [`${f.section.index} ${f.start * INSN_SIZE}`, f]));
  const specs: MapSpec[] = [];
  let next = 0;
  for (const { typeId: variableId, offset } of (btf.typeById(id) as BtfDataSection).entries) {
    const name = btf.nameOf(variableId);
    const fail = (at: number, what: string): never => {
      throw damagedAt(image, section, at, `struct ${name}: ${what}`);
    };
    const variable = btf.typeById(variableId);
    if (variable.kind !== BtfKind.VAR || name === "") return fail(offset, "its entry in the BTF is no variable");
    const typeId = btf.stripModifiers(variable.typeId);
    const type = btf.typeById(typeId);
    if (type.kind !== BtfKind.STRUCT || type.name === "") return fail(offset, "its type is no struct that has a name");
    if (offset + type.size > section.data.length)
      return fail(offset, `${type.size} bytes: the section ends at ${section.data.length}`);
    const members: StructOpsSpec["functions"][number][] = [];
    const { relocations } = section;
    while (next < relocations.length && relocations[next]!.offset < offset) {
      fail(relocations[next]!.offset, "a function before it, in no struct");
    }
    for (; next < relocations.length && relocations[next]!.offset < offset + type.size; next++) {
      const { offset: at, symbol: symbolIndex } = relocations[next]!;
      const symbol = image.symbols[symbolIndex]!;
      const member = functionMember(btf, type, at - offset);
      if (member === undefined)
        return fail(at, `${symbol.name} is put at byte ${at - offset}, where no function member is`);
      const func = byPlace.get(`${symbol.section} ${symbol.value}`);
      const isProgram = func?.isSubprogram === false;
      if (!isProgram || sectionMeaning(func.section.name.replace(/^\?/, ""))?.type !== ProgType.STRUCT_OPS) {
        return fail(
          at,
          `member ${member} is ${symbol.name || `symbol ${symbolIndex}`}, which is no program of SEC("struct_ops")`,
        );
      }
      members.push({ offset: at - offset, member, program: func.name });
    }
    specs.push({
      name,
      type: MapType.STRUCT_OPS,
      keySize: 4,
      valueSize: type.size,
      maxEntries: 1,
      flags: link ? MapFlags.LINK : 0,
      initialValue: new Uint8Array(section.data.subarray(offset, offset + type.size)),
      structOps: { typeId, typeName: type.name, functions: members, link },
      ...(isOptional ? { autocreate: false } : {}),
    });
  }
  const left = section.relocations[next];
  if (left !== undefined) throw damagedAt(image, section, left.offset, "a function in no struct");
  return specs;
}

/** Name of the member at a byte that is a pointer to a function. */
function functionMember(btf: Btf, type: BtfComposite, offset: number): string | undefined {
  const member = type.members.find((m) => m.bitOffset === offset * 8);
  if (member === undefined) return undefined;
  const pointer = btf.typeById(btf.stripModifiers(member.typeId));
  if (pointer.kind !== BtfKind.PTR) return undefined;
  return btf.kindOf(btf.stripModifiers(pointer.typeId)) === BtfKind.FUNC_PROTO ? member.name : undefined;
}
