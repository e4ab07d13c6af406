/** Variables of functions that are structs, or point at one: what tells readers of records their types. */
import type { LocalRecord } from "../../../object/index.ts";
import type { TranslationUnit, VariableDecl } from "../ast.ts";
import { childrenOf, type Node } from "../lower/walk.ts";
import type { CType, RecordType } from "../types/types.ts";
import type { BtfTypes } from "./btf-types.ts";

/** The program's own struct or union that a type is or points at; undefined for others, the kernel's, and those without members. */
function ownRecord(type: CType): RecordType | undefined {
  let at = type;
  for (let pointers = 0; ;) {
    if (at.kind === "record") {
      const isOwn = at.kernelTypeId === 0 && !at.preserveAccessIndex;
      return isOwn && at.contents !== undefined ? at : undefined;
    }
    if (at.kind === "typedef") at = at.to;
    else if (at.kind === "qualified" || at.kind === "tagged") at = at.of;
    else if (at.kind === "pointer" && pointers++ === 0) at = at.to;
    else return undefined;
  }
}

/** All of a file, and their types in its BTF. */
export function localRecords(unit: TranslationUnit, types: BtfTypes): LocalRecord[] {
  const out: LocalRecord[] = [];
  for (const { name: owner, params, body } of unit.functions) {
    if (body === undefined) continue;
    const add = ({ name, type }: VariableDecl): void => {
      const record = name === "" ? undefined : ownRecord(type);
      if (record !== undefined) out.push({ name, function: owner, typeId: types.id(record) });
    };
    params.forEach(add);
    const waiting: Node[] = [body];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (node.kind === "declaration") add(node.variable);
      waiting.push(...childrenOf(node));
    }
  }
  return out;
}
