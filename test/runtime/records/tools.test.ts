/** Records of libbpf-tools, each compiled here: every map that programs write records to has its types. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Btf } from "../../../src/btf/index.ts";
import { compileSources } from "../../../src/runtime/c-source.ts";
import { eventTypes } from "../../../src/runtime/records/event-types.ts";
import { describeUnless, missing } from "../../support/needs.ts";

const cache = process.env["SKEP_CONFORMANCE"] ?? join(homedir(), ".cache/skep-conformance");
const tools = join(cache, "bcc/libbpf-tools");
const lack =
  missing("vmlinuxBtf") ?? (existsSync(tools) ? undefined : "libbpf-tools are not there (npm run conformance)");

describeUnless(lack, "records of libbpf-tools", () => {
  test("are decoded", { timeout: 180_000 }, () => {
    const unknown: string[] = [];
    let known = 0;
    for (const file of readdirSync(tools).filter((name) => name.endsWith(".bpf.c"))) {
      const path = join(tools, file);
      const { object } = compileSources([{ name: path, text: readFileSync(path, "utf8") }], { localTypes: true });
      for (const { map, types, why } of eventTypes(object, Btf.parse(object.btf!))) {
        if (types.length > 0) known++;
        else if (why !== "no program writes to it") unknown.push(`${file}: ${map}: ${why}`);
      }
    }
    expect(unknown).toEqual([]);
    expect(known).toBeGreaterThan(25);
  });
});
