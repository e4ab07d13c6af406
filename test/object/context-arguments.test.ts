/** Contexts of global functions, named for kernels that do not read the tag. */
import { expect, test } from "vitest";
import { Btf, BtfKind, decodeFuncInfo, printBtfDeclaration } from "../../src/btf/index.ts";
import { nameContextArguments, readObject } from "../../src/object/index.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";

describeWith(["clang"], "arguments that are tagged as context", () => {
  const object = readObject(compileProgram("load-contexts"));

  test("get the type of each program's context, in functions of their own", () => {
    const named = nameContextArguments(object);
    const btf = Btf.parse(named.btf!);
    const shown = Object.fromEntries(
      named.programs.map((program) => {
        const functions = decodeFuncInfo(program.funcInfo).map(({ typeId }) => {
          const parameters = btf.funcProto(typeId)!.parameters.map((p) => printBtfDeclaration(btf, p.typeId, p.name));
          return `${btf.nameOf(typeId)}(${parameters.join(", ")})`;
        });
        return [program.name, functions];
      }),
    );
    expect(shown).toEqual({
      of_socket: ["of_socket(struct __sk_buff *skb)", "fourth_word(int unused, struct __sk_buff *ctx)"],
      of_xdp: ["of_xdp(struct xdp_md *xdp)", "fourth_word(int unused, struct xdp_md *ctx)"],
    });
    expect(named.programs[0]!.code).toBe(object.programs[0]!.code);
    // The tags go along, for kernels that had them moved back.
    expect([...btf.idsByKind(BtfKind.DECL_TAG)]).toHaveLength(3);
  });

  test("the given object is left alone, and so is one without tags", () => {
    const before = Btf.parse(object.btf!).typeCount;
    nameContextArguments(object);
    expect(Btf.parse(object.btf!).typeCount).toBe(before);
    const plain = readObject(compileProgram("load-errors"));
    expect(nameContextArguments(plain)).toBe(plain);
  });
});
