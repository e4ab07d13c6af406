/** The kernel's types that a type of a program may stand for. */
import type { Btf } from "../btf.ts";
import { BtfKind } from "../kinds.ts";
import { isEnum } from "./compatible.ts";
import { essentialName, spellingsOf } from "./names.ts";

/** Types of a kernel module, above those of vmlinux. */
export interface CoreModule {
  readonly name: string;
  readonly btf: Btf;
}

/** The types that relocations look for. */
export interface CoreKernel {
  /** Types of vmlinux, or of a file given instead; undefined when the kernel has none. */
  readonly btf: Btf | undefined;
  /** Asked for only when vmlinux lacks a type; the modules in the order of their BTF ids. */
  modules(): Iterable<CoreModule>;
}

/** A type that may be the one that is looked for. */
export interface CoreCandidate {
  readonly btf: Btf;
  readonly typeId: number;
  /** Undefined for vmlinux. */
  readonly module: string | undefined;
}

/** Kinds that a type of a kind may stand for. */
function kindsFor(kind: BtfKind): readonly BtfKind[] {
  return isEnum(kind) ? [BtfKind.ENUM, BtfKind.ENUM64] : [kind];
}

/** Own types of a BTF, not its base's, with an essential name and one of some kinds; ascending. */
function findOwn(btf: Btf, essential: string, kinds: readonly BtfKind[]): number[] {
  const found: number[] = [];
  for (const name of spellingsOf(btf, essential)) {
    for (const kind of kinds) {
      for (const id of btf.findAllByName(name, kind)) if (id >= btf.firstId) found.push(id);
    }
  }
  return found.length > 1 ? found.sort((a, b) => a - b) : found;
}

/**
 * All types of a kernel that have the name of a local type up to its flavour, and its kind: those of vmlinux, or when it has none, of all
 * modules. Pairs with `bpf_core_find_cands`.
 */
export function findCandidates(local: Btf, localTypeId: number, vmlinux: Btf, kernel: CoreKernel): CoreCandidate[] {
  const essential = essentialName(local.nameOf(localTypeId));
  const kinds = kindsFor(local.kindOf(localTypeId));
  const found = findOwn(vmlinux, essential, kinds).map((typeId) => ({ btf: vmlinux, typeId, module: undefined }));
  if (found.length > 0) return found;
  const inModules: CoreCandidate[] = [];
  for (const { name, btf } of kernel.modules()) {
    for (const typeId of findOwn(btf, essential, kinds)) inModules.push({ btf, typeId, module: name });
  }
  return inModules;
}
