/** Names with `*` in them. */

/** True when a name is a pattern. */
export function isPattern(text: string): boolean {
  return text.includes("*") || /\[.*\]/.test(text);
}

/** A test for names that match a pattern as a whole: `*` stands for any characters, `[a-c]` and `[!a]` for one, `?` for itself. */
export function matcher(pattern: string): (name: string) => boolean {
  if (!isPattern(pattern)) return (name) => name === pattern;
  let source = "";
  for (let at = 0; at < pattern.length; at++) {
    const c = pattern[at]!;
    if (c === "*") {
      // Several in a row mean one, and would take exponential time.
      if (!source.endsWith(".*")) source += ".*";
    } else if (c === "[") {
      const close = pattern.indexOf("]", at + 2);
      if (close === -1) source += "\\[";
      else {
        const inner = pattern.slice(at + 1, close);
        const negated = inner.startsWith("!") || inner.startsWith("^");
        source += `[${negated ? "^" : ""}${(negated ? inner.slice(1) : inner).replace(/[\\\]^]/g, "\\$&")}]`;
        at = close;
      }
    } else source += c.replace(/[.+?^${}()|\\/\]]/g, "\\$&");
  }
  try {
    const regexp = new RegExp(`^${source}$`, "s");
    return (name) => regexp.test(name);
  } catch {
    // A range that goes backwards, such as [z-a], matches nothing.
    return () => false;
  }
}

/** The path of a binary as its pattern has it: a relative one stays relative. */
export function shownPath(pattern: string, path: string): string {
  if (pattern.startsWith("/") || !pattern.includes("/")) return path;
  const at = path.indexOf(`/${pattern.split("*", 1)[0]}`);
  return at === -1 ? path : path.slice(at + 1);
}
