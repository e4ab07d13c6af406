/** `skep completion`. */
import { UsageError } from "../base/index.ts";
import { textOption } from "./arguments.ts";
import type { Arguments } from "./arguments.ts";
import { writeOut } from "./write.ts";
import { completionScript, SHELLS } from "./completion.ts";
import type { Shell } from "./completion.ts";

/** Runs the command; resolves with the exit status. */
export async function completionCommand(args: Arguments): Promise<number> {
  const script = textOption(args, "script");
  const probes = textOption(args, "probes");
  if (script !== undefined || probes !== undefined) {
    const { probeCandidates, scriptCandidates } = await import("./candidates.ts");
    const { LinuxEnvironment } = await import("../runtime/environment.ts");
    const environment = new LinuxEnvironment();
    const words = script === undefined ? probeCandidates(probes!, environment) : scriptCandidates(script, environment);
    writeOut(words.map((word) => `${word}\n`).join(""));
    return 0;
  }
  const features = textOption(args, "features");
  if (features !== undefined) {
    const { featureCandidates } = await import("./candidates.ts");
    writeOut(
      featureCandidates(features)
        .map((word) => `${word}\n`)
        .join(""),
    );
    return 0;
  }
  const [shell] = args.operands;
  if (!(SHELLS as readonly (string | undefined)[]).includes(shell)) {
    throw new UsageError(`skep completion: name your shell: ${SHELLS.join(", ")}`);
  }
  writeOut(completionScript(shell as Shell));
  return 0;
}
