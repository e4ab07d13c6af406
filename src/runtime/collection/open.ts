/** Opens object files. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { SkepError } from "../../base/index.ts";
import { linkObjects, readObject } from "../../object/index.ts";
import { Collection, type CollectionOptions } from "./collection.ts";
import { noSuchName } from "./names.ts";
import type { AnyObject, ObjectTypes } from "./types.ts";

/** Names that an object must have, as the types that were generated for it say. */
export interface ExpectedNames {
  readonly programs: readonly string[];
  readonly maps: readonly string[];
}

/** An object file: its path, its URL, or its bytes. */
export type ObjectSource = string | URL | Uint8Array;

/** Options of {@link open}. */
export interface OpenOptions extends CollectionOptions {
  /** Name of the object; default: that of the file. */
  readonly name?: string;
  /** Checked when the object is opened: types of another version of it would be wrong everywhere. */
  readonly expects?: ExpectedNames;
}

/**
 * Opens an object file, given as a path, a URL of a file, or its bytes; several are linked to one object. Nothing touches the kernel before
 * `load()`, and no privilege is needed. Throws ParseError with section and offset for a damaged file, UnsupportedError for one that no
 * loader here takes, SkepError when a file cannot be read or the object does not have what `expects` names.
 */
export async function open<T extends ObjectTypes = AnyObject>(
  source: ObjectSource | readonly ObjectSource[],
  options: OpenOptions = {},
): Promise<Collection<T>> {
  const sources = isList(source) ? source : [source];
  const inputs = await Promise.all(
    sources.map(async (one, i) => {
      if (one instanceof Uint8Array) return { name: sources.length === 1 ? "object" : `object ${i + 1}`, bytes: one };
      const path = one instanceof URL ? fileURLToPath(one) : one;
      return { name: path, bytes: await read(path) };
    }),
  );
  const [first] = inputs;
  if (first === undefined) throw new TypeError("open: an object file is wanted");
  const file = options.name ?? first.name;
  const object = inputs.length === 1 ? readObject(first.bytes, { name: file }) : linkObjects(inputs, { name: file });
  if (options.expects !== undefined) {
    const has = { program: object.programs, map: object.maps };
    for (const [what, wanted] of [
      ["program", options.expects.programs],
      ["map", options.expects.maps],
    ] as const) {
      const names = has[what].map(({ name }) => name);
      const lacking = wanted.find((name) => !names.includes(name));
      if (lacking === undefined) continue;
      const cause = noSuchName(what, lacking, names, `no-${what}`);
      throw new SkepError(
        "other-object",
        `object ${file}: ${cause.message}: its types were generated for another version (skep gen types)`,
        { cause, exitStatus: 2 },
      );
    }
  }
  return new Collection<T>(object, options);
}

function isList(source: ObjectSource | readonly ObjectSource[]): source is readonly ObjectSource[] {
  return Array.isArray(source);
}

async function read(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "no such file" : code === "EISDIR" ? "is a directory" : String(code);
    throw new SkepError("no-file", `object ${path}: ${why}`, { cause, exitStatus: 2 });
  }
}
