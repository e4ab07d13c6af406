/** Flavours: `task_struct___old` is another version of `task_struct` for CO-RE, which compares names up to the last `___`. */
import type { Btf } from "../btf.ts";

const UNDERSCORE = 0x5f;
const SEPARATOR = "___";

/** Position of the last `___` with other characters on both sides, or -1. */
function flavourAt(name: string): number {
  for (let at = name.lastIndexOf(SEPARATOR); at > 0; at = name.lastIndexOf(SEPARATOR, at - 1)) {
    const after = at + SEPARATOR.length;
    if (name[at - 1] !== "_" && after < name.length && name[after] !== "_") return at;
  }
  return -1;
}

/** A name without its flavour: `task_struct` for `task_struct___old`. Pairs with `bpf_core_essential_name_len` of libbpf. */
export function essentialName(name: string): string {
  const at = flavourAt(name);
  return at === -1 ? name : name.slice(0, at);
}

const flavours = new WeakMap<Btf, ReadonlyMap<string, readonly string[]>>();

/**
 * All spellings under which the types of a BTF may have an essential name: the name itself, then its flavours among the BTF's own strings
 * (not its base's).
 */
export function spellingsOf(btf: Btf, essential: string): readonly string[] {
  let known = flavours.get(btf);
  if (known === undefined) {
    const found = new Map<string, string[]>();
    for (const name of btf.strings.withTriple(UNDERSCORE)) {
      const at = flavourAt(name);
      if (at === -1) continue;
      const spellings = found.get(name.slice(0, at));
      if (spellings === undefined) found.set(name.slice(0, at), [name]);
      else spellings.push(name);
    }
    flavours.set(btf, (known = found));
  }
  return [essential, ...(known.get(essential) ?? [])];
}
