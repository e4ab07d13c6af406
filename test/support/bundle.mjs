// Scripts of plain Node that need what is TypeScript: the sources are bundled into a temporary directory and imported.
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { rolldown } from "rolldown";

/**
 * Imports a TypeScript module and all that it imports, bundled; packages stay outside.
 * @param {string | URL} entry
 * @returns {Promise<any>}
 */
export async function importSource(entry) {
  const directory = mkdtempSync(join(tmpdir(), "skep-bundle-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  symlinkSync(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(directory, "node_modules"));
  const bundle = await rolldown({
    input: fileURLToPath(entry),
    platform: "node",
    external: ["koffi"],
    // Node 20 does not know "using".
    transform: { target: "node20" },
    logLevel: "silent",
  });
  const file = join(directory, "bundle.mjs");
  await bundle.write({ file, format: "esm", codeSplitting: false });
  return import(pathToFileURL(file).href);
}
