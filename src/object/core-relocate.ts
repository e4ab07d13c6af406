/** CO-RE over whole objects: one search in the kernel's types for all programs. */
import {
  Btf,
  type CoreKernel,
  type CoreRelocated,
  type CoreResolver,
  decodeLineInfo,
  minimalBtf,
  relocateCore,
} from "../btf/index.ts";
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

/**
 * The part of a kernel's types that the CO-RE relocations of some objects touch, as `bpftool gen min_core_btf` writes it: BTF of a few
 * kilobytes with which these objects are relocated for a kernel that has none of its own. Throws {@link CoreError} for relocations that the
 * kernel's types cannot decide.
 */
export function minimalBtfFor(kernel: Btf, objects: readonly BpfObject[]): Uint8Array {
  return minimalBtf(
    kernel,
    objects.flatMap(({ btf, programs }) => {
      const relocations = programs.flatMap(({ coreRelocations = [] }) => coreRelocations);
      return btf === undefined || relocations.length === 0 ? [] : [{ local: Btf.parse(btf), relocations }];
    }),
  );
}
