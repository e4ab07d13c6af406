/** What a section's name says of the programs in it. */
import { nearestNames } from "../base/index.ts";
import { ProgFlags } from "../isa/index.ts";
import type { AttachRequest } from "./attach.ts";
import { sectionPatterns } from "./section-table.ts";
import type { SectionPattern, SectionTarget } from "./section-table.ts";

/** What the name of a section says. */
export interface SectionMeaning {
  readonly pattern: SectionPattern;
  /** `ProgType.*` */
  readonly type: number;
  /** `AttachType.*`, 0 for none. */
  readonly expectedAttachType: number;
  readonly sleepable: boolean;
  /** Further `BPF_F_*` of program load. */
  readonly flags: number;
  readonly attachTypeOptional: boolean;
  /** The kernel's type that the program is loaded for. */
  readonly attachTo?: string;
  /** Where it is attached. */
  readonly attach?: AttachRequest;
  /** Why the name gives no place although it seems to: what would be right. */
  readonly problem?: string;
}

let byName: ReadonlyMap<string, SectionPattern> | undefined;

/** The pattern that a section's name follows, as libbpf decides; undefined for a name that says nothing. */
export function sectionPattern(section: string): SectionPattern | undefined {
  byName ??= new Map(sectionPatterns.map((pattern) => [pattern.name, pattern]));
  const exact = byName.get(section);
  if (exact !== undefined) return exact;
  const slash = section.indexOf("/");
  const pattern = slash === -1 ? undefined : byName.get(section.slice(0, slash));
  return pattern?.target === undefined ? undefined : pattern;
}

/** What a section's name says, without the `?` that may stand before it; undefined when it is none that loaders know. */
export function sectionMeaning(section: string): SectionMeaning | undefined {
  const pattern = sectionPattern(section);
  if (pattern === undefined) return undefined;
  const { type, attachType, sleepable = false, frags = false, attachTypeOptional = false, target } = pattern;
  const said = {
    pattern,
    type,
    expectedAttachType: attachType,
    sleepable,
    flags: frags ? ProgFlags.XDP_HAS_FRAGS : 0,
    attachTypeOptional,
  };
  if (target === undefined || section.length <= pattern.name.length + 1) return said;
  return { ...said, ...targets[target](section.slice(pattern.name.length + 1), pattern) };
}

/** Names that the name of a section may have been meant to be, best first; empty when none is near. */
export function nearestSections(section: string): string[] {
  const slash = section.indexOf("/");
  const names = sectionPatterns.map((pattern) => pattern.name);
  const whole = nearestNames(section, names, 2);
  if (slash === -1) return whole;
  const head = section.slice(0, slash);
  const isFamily = names.some((name) => name.startsWith(`${head}/`));
  const ofHead = names.includes(head) ? [head] : isFamily ? [] : nearestNames(head, names, 1);
  return [...new Set([...ofHead, ...whole])].slice(0, 2);
}

/** What a target gives: a place, a type of the kernel, or why neither. */
type Place = Pick<SectionMeaning, "attachTo" | "attach" | "problem">;

/** What the C library's `%li` reads: decimal, `0x` and octal. */
const NUMBER = /^[-+]?(0[xX][0-9a-fA-F]+|[0-9]+)/;

function numberAt(text: string): { readonly value: number; readonly length: number } | undefined {
  const found = NUMBER.exec(text)?.[0];
  if (found === undefined) return undefined;
  const digits = found.replace(/^[-+]/, "");
  const octal = digits.length > 1 && /^0[0-7]+$/.test(digits);
  const size = octal ? Number.parseInt(digits, 8) : Number(digits);
  return { value: found.startsWith("-") ? -size : size, length: found.length };
}

function probe(rest: string, isReturn: boolean): Place {
  const func = /^[A-Za-z0-9_.]+/.exec(rest)?.[0];
  if (func === undefined) return { problem: `${JSON.stringify(rest)} is no function of the kernel` };
  const offset = numberAt(rest.slice(func.length))?.value ?? 0;
  if (offset < 0) return { problem: `offset ${offset} into ${func}: it must not be negative` };
  if (isReturn && offset !== 0) return { problem: `offset ${offset} into ${func}: returns have no offset` };
  return { attach: { kind: "kprobe", func, offset, isReturn } };
}

/** A path and what follows its colon. */
function inBinary(
  rest: string,
  wanted: string,
): { readonly path: string; readonly name: string } | { readonly problem: string } {
  const colon = rest.indexOf(":");
  const [path, name] = colon === -1 ? [rest, ""] : [rest.slice(0, colon), rest.slice(colon + 1)];
  return path === "" || name === "" ? { problem: `${JSON.stringify(rest)}: write PATH:${wanted}` } : { path, name };
}

function uprobe(rest: string, isReturn: boolean): Place {
  const place = inBinary(rest, "FUNCTION or PATH:FUNCTION+OFFSET");
  if ("problem" in place) return place;
  let { name: func } = place;
  let offset = 0;
  const plus = func.lastIndexOf("+");
  const number = plus === -1 ? undefined : numberAt(func.slice(plus));
  if (number !== undefined && number.length === func.length - plus) {
    offset = number.value;
    func = func.slice(0, plus);
  }
  if (isReturn && offset !== 0) return { problem: `offset ${offset} into ${func}: returns have no offset` };
  return { attach: { kind: "uprobe-symbol", path: place.path, func, offset, isReturn } };
}

const PATTERN = /^[A-Za-z0-9_.*?]+/;

/** How each kind of target is read. As libbpf, which reads as far as characters fit and lets the rest go. */
const targets: Readonly<Record<SectionTarget, (rest: string, pattern: SectionPattern) => Place>> = {
  kprobe: (rest, { isReturn = false }) => probe(rest, isReturn),
  "kprobe-pattern": (rest, { isReturn = false }) => {
    const pattern = PATTERN.exec(rest)?.[0];
    if (pattern === undefined) return { problem: `${JSON.stringify(rest)} is no pattern of functions` };
    return { attach: { kind: "kprobe-pattern", pattern, isReturn } };
  },
  ksyscall: (rest, { isReturn = false }) => ({ attach: { kind: "ksyscall", syscall: rest, isReturn } }),
  uprobe: (rest, { isReturn = false }) => uprobe(rest, isReturn),
  "uprobe-pattern": (rest, { isReturn = false }) => {
    const place = inBinary(rest, "PATTERN");
    if ("problem" in place) return place;
    return { attach: { kind: "uprobe-pattern", path: place.path, pattern: place.name, isReturn } };
  },
  usdt: (rest) => {
    const [path = "", provider = "", name = ""] = rest.split(":");
    if (path === "" || provider === "" || name === "") {
      return { problem: `${JSON.stringify(rest)}: write PATH:PROVIDER:NAME` };
    }
    return { attach: { kind: "usdt", path, provider, name } };
  },
  tracepoint: (rest) => {
    const slash = rest.indexOf("/");
    if (slash <= 0 || slash === rest.length - 1) return { problem: `${JSON.stringify(rest)}: write CATEGORY/NAME` };
    return { attach: { kind: "tracepoint", category: rest.slice(0, slash), name: rest.slice(slash + 1) } };
  },
  "raw-tracepoint": (rest) => ({ attach: { kind: "raw-tracepoint", name: rest } }),
  // Programs of cgroups are loaded for a hook, and attached to a cgroup that only the user knows.
  "kernel-type": (rest, { name }) =>
    name === "lsm_cgroup" ? { attachTo: rest } : { attachTo: rest, attach: { kind: "tracing" } },
  "function-pattern": (rest) => (rest === "" ? {} : { attach: { kind: "tracing-pattern", pattern: rest } }),
  "struct-ops": () => ({}),
};
