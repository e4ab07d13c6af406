/** What an object leaves to the kernel, written to a file: symbols without a definition, in sections `.ksyms` and `.kconfig` of the BTF. */
import { UnsupportedError } from "../base/index.ts";
import { BtfFuncLinkage, BtfKind, BtfVarLinkage } from "../btf/index.ts";
import type { Btf, BtfBuilder, BtfSectionEntry } from "../btf/index.ts";
import type { ElfFile } from "./elf-file.ts";
import { ElfSectionIndex, ElfSymbolBinding, ElfSymbolType } from "./elf-format.ts";
import type { MapTypes } from "./elf-maps.ts";
import { KCONFIG, KSYMS } from "./read/externs.ts";
import type { BpfObject } from "./spec.ts";
import type { ExternSpec, KconfigExtern } from "./variables.ts";

/** The externs of a file in the making. */
export class ExternWriter {
  /** By name, in the order of the object and of their first use. */
  private readonly externs = new Map<string, ExternSpec>();
  private readonly symbols = new Map<string, number>();
  private readonly options: readonly KconfigExtern[];

  /** Throws {@link UnsupportedError} for a kernel function without a type to compare with the kernel's. */
  constructor(object: BpfObject, known: Btf | undefined) {
    for (const extern of object.externs ?? []) this.externs.set(extern.name, extern);
    for (const program of object.programs) {
      for (const r of program.relocations) {
        if ((r.kind !== "kfunc" && r.kind !== "ksym") || this.externs.has(r.name)) continue;
        const typeId = known?.findByName(r.name, BtfKind.FUNC);
        if (typeId !== undefined) this.externs.set(r.name, { kind: "kfunc", name: r.name, typeId, weak: false });
        else if (r.kind === "ksym") this.externs.set(r.name, { kind: "ksym", name: r.name, typeId: 0, weak: false });
        else {
          throw new UnsupportedError(
            `program ${program.name} in an object file`,
            `calls kernel function ${r.name}, of which the object's BTF has no prototype to compare with the kernel's`,
          );
        }
      }
    }
    this.options = [...this.externs.values()].filter((extern) => extern.kind === "kconfig");
  }

  /** Names that are not the writer's to change. */
  names(): Iterable<string> {
    return this.externs.keys();
  }

  /** Sections of the BTF that are written, by name. */
  sections(): string[] {
    const kinds = new Set([...this.externs.values()].map((extern) => (extern.kind === "kconfig" ? KCONFIG : KSYMS)));
    return [...kinds];
  }

  /** Describes all of them; libbpf compares types with the kernel's. */
  declare(builder: BtfBuilder, known: Btf | undefined, types: MapTypes): void {
    const kernel: BtfSectionEntry[] = [];
    for (const extern of this.externs.values()) {
      if (extern.kind === "kconfig") continue;
      if (extern.kind === "kfunc") {
        builder.setLinkage(extern.typeId, BtfFuncLinkage.EXTERN);
        kernel.push({ typeId: extern.typeId, offset: 0, size: 0 });
      } else {
        const typeId = extern.typeId === 0 ? builder.constant(0) : extern.typeId;
        kernel.push({ typeId: variable(builder, known, extern.name, typeId), offset: 0, size: 0 });
      }
    }
    if (kernel.length > 0) types.section(KSYMS, 0, kernel);
    const options = this.options
      .toSorted((a, b) => a.offset - b.offset)
      .map(({ name, typeId, offset, size }) => {
        return { typeId: variable(builder, known, name, typeId), offset, size };
      });
    const last = options.at(-1);
    if (last !== undefined) types.section(KCONFIG, last.offset + last.size, options);
  }

  /** Adds their symbols. */
  write(file: ElfFile): void {
    for (const { name, weak } of this.externs.values()) {
      const binding = weak ? ElfSymbolBinding.WEAK : ElfSymbolBinding.GLOBAL;
      const symbol = { name, type: ElfSymbolType.NOTYPE, binding, section: ElfSectionIndex.UNDEF, value: 0, size: 0 };
      this.symbols.set(name, file.symbol(symbol));
    }
  }

  /** The symbol of a function or variable of the kernel. */
  symbolOf(name: string): number {
    return this.symbols.get(name)!;
  }

  /** The symbol of the option at a byte of `.kconfig`. Loaders give addresses of whole options only. */
  optionAt(program: string, offset: number): number {
    const option = this.options.find((extern) => extern.offset === offset);
    if (option === undefined) {
      throw new UnsupportedError(
        `program ${program} in an object file`,
        `wants byte ${offset} of ${KCONFIG}, where no option starts`,
      );
    }
    return this.symbols.get(option.name)!;
  }
}

/** The variable of this name as an extern: that of the object's BTF, which was made a definition when it was read, or a new one. */
function variable(builder: BtfBuilder, known: Btf | undefined, name: string, typeId: number): number {
  const id = known?.findByName(name, BtfKind.VAR);
  if (id === undefined) return builder.variable(name, typeId, BtfVarLinkage.GLOBAL_EXTERN);
  builder.setVariableType(id, typeId);
  builder.setLinkage(id, BtfVarLinkage.GLOBAL_EXTERN);
  return id;
}
