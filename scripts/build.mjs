// Builds the package: type declarations and unbundled ESM for importers, one bundle for the command line.
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
const tsc = `${root}node_modules/.bin/tsc`;
execFileSync(tsc, ["-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });

if (existsSync(`${root}dist/cli/main.js`)) {
  const { build } = await import("rolldown");
  await build({
    input: `${root}dist/cli/main.js`,
    platform: "node",
    external: ["koffi"],
    output: { dir: `${root}dist/bundle`, format: "esm", entryFileNames: "skep.js", chunkFileNames: "[name].js" },
    logLevel: "warn",
  });
}
