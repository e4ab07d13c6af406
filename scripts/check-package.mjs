// Packs the package as npm would publish it, and uses it as its users do: every entry point is imported, its types exist, the
// command runs. What only works in the checkout fails here.
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "skep-package-"));
/** @type {string[]} */
const problems = [];
try {
  const [{ filename, files }] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", work], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  execFileSync("tar", ["-xzf", join(work, filename), "-C", work]);
  const modules = join(work, "node_modules");
  mkdirSync(modules);
  const installed = join(modules, "skep");
  renameSync(join(work, "package"), installed);
  const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  for (const dependency of Object.keys(manifest.dependencies ?? {}))
    symlinkSync(join(root, "node_modules", dependency), join(modules, dependency));

  for (const wanted of manifest.files.filter((/** @type {string} */ name) => !existsSync(join(installed, name))))
    problems.push(`${wanted} of "files" is missing`);
  for (const { path } of files)
    if (/(^|\/)(test|bench|src)\//.test(path)) problems.push(`${path} should not be published`);
  for (const [entry, target] of Object.entries(manifest.exports)) {
    const paths = typeof target === "string" ? [target] : Object.values(target);
    for (const path of paths)
      if (!existsSync(join(installed, path))) problems.push(`export ${entry}: ${path} is missing`);
    if (typeof target === "string") continue;
    const specifier = manifest.name + entry.slice(1);
    writeFileSync(
      join(work, "use.mjs"),
      `const names = Object.keys(await import(${JSON.stringify(specifier)})); if (names.length === 0) throw new Error("exports nothing");`,
    );
    const used = spawnSync(process.execPath, ["use.mjs"], { cwd: work, encoding: "utf8" });
    if (used.status !== 0) problems.push(`import "${specifier}": ${used.stderr.trim()}`);
  }
  for (const [name, path] of Object.entries(manifest.bin)) {
    for (const flag of ["--version", "--help"]) {
      const ran = spawnSync(process.execPath, [join(installed, path), flag], {
        cwd: work,
        encoding: "utf8",
        timeout: 30_000,
      });
      if (ran.status !== 0 || ran.stdout === "")
        problems.push(`${name} ${flag}: exit status ${ran.status}: ${ran.stderr.trim()}`);
      else if (flag === "--version" && !ran.stdout.includes(manifest.version))
        problems.push(`${name} --version says ${ran.stdout.trim()}, not ${manifest.version}`);
    }
  }
  if (!readFileSync(join(root, "CHANGELOG.md"), "utf8").includes(`## ${manifest.version}`))
    problems.push(`CHANGELOG.md says nothing of ${manifest.version}`);
  console.log(`${filename}: ${files.length} files`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
