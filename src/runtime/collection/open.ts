/** Opens object files. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { SkepError, type SourceText } from "../../base/index.ts";
import { type BpfObject, linkObjects, objectName, readObject, writeElf } from "../../object/index.ts";
import type { CSourceOptions } from "../c-source.ts";
import { Collection, type CollectionOptions } from "./collection.ts";
import { noSuchName } from "./names.ts";
import type { AnyObject, ObjectTypes } from "./types.ts";

/** Names that an object must have, as the types that were generated for it say. */
export interface ExpectedNames {
  readonly programs: readonly string[];
  readonly maps: readonly string[];
}

/** An object file, or a C source (`.c`): its path, its URL, or its contents. */
export type ObjectSource = string | URL | Uint8Array | SourceText;

/** Options of {@link open}. */
export interface OpenOptions extends CollectionOptions {
  /** Name of the object; default: that of the file. */
  readonly name?: string;
  /** How C sources are compiled; the default is for the running kernel. */
  readonly c?: CSourceOptions;
  /** Checked when the object is opened: types of another version of it would be wrong everywhere. */
  readonly expects?: ExpectedNames;
}

/**
 * Opens an object file, given as a path, a URL of a file, or its bytes, or a C source, given as a path that ends in `.c` or as
 * `{ name, text }`, which is compiled in this process; several are linked to one object. Nothing touches the kernel before `load()`, and no
 * privilege is needed. Throws ParseError with section and offset for a damaged file, UnsupportedError for one that no loader here takes,
 * CompileError with every message and its place for wrong C, SkepError when a file cannot be read or the object does not have what `expects`
 * names.
 */
export async function open<T extends ObjectTypes = AnyObject>(
  source: ObjectSource | readonly ObjectSource[],
  options: OpenOptions = {},
): Promise<Collection<T>> {
  const sources = isList(source) ? source : [source];
  const inputs = await Promise.all(
    sources.map(async (one, i): Promise<Input> => {
      if (one instanceof Uint8Array) return { name: sources.length === 1 ? "object" : `object ${i + 1}`, bytes: one };
      if (typeof one === "object" && "text" in one) return { name: one.name, source: one };
      const path = one instanceof URL ? fileURLToPath(one) : one;
      const bytes = await read(path);
      // By its contents: what is no text is left to the reader of objects.
      if (bytes[0] === 0x7f || !/\.c$/i.test(path)) return { name: path, bytes };
      return { name: path, source: { name: path, text: new TextDecoder().decode(bytes) } };
    }),
  );
  const [first] = inputs;
  if (first === undefined) throw new TypeError("open: an object file or C source is wanted");
  const file = options.name ?? first.name;
  const made = await objectOf(inputs, file, options.c);
  const { object } = made;
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
  return new Collection<T>(object, { ...options, events: { ...made.events, ...options.events } });
}

/** A file: the bytes of an object, or the text of a source. */
type Input = { readonly name: string } & ({ readonly bytes: Uint8Array } | { readonly source: SourceText });

/** One object of all files, and the types of the records that they say. */
async function objectOf(
  inputs: readonly Input[],
  name: string,
  options: CSourceOptions = {},
): Promise<{ readonly object: BpfObject; readonly events: Record<string, string> }> {
  const [first] = inputs;
  if (inputs.every((input) => "bytes" in input)) {
    const object =
      inputs.length === 1 && first !== undefined && "bytes" in first
        ? readObject(first.bytes, { name })
        : linkObjects(inputs, { name });
    return { object, events: {} };
  }
  // The compiler is loaded by those who need it.
  const { bccEvents, compileSources } = await import("../c-source.ts");
  const sources = inputs.flatMap((input) => ("source" in input ? [input.source] : []));
  const compilation = compileSources(sources, { forThisMachine: true, ...options });
  const events = bccEvents(compilation);
  if (sources.length === inputs.length) {
    const { object } = compilation;
    return { object: name === first?.name ? object : { ...object, name: objectName(name) }, events };
  }
  const objects = inputs.flatMap((input) => ("bytes" in input ? [input] : []));
  const compiled = { name: sources[0]!.name, bytes: writeElf(compilation.object, { libbpfMinor: 8 }) };
  return { object: linkObjects([compiled, ...objects], { name }), events };
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
