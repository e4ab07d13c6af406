/** Puts what only the running kernel knows into instructions: descriptors of maps, addresses and BTF ids of kernel symbols. */
import { BtfKind } from "../../btf/index.ts";
import { UnsupportedError, nearestNames } from "../../base/index.ts";
import { PseudoCall, PseudoImm64 } from "../../isa/index.ts";
import type { BpfObject, ProgramSpec, Relocation, ResolvedSymbol } from "../../object/index.ts";
import type { OwnedFd } from "./fd.ts";
import { machine } from "./machine.ts";
import { findKernelType, hasKernelBtf, kernelBtf, openModuleBtf } from "./kernel-btf.ts";

/** First byte of ld_imm64 (`BPF_LD | BPF_DW | BPF_IMM`), and of a call (`BPF_JMP | BPF_CALL`). */
const LD_IMM64 = 0x18;
const CALL = 0x85;

/**
 * Helper numbers that do not exist. An instruction that cannot be right becomes a call of one, so that the program loads where the
 * verifier finds the instruction dead, and the log tells which it was where not. libbpf's own numbers; that of CO-RE is
 * `CORE_POISON_HELPER`.
 */
export const Poison = {
  /** Plus the index of a map that was not created. */
  MAP: 2_001_000_000,
  /** Plus the index of an extern that the kernel lacks. */
  KFUNC: 2_002_000_000,
} as const;

/** `bpf_probe_read_user`, `_kernel`, `_user_str`, `_kernel_str`, and what does their work on old kernels. */
const oldHelpers: ReadonlyMap<number, number> = new Map([
  [112, 4],
  [113, 4],
  [114, 45],
  [115, 45],
]);

/** Code that is ready to load. */
export interface RelocatedCode {
  readonly code: Uint8Array;
  /**
   * BTF of the modules whose functions are called; the one at position i is number i + 1 of the load's `fd_array`. The caller
   * closes them after loading.
   */
  readonly moduleFds: readonly OwnedFd[];
}

/** The object that a program is part of, and what its externs are here. */
export interface RelocationContext {
  readonly object: BpfObject;
  readonly symbols: ReadonlyMap<string, ResolvedSymbol>;
}

/**
 * A copy of the program's code with all relocations applied. `mapFd` answers undefined for maps that were not created. Throws RangeError
 * when a relocation is at another instruction than its kind.
 */
export function relocate(
  spec: ProgramSpec,
  mapFd: (name: string) => number | undefined,
  context?: RelocationContext,
): RelocatedCode {
  const relocator = new Relocator(spec, mapFd, context);
  return relocator.run();
}

class Relocator {
  private readonly spec: ProgramSpec;
  private readonly mapFd: (name: string) => number | undefined;
  private readonly context: RelocationContext | undefined;
  private readonly code: Uint8Array;
  private readonly view: DataView;
  private readonly modules = new Map<string, { readonly fd: OwnedFd; readonly number: number }>();

  constructor(spec: ProgramSpec, mapFd: (name: string) => number | undefined, context: RelocationContext | undefined) {
    this.spec = spec;
    this.mapFd = mapFd;
    this.context = context;
    this.code = spec.code.slice();
    this.view = new DataView(this.code.buffer);
  }

  run(): RelocatedCode {
    try {
      for (const relocation of this.spec.relocations) {
        this.check(relocation);
        const at = relocation.insnIndex * 8;
        if (relocation.kind === "kfunc") this.call(at, relocation.name);
        else if (relocation.kind === "ksym") this.symbol(at, relocation.name);
        else this.map(at, relocation);
      }
      if (!machine.atLeast(5, 5)) this.useOldHelpers();
    } catch (error) {
      for (const { fd } of this.modules.values()) fd.close();
      throw error;
    }
    return { code: this.code, moduleFds: [...this.modules.values()].map(({ fd }) => fd) };
  }

  private check(relocation: Relocation): void {
    const at = relocation.insnIndex * 8;
    const [opcode, size, form] = relocation.kind === "kfunc" ? [CALL, 8, "call"] : [LD_IMM64, 16, "ld_imm64"];
    if (at >= 0 && at + size <= this.code.length && this.code[at] === opcode) return;
    const name = "map" in relocation ? relocation.map : relocation.name;
    throw new RangeError(
      `program ${this.spec.name}: relocation of ${name} at instruction ${relocation.insnIndex}, which is no ${form}`,
    );
  }

  private setSource(at: number, source: number): void {
    this.code[at + 1] = (this.code[at + 1]! & 0x0f) | (source << 4);
  }

  private map(at: number, relocation: Relocation & { readonly map: string }): void {
    const fd = this.mapFd(relocation.map);
    if (fd === undefined) {
      const number = Poison.MAP + (this.context?.object.maps.findIndex(({ name }) => name === relocation.map) ?? 0);
      this.poison(at, number);
      this.poison(at + 8, number);
      return;
    }
    const isValue = relocation.kind === "map-value";
    this.setSource(at, isValue ? PseudoImm64.MAP_VALUE : PseudoImm64.MAP_FD);
    this.view.setInt32(at + 4, fd, true);
    this.view.setInt32(at + 12, isValue ? relocation.offset : 0, true);
  }

  private symbol(at: number, name: string): void {
    const symbol = this.context?.symbols.get(name);
    if (symbol === undefined) throw new RangeError(`program ${this.spec.name}: ${name} is no extern of its object`);
    if (symbol.kind === "btf") {
      this.setSource(at, PseudoImm64.BTF_ID);
      this.view.setInt32(at + 4, symbol.id, true);
      this.view.setInt32(at + 12, symbol.module === undefined ? 0 : this.module(symbol.module).fd.value, true);
      return;
    }
    const address = symbol.kind === "address" ? symbol.address : 0n;
    this.setSource(at, 0);
    this.view.setUint32(at + 4, Number(address & 0xffff_ffffn), true);
    this.view.setUint32(at + 12, Number(address >> 32n), true);
  }

  private call(at: number, name: string): void {
    const symbol = this.context?.symbols.get(name) ?? kernelFunction(name);
    if (symbol.kind === "missing") {
      this.poison(at, Poison.KFUNC + (this.context?.object.externs?.findIndex((extern) => extern.name === name) ?? 0));
      return;
    }
    if (symbol.kind === "address") throw new RangeError(`program ${this.spec.name}: calls ${name}, a variable`);
    this.setSource(at, PseudoCall.KFUNC);
    this.view.setInt16(at + 2, symbol.module === undefined ? 0 : this.module(symbol.module).number, true);
    this.view.setInt32(at + 4, symbol.id, true);
  }

  private poison(at: number, number: number): void {
    this.code[at] = CALL;
    this.code[at + 1] = 0;
    this.view.setInt16(at + 2, 0, true);
    this.view.setInt32(at + 4, number, true);
  }

  /** Before 5.5 one helper read both kernel and user memory (`bpf_object__sanitize_prog` of libbpf). */
  private useOldHelpers(): void {
    for (let at = 0; at < this.code.length; at += 8) {
      // The second half of an ld_imm64 has no opcode.
      if (this.code[at] !== CALL || this.code[at + 1]! >> 4 !== PseudoCall.HELPER) continue;
      const old = oldHelpers.get(this.view.getInt32(at + 4, true));
      if (old !== undefined) this.view.setInt32(at + 4, old, true);
    }
  }

  private module(name: string): { readonly fd: OwnedFd; readonly number: number } {
    const known = this.modules.get(name);
    if (known !== undefined) return known;
    const fd = openModuleBtf(name);
    if (fd === undefined)
      throw new UnsupportedError(`module ${name}`, "the program refers to it, and it is being unloaded");
    // Zero in the instruction means vmlinux.
    const opened = { fd, number: this.modules.size + 1 };
    this.modules.set(name, opened);
    return opened;
  }
}

/** A kernel function that the object calls without declaring it, as front ends do that know the kernel. */
function kernelFunction(name: string): ResolvedSymbol {
  const feature = `kernel function ${name}`;
  if (!hasKernelBtf()) {
    throw new UnsupportedError(feature, "calling it needs the kernel's type information (CONFIG_DEBUG_INFO_BTF)");
  }
  const type = findKernelType(name, BtfKind.FUNC);
  if (type !== undefined) return { kind: "btf", ...type };
  const near = nearestNames(name, kernelBtf().names(BtfKind.FUNC));
  const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
  throw new UnsupportedError(feature, `this kernel has none of that name${hint}`);
}
