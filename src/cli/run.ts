/** `skep run`: an object file in the running kernel. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SkepError, UsageError, VerifierError } from "../base/index.ts";
import { MapType, ProgType } from "../isa/index.ts";
import { programTypeName } from "../inspect/index.ts";
import { openLinuxKernel } from "../kernel/index.ts";
import type { Link, LoadOptions } from "../kernel/index.ts";
import { LinuxLink, LinuxMap } from "../kernel/linux/index.ts";
import { type AttachedProgram, placeWanted } from "../runtime/attachment/index.ts";
import { type Attachment, Collection } from "../runtime/collection/collection.ts";
import { bccEvents } from "../runtime/c-source.ts";
import { FdOutput } from "../runtime/output.ts";
import { isAlive } from "../runtime/trace.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { programNames } from "./disasm.ts";
import { describeFailure } from "./failure.ts";
import { eventOptions } from "./gen.ts";
import { readBtfFile, readLinkedOperands } from "./object-file.ts";
import { placeExample, setPlaces } from "./run-places.ts";
import { RunSession } from "./run-session.ts";
import { setMaxEntries, setVariables } from "./run-values.ts";
import { writeError } from "./write.ts";

/** Runs the command; resolves with the exit status. */
export async function runCommand(args: Arguments): Promise<number> {
  const { object, compilation } = readLinkedOperands(args, "run", {
    forThisMachine: true,
    json: args.options.has("json"),
    warnings: !args.options.has("no-warnings"),
  });
  if (args.options.has("pcap")) {
    const { runCapture } = await import("./run-capture.ts");
    return runCapture(args, object);
  }
  const only = programNames(args, "only", object, "run");
  const seconds = secondsOption(args);
  const pid = pidOption(args);
  const quiet = args.options.has("quiet");
  const say = (text: string): void => {
    if (!quiet) writeError(`${text}\n`);
  };
  const load = loadOptions(args);
  const kernel = openLinuxKernel();
  const events = { ...(compilation === undefined ? {} : bccEvents(compilation)), ...eventOptions(args, "run") };
  const collection = new Collection(object, { kernel, events });
  const file = textOption(args, "output");
  const output = file === undefined ? new FdOutput(1, "stdout") : FdOutput.file(file);
  try {
    setVariables(collection, args.repeated.get("set") ?? [], "run");
    setMaxEntries(collection, args.repeated.get("max-entries") ?? [], "run");
    for (const { name } of object.programs) {
      if (only !== undefined) collection.program(name).spec.autoload = only.includes(name);
    }
    const guesses = (compilation?.bcc?.programs ?? []).filter(({ typeIsGuess }) => typeIsGuess);
    setPlaces(collection, args.repeated.get("attach") ?? [], "run", new Set(guesses.map(({ name }) => name)));
    requireSizes(collection);
    const session = new RunSession(collection, kernel, {
      output,
      say,
      json: args.options.has("json"),
      maps: !args.options.has("no-maps"),
      ...(seconds === undefined ? {} : { seconds }),
      ...(pid === undefined ? {} : { pid }),
    });
    try {
      // Records and lines that come while programs are attached one after the other are not lost.
      session.prepare();
      const partial = !args.options.has("strict");
      await collection.load({ ...load, partial });
      if (args.options.has("verbose")) sayLoaded(collection);
      session.openReaders();
      const attached = args.options.has("no-attach") ? [] : await attachAll(collection, partial, pid, say);
      if (!args.options.has("no-attach")) sayAttached(collection, attached, say);
      const directory = textOption(args, "pin");
      if (directory !== undefined) pinAll(collection, attached, directory, say);
      return await session.run(attached, args.options.has("dry-run"));
    } finally {
      session.close();
    }
  } finally {
    await collection.end();
    kernel.close();
    output.close();
  }
}

/** Types of maps that cannot do without a number of entries. */
const sizedTypes: ReadonlySet<number> = new Set([
  MapType.HASH,
  MapType.ARRAY,
  MapType.PERCPU_HASH,
  MapType.PERCPU_ARRAY,
  MapType.LRU_HASH,
  MapType.LRU_PERCPU_HASH,
  MapType.LPM_TRIE,
  MapType.STACK_TRACE,
  MapType.QUEUE,
  MapType.STACK,
  MapType.RINGBUF,
]);

/** Objects whose own tools choose the sizes of maps leave them out. */
function requireSizes(collection: Collection): void {
  const unsized = Object.values(collection.spec.maps)
    .filter(({ type, maxEntries, autocreate }) => autocreate && maxEntries === 0 && sizedTypes.has(type))
    .map(({ name }) => `--max-entries ${name}=1024`);
  if (unsized.length === 0) return;
  throw new UsageError(`skep run: the object leaves the size of maps to its user: give ${unsized.join(" ")}`);
}

function loadOptions(args: Arguments): LoadOptions {
  const btf = textOption(args, "btf");
  const kconfig = textOption(args, "kconfig");
  return {
    ...(btf === undefined ? {} : { coreBtf: readBtfFile(btf, "run") }),
    ...(kconfig === undefined ? {} : { kconfig: readText(kconfig) }),
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new UsageError(`skep run: --kconfig ${path}: ${(cause as NodeJS.ErrnoException).code}`);
  }
}

function secondsOption(args: Arguments): number | undefined {
  const text = textOption(args, "duration");
  if (text === undefined) return undefined;
  const seconds = Number(text);
  // Timers count milliseconds in 31 bits.
  if (!/^\d*\.?\d+$/.test(text) || seconds > 2_000_000)
    throw new UsageError(`skep run: --duration ${text}: seconds are wanted`);
  return seconds;
}

function pidOption(args: Arguments): number | undefined {
  const text = textOption(args, "pid");
  if (text === undefined) return undefined;
  const pid = Number(text);
  if (!/^\d+$/.test(text) || pid < 1 || pid > 0x7fffffff)
    throw new UsageError(`skep run: -p ${text}: not a process id`);
  if (!isAlive(pid)) throw new UsageError(`skep run: -p ${text}: no process has this id`);
  return pid;
}

/** Attaches, and says what is left out, also when that is everything. */
async function attachAll(
  collection: Collection,
  partial: boolean,
  pid: number | undefined,
  say: (text: string) => void,
): Promise<Attachment[]> {
  try {
    return await collection.attach({ partial, ...(pid === undefined ? {} : { pid }) });
  } finally {
    sayLeftOut(collection, say);
  }
}

/** Logs of the verifier that are shown; of more programs only its verdicts are. */
const LOGS = 2;

function sayLeftOut({ leftOut, object }: Collection, say: (text: string) => void): void {
  let logs = 0;
  for (const { program, error } of leftOut) {
    const section = object.programs.find(({ name }) => name === program)?.section;
    const isLog = error instanceof VerifierError && ++logs <= LOGS;
    const why = isLog ? describeFailure(error, false, false).text : error.message.split("\n")[0]!;
    const reason = why.replace(`program ${program}: `, "");
    say(`left out: program ${program}${section === undefined ? "" : ` (${section})`}: ${reason}`);
  }
  if (leftOut.some(({ error }) => error.code !== "alternative")) say("(--strict runs everything or nothing)");
}

function isLoaded(collection: Collection, name: string): boolean {
  return (
    collection.program(name).spec.autoload &&
    !collection.leftOut.some((one) => one.program === name && one.stage === "load")
  );
}

function sayLoaded(collection: Collection): void {
  for (const { name } of collection.object.programs) {
    const program = collection.program(name);
    if (!isLoaded(collection, name)) continue;
    const { id, translatedInsns, jitedBytes, verifiedInsns } = program.info();
    const verified = verifiedInsns > 0 ? `, the verifier walked ${verifiedInsns}` : "";
    writeError(
      `program ${name}: id ${id}, ${programTypeName(program.spec.type)}, ${translatedInsns} instructions, ${jitedBytes} bytes of machine code${verified}\n`,
    );
  }
}

/** Says what is attached, and what is not. Throws when nothing is. */
function sayAttached(collection: Collection, attached: readonly Attachment[], say: (text: string) => void): void {
  const { programs } = collection.object;
  const loose = programs.filter(
    ({ name, type }) =>
      type !== ProgType.STRUCT_OPS && isLoaded(collection, name) && collection.program(name).spec.attach === undefined,
  );
  const wanted = loose.map((program) => {
    const example = placeExample(program);
    const why = example === undefined ? placeWanted(program) : `nothing says where it goes (${example})`;
    return `program ${program.name} is loaded and not attached: ${why}`;
  });
  if (attached.length === 0) {
    const optional = programs.filter(({ name }) => !collection.program(name).spec.autoload).map(({ name }) => name);
    const hint =
      optional.length === 0 ? "" : `\nprograms that are loaded only when asked for (--only): ${optional.join(", ")}`;
    const what = programs.length === 0 ? "the object has no programs" : "nothing to attach";
    throw new SkepError("no-place", [what, ...wanted].join("\n") + hint + " (--no-attach only loads)", {
      exitStatus: 2,
    });
  }
  for (const text of wanted) say(text);
  const placed = attached.filter((one) => "program" in one);
  const places = placed.reduce((sum, one) => sum + one.links.length, 0);
  const tables = attached.length - placed.length;
  const counts = [
    ...(placed.length > 0 ? [`${placed.length} ${placed.length === 1 ? "program" : "programs"}`] : []),
    ...(tables > 0 ? [`${tables} ${tables === 1 ? "table" : "tables"} of struct_ops`] : []),
  ];
  say(`Attached ${counts.join(" and ")}${places === placed.length ? "" : ` at ${places} places`}`);
  for (const one of placed) sayRenamed(one, say);
  for (const one of attached) {
    if (!("refused" in one) || one.refused === undefined) continue;
    say(`program ${one.program}: the kernel refused ${one.refused.count} places: ${one.refused.first.message}`);
  }
}

/** Handlers of system calls have other names today than the programs that ask for them know. */
function sayRenamed({ program, request, links }: AttachedProgram, say: (text: string) => void): void {
  if (request.kind !== "kprobe") return;
  for (const { spec } of links) {
    if (spec.kind === "kprobe" && spec.func !== request.func)
      say(`program ${program}: ${request.func} is called ${spec.func} by this kernel`);
  }
}

/** Pins everything below a directory of a bpffs: maps, programs and links by their names. On an error nothing stays pinned. */
function pinAll(
  collection: Collection,
  attached: readonly Attachment[],
  directory: string,
  say: (text: string) => void,
): void {
  const kinds = ["maps", "programs", "links"].map((kind) => join(directory, kind));
  const made: string[] = [];
  const pin = (what: { pin(path: string): void }, kind: string, name: string): void => {
    // Dots are not allowed in names of a bpffs.
    const path = join(directory, kind, name.replaceAll(".", "_"));
    what.pin(path);
    made.push(path);
  };
  const isNew = !existsSync(directory);
  try {
    for (const kind of kinds) mkdirSync(kind, { recursive: true });
    for (const { name } of collection.object.maps) {
      if (collection.spec.maps[name]?.autocreate !== true) continue;
      const map = collection.map(name).kernelMap;
      if (map instanceof LinuxMap) pin(map, "maps", name);
    }
    for (const { name } of collection.object.programs) {
      if (isLoaded(collection, name)) pin(collection.program(name), "programs", name);
    }
    for (const one of attached) {
      const links = "links" in one ? one.links : [one];
      const name = "program" in one ? one.program : specName(one);
      for (const [i, link] of links.entries()) {
        if (!(link instanceof LinuxLink)) continue;
        if (link.noLink === undefined) pin(link, "links", links.length === 1 ? name : `${name}_${i}`);
        else say(`not pinned: ${name}: it is held by ${link.noLink}, and ends with this process`);
      }
    }
  } catch (error) {
    for (const path of made) rmSync(path, { force: true });
    for (const kind of isNew ? [...kinds, directory] : kinds) {
      try {
        rmdirSync(kind);
      } catch {
        // Something else is in it, or it was never made.
      }
    }
    throw error;
  }
  say(`Pinned ${made.length} objects below ${directory}`);
}

/** A struct_ops link is called as its map. */
function specName({ spec }: Link): string {
  return spec.kind === "struct-ops" ? spec.map : spec.kind;
}
