/** The object's BTF in the kernel. */
import { loadBtf } from "./bpf-prog.ts";
import type { OwnedFd } from "./fd.ts";

/** What became of an object's BTF. */
export interface ObjectBtf {
  /** Closed by whoever asked. Undefined when the kernel refused it. */
  readonly fd?: OwnedFd;
  /** Why: the last line of the kernel's log. */
  readonly refusal?: string;
}

/** Loads the BTF of an object. What the kernel refuses is an answer, not an error: most programs also load without. */
export function loadObjectBtf(bytes: Uint8Array, tokenFd: number | undefined): ObjectBtf {
  const answer = loadBtf(bytes, tokenFd);
  return "fd" in answer ? { fd: answer.fd } : { refusal: answer.log.trim().split("\n").at(-1) ?? "" };
}
