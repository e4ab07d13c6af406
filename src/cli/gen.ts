/** `skep gen`: files made from types. */
import { realpathSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { UsageError } from "../base/index.ts";
import { type Btf, printBtfHeader } from "../btf/index.ts";
import { generateTypes } from "../inspect/index.ts";
import { kernelBtf } from "../kernel/linux/index.ts";
import { minimalBtfFor } from "../object/index.ts";
import { FdOutput } from "../runtime/output.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { readBtfFile, readObjectFile, readObjectOperand } from "./object-file.ts";
import { writeOut } from "./write.ts";

/** Runs `skep gen types`; resolves with the exit status. */
export async function genTypesCommand(args: Arguments): Promise<number> {
  const input = readObjectOperand(args, "gen types", { localTypes: true });
  const { path, object } = input;
  const file = textOption(args, "output");
  const declarations = args.options.has("declarations") || (file?.endsWith(".d.ts") ?? false);
  if (declarations && args.options.has("embed")) {
    throw new UsageError("skep gen types: --embed: a declaration file holds types only");
  }
  const text = generateTypes(object, {
    source: path.split("/").at(-1)!,
    declarations,
    path: file === undefined ? `./${path.split("/").at(-1)!}` : pathFrom(file, path),
    ...(args.options.has("embed") ? { embed: input.bytes } : {}),
    events: eventOptions(args, "gen types"),
  });
  write(file, text);
  return 0;
}

/** Runs `skep gen vmlinux`; resolves with the exit status. */
export async function genVmlinuxCommand(args: Arguments): Promise<number> {
  noOperands(args, "gen vmlinux");
  const btf = kernelTypes(args, "gen vmlinux");
  write(textOption(args, "output"), printBtfHeader(btf, { kfuncs: !args.options.has("no-kfuncs") }));
  return 0;
}

/** Runs `skep gen min-btf`; resolves with the exit status. */
export async function genMinBtfCommand(args: Arguments): Promise<number> {
  if (args.operands.length === 0) throw new UsageError("skep gen min-btf: no object file (skep gen min-btf --help)");
  const file = textOption(args, "output");
  if (file === undefined && process.stdout.isTTY) {
    throw new UsageError("skep gen min-btf: BTF is no text for a terminal: give -o FILE");
  }
  const btf = kernelTypes(args, "gen min-btf");
  const objects = args.operands.map((path) => readObjectFile(path, "gen min-btf").object);
  write(file, minimalBtfFor(btf, objects));
  return 0;
}

/** `--event MAP=TYPE`, by map. Throws UsageError for what has another form. */
export function eventOptions(args: Arguments, command: string): Record<string, string> {
  const events: Record<string, string> = {};
  for (const text of args.repeated.get("event") ?? []) {
    const [, map, type] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (map === undefined) {
      throw new UsageError(`skep ${command}: --event ${text}: MAP=TYPE is wanted, such as events='struct event'`);
    }
    events[map] = type!;
  }
  return events;
}

function noOperands(args: Arguments, command: string): void {
  if (args.operands.length > 0) {
    throw new UsageError(
      `skep ${command}: ${args.operands[0]}: takes no file (types of a file: --btf ${args.operands[0]})`,
    );
  }
}

function kernelTypes(args: Arguments, command: string): Btf {
  const file = textOption(args, "btf");
  if (file !== undefined) return readBtfFile(file, command);
  return kernelBtf();
}

/** The path of an object as seen from a module. */
function pathFrom(module: string, object: string): string {
  const directory = realpathSync(dirname(resolve(module)));
  const path = relative(directory, realpathSync(object));
  return path.startsWith(".") ? path : `./${path}`;
}

function write(file: string | undefined, content: string | Uint8Array): void {
  if (file === undefined) {
    writeOut(content);
    return;
  }
  const output = FdOutput.file(file);
  try {
    output.write(typeof content === "string" ? new TextEncoder().encode(content) : content);
  } finally {
    output.close();
  }
}
