// node .ci/summary.mjs DIRECTORY: adds up the checks and test reports of a run of .ci/run, lists what failed and what was skipped
// and why, prints "N passed, N failed, N skipped" as its last line; exit status 1 when something failed.
// node .ci/summary.mjs --run REPORT STATUS: exit status 1 when vitest ended with STATUS and its report does not say why.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * @typedef {{ group: string, name: string, state: string, reason?: string }} Result
 */

/** @param {string} path @returns {{ tests: { file: string, name: string, state: string, reason?: string }[], unhandledErrors: number }} */
const readReport = (path) => JSON.parse(readFileSync(path, "utf8"));

const [first = "", ...rest] = process.argv.slice(2);
process.exitCode = first === "--run" ? explained(rest[0] ?? "", Number(rest[1])) : summarize(first);

/** @param {string} path @param {number} status */
function explained(path, status) {
  if (!existsSync(path)) return 1;
  const { tests, unhandledErrors } = readReport(path);
  return unhandledErrors > 0 || (status !== 0 && !tests.some(({ state }) => state === "failed")) ? 1 : 0;
}

/** @param {string} directory */
function summarize(directory) {
  /** @type {{ reason: string, why: string }[]} */
  const allowed = JSON.parse(readFileSync(new URL("allowed-skips.json", import.meta.url), "utf8"));
  const results = collect(directory);
  const skipped = results.filter(({ state }) => state !== "passed" && state !== "failed");
  const unexpected = process.env["CI"]
    ? skipped.filter(({ reason }) => !reason || !allowed.some((entry) => new RegExp(entry.reason).test(reason)))
    : [];
  const expected = skipped.filter((result) => !unexpected.includes(result));
  const failed = results.filter(({ state }) => state === "failed");

  list("failed", failed, ({ reason }) => (reason ? `: ${reason}` : ""));
  list(
    "skipped, which counts as failed here: no reason, or none that .ci/allowed-skips.json expects",
    unexpected,
    ({ reason }) => `: ${reason ?? "no reason given"}`,
  );
  list("skipped", expected, ({ reason }) => `: ${reason ?? "no reason given"}`);
  const failures = failed.length + unexpected.length;
  const passed = results.filter(({ state }) => state === "passed").length;
  // A run that proves nothing has failed.
  if (passed === 0) console.log("nothing passed");
  console.log(`${passed} passed, ${failures} failed, ${expected.length} skipped`);
  return failures > 0 || passed === 0 ? 1 : 0;
}

/** @param {string} directory @returns {Result[]} */
function collect(directory) {
  /** @type {Result[]} */
  const results = [];
  const checks = join(directory, "checks");
  for (const line of existsSync(checks) ? readFileSync(checks, "utf8").split("\n").filter(Boolean) : []) {
    const [state = "", name = "", reason] = line.split("\t");
    results.push({ group: "check", name, state, ...(reason && { reason }) });
  }
  for (const file of readdirSync(directory).filter((name) => name.endsWith(".json"))) {
    for (const { file: group, ...test } of readReport(join(directory, file)).tests) results.push({ group, ...test });
  }
  return results;
}

/**
 * Prints results under a heading; skipped tests with the same reason in one file as one line.
 * @param {string} heading
 * @param {Result[]} results
 * @param {(result: Result) => string} after
 */
function list(heading, results, after) {
  if (results.length === 0) return;
  /** @type {Map<string, Result[]>} */
  const grouped = new Map();
  for (const result of results) {
    const key = result.state === "failed" ? `${result.group}\0${result.name}` : `${result.group}\0${result.reason}`;
    const same = grouped.get(key) ?? [];
    same.push(result);
    grouped.set(key, same);
  }
  console.log(`${heading}:`);
  for (const [one, ...more] of grouped.values()) {
    if (one)
      console.log(
        `  ${one.group}: ${one.name.replace(/ \[skipped: [^]*?\]/, "")}${more.length > 0 ? ` and ${more.length} more` : ""}${after(one)}`,
      );
  }
  console.log("");
}
