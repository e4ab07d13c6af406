/** What a program may name without declaring it: the kernel's types, constants and functions, from BTF and from tables, and its helpers. */
import { nearestNames } from "../../base/index.ts";
import { BtfKind } from "../../btf/index.ts";
import { helperNames } from "../../isa/index.ts";
import type { FunctionDecl } from "./ast.ts";
import { type KernelConstantOptions, KernelConstants } from "./headers/kernel/constants.ts";
import { type KnownTypes, parseKnownTypes } from "./headers/kernel/known-types.ts";
import { uapiTypes } from "./headers/kernel/uapi-types.ts";
import { kernelMacro } from "./headers/kernel/macros.ts";
import { helperDeclaration, integers } from "./helper-declarations.ts";
import type { Binding, OuterDeclarations } from "./parser/scope.ts";
import type { KernelTypes } from "./types/kernel-types.ts";
import { type EnumType, INT, type RecordType } from "./types/types.ts";

/** The names of integers alone: what the table of the UAPI's types is parsed with. */
const integersAlone: OuterDeclarations = {
  ordinary: (name) => {
    const type = integers.get(name);
    return type === undefined ? undefined : { kind: "typedef", type, location: 0 };
  },
  record: () => undefined,
  enumeration: () => undefined,
  nearest: () => [],
};

/** What starts so is the compiler's own. */
const BUILTIN = /^__(?:builtin|sync|atomic)_/;

let known: KnownTypes | undefined;

/** Types that no kernel at hand has; parsed once, for they never change. */
function knownTypes(): KnownTypes {
  return (known ??= parseKnownTypes(integersAlone));
}

let knownWords: ReadonlySet<string> | undefined;

/** As {@link knownTypes}; nothing is parsed for a name that is not in the text at all. */
function knownTypesWith(name: string): KnownTypes | undefined {
  knownWords ??= new Set(uapiTypes.match(/\w+/g));
  return knownWords.has(name) ? knownTypes() : undefined;
}

/** The kernel as `vmlinux.h` and its headers would declare it, and its helpers. */
export class KernelDeclarations implements OuterDeclarations {
  private readonly types: KernelTypes | undefined;
  private readonly constants: KernelConstants;
  private allNames: readonly string[] | undefined;

  /** Without types of a kernel there are those of the UAPI that packet programs need. */
  constructor(types?: KernelTypes, options: Omit<KernelConstantOptions, "types"> = {}) {
    this.types = types;
    this.constants = new KernelConstants({ ...options, types });
  }

  ordinary(name: string): Binding | undefined {
    if (BUILTIN.test(name)) return undefined;
    const helper = helperDeclaration(name, (tag) => this.record(false, tag));
    if (helper !== undefined) return helper;
    const type = this.types?.typedef(name) ?? integers.get(name);
    if (type !== undefined) return { kind: "typedef", type, location: 0 };
    const constant = this.types?.constant(name);
    if (constant !== undefined) {
      // As vmlinux.h would have it: what an int can hold is one.
      const { value } = constant;
      const fits = value >= -(1n << 31n) && value < 1n << 31n;
      return { kind: "constant", value, type: fits ? INT : constant.type, location: 0 };
    }
    const number = this.constants.find(name);
    if (number !== undefined) return { kind: "constant", ...number, location: 0 };
    return this.kernelFunction(name) ?? knownTypesWith(name)?.ordinary.get(name);
  }

  /** Functions that the kernel offers to programs (kfuncs), as newer `bpftool` declares them in `vmlinux.h`. */
  private kernelFunction(name: string): FunctionDecl | undefined {
    const type = this.types?.kernelFunction(name);
    if (type === undefined) return undefined;
    return {
      kind: "function",
      name,
      type,
      storage: "extern",
      inline: false,
      location: 0,
      attributes: { section: ".ksyms", weak: true },
      params: [],
      body: undefined,
      used: true,
    };
  }

  record(union: boolean, tag: string): RecordType | undefined {
    const found = this.types?.record(union, tag);
    if (found !== undefined) return found;
    const type = knownTypesWith(tag)?.tags.get(tag);
    return type?.kind === "record" && type.union === union ? type : undefined;
  }

  enumeration(tag: string): EnumType | undefined {
    return this.types?.enumeration(tag);
  }

  recordAccesses(): void {
    this.types?.recordAccesses();
  }

  macro(name: string): string | undefined {
    return kernelMacro(name);
  }

  /** A number that kernel headers define as a macro, for `#if`. */
  macroValue(name: string): bigint | undefined {
    return this.constants.find(name)?.value;
  }

  nearest(name: string): readonly string[] {
    return nearestNames(name, (this.allNames ??= this.names()));
  }

  private names(): readonly string[] {
    const names = [...helperNames(), ...integers.keys(), ...this.constants.names(), ...knownTypes().ordinary.keys()];
    if (this.types === undefined) return names;
    const { btf } = this.types;
    return [...names, ...btf.names(BtfKind.TYPEDEF), ...btf.enumValueNames()];
  }
}
