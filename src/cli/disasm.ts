/** `skep disasm`: the instructions of an object file. */
import { nearestNames, UsageError } from "../base/index.ts";
import { disassembleObject, listDisassembly } from "../inspect/index.ts";
import type { BpfObject } from "../object/index.ts";
import type { Arguments } from "./arguments.ts";
import { readLinkedOperands } from "./object-file.ts";
import { writeOut } from "./write.ts";

/** Runs the command; resolves with the exit status. */
export async function disasmCommand(args: Arguments): Promise<number> {
  if (args.options.has("kernel") && args.options.has("llvm")) {
    throw new UsageError("skep disasm: --kernel and --llvm: give one of them");
  }
  const { object } = readLinkedOperands(args, "disasm");
  const programs = programNames(args, "program", object, "disasm");
  const options = {
    dialect: args.options.has("llvm") ? ("llvm" as const) : ("kernel" as const),
    ...(programs === undefined ? {} : { programs }),
  };
  if (!args.options.has("json")) {
    writeOut(listDisassembly(object, options));
    return 0;
  }
  const found = disassembleObject(object, options).map(({ insns, ...program }) => ({
    ...program,
    insns: insns.map(({ bytes, ...insn }) => ({ ...insn, bytes: Buffer.from(bytes).toString("hex") })),
  }));
  writeOut(`${JSON.stringify(found, null, 2)}\n`);
  return 0;
}

/** The programs that an option names; undefined when it was not given. Throws UsageError with the nearest name. */
export function programNames(
  args: Arguments,
  option: string,
  object: BpfObject,
  command: string,
): readonly string[] | undefined {
  const wanted = args.repeated.get(option);
  const known = object.programs.map(({ name }) => name);
  for (const name of wanted ?? []) {
    if (known.includes(name)) continue;
    const near = nearestNames(name, known, 1);
    const hint = near.length > 0 ? `did you mean ${near[0]}?` : `it has ${known.join(", ") || "none"}`;
    throw new UsageError(`skep ${command}: --${option} ${name}: the object has no such program (${hint})`);
  }
  return wanted;
}
