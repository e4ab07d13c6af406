import { existsSync, readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { kernelsAtHand } from "../../support/kernel-btf.ts";
import {
  buildReferee,
  readBtf,
  readTestObject,
  relocatedByLibbpf,
  relocatedByUs,
  temporaryDirectory,
} from "../../support/libbpf/relocations.ts";
import { describeUnless, missing } from "../../support/needs.ts";

/** Objects that test/conformance/build.mjs makes of other people's programs. */
const home =
  process.env["SKEP_CONFORMANCE"] ??
  join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "skep-conformance");
const objects = join(home, "objects");
const reason =
  missing("gcc", "libbpf", "root", "bpf") ??
  (existsSync(objects) ? undefined : `no objects in ${objects}: run test/conformance/build.mjs`);

/** Instructions at relocations only: libbpf has put file descriptors of maps into others. */
function atRelocations(code: string | undefined, indexes: readonly number[]): string {
  if (code === undefined || !/^[0-9a-f]+$/.test(code)) return code ?? "absent";
  return indexes.map((i) => `${i}: ${code.slice(i * 16, i * 16 + 16)}`).join("\n");
}

describeUnless(reason, "CO-RE of other people's objects, as by libbpf", () => {
  const referee = reason === undefined ? buildReferee(temporaryDirectory("core-objects")) : "";
  const files = (reason === undefined ? readdirSync(objects, { recursive: true, encoding: "utf8" }) : [])
    .filter((name) => name.endsWith(".o"))
    .filter(
      (name) => process.env["SKEP_CORE_OBJECTS"] === undefined || name.includes(process.env["SKEP_CORE_OBJECTS"]),
    );

  it.each(kernelsAtHand())("$name", { timeout: 600_000 }, ({ path: btf }) => {
    const types = readBtf(btf);
    const differing: string[] = [];
    let compared = 0;
    for (const name of files) {
      const path = join(objects, name);
      if (statSync(path).size === 0) continue;
      const object = readTestObject(path);
      if (!object.programs.some(({ coreRelocations }) => (coreRelocations ?? []).length > 0)) continue;
      const theirs = relocatedByLibbpf(referee, path, btf, false);
      const ours = relocatedByUs(object, types, false);
      for (const program of object.programs) {
        const their = theirs.get(program.name);
        if (their === undefined || their.startsWith("failed")) continue;
        const indexes = (program.coreRelocations ?? []).map(({ insnIndex }) => insnIndex);
        compared += indexes.length;
        const [a, b] = [atRelocations(their, indexes), atRelocations(ours.get(program.name), indexes)];
        if (a !== b) differing.push(`${name} ${program.name}: libbpf\n${a}\nwe\n${b}`);
      }
    }
    console.log(`${compared} relocations of ${files.length} objects compared`);
    expect(differing).toEqual([]);
  });
});
