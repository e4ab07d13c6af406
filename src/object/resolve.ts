/**
 * What an object asks of a kernel, answered: values of `.kconfig`, kernel symbols and functions, CO-RE relocations. Pure: the kernel
 * is seen through its facts, and the answers go into copies.
 */
import { SkepError, UnsupportedError, nearestNames } from "../base/index.ts";
import {
  Btf,
  BtfKind,
  CoreResolver,
  btfKindNames,
  essentialName,
  printBtfDeclaration,
  typesCompatible,
} from "../btf/index.ts";
import type { CoreFailure, CoreKernel } from "../btf/index.ts";
import { coreKernelOf, relocateProgram } from "./core-relocate.ts";
import { kconfigValue } from "./kconfig.ts";
import type { KernelFacts } from "./kernel-facts.ts";
import type { BpfObject, MapSpec, ProgramSpec } from "./spec.ts";
import type { ExternSpec, KconfigExtern, KfuncExtern, KsymExtern } from "./variables.ts";

/** Name of the map that holds values of the kernel's configuration. */
export const KCONFIG_MAP = ".kconfig";

/** How to resolve. */
export interface ResolveOptions {
  /** Lines `CONFIG_NAME=value` that go before the kernel's own configuration. */
  readonly kconfig?: string;
  /** Types that CO-RE relocations are resolved against, instead of the kernel's. */
  readonly coreBtf?: Btf;
}

/** What an extern symbol is in the kernel. */
export type ResolvedSymbol =
  /** Only its address was asked for. */
  | { readonly kind: "address"; readonly address: bigint }
  /** A variable or function by its id in the BTF of vmlinux, or of a module. */
  | { readonly kind: "btf"; readonly id: number; readonly module?: string }
  /** Weak, and the kernel has none: its address is 0, and calling it is an error where the verifier reaches the call. */
  | { readonly kind: "missing" };

/** An object with a kernel's answers. */
export interface ResolvedObject {
  /** With `.kconfig` filled, and CO-RE relocations applied to the code of programs that will be loaded. */
  readonly object: BpfObject;
  /** Externs of `.ksyms` by name. */
  readonly symbols: ReadonlyMap<string, ResolvedSymbol>;
  /**
   * CO-RE relocations that nothing in the kernel answers, by program. Their instructions are made invalid: an error only where the
   * verifier reaches them.
   */
  readonly failures: ReadonlyMap<string, readonly CoreFailure[]>;
}

/** Whether an object asks anything of the kernel before it can be loaded. */
export function needsResolving(object: BpfObject): boolean {
  return (
    (object.externs !== undefined && object.externs.length > 0) ||
    object.programs.some(({ coreRelocations }) => coreRelocations !== undefined && coreRelocations.length > 0)
  );
}

/**
 * Answers all that an object asks of a kernel. Throws UnsupportedError when the kernel lacks something that is not weak, SkepError
 * (`extern`, `core`) when what it has does not fit.
 */
export function resolveObject(object: BpfObject, facts: KernelFacts, options: ResolveOptions = {}): ResolvedObject {
  const externs = object.externs ?? [];
  const local = new LocalTypes(object);
  const symbols = new Map<string, ResolvedSymbol>();
  for (const extern of externs) {
    if (extern.kind !== "kconfig") symbols.set(extern.name, resolveSymbol(extern, facts, local));
  }
  const maps = withKconfig(object, externs, facts, options.kconfig);
  const { programs, failures } = relocatePrograms(object, facts, local, options.coreBtf);
  return { object: { ...object, maps, programs }, symbols, failures };
}

/** The object's own BTF, parsed when first needed. */
class LocalTypes {
  private readonly object: BpfObject;
  private parsed: Btf | undefined;

  constructor(object: BpfObject) {
    this.object = object;
  }

  /** Throws SkepError when there is none. */
  get btf(): Btf {
    if (this.parsed === undefined) {
      const { btf } = this.object;
      if (btf === undefined) {
        throw new SkepError("extern", "object: it has externs with types and no BTF: compile it with -g", {
          exitStatus: 2,
        });
      }
      this.parsed = Btf.parse(btf, { section: ".BTF" });
    }
    return this.parsed;
  }
}

function withKconfig(
  object: BpfObject,
  externs: readonly ExternSpec[],
  facts: KernelFacts,
  extra: string | undefined,
): readonly MapSpec[] {
  const options = externs.filter((extern): extern is KconfigExtern => extern.kind === "kconfig");
  if (options.length === 0) return object.maps;
  const filled = kconfigValue(options, facts, extra, object.byteOrder !== "big");
  return object.maps.map((map) => {
    if (map.name !== KCONFIG_MAP) return map;
    // The map may end behind its last extern.
    const initialValue = new Uint8Array(Math.max(map.valueSize, filled.length));
    initialValue.set(filled);
    return { ...map, initialValue };
  });
}

function resolveSymbol(extern: KsymExtern | KfuncExtern, facts: KernelFacts, local: LocalTypes): ResolvedSymbol {
  if (extern.kind === "ksym" && extern.typeId === 0) return resolveAddress(extern, facts);
  const isFunction = extern.kind === "kfunc";
  const kernel = facts.btf;
  if (kernel === undefined) {
    throw new UnsupportedError(
      `kernel ${isFunction ? "function" : "variable"} ${extern.name}`,
      "the object refers to it by type, and this kernel does not tell its types (CONFIG_DEBUG_INFO_BTF)",
    );
  }
  const found = findSymbol(
    isFunction ? essentialName(extern.name) : extern.name,
    isFunction ? BtfKind.FUNC : BtfKind.VAR,
    kernel,
    facts,
  );
  if (found === undefined) {
    if (extern.weak) return { kind: "missing" };
    throw missingSymbol(extern, kernel);
  }
  const { btf, id, module } = found;
  const target = (btf.typeById(id) as { readonly typeId: number }).typeId;
  const wanted = isFunction
    ? (local.btf.typeById(extern.typeId) as { readonly typeId: number }).typeId
    : local.btf.stripModifiers(extern.typeId);
  if (!typesCompatible(local.btf, wanted, btf, isFunction ? target : btf.stripModifiers(target))) {
    // A weak function of another shape is one that this kernel lacks: newer ones changed it.
    if (isFunction && extern.weak) return { kind: "missing" };
    throw new SkepError("extern", mismatch(extern, local.btf, wanted, btf, target));
  }
  return module === undefined ? { kind: "btf", id } : { kind: "btf", id, module };
}

function resolveAddress(extern: KsymExtern, facts: KernelFacts): ResolvedSymbol {
  const address = facts.symbolAddress(extern.name);
  if (address !== undefined) return { kind: "address", address };
  if (extern.weak) return { kind: "missing" };
  throw new UnsupportedError(
    `kernel symbol ${extern.name}`,
    "this kernel has none of that name in /proc/kallsyms (declare it __weak to get 0 instead)",
  );
}

function findSymbol(
  name: string,
  kind: BtfKind,
  kernel: Btf,
  facts: KernelFacts,
): { readonly btf: Btf; readonly id: number; readonly module?: string } | undefined {
  const id = kernel.findByName(name, kind);
  if (id !== undefined) return { btf: kernel, id };
  for (const { name: module, btf } of facts.moduleBtfs()) {
    const own = btf.findOwnByName(name, kind);
    if (own !== undefined) return { btf, id: own, module };
  }
  return undefined;
}

function missingSymbol(extern: KsymExtern | KfuncExtern, kernel: Btf): UnsupportedError {
  const isFunction = extern.kind === "kfunc";
  const near = nearestNames(extern.name, kernel.names(isFunction ? BtfKind.FUNC : BtfKind.VAR));
  const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
  return new UnsupportedError(
    `kernel ${isFunction ? "function" : "variable"} ${extern.name}`,
    `neither this kernel's types nor those of its modules have one of that name (declare it __weak to go without)${hint}`,
  );
}

function mismatch(extern: ExternSpec, local: Btf, wanted: number, kernel: Btf, found: number): string {
  if (extern.kind === "kfunc")
    return `kernel function ${extern.name}: does not fit: ${prototypeMismatch(local, wanted, kernel, found)}`;
  const text = (btf: Btf, id: number): string => {
    const at = btf.stripModifiers(id);
    return `${(btfKindNames[btf.kindOf(at)] ?? "type").toLowerCase()} ${btf.nameOf(at) || "(anonymous)"}`;
  };
  const shapes = `the object declares ${text(local, wanted)}, the kernel has ${text(kernel, found)}`;
  return `kernel variable ${extern.name}: does not fit: ${shapes}`;
}

/** The first difference between the prototypes of a function. */
function prototypeMismatch(local: Btf, wanted: number, kernel: Btf, found: number): string {
  const [ours, theirs] = [local.funcProto(wanted), kernel.funcProto(found)];
  const unknown = "its parameters or result are of other types than the object declares";
  if (ours === undefined || theirs === undefined) return unknown;
  const [count, kernelCount] = [ours.parameters.length, theirs.parameters.length];
  if (count !== kernelCount) return `the object gives it ${count} parameter(s), the kernel's has ${kernelCount}`;
  const pairs = [
    ["its result", ours.returnTypeId, theirs.returnTypeId] as const,
    ...ours.parameters.map(
      ({ typeId }, i) =>
        [`parameter ${theirs.parameters[i]!.name || i + 1}`, typeId, theirs.parameters[i]!.typeId] as const,
    ),
  ];
  for (const [what, ourType, theirType] of pairs) {
    if (typesCompatible(local, ourType, kernel, theirType)) continue;
    const [a, b] = [printBtfDeclaration(local, ourType) || "void", printBtfDeclaration(kernel, theirType) || "void"];
    return a === b
      ? `${what} is ${a} in both, and one of them only declares it: give the struct a body`
      : `${what} is ${a} in the object and ${b} in the kernel`;
  }
  return unknown;
}

function relocatePrograms(
  object: BpfObject,
  facts: KernelFacts,
  local: LocalTypes,
  coreBtf: Btf | undefined,
): { programs: readonly ProgramSpec[]; failures: ReadonlyMap<string, readonly CoreFailure[]> } {
  const failures = new Map<string, readonly CoreFailure[]>();
  let resolver: CoreResolver | undefined;
  const members = new Set(
    object.maps
      .filter(({ autocreate }) => autocreate !== false)
      .flatMap(({ structOps }) => structOps?.functions.map(({ program }) => program) ?? []),
  );
  const programs = object.programs.map((program) => {
    const { coreRelocations } = program;
    // Functions of struct_ops maps are loaded with their map.
    const isLoaded = program.autoload !== false || members.has(program.name);
    if (!isLoaded || coreRelocations === undefined || coreRelocations.length === 0) return program;
    resolver ??= new CoreResolver(local.btf, coreTypes(facts, coreBtf));
    const { code, unresolved } = relocateProgram(program, resolver);
    if (unresolved.length > 0) failures.set(program.name, unresolved);
    return { ...program, code };
  });
  return { programs, failures };
}

/** Modules are left out when other types than the running kernel's were asked for. */
function coreTypes(facts: KernelFacts, coreBtf: Btf | undefined): CoreKernel {
  return coreBtf === undefined ? coreKernelOf(facts) : { btf: coreBtf, modules: () => [] };
}
