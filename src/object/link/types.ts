/** The types of files that are linked: which declarations belong together, and all of them as one. */
import { Btf, BtfFuncLinkage, BtfKind, BtfMerger, BtfVarLinkage } from "../../btf/index.ts";
import type { BtfDataSection, BtfExt, BtfExtBlock, BtfSectionEntry } from "../../btf/index.ts";
import { KCONFIG, KSYMS } from "../read/externs.ts";
import { damagedAt, sectionNamed } from "../read/image.ts";
import type { ObjectImage } from "../read/image.ts";
import { MAPS } from "../read/map-definitions.ts";
import { declarationsDiffer, mapsDiffer } from "./declarations.ts";

/** Where clang puts variables that another file defines. */
const EXTERN = ".extern";

/** Sections of the BTF that no file has: the kernel fills them. */
const fromKernel: ReadonlySet<string> = new Set([KSYMS, KCONFIG]);

/** What the linker has decided. */
export interface LinkedPlaces {
  /** Who defines or first declares a global symbol, and its place in the linked section. */
  owner(name: string): { readonly input: number; readonly isDefined: boolean; readonly offset: number } | undefined;
  /** Where a file's section starts in the linked one, and that one's size; undefined for what is left out. */
  placement(input: number, section: number): { readonly offset: number; readonly size: number } | undefined;
}

/** A declaration of a global symbol. */
interface Declaration {
  readonly id: number;
  /** Section of the BTF, when there is one. */
  readonly section: string | undefined;
}

/** The types of all files. */
export class LinkTypes {
  private readonly images: readonly ObjectImage[];
  private readonly btfs: readonly (Btf | undefined)[];
  private readonly declarations: readonly ReadonlyMap<string, Declaration>[];

  constructor(images: readonly ObjectImage[]) {
    this.images = images;
    this.btfs = images.map(({ btf, file }) =>
      btf === undefined ? undefined : Btf.parse(btf, { section: `${file}: .BTF` }),
    );
    this.declarations = this.btfs.map((btf) => (btf === undefined ? new Map() : declarationsOf(btf)));
  }

  /** Why two files do not mean the same by a name; undefined when they do, or when nothing tells. */
  disagreement(name: string, a: number, b: number, fail: (what: string) => never): string | undefined {
    const [x, y] = [this.declarations[a]!.get(name), this.declarations[b]!.get(name)];
    if (x === undefined || y === undefined) {
      const image = this.images[x === undefined ? a : b]!;
      return image.btf === undefined ? undefined : `${image.file} does not describe it by BTF`;
    }
    for (const section of fromKernel) {
      const isKernels = [x, y].map((d) => d.section === section);
      if (isKernels[0] !== isKernels[1]) return `in one of them it is the kernel's (section ${section})`;
    }
    const [left, right] = [
      { btf: this.btfs[a]!, id: x.id },
      { btf: this.btfs[b]!, id: y.id },
    ];
    if (x.section === MAPS || y.section === MAPS) return mapsDiffer(name, left, right, fail);
    return declarationsDiffer(left, right);
  }

  /** All types as one, and the records of code with them. */
  merge(places: LinkedPlaces): { readonly btf?: Uint8Array; readonly ext?: BtfExt } {
    const { images, btfs, declarations } = this;
    const inputs = images.flatMap((image, i) => (image.btf === undefined ? [] : [i]));
    if (inputs.length === 0) return {};
    const position = new Map(inputs.map((input, at) => [input, at]));
    const merger = new BtfMerger(
      inputs.map((input) => ({ bytes: images[input]!.btf!, section: `${images[input]!.file}: .BTF` })),
      {
        skip: (at, id) => btfs[inputs[at]!]!.kindOf(id) === BtfKind.DATASEC,
        replacement: (at, id) => {
          const input = inputs[at]!;
          const kind = btfs[input]!.kindOf(id);
          if (kind !== BtfKind.VAR && kind !== BtfKind.FUNC) return undefined;
          const name = btfs[input]!.nameOf(id);
          const owner = declarations[input]!.get(name)?.id === id ? places.owner(name) : undefined;
          if (owner === undefined || owner.input === input) return undefined;
          const other = declarations[owner.input]!.get(name);
          return other === undefined ? undefined : [position.get(owner.input)!, other.id];
        },
      },
    );
    for (const { name, size, entries } of this.dataSections(places, (input, id) =>
      merger.typeId(position.get(input)!, id),
    )) {
      merger.dataSection(name, size, entries);
    }
    const ext = this.mergeExt(places, merger, position);
    const { btf, finalId } = merger.finish();
    const hasExt = images.some((image) => image.ext !== undefined);
    return { btf, ...(hasExt ? { ext: ext(finalId) } : {}) };
  }

  /** Sections of variables, those of one name together. */
  private dataSections(
    places: LinkedPlaces,
    typeId: (input: number, id: number) => number,
  ): { readonly name: string; readonly size: number; readonly entries: readonly BtfSectionEntry[] }[] {
    const out = new Map<string, { size: number; entries: Map<string, BtfSectionEntry> }>();
    for (const [input, image] of this.images.entries()) {
      const btf = this.btfs[input];
      if (btf === undefined) continue;
      for (const id of btf.idsByKind(BtfKind.DATASEC)) {
        const { name, entries } = btf.typeById(id) as BtfDataSection;
        if (name === EXTERN) continue;
        const section = sectionNamed(image, name);
        const placement = section === undefined ? undefined : places.placement(input, section.index);
        const known = out.get(name);
        // Variables of extern maps stand in a section that their file does not have.
        if (placement === undefined && known === undefined && !fromKernel.has(name)) continue;
        const own = known ?? { size: 0, entries: new Map<string, BtfSectionEntry>() };
        out.set(name, own);
        if (placement !== undefined) own.size = placement.size;
        for (const entry of entries) {
          const type = btf.typeById(entry.typeId);
          if (type.kind !== BtfKind.VAR && type.kind !== BtfKind.FUNC) {
            throw damagedAt(image, ".BTF", 0, `section ${name}: entry ${entry.typeId} is no variable`);
          }
          const isStatic = type.kind === BtfKind.VAR && type.linkage === BtfVarLinkage.STATIC;
          if (fromKernel.has(name)) {
            own.entries.set(type.name, { ...entry, typeId: typeId(input, entry.typeId) });
          } else if (placement === undefined) {
            continue;
          } else if (isStatic) {
            own.entries.set(`${input} ${entry.typeId}`, {
              typeId: typeId(input, entry.typeId),
              offset: placement.offset + entry.offset,
              size: entry.size,
            });
          } else {
            const owner = places.owner(type.name);
            if (owner === undefined || owner.input !== input || !owner.isDefined) continue;
            own.entries.set(type.name, { typeId: typeId(input, entry.typeId), offset: owner.offset, size: entry.size });
          }
        }
      }
    }
    return [...out].map(([name, { size, entries }]) => ({ name, size, entries: [...entries.values()] }));
  }

  /** Records of all files, by linked section. Their types are numbered when all strings are known. */
  private mergeExt(
    places: LinkedPlaces,
    merger: BtfMerger,
    position: ReadonlyMap<number, number>,
  ): (finalId: (id: number) => number) => BtfExt {
    const kinds = [
      { field: "functions", words: 2, types: [1], strings: [] },
      { field: "lines", words: 4, types: [], strings: [1, 2] },
      { field: "coreRelocations", words: 4, types: [1], strings: [2] },
    ] as const;
    const merged = kinds.map(({ field, words: recordWords, types, strings }) => {
      const blocks = new Map<string, number[]>();
      for (const [input, image] of this.images.entries()) {
        const btf = this.btfs[input];
        if (btf === undefined || image.ext === undefined) continue;
        for (const block of image.ext[field]) {
          const name = btf.strings.get(block.sectionName);
          const section = sectionNamed(image, name);
          const placement = section === undefined ? undefined : places.placement(input, section.index);
          if (placement === undefined) continue;
          const out = blocks.get(name) ?? [];
          blocks.set(name, out);
          for (let i = 0; i < block.count; i++) {
            const record = Array.from(block.words.subarray(i * block.recordWords, i * block.recordWords + recordWords));
            record[0]! += placement.offset;
            for (const at of types) record[at] = checkedType(btf, image, merger, position.get(input)!, record[at]!);
            for (const at of strings) record[at] = merger.string(btf.strings.get(record[at]!));
            // Not spread: blocks can have more records than calls take arguments.
            for (const word of record) out.push(word);
          }
        }
      }
      return {
        types,
        recordWords,
        blocks: [...blocks].map(([name, words]) => ({ sectionName: merger.string(name), words })),
      };
    });
    return (finalId) => {
      const [functions, lines, coreRelocations] = merged.map(({ blocks, recordWords, types }) =>
        blocks.map(({ sectionName, words }): BtfExtBlock => {
          for (const at of types) for (let i = at; i < words.length; i += recordWords) words[i] = finalId(words[i]!);
          return { sectionName, count: words.length / recordWords, recordWords, words: Uint32Array.from(words) };
        }),
      ) as [BtfExtBlock[], BtfExtBlock[], BtfExtBlock[]];
      return { functions, lines, coreRelocations };
    };
  }
}

function checkedType(btf: Btf, image: ObjectImage, merger: BtfMerger, position: number, id: number): number {
  if (id >= btf.typeCount || btf.kindOf(id) === BtfKind.DATASEC) {
    throw damagedAt(image, ".BTF.ext", 0, `a record names type ${id} of ${btf.typeCount}`);
  }
  return merger.typeId(position, id);
}

/** Variables and functions that other files may know, by name. */
function declarationsOf(btf: Btf): Map<string, Declaration> {
  const sections = new Map<number, string>();
  for (const id of btf.idsByKind(BtfKind.DATASEC)) {
    const { name, entries } = btf.typeById(id) as BtfDataSection;
    for (const { typeId } of entries) sections.set(typeId, name);
  }
  const out = new Map<string, Declaration>();
  for (const kind of [BtfKind.VAR, BtfKind.FUNC]) {
    for (const id of btf.idsByKind(kind)) {
      const type = btf.typeById(id);
      if (type.kind !== BtfKind.VAR && type.kind !== BtfKind.FUNC) continue;
      const isStatic =
        type.kind === BtfKind.VAR ? type.linkage === BtfVarLinkage.STATIC : type.linkage === BtfFuncLinkage.STATIC;
      if (!isStatic && !out.has(type.name)) out.set(type.name, { id, section: sections.get(id) });
    }
  }
  return out;
}
