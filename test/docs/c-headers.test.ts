/** docs/c-headers.md says what the tables say. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
// @ts-expect-error -- a plain script without types
import { cHeadersDoc } from "../../scripts/c-headers-doc.mjs";
import { BuiltinHeaders, registerNames } from "../../src/lang/c/headers/index.ts";
import { constantTables, tableEntries } from "../../src/lang/c/headers/kernel/constants.ts";
import { macroGroups } from "../../src/lang/c/headers/kernel/macros.ts";
import { uapiTypes } from "../../src/lang/c/headers/kernel/uapi-types.ts";

test("docs/c-headers.md is what the tables make (npm run docs writes it anew)", () => {
  const committed = readFileSync(new URL("../../docs/c-headers.md", import.meta.url), "utf8");
  const tables = { BuiltinHeaders, registerNames, constantTables, tableEntries, macroGroups, uapiTypes };
  expect(committed).toBe(cHeadersDoc(tables));
});
