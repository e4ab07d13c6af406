// Makes dist/bundle: the command line and the library as one CommonJS script each, and V8's compiled form of them; and dist/entry: the
// library's entry points out of that. A process starts in half the time that separate modules would take: nothing is resolved, little is
// parsed, and functions that every run uses are there already.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const directory = `${root}dist/bundle`;
const entries = `${root}dist/entry`;

/**
 * @param {string} input
 * @param {string} name
 * @param {import("rolldown").InputOptions} more
 * @param {boolean} isSmall
 */
async function bundle(input, name, more, isSmall) {
  await build({
    input,
    platform: "node",
    external: ["koffi"],
    // Node 20 does not know "using".
    transform: { target: "node20" },
    output: {
      file: `${directory}/${name}`,
      format: "cjs",
      codeSplitting: false,
      comments: false,
      // Of one byte a character, its text takes half the memory.
      minify: { compress: isSmall, mangle: isSmall, codegen: { removeWhitespace: isSmall, asciiOnly: true } },
    },
    logLevel: "warn",
    ...more,
  });
}

/** Entry points of package.json: their names, and the modules that they are made of. */
const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
const rooms = Object.entries(manifest.exports).flatMap(([entry, target]) => {
  const [, module] = /^\.\/dist\/(.*)\.js$/.exec(target.default ?? "") ?? [];
  const name = entry === "." ? "index" : entry.slice(2);
  return module === undefined ? [] : [{ name, module }];
});

/** A module of all rooms, each under its name, and what only the making of the cache needs. */
const LIBRARY = "virtual:library";
const library = [
  ...rooms.map(({ name, module }) => `export * as ${name} from ${JSON.stringify(`${root}src/${module}.ts`)};`),
  `export { pretendCalls } from ${JSON.stringify(`${root}src/kernel/linux/sys.ts`)};`,
].join("\n");
const virtual = {
  name: "library",
  resolveId: (/** @type {string} */ id) => (id === LIBRARY ? id : null),
  load: (/** @type {string} */ id) => (id === LIBRARY ? library : null),
};

rmSync(directory, { recursive: true, force: true });
rmSync(entries, { recursive: true, force: true });
await bundle(`${root}src/cli/bin.ts`, "skep.cjs", {}, !process.argv.includes("--readable"));
// Not minified: users see its lines and names in stacks. What was compiled before is not parsed, however long it is.
await bundle(LIBRARY, "library.cjs", { plugins: [virtual] }, false);

mkdirSync(entries);
const { loadBundle } = createRequire(import.meta.url)("../bin/load-bundle.cjs");
const made = loadBundle("library.cjs").exports;
for (const { name } of rooms) {
  const names = Object.keys(made[name]).toSorted();
  writeFileSync(
    `${entries}/${name}.js`,
    `import loader from "../../bin/load-bundle.cjs";\nexport const { ${names.join(", ")} } = loader.libraryEntry(${JSON.stringify(name)});\n`,
  );
}
execFileSync(process.execPath, [`${root}bin/skep.js`, "--write-code-cache"], { stdio: "inherit" });
execFileSync(process.execPath, [`${root}scripts/library-cache.mjs`], { stdio: "inherit" });
