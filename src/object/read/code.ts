/** The functions of an object file: their code, what it refers to, and the records that describe it. */
import type { Btf, BtfExt, BtfExtBlock } from "../../btf/index.ts";
import { INSN_SIZE, LD_IMM64, OPCODE_FORMS, PseudoCall, PseudoImm64 } from "../../isa/index.ts";
import { UnsupportedError } from "../../base/index.ts";
import { ElfSectionIndex, ElfSectionType, ElfSymbolBinding, ElfSymbolType } from "../elf-format.ts";
import type { CoreRelocation, Relocation } from "../spec.ts";
import { damagedAt, isExtern, sectionNamed } from "./image.ts";
import type { ImageRelocation, ImageSection, ImageSymbol, ObjectImage } from "./image.ts";

/** Section of the functions that programs call. */
const TEXT = ".text";
const JUMP_TABLES = ".jumptables";

/** A function of the file. Indexes of instructions count from its first. */
export interface CodeFunction {
  readonly name: string;
  readonly section: ImageSection;
  /** Index of its first instruction in the section. */
  readonly start: number;
  /** Number of instructions. */
  readonly count: number;
  /** In `.text`: part of the programs that call it, and none of its own. */
  readonly isSubprogram: boolean;
  readonly isGlobal: boolean;
  /** Global among the object's files only: the verifier shall treat it as static. */
  readonly isHidden: boolean;
  /** Uses of other functions, ascending. */
  readonly references: readonly CodeReference[];
  /** Ascending. */
  readonly relocations: readonly Relocation[];
  readonly coreRelocations: readonly CoreRelocation[];
  /** Its `FUNC`; 0 without a record. */
  readonly typeId: number;
  /** Its `struct bpf_line_info`, in the order of instructions. */
  readonly lines: readonly RecordRange[];
}

/** Records of a block of BTF.ext that follow each other. */
export interface RecordRange {
  readonly block: BtfExtBlock;
  /** Index of the first. */
  readonly first: number;
  /** One more than the index of the last. */
  end: number;
}

/** A call of a function of the file, or a load of its address. */
export interface CodeReference {
  readonly insnIndex: number;
  readonly kind: "call" | "address";
  readonly target: CodeFunction;
}

/** What a relocation against data or an extern means, which is decided elsewhere. */
export interface SymbolMeaning {
  /** A place in a map, `offset` bytes behind what the instruction says itself; a map; or an extern of the kernel. */
  (symbol: ImageSymbol): MeantBySymbol | undefined;
}

/** What a symbol stands for. */
export type MeantBySymbol =
  | { readonly kind: "map"; readonly map: string }
  | { readonly kind: "map-value"; readonly map: string; readonly offset: number }
  | { readonly kind: "ksym"; readonly name: string };

type Draft = { -readonly [K in keyof CodeFunction]: CodeFunction[K] } & {
  references: CodeReference[];
  relocations: Relocation[];
  coreRelocations: CoreRelocation[];
  lines: RecordRange[];
};

/** All functions of the file, in the order of sections and places. `meant` says what symbols outside the code are. */
export function readFunctions(
  image: ObjectImage,
  btf: Btf | undefined,
  ext: BtfExt | undefined,
  meant: SymbolMeaning,
): CodeFunction[] {
  const bySection = placeFunctions(image);
  const text = sectionNamed(image, TEXT);
  const reader = new CodeReader(image, text?.isCode === true ? text : undefined, bySection, meant);
  for (const [index, functions] of bySection) {
    const section = image.sections[index]!;
    for (const func of functions) reader.readReferences(section, func);
  }
  if (btf !== undefined && ext !== undefined) {
    const records = new RecordReader(image, btf, bySection);
    records.read(ext.functions, "func_info", (func, insnIndex, { words, recordWords }, record) => {
      if (insnIndex === 0) func.typeId = words[record * recordWords + 1]!;
    });
    records.read(ext.lines, "line_info", (func, _, block, record) => {
      const last = func.lines.at(-1);
      if (last?.block === block && last.end === record) last.end++;
      else func.lines.push({ block, first: record, end: record + 1 });
    });
    records.read(ext.coreRelocations, "core_relo", (func, insnIndex, { words, recordWords }, record) => {
      const at = record * recordWords;
      const access = btf.strings.get(words[at + 2]!);
      func.coreRelocations.push({ insnIndex, typeId: words[at + 1]!, access, kind: words[at + 3]! });
    });
  }
  return [...bySection.values()].flat();
}

/** Functions by index of their section, ascending in it. */
function placeFunctions(image: ObjectImage): Map<number, Draft[]> {
  const found = new Map<number, Draft[]>();
  for (const symbol of image.symbols) {
    const section = image.sections[symbol.section];
    if (symbol.type !== ElfSymbolType.FUNC || section?.isCode !== true) continue;
    const { value, size, name } = symbol;
    if (size === 0 || size % INSN_SIZE !== 0 || value % INSN_SIZE !== 0) {
      throw damagedAt(image, section, value, `function ${name} of ${size} bytes: no multiple of ${INSN_SIZE}`);
    }
    if (value + size > section.size) {
      throw damagedAt(image, section, value, `function ${name} of ${size} bytes: the section ends at ${section.size}`);
    }
    const isSubprogram = section.name === TEXT;
    if (!isSubprogram && symbol.binding === ElfSymbolBinding.LOCAL) {
      throw damagedAt(
        image,
        section,
        value,
        `program ${name} is static: programs must be global, functions that they call in ${TEXT}`,
      );
    }
    const list = found.get(section.index) ?? [];
    found.set(section.index, list);
    const [references, relocations, coreRelocations, lines] = [[], [], [], []];
    list.push({
      name,
      section,
      start: value / INSN_SIZE,
      count: size / INSN_SIZE,
      isSubprogram,
      isGlobal: symbol.binding !== ElfSymbolBinding.LOCAL,
      isHidden: symbol.isHidden,
      typeId: 0,
      references,
      relocations,
      coreRelocations,
      lines,
    });
  }
  const ordered = [...found]
    .map(([index, list]): [number, Draft[]] => [index, withoutAliases(list.toSorted((a, b) => a.start - b.start))])
    .toSorted(([a], [b]) => a - b);
  for (const [index, list] of ordered) {
    for (const [i, func] of list.entries()) {
      const before = list[i - 1];
      if (before !== undefined && before.start + before.count > func.start) {
        const section = image.sections[index]!;
        throw damagedAt(image, section, func.start * INSN_SIZE, `functions ${before.name} and ${func.name} overlap`);
      }
    }
  }
  return new Map(ordered);
}

/** Functions that are called have one name each, of several the one that others see. */
function withoutAliases(sorted: readonly Draft[]): Draft[] {
  const out: Draft[] = [];
  for (const func of sorted) {
    const before = out.at(-1);
    const isAlias = func.isSubprogram && before?.start === func.start && before.count === func.count;
    if (!isAlias) out.push(func);
    else if (func.isGlobal && !before.isGlobal) out[out.length - 1] = func;
  }
  return out;
}

/** The function that holds an instruction of a section. */
function functionAt(functions: readonly Draft[], insnIndex: number): Draft | undefined {
  let [low, high] = [0, functions.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (functions[middle]!.start <= insnIndex) low = middle + 1;
    else high = middle;
  }
  const found = functions[low - 1];
  return found !== undefined && insnIndex < found.start + found.count ? found : undefined;
}

class CodeReader {
  private readonly image: ObjectImage;
  private readonly text: ImageSection | undefined;
  private readonly bySection: ReadonlyMap<number, readonly Draft[]>;
  private readonly meant: SymbolMeaning;
  /** Index in each section's relocations of the first that no function had yet. */
  private readonly positions = new Map<number, number>();

  constructor(
    image: ObjectImage,
    text: ImageSection | undefined,
    bySection: ReadonlyMap<number, readonly Draft[]>,
    meant: SymbolMeaning,
  ) {
    this.image = image;
    this.text = text;
    this.bySection = bySection;
    this.meant = meant;
  }

  /** Must be called for the functions of a section in their order. */
  readReferences(section: ImageSection, func: Draft): void {
    const { relocations } = section;
    const [from, to] = [func.start * INSN_SIZE, (func.start + func.count) * INSN_SIZE];
    let next = this.positions.get(section.index) ?? 0;
    // What lies between functions belongs to weak ones that another file replaced.
    while (next < relocations.length && relocations[next]!.offset < from) next++;
    const { data } = section;
    for (let at = from; at < to; at += INSN_SIZE) {
      const opcode = data[at]!;
      const relocation = relocations[next]?.offset === at ? relocations[next] : undefined;
      const inside = relocations[next];
      if (inside !== undefined && inside.offset > at && inside.offset < at + INSN_SIZE) {
        throw damagedAt(this.image, section, inside.offset, "a relocation inside an instruction");
      }
      if (relocation !== undefined) {
        next++;
        if (relocations[next]?.offset === at) {
          throw damagedAt(this.image, section, at, `function ${func.name}: two relocations of one instruction`);
        }
        this.relocate(section, func, at, relocation);
      } else if (OPCODE_FORMS[opcode] === "call" && data[at + 1]! >> 4 === PseudoCall.LOCAL) {
        this.localCall(section, func, at);
      } else if (opcode === LD_IMM64 && data[at + 1]! >> 4 === PseudoImm64.FUNC) {
        throw this.wrong(section, func, at, "the address of a function that no relocation names");
      }
    }
    this.positions.set(section.index, next);
  }

  private wrong(section: ImageSection, func: Draft, at: number, what: string): Error {
    return damagedAt(
      this.image,
      section,
      at,
      `function ${func.name}, instruction ${at / INSN_SIZE - func.start}: ${what}`,
    );
  }

  /** A call without relocation: of a static function of the same section. */
  private localCall(section: ImageSection, func: Draft, at: number): void {
    const distance = immediate(section.data, at);
    if (!func.isSubprogram) {
      throw this.wrong(section, func, at, `calls ${distance} instructions on, and no relocation says what`);
    }
    this.refer(section, func, at, "call", at / INSN_SIZE + distance + 1);
  }

  private refer(section: ImageSection, func: Draft, at: number, kind: CodeReference["kind"], target: number): void {
    const functions = this.text === undefined ? [] : (this.bySection.get(this.text.index) ?? []);
    const callee = functionAt(functions, target);
    if (callee === undefined || callee.start !== target) {
      throw this.wrong(section, func, at, `a function at instruction ${target} of ${TEXT}, where none starts`);
    }
    func.references.push({ insnIndex: at / INSN_SIZE - func.start, kind, target: callee });
  }

  private relocate(section: ImageSection, func: Draft, at: number, { symbol: index }: ImageRelocation): void {
    const { image, text } = this;
    const { data } = section;
    const symbol = image.symbols[index]!;
    const insnIndex = at / INSN_SIZE - func.start;
    const form = OPCODE_FORMS[data[at]!];
    const owner = image.sections[symbol.section];
    const described = (): string => symbol.name || owner?.name || `symbol ${index}`;
    const wrong = (what: string): Error => this.wrong(section, func, at, what);
    if (form !== "call" && form !== "ld-imm64") {
      throw wrong(`a relocation of ${described()}, which is no call and no ld_imm64`);
    }
    if (form === "ld-imm64" && insnIndex + 1 >= func.count) throw wrong("ld_imm64 without its second half");
    const imm = immediate(data, at);
    if (form === "call") {
      if (data[at + 1]! >> 4 !== PseudoCall.LOCAL)
        throw wrong(`a relocation of ${described()} at the call of a helper`);
      if (isExtern(symbol)) {
        const meaning = this.meant(symbol);
        if (meaning?.kind !== "ksym") throw wrong(`calls ${described()}, which is no function`);
        func.relocations.push({ kind: "kfunc", insnIndex, name: meaning.name });
        return;
      }
      if (owner === undefined || owner !== text || !isCodeSymbol(symbol)) {
        const where = owner === undefined || owner.index === 0 ? "" : ` of section ${owner.name}`;
        throw wrong(`calls ${described()}${where}: functions that programs call must be in ${TEXT}`);
      }
      this.refer(section, func, at, "call", symbol.value / INSN_SIZE + imm + 1);
      return;
    }
    if (owner !== undefined && owner === text && isCodeSymbol(symbol)) {
      this.refer(section, func, at, "address", (symbol.value + imm) / INSN_SIZE);
      return;
    }
    if (owner?.name === JUMP_TABLES) {
      throw new UnsupportedError(
        `${image.file}: function ${func.name}`,
        "jumps by a table (gotox, Linux 6.19): compile it with -fno-jump-tables",
      );
    }
    const meaning = this.meant(symbol);
    if (meaning === undefined) {
      const where =
        symbol.section >= ElfSectionIndex.LORESERVE || owner === undefined || owner.type === ElfSectionType.NULL
          ? "which this file does not define"
          : `in section ${owner.name}, which holds neither maps nor data`;
      throw wrong(`refers to ${described()}, ${where}`);
    }
    if (meaning.kind === "map-value") {
      func.relocations.push({ ...meaning, insnIndex, offset: (meaning.offset + imm) | 0 });
    } else func.relocations.push({ ...meaning, insnIndex });
  }
}

function isCodeSymbol({ type }: ImageSymbol): boolean {
  return type === ElfSymbolType.SECTION || type === ElfSymbolType.FUNC;
}

/** The immediate of the instruction at a byte offset. */
function immediate(code: Uint8Array, at: number): number {
  return code[at + 4]! | (code[at + 5]! << 8) | (code[at + 6]! << 16) | (code[at + 7]! << 24);
}

/** Hands records of BTF.ext to the functions that they are about. */
class RecordReader {
  private readonly image: ObjectImage;
  private readonly btf: Btf;
  private readonly bySection: ReadonlyMap<number, readonly Draft[]>;
  private readonly sections: ReadonlyMap<string, ImageSection>;

  constructor(image: ObjectImage, btf: Btf, bySection: ReadonlyMap<number, readonly Draft[]>) {
    this.image = image;
    this.btf = btf;
    this.bySection = bySection;
    // Backwards: of several sections of a name, the first.
    this.sections = new Map(image.sections.toReversed().map((section) => [section.name, section]));
  }

  /** `take` gets each record with the index of its instruction in the function. Those of code without function are nobody's. */
  read(
    blocks: readonly BtfExtBlock[],
    what: string,
    take: (func: Draft, insnIndex: number, block: BtfExtBlock, record: number) => void,
  ): void {
    const { image, btf, bySection } = this;
    for (const block of blocks) {
      const { sectionName, count, recordWords, words } = block;
      const name = btf.strings.get(sectionName);
      const section = this.sections.get(name);
      const functions = section === undefined ? undefined : bySection.get(section.index);
      if (section === undefined || functions === undefined) continue;
      let before = -1;
      let func: Draft | undefined;
      for (let i = 0; i < count; i++) {
        const offset = words[i * recordWords]!;
        if (offset % INSN_SIZE !== 0 || offset >= section.size || offset < before) {
          throw damagedAt(
            image,
            ".BTF.ext",
            0,
            `${what} ${i} of section ${name}: offset ${offset} after ${before} of ${section.size}`,
          );
        }
        before = offset;
        const insn = offset / INSN_SIZE;
        if (func === undefined || insn < func.start || insn >= func.start + func.count)
          func = functionAt(functions, insn);
        if (func !== undefined) take(func, offset / INSN_SIZE - func.start, block, i);
      }
    }
  }
}
