/** Who is there already: programs and links at a hook, named as a person can find them. */
import type { LinkType } from "../../../isa/index.ts";
import { describeLink, describeProg, objectIds, openById } from "../bpf.ts";
import { type LinkInfo, linkInfo } from "../link-info.ts";

/** `program 12 (name)` for each id, joined by "and"; the id alone when it is gone or hidden. */
export function namePrograms(ids: readonly number[]): string {
  return ids.map(nameProgram).join(" and ");
}

function nameProgram(id: number): string {
  try {
    using fd = openById("prog", id);
    const name = fd === undefined ? "" : describeProg(fd.value).name;
    return name === "" ? `program ${id}` : `program ${id} (${name})`;
  } catch {
    return `program ${id}`;
  }
}

/** Links of a kind (`LinkType.*`) that a test picks. Empty when this process may not look for them. */
export function findLinks(type: number, wanted: (info: LinkInfo) => boolean): LinkInfo[] {
  const found: LinkInfo[] = [];
  try {
    for (const id of objectIds("link")) {
      using fd = openById("link", id);
      if (fd === undefined || describeLink(fd.value).type !== type) continue;
      const info = linkInfo(fd.value);
      if (wanted(info)) found.push(info);
    }
  } catch {
    // Without CAP_SYS_ADMIN, or before Linux 5.8, nobody tells.
  }
  return found;
}

/** `link 7 of program 12 (name)` for each, joined by "and". */
export function nameLinks(links: readonly LinkInfo[]): string {
  return links.map(({ id, progId }) => `link ${id} of ${nameProgram(progId)}`).join(" and ");
}

/** Links of network devices, by the device's index. */
export function deviceLinks(type: typeof LinkType.XDP | typeof LinkType.TCX, ifindex: number): LinkInfo[] {
  return findLinks(type, (info) => "ifindex" in info && info.ifindex === ifindex);
}
