import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SkepError } from "../../../src/base/index.ts";
import { kernelsAtHand } from "../../support/kernel-btf.ts";
import {
  type TestObject,
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

/** What tests of other rooms are about is not looked at here. */
function readable(path: string): TestObject | undefined {
  try {
    return readTestObject(path);
  } catch (error) {
    if (error instanceof SkepError) return undefined;
    throw error;
  }
}

describeUnless(reason, "CO-RE of other people's objects, as by libbpf", () => {
  const referee = reason === undefined ? buildReferee(temporaryDirectory("core-objects")) : "";
  const files = (reason === undefined ? readdirSync(objects, { recursive: true, encoding: "utf8" }) : []).filter(
    (name) => name.endsWith(".bpf.o"),
  );
  // The kernel's selftests take minutes: SKEP_CORE_OBJECTS=selftests asks for them.
  const wanted = process.env["SKEP_CORE_OBJECTS"] ?? "libbpf-tools";

  it.each(kernelsAtHand())("$name", { timeout: 600_000 }, ({ path: btf }) => {
    const types = readBtf(btf);
    const differing: string[] = [];
    let compared = 0;
    for (const name of files.filter((other) => other.includes(wanted))) {
      const path = join(objects, name);
      const object = readable(path);
      if (object === undefined || !object.programs.some(({ coreRelocations }) => (coreRelocations ?? []).length > 0))
        continue;
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
    console.log(`${compared} relocations compared`);
    expect(differing).toEqual([]);
  });

  const questions = files.filter((name) => /(^|\/)test_core_reloc_\w+\.bpf\.o$/.test(name));
  it.skipIf(questions.length === 0)(
    "the kernel's own tests, each against all their made-up kernels",
    { timeout: 600_000 },
    () => {
      const differing: string[] = [];
      let compared = 0;
      for (const name of questions) {
        const subject = /test_core_reloc_([a-z0-9]+(?:_based|_id|_as_arr)?)/.exec(name)![1]!;
        const object = readable(join(objects, name))!;
        for (const kernel of files.filter((other) => other.includes(`btf__core_reloc_${subject}`))) {
          const path = join(objects, kernel);
          const theirs = relocatedByLibbpf(referee, join(objects, name), path, false);
          const ours = relocatedByUs(object, readBtf(path), false);
          for (const { name: program, coreRelocations = [] } of object.programs) {
            const indexes = coreRelocations.map(({ insnIndex }) => insnIndex);
            const [a, b] = [atRelocations(theirs.get(program), indexes), atRelocations(ours.get(program), indexes)];
            compared++;
            if (a !== b) differing.push(`${name} on ${kernel}: libbpf\n${a}\nwe\n${b}`);
          }
        }
      }
      console.log(`${compared} programs compared`);
      expect(differing).toEqual([]);
    },
  );
});
