/** CO-RE over whole objects: one search in the kernel's types for all programs. */
import { Btf, type CoreKernel, type CoreRelocated, CoreResolver, decodeLineInfo, relocateCore } from "../btf/index.ts";
import type { KernelFacts } from "./kernel-facts.ts";
import type { BpfObject, ProgramSpec } from "./spec.ts";

/** The types of a kernel as relocations look for them; nothing is read before it is needed. */
export function coreKernelOf(facts: KernelFacts): CoreKernel {
  return {
    get btf() {
      return facts.btf;
    },
    modules: () => facts.moduleBtfs(),
  };
}

/**
 * A resolver for the programs of an object; undefined when none of them has CO-RE records. Relocate the programs in the object's order:
 * they share candidates. Throws {@link ParseError} when the object's BTF is damaged, TypeError when records have no BTF to refer to.
 */
export function coreResolverFor(object: BpfObject, facts: KernelFacts): CoreResolver | undefined {
  const program = object.programs.find(
    ({ coreRelocations }) => coreRelocations !== undefined && coreRelocations.length > 0,
  );
  if (program === undefined) return undefined;
  if (object.btf === undefined) throw new TypeError(`program ${program.name}: CO-RE records in an object without BTF`);
  return new CoreResolver(Btf.parse(object.btf), coreKernelOf(facts));
}

/**
 * The code of a program for the resolver's kernel, and the relocations that found nothing there, whose instructions are now calls that the
 * verifier refuses (`CORE_POISON_HELPER`). Throws {@link CoreError} with program, instruction and source line for what no kernel's types
 * can mend.
 */
export function relocateProgram(program: ProgramSpec, resolver: CoreResolver): CoreRelocated {
  return relocateCore(program.code, program.coreRelocations ?? [], resolver, {
    program: program.name,
    lines: () => decodeLineInfo(program.lineInfo, resolver.local.strings),
  });
}
