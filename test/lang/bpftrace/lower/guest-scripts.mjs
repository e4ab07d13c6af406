// node guest-scripts.mjs FILE: FILE is JSON, { load: [SCRIPT...], run: [SCRIPT...] }. Compiles and loads each of the first, compiles and
// runs each of the second, with the built library, and prints a line of JSON for each: {} when the kernel took it at the first try, with
// `output` for what was run; else what went wrong.
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileScript, FdOutput, LinuxEnvironment, openLinuxKernel, TraceSession } from "../../../../dist/index.js";

/** @type {{ load: string[], run: string[] }} */
const scripts = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const kernel = openLinuxKernel();
const environment = new LinuxEnvironment({ variables: {} });
const path = join(tmpdir(), `skep-guest-${process.pid}`);

/** @param {string} text @param {(compiled: import("../../../../src/index.ts").CompiledScript) => unknown} use */
async function attempt(text, use) {
  /** @type {{ code?: string, message?: string, log?: string, output?: unknown, ms?: number }} */
  const result = {};
  const begun = performance.now();
  try {
    result.output = await use(compileScript({ name: "stdin", text }, environment, { unsafe: true }));
  } catch (error) {
    result.code = error.code ?? error.name;
    result.message = error.message;
    if (error.log) result.log = String(error.log).split("\n").slice(-12).join("\n");
  }
  result.ms = Math.round(performance.now() - begun);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

for (const text of scripts.load) await attempt(text, ({ object }) => void kernel.load(object).close());
for (const text of scripts.run) {
  await attempt(text, async ({ object, plan }) => {
    const output = FdOutput.file(path);
    try {
      await new TraceSession({ kernel, object, plan, output, quiet: true }).run();
      return readFileSync(path, "utf8");
    } finally {
      output.close();
    }
  });
}
rmSync(path, { force: true });
kernel.close();
