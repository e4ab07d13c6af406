/** CO-RE relocations to types that only modules of the running kernel have, as by libbpf. Modules are what happens to be loaded. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type Btf, BtfKind, essentialName } from "../../../src/btf/index.ts";
import { LinuxFacts } from "../../../src/kernel/linux/facts.ts";
import { coreKernelOf } from "../../../src/object/index.ts";
import {
  buildReferee,
  compileBpf,
  readTestObject,
  relocatedByLibbpf,
  relocatedFor,
  temporaryDirectory,
} from "../../support/libbpf/relocations.ts";
import { describeUnless, missing } from "../../support/needs.ts";

/** Few: in the VM, libbpf takes half a second to read the kernel's types for each question. */
const QUESTIONS = 8;

interface Question {
  readonly struct: string;
  readonly field: string;
  /** Modules that have a struct of this name. */
  modules: number;
}

/** Structs that vmlinux has none of under their name, with an integer of four bytes; half of them such that several modules have. */
function questionsTo(facts: LinuxFacts): Question[] {
  const vmlinux = facts.btf!;
  const questions = new Map<string, Question>();
  for (const { btf } of facts.moduleBtfs()) {
    for (let id = btf.firstId; id < btf.typeCount; id++) {
      const type = btf.typeById(id);
      if (type.kind !== BtfKind.STRUCT || type.name === "" || essentialName(type.name) !== type.name) continue;
      const known = questions.get(type.name);
      if (known !== undefined) {
        known.modules++;
        continue;
      }
      if (vmlinux.findByName(type.name, BtfKind.STRUCT) !== undefined) continue;
      const member = type.members.find(
        ({ name, bitfieldSize, typeId }) => name !== "" && bitfieldSize === 0 && isWord(btf, typeId),
      );
      if (member !== undefined) questions.set(type.name, { struct: type.name, field: member.name, modules: 1 });
    }
  }
  const all = [...questions.values()].sort((a, b) => b.modules - a.modules);
  return all.filter((_, i) => i < QUESTIONS / 2 || i >= all.length - QUESTIONS / 2);
}

function isWord(btf: Btf, typeId: number): boolean {
  const type = btf.typeById(btf.stripModifiers(typeId));
  return type.kind === BtfKind.INT && type.size === 4;
}

function sourceOf(questions: readonly Question[]): string {
  return [
    "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_core_read.h>",
    'char LICENSE[] SEC("license") = "GPL";',
    ...questions.map(
      ({ struct, field }, i) =>
        `struct ${struct} { unsigned int ${field}; int not_there; } __attribute__((preserve_access_index));\n` +
        `SEC("socket") int load_${i}(void *ctx) { struct ${struct} *p = ctx; return p->${field}; }\n` +
        `SEC("socket") int lacks_${i}(void *ctx) { struct ${struct} *p = ctx; return bpf_core_field_exists(p->not_there); }\n` +
        `SEC("socket") int size_${i}(void *ctx) { return bpf_core_type_size(struct ${struct}); }\n` +
        `SEC("socket") int id_${i}(void *ctx) { return bpf_core_type_id_kernel(struct ${struct}); }`,
    ),
    "",
  ].join("\n");
}

const facts = new LinuxFacts();
const needs = missing("linux", "root", "bpf", "vmlinuxBtf", "clang", "gcc", "libbpf");
const questions = needs === undefined ? questionsTo(facts) : [];
const reason = needs ?? (questions.length > 0 ? undefined : "no module with types of its own is loaded");

describeUnless(reason, "CO-RE with types of modules, as by libbpf", () => {
  it("finds fields, sizes and ids", { timeout: 300_000 }, () => {
    const directory = temporaryDirectory("core-modules");
    const source = join(directory, "modules.bpf.c");
    writeFileSync(source, sourceOf(questions));
    const object = compileBpf(directory, source, "modules.bpf.o");
    const theirs = relocatedByLibbpf(buildReferee(directory), object, "-", true);
    expect(theirs.size).toBe(questions.length * 4);
    expect([...theirs.values()].some((code) => /^[0-9a-f]+$/.test(code))).toBe(true);
    expect(relocatedFor(readTestObject(object), coreKernelOf(facts), true)).toEqual(theirs);
  });
});
