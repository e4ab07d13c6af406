// node load-scripts.mjs FILE: compiles and loads each script of FILE, a JSON array of texts, with the built library and prints a line
// of JSON for each: {} when the kernel took it at the first try, else what went wrong.
import { readFileSync } from "node:fs";
import { compileScript, LinuxEnvironment, openLinuxKernel } from "../../../../dist/index.js";

/** @type {string[]} */
const scripts = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const kernel = openLinuxKernel();
const environment = new LinuxEnvironment({ variables: {} });
for (const text of scripts) {
  const begun = performance.now();
  /** @type {{ code?: string, message?: string, log?: string, insns?: number, ms?: number }} */
  const result = {};
  try {
    const { object } = compileScript({ name: "stdin", text }, environment, { unsafe: true });
    result.insns = object.programs.reduce((sum, program) => sum + program.code.length / 8, 0);
    kernel.load(object).close();
  } catch (error) {
    result.code = error.code ?? error.name;
    result.message = error.message;
    if (error.log) result.log = String(error.log).split("\n").slice(-12).join("\n");
  }
  result.ms = Math.round(performance.now() - begun);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
kernel.close();
