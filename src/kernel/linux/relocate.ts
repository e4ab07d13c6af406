/** Puts what only the running kernel knows into instructions: descriptors of maps, BTF ids of kernel functions. */
import { BtfKind } from "../../btf/index.ts";
import { UnsupportedError, nearestNames } from "../../base/index.ts";
import type { ProgramSpec, Relocation } from "../../object/index.ts";
import type { OwnedFd } from "./fd.ts";
import { findKernelType, hasKernelBtf, kernelBtf, openModuleBtf } from "./kernel-btf.ts";

/** `src_reg` of an ld_imm64 that holds a map's descriptor, and of one that holds an address within its first value. */
const BPF_PSEUDO_MAP_FD = 1;
const BPF_PSEUDO_MAP_VALUE = 2;
/** `src_reg` of a call to a kernel function. */
const BPF_PSEUDO_KFUNC_CALL = 2;
/** First byte of ld_imm64 (`BPF_LD | BPF_DW | BPF_IMM`), and of a call (`BPF_JMP | BPF_CALL`). */
const LD_IMM64 = 0x18;
const CALL = 0x85;

/** Code that is ready to load. */
export interface RelocatedCode {
  readonly code: Uint8Array;
  /**
   * BTF of the modules whose functions are called; the one at position i is number i + 1 of the load's `fd_array`. The caller
   * closes them after loading.
   */
  readonly moduleFds: readonly OwnedFd[];
}

/** A copy of the program's code with all relocations applied. Throws RangeError when one is at another instruction than its kind. */
export function relocate(spec: ProgramSpec, mapFd: (name: string) => number): RelocatedCode {
  const code = spec.code.slice();
  const view = new DataView(code.buffer);
  const modules = new Map<string, { readonly fd: OwnedFd; readonly number: number }>();
  try {
    for (const relocation of spec.relocations) {
      const at = relocation.insnIndex * 8;
      check(spec, relocation, code, at);
      if (relocation.kind === "kfunc") {
        const { id, module } = kernelFunction(relocation.name);
        setSource(code, at, BPF_PSEUDO_KFUNC_CALL);
        view.setInt16(at + 2, module === undefined ? 0 : moduleNumber(module, modules), true);
        view.setInt32(at + 4, id, true);
      } else if (relocation.kind !== "ksym") {
        setSource(code, at, relocation.kind === "map" ? BPF_PSEUDO_MAP_FD : BPF_PSEUDO_MAP_VALUE);
        view.setInt32(at + 4, mapFd(relocation.map), true);
        view.setInt32(at + 12, relocation.kind === "map" ? 0 : relocation.offset, true);
      }
    }
  } catch (error) {
    for (const { fd } of modules.values()) fd.close();
    throw error;
  }
  return { code, moduleFds: [...modules.values()].map(({ fd }) => fd) };
}

function check(spec: ProgramSpec, relocation: Relocation, code: Uint8Array, at: number): void {
  const [opcode, size, form] = relocation.kind === "kfunc" ? [CALL, 8, "call"] : [LD_IMM64, 16, "ld_imm64"];
  if (at >= 0 && at + size <= code.length && code[at] === opcode) return;
  const name = "map" in relocation ? relocation.map : relocation.name;
  throw new RangeError(
    `program ${spec.name}: relocation of ${name} at instruction ${relocation.insnIndex}, which is no ${form}`,
  );
}

function setSource(code: Uint8Array, at: number, source: number): void {
  code[at + 1] = (code[at + 1]! & 0x0f) | (source << 4);
}

function kernelFunction(name: string): { readonly id: number; readonly module?: string } {
  const feature = `kernel function ${name}`;
  if (!hasKernelBtf()) {
    throw new UnsupportedError(feature, "calling it needs the kernel's type information (CONFIG_DEBUG_INFO_BTF)");
  }
  const type = findKernelType(name, BtfKind.FUNC);
  if (type !== undefined) return type;
  const near = nearestNames(name, kernelBtf().names(BtfKind.FUNC));
  const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
  throw new UnsupportedError(feature, `this kernel has none of that name${hint}`);
}

function moduleNumber(module: string, modules: Map<string, { readonly fd: OwnedFd; readonly number: number }>): number {
  const known = modules.get(module);
  if (known !== undefined) return known.number;
  const fd = openModuleBtf(module);
  if (fd === undefined)
    throw new UnsupportedError(`module ${module}`, "a function of it is called, and it is being unloaded");
  // Zero in the instruction means vmlinux.
  const number = modules.size + 1;
  modules.set(module, { fd, number });
  return number;
}
