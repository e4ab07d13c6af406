/** The kernel's types that a type of a program may stand for. */
import { NameStems } from "../../base/index.ts";
import type { Btf } from "../btf.ts";
import { BtfKind } from "../kinds.ts";
import { isEnum } from "./compatible.ts";
import { essentialName } from "./names.ts";

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

/**
 * Finds the kernel's types by the names of an object's. The first question about a kind looks for all names that the object has of that
 * kind in one pass: a kernel's tens of thousands of names are neither decoded nor hashed.
 */
export class CandidateSearch {
  private readonly local: Btf;
  /** By kind of the object's types: their names without flavours. */
  private readonly names = new Map<BtfKind, { readonly essential: ReadonlySet<string>; readonly stems: NameStems }>();
  /** By BTF of the kernel, and kind: ids by name without flavour. */
  private readonly found = new Map<Btf, Map<BtfKind, ReadonlyMap<string, readonly number[]>>>();

  constructor(local: Btf) {
    this.local = local;
  }

  /**
   * All types of a kernel that have the name of a local type up to its flavour, and its kind: those of vmlinux, or when it has none, of
   * all modules. Pairs with `bpf_core_find_cands` of libbpf.
   */
  find(localTypeId: number, vmlinux: Btf, kernel: CoreKernel): CoreCandidate[] {
    const kind = this.local.kindOf(localTypeId);
    const essential = essentialName(this.local.nameOf(localTypeId));
    const found = this.findIn(vmlinux, kind, essential).map((typeId) => ({ btf: vmlinux, typeId, module: undefined }));
    if (found.length > 0) return found;
    const inModules: CoreCandidate[] = [];
    for (const { name, btf } of kernel.modules()) {
      for (const typeId of this.findIn(btf, kind, essential)) inModules.push({ btf, typeId, module: name });
    }
    return inModules;
  }

  /** Own types of a BTF, not its base's; ascending. */
  private findIn(btf: Btf, kind: BtfKind, essential: string): readonly number[] {
    let byKind = this.found.get(btf);
    if (byKind === undefined) this.found.set(btf, (byKind = new Map()));
    let byName = byKind.get(kind);
    if (byName === undefined) byKind.set(kind, (byName = this.search(btf, kind)));
    return byName.get(essential) ?? [];
  }

  private search(btf: Btf, kind: BtfKind): ReadonlyMap<string, readonly number[]> {
    const { essential, stems } = this.namesOf(kind);
    const byName = new Map<string, number[]>();
    const ids = kindsFor(kind).flatMap((k) => btf.findOwnByStems(stems, k));
    if (isEnum(kind)) ids.sort((a, b) => a - b);
    for (const id of ids) {
      const name = essentialName(btf.nameOf(id));
      if (!essential.has(name)) continue;
      const known = byName.get(name);
      if (known === undefined) byName.set(name, [id]);
      else known.push(id);
    }
    return byName;
  }

  private namesOf(kind: BtfKind): { readonly essential: ReadonlySet<string>; readonly stems: NameStems } {
    let known = this.names.get(kind);
    if (known === undefined) {
      const essential = new Set<string>();
      for (const name of this.local.names(kind)) essential.add(essentialName(name));
      this.names.set(kind, (known = { essential, stems: new NameStems(essential, "_") }));
    }
    return known;
  }
}
