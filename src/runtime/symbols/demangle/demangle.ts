/**
 * Names of C++ functions as people write them, from what the Itanium ABI makes of them (`_ZN3foo3barEi` is `foo::bar(int)`). The text is that of
 * GNU's demangler, which BCC uses. What is not understood is no name: callers show it as it is.
 */
import { NameParser } from "./names.ts";
import { NotMangled, join, startName, top } from "./text.ts";

class Demangler extends NameParser {
  run(): string {
    if (!this.take("_Z")) throw new NotMangled();
    const node = this.encoding(true);
    let result = join(node(top));
    // What compilers add to parts of functions.
    while (this.peek() === ".") {
      const suffix = /^\.[A-Za-z_0-9]+(?:\.\d+)*/.exec(this.text.slice(this.at));
      if (suffix === null) throw new NotMangled();
      this.at += suffix[0].length;
      result += ` [clone ${suffix[0]}]`;
    }
    if (this.at < this.text.length) throw new NotMangled();
    return result;
  }
}

/** The name of C++ behind a symbol; undefined for symbols that are none of C++, or in forms that are not known here. */
export function demangle(symbol: string): string | undefined {
  if (!symbol.startsWith("_Z")) return undefined;
  startName();
  try {
    return new Demangler(symbol).run();
  } catch (error) {
    // A RangeError: parts that are nested deeper than the stack.
    if (error instanceof NotMangled || error instanceof RangeError) return undefined;
    throw error;
  }
}
