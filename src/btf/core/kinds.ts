/** What a CO-RE relocation asks of the kernel's types: `enum bpf_core_relo_kind`. */
export const CoreKind = {
  FIELD_BYTE_OFFSET: 0,
  FIELD_BYTE_SIZE: 1,
  FIELD_EXISTS: 2,
  FIELD_SIGNED: 3,
  FIELD_LSHIFT_U64: 4,
  FIELD_RSHIFT_U64: 5,
  TYPE_ID_LOCAL: 6,
  TYPE_ID_TARGET: 7,
  TYPE_EXISTS: 8,
  TYPE_SIZE: 9,
  ENUMVAL_EXISTS: 10,
  ENUMVAL_VALUE: 11,
  TYPE_MATCHES: 12,
} as const;

/** One of the numbers of {@link CoreKind}. */
export type CoreKind = (typeof CoreKind)[keyof typeof CoreKind];

/** What a relocation of each kind asks for, as messages say it; by number. */
export const coreKindPhrases: readonly string[] = [
  "offset of",
  "size of",
  "existence of",
  "signedness of",
  "left shift of",
  "right shift of",
  "local type id of",
  "type id of",
  "existence of",
  "size of",
  "existence of",
  "value of",
  "match of",
];

/** What the access string of a relocation leads to: a field, the type itself, or a value of an enum. */
export type CoreSubject = "field" | "type" | "enum-value";

const subjects: readonly CoreSubject[] = [
  ...Array.from({ length: 6 }, () => "field" as const),
  ...Array.from({ length: 4 }, () => "type" as const),
  "enum-value",
  "enum-value",
  "type",
];

/** The subject of a kind of relocation; undefined for a number that is none. */
export function coreSubjectOf(kind: number): CoreSubject | undefined {
  return subjects[kind];
}
