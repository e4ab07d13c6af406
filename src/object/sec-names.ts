/** Names of sections for programs that are written to a file: from a program's types to what C programs write in `SEC()`. */
import { UnsupportedError } from "../base/index.ts";
import { AttachType, ProgFlags, ProgType } from "../isa/index.ts";
import type { AttachSpec } from "./attach.ts";
import { sectionMeaning } from "./section-names.ts";
import { sectionPatterns } from "./section-table.ts";
import type { SectionPattern } from "./section-table.ts";
import type { ProgramSpec } from "./spec.ts";

/** What libbpf reads as a function of the kernel, with an offset behind it. */
const KERNEL_SYMBOL = /^[A-Za-z0-9_.]+$/;

/**
 * The section that makes libbpf load the program as what it is. `attach`: the one place where it is attached, which becomes part of the
 * name where libbpf knows how to write it; undefined leaves attaching to the program's user.
 *
 * Throws {@link UnsupportedError} when libbpf 1.`libbpfMinor` has no name for it, TypeError when a target is missing.
 */
export function secName(program: ProgramSpec, attach: AttachSpec | undefined, libbpfMinor: number): string {
  return (program.autoload === false ? "?" : "") + plainName(program, attach, libbpfMinor);
}

function plainName(program: ProgramSpec, attach: AttachSpec | undefined, libbpfMinor: number): string {
  const own = attach === undefined ? ownSection(program, libbpfMinor) : undefined;
  if (own !== undefined) return own;
  const pattern = find(program);
  const said = `${typeText(program)}${program.sleepable === true ? ", sleepable" : ""}`;
  if (pattern === undefined) throw unsupported(program, `no section name of libbpf stands for type ${said}`);
  const { name, since = 0, target } = pattern;
  if (since > libbpfMinor) {
    throw unsupported(program, `section ${name} is known from libbpf 1.${since} on, the file is for 1.${libbpfMinor}`);
  }
  if (target === "kernel-type") {
    if (program.attachTo === undefined || program.attachTo === "") {
      throw new TypeError(`program ${program.name}: type ${typeText(program)} needs attachTo, the name of its target`);
    }
    return `${name}/${program.attachTo}`;
  }
  return attach === undefined ? name : attachedName(name, attach);
}

/** The section that the program was read from, when it still says what the program is. */
function ownSection({ section, ...program }: ProgramSpec, libbpfMinor: number): string | undefined {
  const said = section === undefined ? undefined : sectionMeaning(section);
  // A section that says nothing, of a program whose type its user sets.
  if (section !== undefined && said === undefined && program.type === ProgType.UNSPEC) return section;
  if (section === undefined || said === undefined || (said.pattern.since ?? 0) > libbpfMinor) return undefined;
  const isSame =
    said.type === program.type &&
    said.expectedAttachType === program.expectedAttachType &&
    said.sleepable === (program.sleepable ?? false) &&
    said.flags === (program.flags ?? 0) &&
    said.attachTo === program.attachTo;
  return isSame ? section : undefined;
}

/** The pattern of a program, of several the one that is no alias. */
function find(program: ProgramSpec): SectionPattern | undefined {
  const { type, expectedAttachType, sleepable = false, flags = 0 } = program;
  const frags = (flags & ProgFlags.XDP_HAS_FRAGS) !== 0;
  const fitting = sectionPatterns.filter(
    (p) => p.type === type && (p.sleepable ?? false) === sleepable && (p.frags ?? false) === frags,
  );
  const exact = fitting.filter((p) => p.attachType === expectedAttachType);
  return (
    exact.find((p) => p.isAlias !== true) ??
    exact[0] ??
    (expectedAttachType === 0 ? fitting.find((p) => p.attachTypeOptional === true && p.isAlias !== true) : undefined)
  );
}

/** Uprobes stay bare: libbpf's text for them needs a function's name, and a place is a file offset here. */
function attachedName(name: string, attach: AttachSpec): string {
  if (name === "tracepoint" && attach.kind === "tracepoint") return `${name}/${attach.category}/${attach.name}`;
  if (name.startsWith("raw_tp") && attach.kind === "raw-tracepoint") return `${name}/${attach.name}`;
  if (name === "kprobe" && attach.kind === "uprobe") return attach.isReturn ? "uretprobe" : "uprobe";
  if (name === "kprobe" && attach.kind === "kprobe") {
    const probe = attach.isReturn ? "kretprobe" : "kprobe";
    if (!KERNEL_SYMBOL.test(attach.func)) return probe;
    return `${probe}/${attach.func}${attach.offset === 0 ? "" : `+${attach.offset}`}`;
  }
  if (name === "uprobe.s" && attach.kind === "uprobe" && attach.isReturn) return "uretprobe.s";
  if (name === "kprobe.multi" && attach.kind === "kprobe-multi" && attach.isReturn) return "kretprobe.multi";
  if (name.startsWith("uprobe.multi") && attach.kind === "uprobe-multi" && attach.isReturn)
    return `uret${name.slice(1)}`;
  return name;
}

function typeText(program: ProgramSpec): string {
  const nameOf = (table: Readonly<Record<string, number>>, value: number): string =>
    Object.entries(table).find(([, number]) => number === value)?.[0] ?? String(value);
  const attachType = program.expectedAttachType;
  return (
    nameOf(ProgType, program.type) + (attachType === 0 ? "" : ` with attach type ${nameOf(AttachType, attachType)}`)
  );
}

function unsupported(program: ProgramSpec, why: string): UnsupportedError {
  return new UnsupportedError(`program ${program.name} in an object file`, why);
}
