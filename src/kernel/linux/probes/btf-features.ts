/** Kinds of BTF that the kernel takes from programs: a small BTF with each is loaded. */
import { BtfBuilder, BtfFuncLinkage, BtfIntEncoding } from "../../../btf/index.ts";
import { BpfCmd } from "../../../isa/index.ts";
import { bpf } from "../bpf.ts";
import { BtfLoadAttr as A } from "../bpf-attr.ts";
import { OwnedFd } from "../fd.ts";
import { raiseMemlock } from "../memlock.ts";
import { callAttributes } from "../scratch.ts";
import { type ProbeAnswer, answerOf } from "./answer.ts";

/** What BTF may hold. */
export type BtfFeatureName =
  | "basic"
  | "func"
  | "global-func"
  | "datasec"
  | "float"
  | "decl-tag"
  | "type-tag"
  | "enum64"
  | "datasec-question-mark";

interface BtfEntry {
  readonly since: string;
  readonly summary: string;
  build(types: BtfBuilder, int: number): void;
}

function section(name: string): (types: BtfBuilder, int: number) => void {
  return (types, int) => {
    const variable = types.variable("value", int);
    types.dataSection(name, 4, [{ typeId: variable, offset: 0, size: 4 }]);
  };
}

function func(linkage: number): (types: BtfBuilder, int: number) => void {
  return (types, int) => void types.func("f", types.funcProto(int, [{ name: "a", typeId: int }]), linkage);
}

const table: Readonly<Record<BtfFeatureName, BtfEntry>> = {
  basic: { since: "4.18", summary: "types of programs and maps", build: () => {} },
  func: { since: "5.0", summary: "functions", build: func(BtfFuncLinkage.STATIC) },
  "global-func": { since: "5.6", summary: "linkage of functions", build: func(BtfFuncLinkage.GLOBAL) },
  datasec: { since: "5.2", summary: "variables and sections of data", build: section(".data") },
  float: { since: "5.13", summary: "floating-point types", build: (types) => void types.float("float", 4) },
  "decl-tag": {
    since: "5.16",
    summary: "tags of declarations",
    build: (types, int) =>
      void types.declTag("tag", types.struct("s", 4, [{ name: "a", typeId: int, bitOffset: 0 }]), 0),
  },
  "type-tag": {
    since: "5.17",
    summary: "tags of types",
    build: (types, int) => void types.pointer(types.typeTag("tag", int)),
  },
  enum64: {
    since: "6.0",
    summary: "enums of 64 bits",
    build: (types) => void types.enum("e", 8, false, [{ name: "E", value: 1n << 40n }]),
  },
  "datasec-question-mark": {
    since: "6.9",
    summary: "section names that start with a question mark",
    build: section("?.data"),
  },
};

/** All names, in the order of the table. */
export const btfFeatureNames: readonly BtfFeatureName[] = Object.keys(table) as BtfFeatureName[];

/** First mainline version and what it is, in a few words. */
export function btfFeatureEntry(name: BtfFeatureName): { readonly since: string; readonly summary: string } {
  const { since, summary } = table[name];
  return { since, summary };
}

/** Does the kernel take BTF with this in it? */
export function probeBtfFeature(name: BtfFeatureName): ProbeAnswer {
  const { since, summary, build } = table[name];
  const types = new BtfBuilder();
  build(types, types.int("int", 4, BtfIntEncoding.SIGNED));
  const bytes = types.finish();
  raiseMemlock();
  const attributes = callAttributes(A.SIZE).input(A.BTF, bytes).u32(A.BTF_SIZE, bytes.length);
  const result = bpf(BpfCmd.BTF_LOAD, attributes);
  if (result >= 0) new OwnedFd(result, "probing BTF").close();
  return answerOf(Math.max(0, -result), `loading BTF with ${summary}`, { since });
}
