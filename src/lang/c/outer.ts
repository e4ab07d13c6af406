/** What a program may name without declaring it: the kernel's types, constants and functions, from BTF and from tables, and its helpers. */
import { nearestNames } from "../../base/index.ts";
import { BtfKind } from "../../btf/index.ts";
import type { FunctionDecl } from "./ast.ts";
import { type KernelConstantOptions, KernelConstants } from "./headers/kernel/constants.ts";
import { type KnownTypes, parseKnownTypes } from "./headers/kernel/known-types.ts";
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

let known: KnownTypes | undefined;

/** Types that no kernel at hand has; parsed once, for they never change. */
function knownTypes(): KnownTypes {
  return (known ??= parseKnownTypes(integersAlone));
}

/** The kernel as `vmlinux.h` and its headers would declare it, and its helpers. */
export class KernelDeclarations implements OuterDeclarations {
  private readonly types: KernelTypes | undefined;
  private readonly constants: KernelConstants;

  /** Without types of a kernel there are those of the UAPI that packet programs need. */
  constructor(types?: KernelTypes, options: Omit<KernelConstantOptions, "types"> = {}) {
    this.types = types;
    this.constants = new KernelConstants({ ...options, types });
  }

  ordinary(name: string): Binding | undefined {
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
    return this.kernelFunction(name) ?? knownTypes().ordinary.get(name);
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
    const type = knownTypes().tags.get(tag);
    return type?.kind === "record" && type.union === union ? type : undefined;
  }

  enumeration(tag: string): EnumType | undefined {
    return this.types?.enumeration(tag);
  }

  recordAccesses(): void {
    this.types?.recordAccesses();
  }

  /** A number that kernel headers define as a macro, for `#if`. */
  macroValue(name: string): bigint | undefined {
    return this.constants.find(name)?.value;
  }

  nearest(name: string): readonly string[] {
    const { types } = this;
    const names = [...integers.keys(), ...this.constants.names()];
    if (types === undefined) return nearestNames(name, [...names, ...knownTypes().ordinary.keys()]);
    const { btf } = types;
    return nearestNames(name, [...names, ...btf.names(BtfKind.TYPEDEF), ...btf.enumValueNames()]);
  }
}
