/** Puts programs together: the main function, and behind it those that it calls, in the order in which libbpf appends them. */
import { BtfFuncLinkage, BtfKind, FUNC_INFO_SIZE, LINE_INFO_SIZE } from "../../btf/index.ts";
import type { Btf, BtfExt } from "../../btf/index.ts";
import { INSN_SIZE, PseudoImm64 } from "../../isa/index.ts";
import { sectionMeaning } from "../section-names.ts";
import type { CoreRelocation, ProgramSpec, Relocation } from "../spec.ts";
import type { CodeFunction } from "./code.ts";
import { damagedAt } from "./image.ts";
import type { ObjectImage } from "./image.ts";

/** The kernel takes a million instructions a program (`BPF_COMPLEXITY_LIMIT_INSNS`). */
const PROGRAM_LIMIT = 1_000_000;
/** Bytes of all programs. Real objects have some hundred kilobytes; damaged ones could ask for any number of copies of a function. */
const CODE_LIMIT = 1 << 26;

/** Tag of a program, followed by the name of a function that runs when it throws. */
export const EXCEPTION_CALLBACK = "exception_callback:";

/** The programs of a file: every function that is not in `.text`. */
export function assemblePrograms(
  image: ObjectImage,
  functions: readonly CodeFunction[],
  btf: Btf | undefined,
  ext: BtfExt | undefined,
): ProgramSpec[] {
  const callbacks = btf === undefined ? new Map<string, string[]>() : exceptionCallbacks(image, btf);
  const subprograms = new Map(functions.filter((f) => f.isSubprogram).map((f) => [f.name, f]));
  const taken = new Set<string>();
  const out: ProgramSpec[] = [];
  let bytes = 0;
  for (const main of functions) {
    if (main.isSubprogram) continue;
    const { name, section, start } = main;
    if (name === "") throw damagedAt(image, section, start * INSN_SIZE, "a program without a name");
    if (taken.has(name)) throw damagedAt(image, section, start * INSN_SIZE, `two programs of the name ${name}`);
    taken.add(name);
    const linked = new LinkedProgram(image, main);
    linked.add(main);
    for (const callback of callbacks.get(name) ?? []) {
      const func = subprograms.get(callback);
      if (func === undefined || !func.isGlobal || func.isHidden) {
        const why = func === undefined ? "is no function of .text" : "must be global and not hidden";
        throw damagedAt(
          image,
          section,
          start * INSN_SIZE,
          `program ${name}: its exception callback ${callback} ${why}`,
        );
      }
      linked.add(func);
    }
    bytes += linked.insnCount * INSN_SIZE;
    if (bytes > CODE_LIMIT)
      throw damagedAt(image, section, start * INSN_SIZE, `all programs together pass ${CODE_LIMIT} bytes`);
    out.push(linked.finish(ext !== undefined));
  }
  return out;
}

/** Names of functions that declaration tags make the exception callbacks of programs. */
function exceptionCallbacks(image: ObjectImage, btf: Btf): Map<string, string[]> {
  const out = new Map<string, string[]>();
  for (const id of btf.idsByKind(BtfKind.DECL_TAG)) {
    if (!btf.nameOf(id).startsWith(EXCEPTION_CALLBACK)) continue;
    const tag = btf.typeById(id);
    if (tag.kind !== BtfKind.DECL_TAG || tag.componentIndex !== -1) continue;
    const func = btf.typeById(tag.typeId);
    if (func.kind !== BtfKind.FUNC || func.linkage !== BtfFuncLinkage.GLOBAL) {
      throw damagedAt(image, ".BTF", 0, `tag ${tag.name} on type ${tag.typeId}, which is no global function`);
    }
    out.set(func.name, [...(out.get(func.name) ?? []), tag.name.slice(EXCEPTION_CALLBACK.length)]);
  }
  // The verifier refuses several for one program, and says so: none is appended then.
  for (const [name, callbacks] of out) if (callbacks.length > 1) out.delete(name);
  return out;
}

/** A main function and what it calls, placed one after the other. */
class LinkedProgram {
  insnCount = 0;
  private readonly image: ObjectImage;
  private readonly main: CodeFunction;
  /** Index of each function's first instruction, in the order of places. */
  private readonly places = new Map<CodeFunction, number>();

  constructor(image: ObjectImage, main: CodeFunction) {
    this.image = image;
    this.main = main;
  }

  /** Places a function and, depth first, what it calls. A stack of its own: damaged files can nest deeper than that of the language. */
  add(func: CodeFunction): void {
    const open: { readonly func: CodeFunction; next: number }[] = [];
    const place = (f: CodeFunction): void => {
      if (this.places.has(f)) return;
      this.places.set(f, this.insnCount);
      this.insnCount += f.count;
      if (this.insnCount > PROGRAM_LIMIT) {
        const { section, start, name } = this.main;
        throw damagedAt(
          this.image,
          section,
          start * INSN_SIZE,
          `program ${name}: with what it calls it passes ${PROGRAM_LIMIT} instructions`,
        );
      }
      open.push({ func: f, next: 0 });
    };
    place(func);
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const reference = top.func.references[top.next++];
      if (reference === undefined) open.pop();
      else place(reference.target);
    }
  }

  /** The program. `hasRecords`: the file has BTF.ext. */
  finish(hasRecords: boolean): ProgramSpec {
    const { image, main, places } = this;
    const code = new Uint8Array(this.insnCount * INSN_SIZE);
    const view = new DataView(code.buffer);
    const relocations: Relocation[] = [];
    const coreRelocations: CoreRelocation[] = [];
    for (const [func, place] of places) {
      const from = func.start * INSN_SIZE;
      code.set(func.section.data.subarray(from, from + func.count * INSN_SIZE), place * INSN_SIZE);
      for (const { insnIndex, kind, target } of func.references) {
        const at = place + insnIndex;
        view.setInt32(at * INSN_SIZE + 4, places.get(target)! - at - 1, true);
        if (kind === "address") markFunctionAddress(code, at * INSN_SIZE);
      }
      for (const r of func.relocations) relocations.push(moved(r, place));
      for (const r of func.coreRelocations) coreRelocations.push(moved(r, place));
    }
    const isOptional = main.section.name.startsWith("?");
    const section = isOptional ? main.section.name.slice(1) : main.section.name;
    const said = sectionMeaning(section);
    return {
      name: main.name,
      // A section that says nothing leaves the type to the user.
      type: said?.type ?? 0,
      expectedAttachType: said?.expectedAttachType ?? 0,
      code,
      relocations,
      funcInfo: hasRecords ? this.functionRecords(image) : new Uint8Array(0),
      lineInfo: hasRecords ? this.lineRecords(image) : new Uint8Array(0),
      ...(coreRelocations.length > 0 ? { coreRelocations } : {}),
      section,
      ...(said?.attachTo === undefined ? {} : { attachTo: said.attachTo }),
      ...(said?.sleepable === true ? { sleepable: true } : {}),
      ...(said === undefined || said.flags === 0 ? {} : { flags: said.flags }),
      ...(said?.attach === undefined ? {} : { attach: said.attach }),
      ...(said?.attachTypeOptional === true ? { attachTypeOptional: true } : {}),
      ...(isOptional ? { autoload: false } : {}),
    };
  }

  /** One record a function; none at all when the main function has none, as of code in assembly. */
  private functionRecords(image: ObjectImage): Uint8Array {
    const { main, places } = this;
    if (main.typeId === 0) return new Uint8Array(0);
    const out = new Uint8Array(places.size * FUNC_INFO_SIZE);
    const view = new DataView(out.buffer);
    let at = 0;
    for (const [func, place] of places) {
      if (func.typeId === 0) throw missing(image, main, func, "func_info");
      view.setUint32(at, place, true);
      view.setUint32(at + 4, func.typeId, true);
      at += FUNC_INFO_SIZE;
    }
    return out;
  }

  private lineRecords(image: ObjectImage): Uint8Array {
    const { main, places } = this;
    if (main.lines.length === 0) return new Uint8Array(0);
    let count = 0;
    for (const { lines } of places.keys()) for (const { first, end } of lines) count += end - first;
    const out = new Uint8Array(count * LINE_INFO_SIZE);
    const view = new DataView(out.buffer);
    let at = 0;
    for (const [func, place] of places) {
      if (func.lines.length === 0) throw missing(image, main, func, "line_info");
      // Records count bytes from the start of the section.
      const moves = place - func.start;
      for (const { block, first, end } of func.lines) {
        const { words, recordWords } = block;
        for (let record = first; record < end; record++, at += LINE_INFO_SIZE) {
          const from = record * recordWords;
          view.setUint32(at, words[from]! / INSN_SIZE + moves, true);
          for (let i = 1; i < LINE_INFO_SIZE / 4; i++) view.setUint32(at + i * 4, words[from + i]!, true);
        }
      }
    }
    return out;
  }
}

/** The main function is not moved, and most code is in it. */
function moved<T extends { readonly insnIndex: number }>(record: T, place: number): T {
  return place === 0 ? record : { ...record, insnIndex: record.insnIndex + place };
}

function missing(image: ObjectImage, main: CodeFunction, func: CodeFunction, what: string): Error {
  return damagedAt(
    image,
    ".BTF.ext",
    0,
    `program ${main.name}: it has ${what}, the function ${func.name} that it calls has none`,
  );
}

/** Makes an ld_imm64 one of a function's address (`BPF_PSEUDO_FUNC`). */
function markFunctionAddress(code: Uint8Array, at: number): void {
  code[at + 1] = (code[at + 1]! & 0x0f) | (PseudoImm64.FUNC << 4);
}
