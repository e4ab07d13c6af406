/** The object's BTF in the kernel: as it is where the kernel takes it, else without what an older kernel does not know. */
import { SkepError } from "../../base/index.ts";
import { type BtfAbility, abilitiesUsed, sanitizeBtf } from "../../btf/index.ts";
import { loadBtf } from "./bpf-prog.ts";
import type { OwnedFd } from "./fd.ts";
import { probeBtfFeature } from "./probes/btf-features.ts";

/** What became of an object's BTF. */
export interface ObjectBtf {
  /** Closed by whoever asked. Undefined when the kernel refused it. */
  readonly fd?: OwnedFd;
  /** Why: the last line of the kernel's log. */
  readonly refusal?: string;
  /** Before Linux 5.0 types of functions are not known, and programs are loaded without their records. */
  readonly hasNoFunctions?: boolean;
}

/** Loads the BTF of an object. What the kernel refuses is an answer, not an error: most programs also load without. */
export function loadObjectBtf(bytes: Uint8Array, tokenFd: number | undefined): ObjectBtf {
  const first = loadBtf(bytes, tokenFd);
  if ("fd" in first) return { fd: first.fd };
  const reduced = reducedBtf(bytes);
  if (reduced !== undefined) {
    const second = loadBtf(reduced.bytes, tokenFd);
    if ("fd" in second) return { fd: second.fd, hasNoFunctions: reduced.lacking.has("func") };
  }
  return { refusal: first.log.trim().split("\n").at(-1) ?? "" };
}

/** The BTF without what this kernel lacks; undefined when it lacks nothing, or the BTF is damaged. */
function reducedBtf(
  bytes: Uint8Array,
): { readonly bytes: Uint8Array; readonly lacking: ReadonlySet<BtfAbility> } | undefined {
  try {
    const lacking = new Set([...abilitiesUsed(bytes)].filter((ability) => probeBtfFeature(ability).answer === "no"));
    return lacking.size === 0 ? undefined : { bytes: sanitizeBtf(bytes, lacking), lacking };
  } catch (error) {
    if (error instanceof SkepError) return undefined;
    throw error;
  }
}
