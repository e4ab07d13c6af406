/** What BCC's users give the compiler on its command line (`cflags`), as options of ours. */
import { UsageError } from "../base/index.ts";
import type { CCompileOptions } from "../lang/c/index.ts";

/** Options that a list of flags stands for. */
export interface ParsedCflags {
  readonly macros: NonNullable<CCompileOptions["macros"]>;
  readonly include: readonly string[];
  readonly directories: readonly string[];
  readonly systemDirectories: readonly string[];
}

/** Flags that change nothing here: warnings, optimisation, the language's standard, clang's own matters. */
const ignored = /^-(?:[Wwgfm].*|O[0-3sz]?|std=.*|nostdinc|x|target|v|pipe|c)$/;

/** Flags whose value is a word of its own, and those of which it is ignored. */
const withValue = /^-(?:D|U|I|isystem|include|x|target)$/;

/** Reads flags as clang takes them. Throws UsageError for one that means something that this compiler does not have. */
export function parseCflags(flags: readonly string[]): ParsedCflags {
  const macros: ({ readonly define: string } | { readonly undefine: string })[] = [];
  const [include, directories, systemDirectories]: [string[], string[], string[]] = [[], [], []];
  const takers: Readonly<Record<string, (value: string) => void>> = {
    "-D": (value) => void macros.push({ define: value }),
    "-U": (value) => void macros.push({ undefine: value }),
    "-I": (value) => void directories.push(value),
    "-isystem": (value) => void systemDirectories.push(value),
    "-include": (value) => void include.push(value),
  };
  for (let i = 0; i < flags.length; i++) {
    const flag = flags[i]!;
    if (withValue.test(flag)) {
      const value = flags[++i];
      if (value === undefined) throw new UsageError(`cflags: ${flag} wants a value behind it`);
      takers[flag]?.(value);
      continue;
    }
    const taker = Object.keys(takers).find((name) => flag.startsWith(name));
    if (taker !== undefined) takers[taker]!(flag.slice(taker.length));
    else if (!ignored.test(flag)) {
      throw new UsageError(`cflags: ${flag} is not known: there are -D, -U, -I, -isystem and -include`);
    }
  }
  return { macros, include, directories, systemDirectories };
}
