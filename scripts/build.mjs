// Builds the package: type declarations and unbundled ESM for importers, one bundle for the command line.
import { execFileSync } from "node:child_process";
import { renameSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const fresh = `${root}dist.new`;
rmSync(fresh, { recursive: true, force: true });
try {
  execFileSync(`${root}node_modules/.bin/tsc`, ["-p", "tsconfig.build.json", "--outDir", fresh], {
    cwd: root,
    stdio: "inherit",
  });
} catch {
  // tsc has said what is wrong; what was built before stays usable.
  rmSync(fresh, { recursive: true, force: true });
  process.exit(1);
}
rmSync(`${root}dist`, { recursive: true, force: true });
renameSync(fresh, `${root}dist`);
await import("./bundle.mjs");
