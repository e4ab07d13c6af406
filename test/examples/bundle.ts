/** The examples as plain Node runs them, with the package made of the sources that are here. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where the examples are. */
export const examples: string = join(root, "examples");

/** Bundled scripts: made by {@link bundleExamples}. */
export interface Bundled {
  /** Path of an example's script by its name without `.mjs`; other scripts by theirs without `.ts`. */
  readonly scripts: Readonly<Record<string, string>>;
  remove(): void;
}

/** Bundles all examples, and other scripts, below the package, so that koffi is found. */
export async function bundleExamples(more: readonly string[] = []): Promise<Bundled> {
  mkdirSync(join(root, "node_modules/.cache"), { recursive: true });
  const directory = mkdtempSync(join(root, "node_modules/.cache/examples-"));
  const files = [
    ...readdirSync(examples)
      .filter((name) => name.endsWith(".mjs"))
      .map((name) => join(examples, name)),
    ...more,
  ];
  const name = (file: string): string => basename(file).replace(/\.(?:mjs|ts)$/, "");
  await build({
    input: Object.fromEntries(files.map((file) => [name(file), file])),
    platform: "node",
    external: ["koffi"],
    transform: { target: "node20" },
    resolve: { alias: { "skep/bcc": join(root, "src/bcc/index.ts"), skep: join(root, "src/index.ts") } },
    output: { dir: directory, format: "esm", entryFileNames: "[name].mjs" },
    logLevel: "silent",
  });
  return {
    scripts: Object.fromEntries(files.map((file) => [name(file), join(directory, `${name(file)}.mjs`)])),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
