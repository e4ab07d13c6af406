/**
 * What every front end makes and every kernel takes: plain data, copyable, testable without a kernel.
 * Numbers of map and program types are the kernel's own (`MapType`, `ProgType` in isa).
 */
import type { AttachRequest } from "./attach.ts";
import type { DwarfSections } from "./dwarf/entries.ts";
import type { ExternSpec, VariableSpec } from "./variables.ts";

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
  /** Type ids in the object's BTF, 0 when none. Of maps whose BTF the kernel does not take (ring buffers) they serve readers. */
  readonly keyTypeId?: number;
  readonly valueTypeId?: number;
  /** First value of a one-element array map (`.rodata`, `.data`), written before programs load; an arena's first bytes. */
  readonly initialValue?: Uint8Array;
  /** Frozen after the first value is written: the verifier then folds its bytes as constants. */
  readonly frozen?: boolean;
  /** What the kernel calls it, when that is not made of `name` (libbpf puts the object's name before sections of data). */
  readonly kernelName?: string;
  /** NUMA node of its memory; sets `BPF_F_NUMA_NODE`. */
  readonly numaNode?: number;
  /** `map_extra`: hash functions of a bloom filter, address of an arena. */
  readonly mapExtra?: bigint;
  /** `by-name`: reused from, or else pinned under, the directory of pins (`LIBBPF_PIN_BY_NAME`). */
  readonly pinning?: "by-name";
  /** Maps of maps: what inner maps look like. */
  readonly inner?: MapSpec;
  /** First entries of maps of maps and of program arrays, by the names of this object. */
  readonly slots?: readonly MapSlot[];
  /** Maps of type `STRUCT_OPS`. */
  readonly structOps?: StructOpsSpec;
  /** The one program of the object that may use the map, even by others who hold it (kernel 6.18). */
  readonly exclusiveProgram?: string;
  /** False: created only when asked for (struct_ops in a `?` section). */
  readonly autocreate?: boolean;
}

/** An entry of an array that names a map or a program of the object. */
export type MapSlot =
  | { readonly index: number; readonly map: string }
  | { readonly index: number; readonly program: string };

/** The first value of a struct_ops map, as the object's own type lays it out. */
export interface StructOpsSpec {
  /** The struct in the object's BTF; its name without flavour is the kernel's. */
  readonly typeId: number;
  readonly typeName: string;
  /** Function members that programs of this object fill: byte offset in the object's struct. */
  readonly functions: readonly { readonly offset: number; readonly member: string; readonly program: string }[];
  /** From `.struct_ops.link`: attached by a link, not by the first value. */
  readonly link: boolean;
}

/** What a relocation puts into an ld_imm64 (both slots) or a call. */
export type Relocation =
  /** The map's file descriptor (`BPF_PSEUDO_MAP_FD`). */
  | { readonly kind: "map"; readonly insnIndex: number; readonly map: string }
  /** Address of the byte `offset` of the map's first value (`BPF_PSEUDO_MAP_VALUE`). */
  | { readonly kind: "map-value"; readonly insnIndex: number; readonly map: string; readonly offset: number }
  /** A call of a kernel function by name: `imm` becomes its BTF id, `off` the index of its module's BTF (0 for vmlinux). */
  | { readonly kind: "kfunc"; readonly insnIndex: number; readonly name: string }
  /**
   * ld_imm64 of a kernel symbol among the object's externs: typed variables and functions become `BPF_PSEUDO_BTF_ID`, typeless ones an
   * address; a weak one that the kernel lacks becomes 0.
   */
  | { readonly kind: "ksym"; readonly insnIndex: number; readonly name: string };

/** A CO-RE record of BTF.ext (`struct bpf_core_relo`), with the access string read. */
export interface CoreRelocation {
  /** Index of the instruction in the program. */
  readonly insnIndex: number;
  /** Root type in the object's BTF. */
  readonly typeId: number;
  /** `0:1:2`: array index of the root, then members and elements; a number for enumerators. */
  readonly access: string;
  /** `CoreKind.*` in btf. */
  readonly kind: number;
}

/** A program as it will be loaded, subprograms appended to its main function. */
export interface ProgramSpec {
  /** Unique within the object. */
  readonly name: string;
  /** `ProgType.*` */
  readonly type: number;
  /** `AttachType.*`, 0 when the type has none. */
  readonly expectedAttachType: number;
  /** Instructions, 8 bytes each, little-endian whatever the byte order of the file. */
  readonly code: Uint8Array;
  readonly relocations: readonly Relocation[];
  /** Records of `struct bpf_func_info` (8 bytes each) and `struct bpf_line_info` (16 bytes each), offsets in instructions; empty without BTF. */
  readonly funcInfo: Uint8Array;
  readonly lineInfo: Uint8Array;
  /** CO-RE records, ascending by instruction. */
  readonly coreRelocations?: readonly CoreRelocation[];
  /**
   * BTF-attached programs: name of the kernel's type, such as `sched_switch` for tp_btf, a function for fentry and LSM (without
   * `bpf_lsm_`), `module:function` for one of a module; of the function that a freplace program replaces.
   */
  readonly attachTo?: string;
  readonly sleepable?: boolean;
  /** Further `BPF_F_*` of program load, such as `XDP_HAS_FRAGS`. */
  readonly flags?: number;
  /** Section of the object file, such as `kprobe/do_unlinkat`. */
  readonly section?: string;
  /** Where the section's name says that it is attached; undefined where the user must say. */
  readonly attach?: AttachRequest;
  /** The kernel takes it without its attach type too: old ones refuse the field (`SEC_EXP_ATTACH_OPT` of libbpf). */
  readonly attachTypeOptional?: boolean;
  /** False: loaded only when asked for (`?` before the section's name). */
  readonly autoload?: boolean;
}

/** A variable or parameter of a function that is a struct or union, or points at one. */
export interface LocalRecord {
  readonly name: string;
  /** The function that it belongs to. */
  readonly function: string;
  /** The struct or union in the object's BTF. */
  readonly typeId: number;
}

/** Programs, maps and their types: the one shape between front ends and kernels. */
export interface BpfObject {
  readonly license: string;
  readonly programs: readonly ProgramSpec[];
  readonly maps: readonly MapSpec[];
  /** The object's own BTF, ready for `BPF_BTF_LOAD` (without what only loaders read: extern sections, map definitions may stay). */
  readonly btf?: Uint8Array;
  /** Name of the file without directory and `.o`, cut at characters that names of maps cannot have. */
  readonly name?: string;
  /** Byte order of initial values; code and BTF are little-endian in either case. Absent: little. */
  readonly byteOrder?: "little" | "big";
  /** Global variables, in the maps that hold their sections. */
  readonly variables?: readonly VariableSpec[];
  /** What the kernel or its configuration must fill in. */
  readonly externs?: readonly ExternSpec[];
  /** `LINUX_VERSION_CODE` of section `version`, which kernels before 5.0 compare with their own for kprobes. */
  readonly kernelVersion?: number;
  /** What front ends tell of variables that are no part of it, for readers of records. No kernel takes it. */
  readonly locals?: readonly LocalRecord[];
  /** Debug information of the files that it was read from, for those who want types that BTF leaves out. No kernel takes it. */
  readonly dwarf?: readonly DwarfSections[];
}
