/** `skep run`: an object file in the running kernel. */
import type { Arguments } from "./arguments.ts";
import { readObjectOperand } from "./object-file.ts";

/** Runs the command; resolves with the exit status. */
export async function runCommand(args: Arguments): Promise<number> {
  readObjectOperand(args, "run");
  return 1;
}
