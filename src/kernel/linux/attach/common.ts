/** What the ways to attach share. */
import { UnsupportedError } from "../../../base/index.ts";
import type { AttachSpec } from "../../../object/index.ts";
import { syscallFailure } from "../diagnose.ts";
import { type OwnedFd, duplicateFd } from "../fd.ts";
import type { LinkFds, LinuxLink } from "../link.ts";
import { machine } from "../machine.ts";
import type { LinuxProgram } from "../programs.ts";

/** The members of one kind of place. */
export type SpecOf<Kind extends AttachSpec["kind"]> = Extract<AttachSpec, { kind: Kind }>;

/** A hint that only the caller can give for a place that cannot be probed, such as the nearest tracepoint. */
export type AlternativeHint = (func: string) => string | undefined;

/** Attaches a program to one kind of place. */
export type Attacher<Kind extends AttachSpec["kind"]> = (
  program: LinuxProgram,
  spec: SpecOf<Kind>,
  hint: AlternativeHint,
) => LinuxLink;

/** An attachment that is one BPF link. */
export function onlyLink(link: OwnedFd): LinkFds {
  return { holders: [link], events: [] };
}

/** An attachment that no link holds: `takeOff` undoes it. A second descriptor of the program keeps it at hand. */
export function withoutLink(program: LinuxProgram, what: string, noLink: string, takeOff: () => void): LinkFds {
  return { holders: [duplicateFd(program.fd, `program at ${what}`)], events: [], noLink, takeOff };
}

/** The error of a link that could not be made. */
export function attachFailure(what: string, errno: number): Error {
  return syscallFailure({ call: `bpf(BPF_LINK_CREATE, ${what})`, operation: "link-create", errno });
}

/** The error of something that came with a later kernel, or undefined when this one is new enough to have it. */
export function tooOld(what: string, major: number, minor: number, instead = ""): UnsupportedError | undefined {
  if (machine.atLeast(major, minor)) return undefined;
  const [haveMajor, haveMinor] = machine.kernelVersion;
  const why = `came with Linux ${major}.${minor}, this is ${haveMajor}.${haveMinor}`;
  return new UnsupportedError(what, instead === "" ? why : `${why}: ${instead}`);
}

/** The error of something that this kernel was built without, or undefined when it has all options or does not tell. */
export function builtWithout(what: string, ...options: string[]): UnsupportedError | undefined {
  const lacking = options.filter((option) => machine.kernelOption(option) === "n");
  if (lacking.length === 0) return undefined;
  return new UnsupportedError(what, `this kernel was built without it (${lacking.join(", ")} not set)`);
}
