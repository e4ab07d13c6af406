/** Makes one BTF of several: what a linker does to the types of object files. */
import { ParseError } from "../base/index.ts";
import { Btf } from "./btf.ts";
import { BtfEditor } from "./editor.ts";
import { BTF_HEADER_SIZE, BTF_MAGIC, BTF_TYPE_WORDS, BTF_VERSION, BtfInfo, BtfKind } from "./kinds.ts";
import type { BtfSectionEntry } from "./types.ts";

/** Where a type's words name types and strings, by kind. `head`: what the third word is; the others count from behind the head. */
interface Fields {
  readonly head: "type" | "size";
  readonly types: readonly number[];
  /** Of each of vlen: `n` a name, `t` a type, `-` a number. */
  readonly each: string;
}

const plain: Fields = { head: "size", types: [], each: "" };
const reference: Fields = { head: "type", types: [], each: "" };

const fieldsByKind: Readonly<Record<number, Fields>> = {
  [BtfKind.INT]: plain,
  [BtfKind.PTR]: reference,
  [BtfKind.ARRAY]: { head: "size", types: [0, 1], each: "" },
  [BtfKind.STRUCT]: { head: "size", types: [], each: "nt-" },
  [BtfKind.UNION]: { head: "size", types: [], each: "nt-" },
  [BtfKind.ENUM]: { head: "size", types: [], each: "n-" },
  [BtfKind.FWD]: plain,
  [BtfKind.TYPEDEF]: reference,
  [BtfKind.VOLATILE]: reference,
  [BtfKind.CONST]: reference,
  [BtfKind.RESTRICT]: reference,
  [BtfKind.FUNC]: reference,
  [BtfKind.FUNC_PROTO]: { head: "type", types: [], each: "nt" },
  [BtfKind.VAR]: reference,
  [BtfKind.DATASEC]: { head: "size", types: [], each: "t--" },
  [BtfKind.FLOAT]: plain,
  [BtfKind.DECL_TAG]: reference,
  [BtfKind.TYPE_TAG]: reference,
  [BtfKind.ENUM64]: { head: "size", types: [], each: "n--" },
};

/** Calls back for each word of a type that is a type id or, with `isName`, an offset of a string. */
function eachReference(words: Uint32Array | readonly number[], visit: (index: number, isName: boolean) => void): void {
  const kind = (words[1]! >>> BtfInfo.KIND_SHIFT) & BtfInfo.KIND_MASK;
  const fields = fieldsByKind[kind];
  visit(0, true);
  if (fields === undefined) return;
  if (fields.head === "type") visit(2, false);
  for (const index of fields.types) visit(BTF_TYPE_WORDS + index, false);
  const { each } = fields;
  for (let at = BTF_TYPE_WORDS; each !== "" && at < words.length; at += each.length) {
    for (let i = 0; i < each.length; i++) if (each[i] !== "-") visit(at + i, each[i] === "n");
  }
}

/** Which types of an input do not come along. */
export interface BtfMergeChoices {
  /** Left out. What refers to it would be a RangeError. */
  skip(input: number, id: number): boolean;
  /** The same declaration in another input, which stands for this one; not itself replaced. */
  replacement(input: number, id: number): readonly [input: number, id: number] | undefined;
}

/**
 * Collects the types of several BTFs. Ids are those of the collection until {@link finish}, which finds types that are equal, whatever
 * they refer to, and numbers them anew. Variables and sections are never equal to others.
 */
export class BtfMerger {
  private readonly types: number[][] = [];
  private readonly maps: Uint32Array[] = [];
  private readonly offsets = new Map<string, number>([["", 0]]);
  private readonly strings: Uint8Array[] = [new Uint8Array(1)];
  private stringsEnd = 1;

  /** `section` of each input is named in errors. Throws {@link ParseError} when an input is damaged. */
  constructor(inputs: readonly { readonly bytes: Uint8Array; readonly section: string }[], choices: BtfMergeChoices) {
    const editors = inputs.map(({ bytes, section }) => new BtfEditor(bytes, section));
    const names = inputs.map(({ bytes, section }) => Btf.parse(bytes, { section }).strings);
    const origins: (readonly [input: number, id: number])[] = [];
    for (const [input, editor] of editors.entries()) {
      const map = new Uint32Array(editor.typeCount);
      this.maps.push(map);
      for (let id = 1; id < editor.typeCount; id++) {
        if (choices.skip(input, id) || choices.replacement(input, id) !== undefined) continue;
        map[id] = origins.push([input, id]);
      }
    }
    for (const [input, map] of this.maps.entries()) {
      for (let id = 1; id < map.length; id++) {
        const other = choices.replacement(input, id);
        if (other !== undefined) map[id] = this.typeId(...other);
      }
    }
    for (const [input, id] of origins) {
      const words = Array.from(editors[input]!.wordsOf(id));
      eachReference(words, (index, isName) => {
        const word = words[index]!;
        if (isName) {
          words[index] = this.string(names[input]!.get(word));
          return;
        }
        const other = word === 0 ? 0 : this.maps[input]![word];
        if (other === undefined || (other === 0 && word !== 0)) {
          throw new ParseError(inputs[input]!.section, 0, `type ${id} refers to type ${word}, which it cannot`);
        }
        words[index] = other;
      });
      this.types.push(words);
    }
  }

  /** Id in the collection of a type of an input. Throws RangeError for one that was left out. */
  typeId(input: number, id: number): number {
    const found = id === 0 ? 0 : this.maps[input]?.[id];
    if (found === undefined || (found === 0 && id !== 0))
      throw new RangeError(`BTF ${input}: type ${id} is not among those merged`);
    return found;
  }

  /** Offset of a string, added when it is new. */
  string(text: string): number {
    const known = this.offsets.get(text);
    if (known !== undefined) return known;
    const bytes = new TextEncoder().encode(`${text}\0`);
    const offset = this.stringsEnd;
    this.strings.push(bytes);
    this.offsets.set(text, offset);
    this.stringsEnd += bytes.length;
    return offset;
  }

  /** Adds a section of variables, given by ids of the collection, and sorts it by offset. */
  dataSection(name: string, size: number, entries: readonly BtfSectionEntry[]): void {
    const sorted = entries.toSorted((a, b) => a.offset - b.offset);
    const head = [this.string(name), (BtfKind.DATASEC << BtfInfo.KIND_SHIFT) + sorted.length, size];
    this.types.push([...head, ...sorted.flatMap((e) => [e.typeId, e.offset, e.size])]);
  }

  /** The one BTF, and the final id of each id of the collection. */
  finish(): { readonly btf: Uint8Array; readonly finalId: (id: number) => number } {
    const bodies = bodiesOfForwards(this.types);
    for (const words of this.types) {
      eachReference(words, (index, isName) => {
        if (!isName) words[index] = bodies.get(words[index]!) ?? words[index]!;
      });
    }
    const classes = equalTypes(this.types);
    const finals = new Uint32Array(this.types.length + 1);
    const firstOf = new Map<number, number>();
    const kept: number[][] = [];
    for (const [i, words] of this.types.entries()) {
      if (bodies.has(i + 1)) continue;
      const known = firstOf.get(classes[i + 1]!);
      if (known === undefined) firstOf.set(classes[i + 1]!, kept.push(words));
      finals[i + 1] = known ?? kept.length;
    }
    for (const words of kept) {
      eachReference(words, (index, isName) => {
        if (!isName) words[index] = finals[words[index]!]!;
      });
    }
    for (const [forward, body] of bodies) finals[forward] = finals[body]!;
    return { btf: this.encode(kept), finalId: (id) => finals[id]! };
  }

  private encode(types: readonly (readonly number[])[]): Uint8Array {
    const typeBytes = types.reduce((sum, words) => sum + words.length * 4, 0);
    const out = new Uint8Array(BTF_HEADER_SIZE + typeBytes + this.stringsEnd);
    const view = new DataView(out.buffer);
    view.setUint16(0, BTF_MAGIC, true);
    view.setUint8(2, BTF_VERSION);
    for (const [i, word] of [BTF_HEADER_SIZE, 0, typeBytes, typeBytes, this.stringsEnd].entries()) {
      view.setUint32(4 + i * 4, word, true);
    }
    let at = BTF_HEADER_SIZE;
    for (const words of types) for (const word of words) view.setUint32((at += 4) - 4, word, true);
    for (const bytes of this.strings) {
      out.set(bytes, at);
      at += bytes.length;
    }
    return out;
  }
}

const kindOf = (words: readonly number[]): number => (words[1]! >>> BtfInfo.KIND_SHIFT) & BtfInfo.KIND_MASK;

/**
 * The struct or union that a forward declaration stands for: that of its name, where one file has the body and another only a pointer.
 * Where several of a name look different, which one is meant is not known, and the declaration stays.
 */
function bodiesOfForwards(types: readonly (readonly number[])[]): Map<number, number> {
  const bodies = new Map<string, { readonly id: number; readonly shape: string } | undefined>();
  for (const [i, words] of types.entries()) {
    const kind = kindOf(words);
    if ((kind !== BtfKind.STRUCT && kind !== BtfKind.UNION) || words[0] === 0) continue;
    const key = `${kind}:${words[0]!}`;
    const shape = shapeOf(words);
    if (!bodies.has(key)) bodies.set(key, { id: i + 1, shape });
    else if (bodies.get(key)?.shape !== shape) bodies.set(key, undefined);
  }
  const out = new Map<number, number>();
  for (const [i, words] of types.entries()) {
    if (kindOf(words) !== BtfKind.FWD) continue;
    const isUnion = (words[1]! & BtfInfo.KIND_FLAG) !== 0;
    const body = bodies.get(`${isUnion ? BtfKind.UNION : BtfKind.STRUCT}:${words[0]!}`);
    if (body !== undefined) out.set(i + 1, body.id);
  }
  return out;
}

/** What a type's words tell without the types that they refer to. */
function shapeOf(words: readonly number[]): string {
  const shape = [...words];
  eachReference(words, (index, isName) => {
    if (!isName) shape[index] = 0;
  });
  return shape.join();
}

/**
 * Numbers that types share when they are equal: of the same words, and referring to types that are equal themselves. Starts with what the
 * words alone tell and parts what refers to different types until nothing changes, so that structs that refer to themselves are found too.
 * Index 0 is `void`.
 */
function equalTypes(types: readonly (readonly number[])[]): Uint32Array {
  const references = types.map((words) => {
    const out: number[] = [];
    eachReference(words, (index, isName) => {
      if (!isName) out.push(index);
    });
    return out;
  });
  const alone = types.map((words, i) => {
    const kind = kindOf(words);
    return kind === BtfKind.VAR || kind === BtfKind.DATASEC ? `unique ${i}` : shapeOf(words);
  });
  let classes = new Uint32Array(types.length + 1);
  let count = number(alone, classes);
  for (;;) {
    const refined = types.map(
      (words, i) => `${classes[i + 1]!}:${references[i]!.map((index) => classes[words[index]!]!).join()}`,
    );
    const next = new Uint32Array(types.length + 1);
    const nextCount = number(refined, next);
    if (nextCount === count) return next;
    classes = next;
    count = nextCount;
  }
}

/** Writes for each key the number of its first appearance, from 1, behind `void`. Returns how many there are. */
function number(keys: readonly string[], into: Uint32Array): number {
  const numbers = new Map<string, number>();
  for (const [i, key] of keys.entries()) {
    const known = numbers.get(key) ?? numbers.size + 1;
    numbers.set(key, known);
    into[i + 1] = known;
  }
  return numbers.size;
}
