/** The version, from the package's own description. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The package's folder and version; undefined when this file lies in none. */
function findPackage(): { readonly folder: string; readonly version: string | undefined } | undefined {
  // It is above this file, how far depends on whether it was bundled.
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file)) {
      const { name, version } = JSON.parse(readFileSync(file, "utf8")) as { name?: string; version?: string };
      if (name === "skep") return { folder, version };
    }
    if (folder === dirname(folder)) return undefined;
  }
}

/** Such as `0.1.0`. */
export function packageVersion(): string {
  return findPackage()?.version ?? "unknown";
}

/** Path of a file that comes with the package, such as `recordings/demo.skep.gz`. */
export function packageFile(name: string): string {
  return join(findPackage()?.folder ?? ".", name);
}
