/** BTF for kernels that are older than some of its kinds: those become older ones of the same size, so that ids stay what they are. */
import { Btf } from "./btf.ts";
import { BtfEditor } from "./editor.ts";
import { BTF_TYPE_WORDS, BtfFuncLinkage, BtfKind } from "./kinds.ts";

/** What kernels learnt to read one after the other. */
export type BtfAbility =
  | "func"
  | "global-func"
  | "datasec"
  | "datasec-question-mark"
  | "float"
  | "decl-tag"
  | "type-tag"
  | "enum64";

/** One way to make a type readable. The first that applies to a type's kind and to what is lacking does. */
interface Reduction {
  readonly kind: BtfKind;
  readonly lacking: BtfAbility;
  reduce(context: Context, id: number): void;
}

/** What reductions work on. */
interface Context {
  readonly original: Btf;
  readonly editor: BtfEditor;
  /** A type that nothing refers to otherwise, made when first asked for. */
  placeholder(): number;
}

/** Bits of an integer of one byte. */
const ONE_BYTE = 8;

/** A variable or a tag: an integer of one byte stands in, since every size fits around it. */
function toInt({ editor }: Context, id: number): void {
  const words = editor.wordsOf(id);
  editor.setInfo(id, BtfKind.INT, 0);
  words[2] = 1;
  words[BTF_TYPE_WORDS] = ONE_BYTE;
}

function setName({ editor }: Context, id: number, name: string): void {
  editor.wordsOf(id)[0] = name === "" ? 0 : editor.string(name);
}

/** Sections become structs with their variables as members. */
function sectionToStruct(context: Context, id: number): void {
  const { original, editor } = context;
  const words = editor.wordsOf(id);
  const count = editor.vlenOf(id);
  setName(context, id, original.nameOf(id).replaceAll(/[^A-Za-z0-9_]/g, "_"));
  for (let i = 0; i < count; i++) {
    const at = BTF_TYPE_WORDS + i * 3;
    const [typeId, offset] = [words[at]!, words[at + 1]!];
    words[at] = editor.wordsOf(typeId)[0]!;
    words[at + 1] = typeId;
    words[at + 2] = offset * 8;
  }
  editor.setInfo(id, BtfKind.STRUCT, count);
}

/** A kind without anything behind its head, in place of another such. */
function toBare(kind: BtfKind): Reduction["reduce"] {
  return ({ editor }, id) => {
    editor.wordsOf(id)[0] = 0;
    editor.setInfo(id, kind, 0);
  };
}

const reductions: readonly Reduction[] = [
  { kind: BtfKind.VAR, lacking: "datasec", reduce: toInt },
  { kind: BtfKind.DECL_TAG, lacking: "decl-tag", reduce: toInt },
  { kind: BtfKind.DATASEC, lacking: "datasec", reduce: sectionToStruct },
  {
    kind: BtfKind.DATASEC,
    lacking: "datasec-question-mark",
    reduce: (context, id) => setName(context, id, context.original.nameOf(id).replace(/^\?/, "_")),
  },
  {
    // Parameters are laid out like the values of an enum.
    kind: BtfKind.FUNC_PROTO,
    lacking: "func",
    reduce: ({ editor }, id) => {
      editor.setInfo(id, BtfKind.ENUM, editor.vlenOf(id));
      editor.wordsOf(id)[2] = 4;
    },
  },
  { kind: BtfKind.FUNC, lacking: "func", reduce: ({ editor }, id) => editor.setInfo(id, BtfKind.TYPEDEF, 0) },
  {
    kind: BtfKind.FUNC,
    lacking: "global-func",
    reduce: ({ editor }, id) => editor.setLinkage(id, BtfFuncLinkage.STATIC),
  },
  { kind: BtfKind.FLOAT, lacking: "float", reduce: toBare(BtfKind.STRUCT) },
  { kind: BtfKind.TYPE_TAG, lacking: "type-tag", reduce: toBare(BtfKind.CONST) },
  {
    // Kernels without 64-bit enums know no signs either.
    kind: BtfKind.ENUM,
    lacking: "enum64",
    reduce: ({ editor }, id) => editor.setInfo(id, BtfKind.ENUM, editor.vlenOf(id)),
  },
  {
    // A union keeps the size and the names; its members must be smaller than it.
    kind: BtfKind.ENUM64,
    lacking: "enum64",
    reduce: ({ editor, placeholder }, id) => {
      const count = editor.vlenOf(id);
      const member = placeholder();
      const words = editor.wordsOf(id);
      for (let i = 0; i < count; i++) {
        words[BTF_TYPE_WORDS + i * 3 + 1] = member;
        words[BTF_TYPE_WORDS + i * 3 + 2] = 0;
      }
      editor.setInfo(id, BtfKind.UNION, count);
    },
  },
];

/**
 * BTF without what a kernel lacks. Ids and offsets of strings are those of the original, so that records and maps that refer to them
 * hold. Pairs with `bpf_object__sanitize_btf` of libbpf. Throws ParseError when the BTF is damaged.
 */
export function sanitizeBtf(bytes: Uint8Array, lacking: ReadonlySet<BtfAbility>): Uint8Array {
  const original = Btf.parse(bytes);
  const editor = new BtfEditor(bytes);
  const count = editor.typeCount;
  let placeholderId = 0;
  const context: Context = {
    original,
    editor,
    placeholder: () =>
      (placeholderId ||= editor.append(BtfKind.INT, editor.string("enum64_placeholder"), 1, [ONE_BYTE])),
  };
  for (let id = 1; id < count; id++) {
    const kind = editor.kindOf(id);
    const reduction = reductions.find((candidate) => candidate.kind === kind && lacking.has(candidate.lacking));
    reduction?.reduce(context, id);
  }
  return editor.finish();
}

/** What of the abilities a BTF asks for, so that a kernel need not be asked for the others. */
export function abilitiesUsed(bytes: Uint8Array): ReadonlySet<BtfAbility> {
  const editor = new BtfEditor(bytes);
  const kinds = new Set<number>();
  for (let id = 1; id < editor.typeCount; id++) kinds.add(editor.kindOf(id));
  return new Set(reductions.filter(({ kind }) => kinds.has(kind)).map(({ lacking }) => lacking));
}
