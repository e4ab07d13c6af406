/** Header files on disk, as C compilers look for them. */
import { readFileSync, readdirSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { SkepError, nearestNames } from "../base/index.ts";
import type { Header, HeaderProvider, HeaderRequest } from "../lang/c/preprocessor/headers.ts";

/** Not there, or no file: the search goes on. */
const elsewhere: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "EISDIR"]);

/** Where headers are looked for. */
export interface HeaderPlaces {
  /** `-I`: for both forms of `#include`, in this order. */
  readonly directories?: readonly string[];
  /** `-isystem`: behind the others; no warnings about what is found there. */
  readonly systemDirectories?: readonly string[];
}

/**
 * The user's headers: `"name"` beside the file that asks and then in the directories, `<name>` in the directories alone. What is found
 * nowhere is the compiler's to give.
 */
export class HeaderFiles implements HeaderProvider {
  private readonly directories: readonly string[];
  private readonly systemFrom: number;
  private readonly known = new Map<string, Header | undefined>();

  constructor(places: HeaderPlaces = {}) {
    const { directories = [], systemDirectories = [] } = places;
    this.directories = [...directories, ...systemDirectories];
    this.systemFrom = directories.length;
  }

  /** Throws SkepError (`no-file`) for a header that is there and cannot be read. */
  find({ name, angled, from, next }: HeaderRequest): Header | undefined {
    if (isAbsolute(name)) return this.read(name, false);
    let start = 0;
    if (next) {
      // Behind the directory that holds the file that asks.
      const own = this.directories.findIndex((directory) => from === join(directory, from.slice(directory.length)));
      start = own + 1;
    } else if (!angled) {
      const beside = this.read(join(dirname(from), name), false);
      if (beside !== undefined) return beside;
    }
    for (let i = start; i < this.directories.length; i++) {
      const found = this.read(join(this.directories[i]!, name), i >= this.systemFrom);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  nearest(name: string): readonly string[] {
    const inside = dirname(name);
    const names = this.directories.flatMap((directory) => {
      try {
        return readdirSync(join(directory, inside)).filter((file) => file.endsWith(".h"));
      } catch {
        return [];
      }
    });
    return nearestNames(basename(name), names).map((near) => (inside === "." ? near : `${inside}/${near}`));
  }

  private read(path: string, system: boolean): Header | undefined {
    if (this.known.has(path)) return this.known.get(path);
    let header: Header | undefined;
    try {
      header = { path, text: readFileSync(path, "utf8"), system };
    } catch (cause) {
      const { code = "" } = cause as NodeJS.ErrnoException;
      if (!elsewhere.has(code)) {
        throw new SkepError("no-file", `header ${path}: cannot be read: ${code}`, { cause, exitStatus: 2 });
      }
    }
    this.known.set(path, header);
    return header;
  }
}
