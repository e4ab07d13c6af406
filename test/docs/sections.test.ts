/** docs/sections.md says what the table says. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
// @ts-expect-error -- a plain script without types
import { sectionsDoc } from "../../scripts/sections-doc.mjs";
import { AttachType, ProgType } from "../../src/isa/index.ts";
import { ATTACH_TYPE_SINCE, PROG_TYPE_SINCE } from "../../src/isa/uapi/first-version.ts";
import { LaterAttachType, sectionPatterns } from "../../src/object/index.ts";

test("docs/sections.md is what the table makes (npm run docs writes it anew)", () => {
  const committed = readFileSync(new URL("../../docs/sections.md", import.meta.url), "utf8");
  const tables = { sectionPatterns, LaterAttachType, ProgType, AttachType, PROG_TYPE_SINCE, ATTACH_TYPE_SINCE };
  expect(committed).toBe(sectionsDoc(tables));
});
