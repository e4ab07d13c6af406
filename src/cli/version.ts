/** The version, from the package's own description. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Such as `0.1.0`. */
export function packageVersion(): string {
  // The package's root is above this file, how far depends on whether it was bundled.
  for (let directory = dirname(fileURLToPath(import.meta.url)); ; directory = dirname(directory)) {
    const file = join(directory, "package.json");
    if (existsSync(file)) {
      const { name, version } = JSON.parse(readFileSync(file, "utf8")) as { name?: string; version?: string };
      if (name === "skep") return version ?? "unknown";
    }
    if (directory === dirname(directory)) return "unknown";
  }
}
