/** What commands print: whole at once. Node's streams would lose the end at exit, and throw where nobody catches when a pipe or device is closed or full. */
import { FdOutput, OutputClosed } from "../runtime/output.ts";

/** Writes to stdout. A reader that left early (`| head`) is no error; throws SkepError when the device is full or broken. */
export function writeOut(content: string | Uint8Array): void {
  try {
    new FdOutput(1, "stdout").write(typeof content === "string" ? new TextEncoder().encode(content) : content);
  } catch (error) {
    if (!(error instanceof OutputClosed)) throw error;
  }
}

/** Writes to stderr. Nothing can be said when that fails. */
export function writeError(text: string): void {
  try {
    new FdOutput(2, "stderr").write(new TextEncoder().encode(text));
  } catch {
    // Nobody listens.
  }
}
