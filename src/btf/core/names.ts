/** Flavours: `task_struct___old` is another version of `task_struct` for CO-RE, which compares names up to the last `___`. */

const SEPARATOR = "___";

/** A name without its flavour: `task_struct` for `task_struct___old`. Pairs with `bpf_core_essential_name_len` of libbpf. */
export function essentialName(name: string): string {
  // The last `___` with other characters on both sides.
  for (let at = name.lastIndexOf(SEPARATOR); at > 0; at = name.lastIndexOf(SEPARATOR, at - 1)) {
    const after = at + SEPARATOR.length;
    if (name[at - 1] !== "_" && after < name.length && name[after] !== "_") return name.slice(0, at);
  }
  return name;
}
