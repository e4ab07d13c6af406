/** Programs that an object has twice, for kernels that have BTF or trampolines and for those that lack them. */
import type { EditableProgram } from "./spec.ts";

/** What names of sections begin with, and the place that they stand for, of which programs are alternatives. */
const ways: Readonly<Record<string, string>> = {
  fentry: "entry of",
  kprobe: "entry of",
  fexit: "return of",
  kretprobe: "return of",
  tp_btf: "tracepoint",
  raw_tp: "tracepoint",
  raw_tracepoint: "tracepoint",
};

/** Ways that need the kernel's BTF, and are the better ones where both can be had. */
const typed: ReadonlySet<string> = new Set(["fentry", "fexit", "tp_btf"]);

/** 0 for programs that are attached before their alternatives, 1 for others. */
export function alternativeRank({ section }: Pick<EditableProgram, "section">): 0 | 1 {
  return typed.has(/^\??([a-z_]+)/.exec(section ?? "")?.[1] ?? "") ? 0 : 1;
}

/** The same text for programs of the same place, whatever their way there; undefined for those that have no alternative. */
export function placeOfAlternative({ section }: Pick<EditableProgram, "section">): string | undefined {
  const [, way, place] = /^\??([a-z_]+)(?:\.s)?\/([\w.]+)$/.exec(section ?? "") ?? [];
  const what = way === undefined ? undefined : ways[way];
  return what === undefined ? undefined : `${what} ${place}`;
}
