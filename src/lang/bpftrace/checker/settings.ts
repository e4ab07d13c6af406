/** The settings of a script: defaults, then its `config` block, then the environment. */
import { nearestNames } from "../../../base/index.ts";
import type { ConfigAssignment } from "../ast.ts";
import type { ScriptConfig } from "../checked.ts";
import { CONFIG, type ConfigRow, configNames, configRow, LICENSES } from "../table/config.ts";
import { didYouMean, type Reporter } from "./reporter.ts";

type Value = string | number | boolean;

/** The value that a row takes from what was written; or what is wrong with it. */
function readValue(
  row: ConfigRow,
  written: string | bigint | boolean,
): { value: Value } | { problem: string; hint: string } {
  const { kind } = row;
  switch (kind.kind) {
    case "integer": {
      const number =
        typeof written === "bigint"
          ? Number(written)
          : typeof written === "string" && /^[0-9]+$/.test(written)
            ? Number(written)
            : NaN;
      if (Number.isNaN(number)) {
        const type = typeof written === "boolean" ? "bool" : "string";
        return {
          problem: `Invalid type for ${row.name}. Type: ${type}. Expected Type: int`,
          hint: `write ${row.name} = ${row.default}`,
        };
      }
      if (number < kind.min || number > kind.max) {
        return {
          problem: `Invalid value for ${row.name}: ${written}`,
          hint: `it goes from ${kind.min} to ${kind.max}`,
        };
      }
      return { value: number };
    }
    case "boolean": {
      const text = String(written);
      if (text === "true" || text === "1") return { value: true };
      if (text === "false" || text === "0") return { value: false };
      return {
        problem: `Invalid value for ${row.name}: expected true, false, 1, or 0`,
        hint: `write ${row.name} = ${row.default}`,
      };
    }
    case "word": {
      const text = String(written);
      const word = kind.words.find((w) => w.toLowerCase() === text.toLowerCase());
      if (word !== undefined) return { value: word };
      return { problem: `Invalid value for ${row.name}: ${text}`, hint: `it is one of ${kind.words.join(", ")}` };
    }
    case "text":
      return { value: String(written) };
  }
}

/** The default of a setting on a kernel. */
function defaultOf(row: ConfigRow, [major, minor]: readonly number[]): string {
  const [beforeMajor = 0, beforeMinor = 0] = row.older?.before ?? [];
  const older = major! < beforeMajor || (major === beforeMajor && minor! < beforeMinor);
  return older ? row.older!.default : row.default;
}

/** Resolves all settings for a kernel. What is wrong is reported, and the default kept. */
export function resolveConfig(
  block: readonly ConfigAssignment[],
  environment: ReadonlyMap<string, string>,
  reporter: Reporter,
  kernelVersion: readonly number[],
): ScriptConfig {
  const values = new Map<string, Value>();
  for (const row of CONFIG) {
    const parsed = readValue(row, defaultOf(row, kernelVersion));
    if (row.field && "value" in parsed) values.set(row.field, parsed.value);
  }
  for (const { key, keySpan, value, span } of block) {
    const row = configRow(key);
    if (!row) {
      reporter.error(keySpan, `${key}: not a known config option`, didYouMean(nearestNames(key, configNames())));
      continue;
    }
    const parsed = readValue(row, value);
    if ("problem" in parsed) reporter.error(span, parsed.problem, parsed.hint);
    else if (row.name === "license" && !LICENSES.includes(String(parsed.value))) {
      reporter.error(span, `Invalid license: ${parsed.value}`, `it is one of ${LICENSES.join(", ")}`);
    } else if (row.field) values.set(row.field, parsed.value);
  }
  for (const [key, text] of environment) {
    const row = configRow(key);
    if (!row) continue;
    const parsed = readValue(row, text);
    const name = `BPFTRACE_${row.name.toUpperCase()}`;
    if ("problem" in parsed) reporter.error({ start: 0, end: 1 }, `${name}: ${parsed.problem}`, parsed.hint);
    else if (row.field) values.set(row.field, parsed.value);
  }
  // Each row's kind is the type of its field.
  return Object.fromEntries(values) as unknown as ScriptConfig;
}
