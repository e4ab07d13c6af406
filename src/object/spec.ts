/**
 * What every front end makes and every kernel takes: plain data, copyable, testable without a kernel.
 * Numbers of map and program types are the kernel's own (`MapType`, `ProgType` in isa).
 */

/** A map as it will be created. */
export interface MapSpec {
  /** Unique within the object. The kernel sees its first 15 characters, with what it refuses replaced by `_`. */
  readonly name: string;
  /** `MapType.*` */
  readonly type: number;
  /** Bytes. */
  readonly keySize: number;
  /** Bytes. */
  readonly valueSize: number;
  /** Zero for perf event arrays means one a possible CPU. Ring buffers: bytes, a power of two and a multiple of the page. */
  readonly maxEntries: number;
  /** `BPF_F_*` of map creation. */
  readonly flags: number;
  /** Type ids in the object's BTF, 0 when none. */
  readonly keyTypeId?: number;
  readonly valueTypeId?: number;
  /** First value of a one-element array map (`.rodata`, `.data`), written before programs load. */
  readonly initialValue?: Uint8Array;
  /** Frozen after the first value is written: the verifier then folds its bytes as constants. */
  readonly frozen?: boolean;
}

/** What a relocation puts into an ld_imm64 (both slots) or a call. */
export type Relocation =
  /** The map's file descriptor (`BPF_PSEUDO_MAP_FD`). */
  | { readonly kind: "map"; readonly insnIndex: number; readonly map: string }
  /** Address of the byte `offset` of the map's first value (`BPF_PSEUDO_MAP_VALUE`). */
  | { readonly kind: "map-value"; readonly insnIndex: number; readonly map: string; readonly offset: number }
  /** A kernel function by name: `imm` becomes its BTF id, `off` the index of its module's BTF (0 for vmlinux). */
  | { readonly kind: "kfunc"; readonly insnIndex: number; readonly name: string };

/** A program as it will be loaded, subprograms appended to its main function. */
export interface ProgramSpec {
  /** Unique within the object. */
  readonly name: string;
  /** `ProgType.*` */
  readonly type: number;
  /** `AttachType.*`, 0 when the type has none. */
  readonly expectedAttachType: number;
  /** Instructions, 8 bytes each, little-endian. */
  readonly code: Uint8Array;
  readonly relocations: readonly Relocation[];
  /** Records of `struct bpf_func_info` (8 bytes each) and `struct bpf_line_info` (16 bytes each), offsets in instructions; empty without BTF. */
  readonly funcInfo: Uint8Array;
  readonly lineInfo: Uint8Array;
  /** BTF-attached programs (tp_btf, iter, fentry): name of the kernel's type, such as `sched_switch` for tp_btf. */
  readonly attachTo?: string;
  readonly sleepable?: boolean;
}

/** Programs, maps and their types: the one shape between front ends and kernels. */
export interface BpfObject {
  readonly license: string;
  readonly programs: readonly ProgramSpec[];
  readonly maps: readonly MapSpec[];
  /** The object's own BTF, ready for `BPF_BTF_LOAD`. */
  readonly btf?: Uint8Array;
}
