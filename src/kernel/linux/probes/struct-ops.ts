/** What programs of type struct_ops can implement: the kernel's structs of functions. */
import { type Btf, BtfKind } from "../../../btf/index.ts";
import { ProgType } from "../../../isa/index.ts";
import { hasKernelBtf, kernelBtf } from "../kernel-btf.ts";
import type { Variant } from "./variants.ts";

/** The kernel wraps each struct in one of this prefix when it is registered as struct_ops. */
const PREFIX = "bpf_struct_ops_";
/** Names of structs in a BTF (its own types) that BPF programs may implement, sorted. */
export function structOpsIn(btf: Btf): string[] {
  const found: string[] = [];
  for (const id of btf.idsByKind(BtfKind.STRUCT)) {
    if (id < btf.firstId) continue;
    const name = btf.nameOf(id);
    if (!name.startsWith(PREFIX)) continue;
    const wrapped = name.slice(PREFIX.length);
    const data = btf.members(id).find((member) => member.name === "data");
    // Other structs have the prefix too, and wrap nothing.
    if (data !== undefined && btf.nameOf(btf.stripModifiers(data.typeId)) === wrapped) found.push(wrapped);
  }
  return found.toSorted();
}

/** Every function of every struct, as ways to load a program. */
export function structOpsVariants(): readonly Variant[] {
  if (!hasKernelBtf()) return [];
  const btf = kernelBtf();
  return structOpsIn(btf).flatMap((name) => {
    const id = btf.findByName(name, BtfKind.STRUCT);
    if (id === undefined) return [];
    return btf.members(id).flatMap((member, index): Variant[] => {
      const pointer = btf.typeById(btf.stripModifiers(member.typeId));
      if (pointer.kind !== BtfKind.PTR || btf.kindOf(btf.stripModifiers(pointer.typeId)) !== BtfKind.FUNC_PROTO)
        return [];
      const variant = { type: ProgType.STRUCT_OPS, expectedAttachType: index, attachBtfId: id };
      return [
        { ...variant, label: `${name}.${member.name}` },
        { ...variant, label: `${name}.${member.name} (sleepable)`, sleepable: true },
      ];
    });
  });
}
