/** Which functions are programs, and what their sections say of them. */
import { editDistance } from "../../../base/index.ts";
import type { ProgramDecl } from "../../../compiler/index.ts";
import { ProgType } from "../../../isa/index.ts";
import { nearestSections, sectionMeaning } from "../../../object/index.ts";
import type { FunctionDecl, VariableDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { initialBytes } from "./bytes.ts";

/** Where functions that programs call are; in every other section a function is a program. */
const TEXT = ".text";

/** True for a function that a loader takes as a program. */
export function isProgram(func: FunctionDecl): boolean {
  const { section } = func.attributes;
  return func.body !== undefined && section !== undefined && section !== TEXT;
}

/** True for a program that a struct of functions may name. */
export function isStructOpsProgram(func: FunctionDecl): boolean {
  const section = func.attributes.section?.replace(/^\?/, "") ?? "";
  return isProgram(func) && sectionMeaning(section)?.type === ProgType.STRUCT_OPS;
}

/** What a program's section says, as readers of object files take it. Errors and warnings are about the function's name. */
export function programDecl(func: FunctionDecl, diagnostics: Diagnostics): ProgramDecl {
  const { name, location, attributes, storage } = func;
  const whole = attributes.section ?? "";
  const isOptional = whole.startsWith("?");
  const section = isOptional ? whole.slice(1) : whole;
  const length = name.length;
  if (storage === "static") {
    diagnostics.error(location, `program ${name} is static: loaders see global functions only`, {
      length,
      hint: "take away static",
    });
  }
  const said = sectionMeaning(section);
  if (said === undefined) {
    const nearest = nearestSections(section);
    const message = `SEC("${whole}") says no type of a program`;
    const names = nearest.map((near) => `SEC("${completed(near, section)}")`).join(" or ");
    if (nearest.some((near) => isSlip(section, near))) {
      diagnostics.error(location, message, { length, hint: `did you mean ${names}?` });
    } else {
      diagnostics.warning(location, `${message}: whoever loads ${name} must give one`, {
        length,
        hint: `names that say one are those of libbpf, such as ${names === "" ? 'SEC("tp/sched/sched_switch")' : names}`,
      });
    }
  } else if (said.problem !== undefined) {
    diagnostics.warning(location, `SEC("${whole}"): ${said.problem}`, { length });
  }
  return {
    type: said?.type ?? 0,
    expectedAttachType: said?.expectedAttachType ?? 0,
    section,
    ...(said?.attachTo === undefined ? {} : { attachTo: said.attachTo }),
    ...(said?.sleepable === true ? { sleepable: true } : {}),
    ...(said === undefined || said.flags === 0 ? {} : { flags: said.flags }),
    ...(said?.attach === undefined ? {} : { attach: said.attach }),
    ...(said?.attachTypeOptional === true ? { attachTypeOptional: true } : {}),
    ...(isOptional ? { autoload: false } : {}),
  };
}

/** Edits of a slip of the hand. */
const FEW_EDITS = 2;

/**
 * True when a section's name is one that loaders know, mistyped. Programs that are loaded as what their loader says may have any name;
 * many begin with a known one, which some loaders take for enough.
 */
function isSlip(section: string, near: string): boolean {
  const head = (name: string): string => name.split("/")[0]!;
  if (near.includes("/") && !section.includes("/")) return false;
  const [mistyped, known] = near.includes("/") ? [section, near] : [head(section), near];
  if (mistyped.length < 3 || mistyped.startsWith(known)) return false;
  return editDistance(mistyped, known, FEW_EDITS) <= FEW_EDITS;
}

/** A section's name with what stood behind the slash of the one that it is put in place of. */
function completed(near: string, section: string): string {
  const slash = section.indexOf("/");
  const takes = sectionMeaning(near)?.pattern.target !== undefined;
  return slash === -1 || near.includes("/") || !takes ? near : near + section.slice(slash);
}

/** The kernel's name of a license is at most this long. */
const LICENSE_LENGTH = 63;

/** The text of a variable of section `license`. Undefined when it has none that is constant. */
export function licenseText(variable: VariableDecl): string | undefined {
  const { bytes, addresses, problem } = initialBytes(variable.initializer, variable.type);
  if (problem !== undefined || addresses.length > 0) return undefined;
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.subarray(0, Math.min(end === -1 ? bytes.length : end, LICENSE_LENGTH)));
}

/** The number of a variable of section `version`. Undefined when it is none of 32 bits. */
export function versionNumber(variable: VariableDecl): number | undefined {
  const { bytes, addresses, problem } = initialBytes(variable.initializer, variable.type);
  if (problem !== undefined || addresses.length > 0 || bytes.length !== 4) return undefined;
  return new DataView(bytes.buffer).getUint32(0, true);
}
