/**
 * The intermediate representation: typed SSA over basic blocks, one module for one object.
 *
 * Front ends make it through {@link FunctionBuilder} (builder.ts), passes rewrite it, the code generator turns it into instructions.
 * Mutable variables of a front end are `alloca`s of 1 to 8 bytes; the `promote` pass makes SSA values of them, so that no front end
 * builds phis by hand. What the kernel's verifier refuses (32-bit arithmetic on pointers, modified context pointers, null checks on a
 * 32-bit half, division forms, stack limits) is the code generator's business, never a front end's.
 */
import type { SourceText } from "../base/index.ts";
import type { AttachRequest, ExternSpec, MapSpec, VariableSpec } from "../object/index.ts";

/** `i1` is the result of a comparison; `ptr` is 64 bits that only pointer operations may touch; `void` only as a result. */
export type IrType = "i1" | "i32" | "i64" | "ptr" | "void";

/** A place in the module's sources: index in `Module.sources`, line and column from 1. Shared by many instructions. */
export interface Position {
  readonly source: number;
  readonly line: number;
  readonly column: number;
}

/** A constant. `value` is kept wrapped to the type's width as an unsigned number (i1: 0n or 1n). A `ptr` constant is only null (0n). */
export interface Const {
  readonly kind: "const";
  readonly type: IrType;
  readonly value: bigint;
}

/** A parameter of the function: parameter 0 of a program's main function is its context. */
export interface Param {
  readonly kind: "param";
  readonly index: number;
  readonly type: IrType;
  readonly name: string;
}

/** What a CO-RE record asks of the kernel's types, and what the object's own say. */
export interface CoreAccess {
  /** `CoreKind.*` in btf. */
  readonly kind: number;
  /** Root type in the module's BTF. */
  readonly typeId: number;
  /** `0:1:2`, as in BTF.ext. */
  readonly access: string;
  /** The answer of the object's own types, which stands in the instruction until a loader relocates it. */
  readonly value: bigint;
}

/** Inline assembly. Operands of the template are `$0`, `$1`, … (`$$` is a dollar): outputs first, then inputs; `${0:w}` takes a modifier. */
export interface AsmCode {
  /** Lines in the assembler's syntax, as isa parses it, ended by `\n` or `;`. */
  readonly template: string;
  /**
   * Registers that the code sets. `tied`: starts with the value of this input (`+r` is an output tied to an input of its own).
   * `early`: written before all inputs are read. Results are taken by `asmresult`.
   */
  readonly outputs: readonly { readonly type: IrType; readonly tied?: number; readonly early?: boolean }[];
  /** How each input is handed over: in a register, as a constant, or as memory at an address (`(r1 + 8)`). */
  readonly inputs: readonly ("register" | "immediate" | "memory")[];
  /** Registers 0 to 9 that the code destroys. */
  readonly clobbers: readonly number[];
  /** It reads or writes memory that is not among its operands. */
  readonly memory: boolean;
  /** Stays though its results are unused, and keeps its place among others of the kind. */
  readonly volatile: boolean;
}

/** What an operand may be. */
export type Value = Const | Param | Inst;

/** Two-operand integer operations on i32 or i64, both operands and result of one type. Shifts use the low 5 or 6 bits of the amount; division by zero gives 0 and remainder by zero the dividend (RFC 9669 section 4.1). */
export type BinaryOp =
  | "add"
  | "sub"
  | "mul"
  | "udiv"
  | "sdiv"
  | "urem"
  | "srem"
  | "and"
  | "or"
  | "xor"
  | "shl"
  | "lshr"
  | "ashr";

/** Comparison predicates. Pointers compare with `eq` and `ne` (and unsigned order for packet bounds). */
export type Predicate = "eq" | "ne" | "ult" | "ule" | "ugt" | "uge" | "slt" | "sle" | "sgt" | "sge";

/** Widths of memory accesses, in bits. */
export type MemBits = 8 | 16 | 32 | 64;

/** Read-modify-write operations in memory. `cmpxchg` takes (ptr, expected, replacement). */
export type AtomicOp = "add" | "and" | "or" | "xor" | "xchg" | "cmpxchg";

/**
 * An instruction and the value it makes. `args` are its SSA operands; the other fields are immediates whose presence follows from `op`:
 *
 * | op | args | immediates | result |
 * |---|---|---|---|
 * | BinaryOp | a, b | | type of a |
 * | `icmp` | a, b (i32, i64 or ptr) | predicate | i1 |
 * | `select` | i1, a, b | | type of a |
 * | `zext`, `sext` | a | bits: how many low bits of `a` count (1 for i1, 8, 16, 32) | i32 or i64 |
 * | `trunc` | i64 | | i32 |
 * | `bswap` | a | bits 16, 32 or 64: reverses the low bytes, zero-extends | type of a |
 * | `alloca` | | size, align (bytes) | ptr, fresh per call of the function, contents undefined |
 * | `load` | ptr | bits, offset, signed? | i32, i64 or ptr (64 bits); narrower loads extend |
 * | `store` | ptr, value | bits, offset | void |
 * | `atomic` | ptr, operand(s) | atomic, bits 32 or 64, offset, fetch | the old value when fetch (always for xchg and cmpxchg), else void |
 * | `memset` | ptr | size, offset, byte | void |
 * | `memcpy` | to ptr, from ptr | size, offset (to), fromOffset | void; ranges do not overlap |
 * | `ptradd` | ptr, i64 | | ptr |
 * | `ptrdiff` | ptr, ptr | | i64 (packet pointers) |
 * | `ptrtoint` | ptr | raw? | i64 (privileged programs: the address as a number; raw: the very register, which the verifier still knows as a pointer) |
 * | `inttoptr` | i64 | | ptr that only probe-read helpers may follow |
 * | `mapref` | | map | ptr, for helper arguments |
 * | `mapvalue` | | map, offset | ptr to a byte of the first value of an array map |
 * | `funcref` | | callee | ptr, for callbacks |
 * | `helper` | up to 5 | helper (id) | i64, ptr or void; ptr results are nullable as the helper table says |
 * | `kfunc` | up to 5 | kfunc (name) | likewise |
 * | `call` | up to 5 | callee | the callee's result |
 * | `phi` | one a predecessor | incoming (blocks, same order) | type of the args |
 * | `core` | | core | i64: a number that the loader corrects; in addresses it folds into the access |
 * | `ksym` | | symbol | ptr: address of a kernel variable or function, null for a weak one that the kernel lacks |
 * | `ldabs` | ctx, i64 | bits 8, 16, 32 | i64: packet bytes at an offset, in host byte order (LD_ABS, LD_IND); the program returns 0 beyond the packet |
 * | `asm` | inputs | asm | void |
 * | `asmresult` | asm | offset: which output | type of the output |
 * | `isconst` | a | | i32: 1 when the passes find that `a` is constant, else 0 |
 * | `opaque` | a | | type of a: the same value, of which passes may assume nothing |
 *
 * Loads through pointers that came from the kernel's BTF types (tp_btf arguments, `bpf_get_current_task_btf`) are plain `load`s with
 * `faultable: true`: a fault reads as zero. A `load` from other kernel or user addresses does not exist: front ends call
 * `probe_read_kernel` or `probe_read_user`.
 */
export interface Inst {
  readonly kind: "inst";
  /** Unique within the function; printed as `%id`. */
  readonly id: number;
  op: Op;
  type: IrType;
  args: Value[];
  /** The block that holds it; null while detached. */
  block: Block | null;
  position: Position | null;
  predicate?: Predicate;
  bits?: MemBits | 1;
  signed?: boolean;
  offset?: number;
  fromOffset?: number;
  size?: number;
  align?: number;
  byte?: number;
  atomic?: AtomicOp;
  fetch?: boolean;
  map?: string;
  helper?: number;
  kfunc?: string;
  callee?: string;
  incoming?: Block[];
  faultable?: boolean;
  core?: CoreAccess;
  symbol?: string;
  asm?: AsmCode;
  raw?: boolean;
  /** Volatile loads and stores are neither removed, merged nor reordered. */
  volatile?: boolean;
  /** For reading the textual form: a front end's name of the variable (alloca). */
  name?: string;
}

/** All operations of {@link Inst}. */
export type Op =
  | BinaryOp
  | "icmp"
  | "select"
  | "zext"
  | "sext"
  | "trunc"
  | "bswap"
  | "alloca"
  | "load"
  | "store"
  | "atomic"
  | "memset"
  | "memcpy"
  | "ptradd"
  | "ptrdiff"
  | "ptrtoint"
  | "inttoptr"
  | "mapref"
  | "mapvalue"
  | "funcref"
  | "helper"
  | "kfunc"
  | "call"
  | "phi"
  | "core"
  | "ksym"
  | "ldabs"
  | "asm"
  | "asmresult"
  | "isconst"
  | "opaque";

/** How a block ends. */
export type Terminator =
  | { readonly kind: "jump"; target: Block; position: Position | null }
  | {
      readonly kind: "branch";
      condition: Value;
      then: Block;
      else: Block;
      /** The side expected to run; layout follows it. */
      likely?: "then" | "else";
      position: Position | null;
    }
  /** `value` is null exactly when the function returns void (subprograms); programs return i64 or i32. */
  | { readonly kind: "return"; value: Value | null; position: Position | null }
  /**
   * A loop's back edge that the verifier need not unroll: goes to `body` or, when the kernel's budget is spent, to `exit`
   * (`may_goto`, kernel 6.9; the code generator counts down a bounded counter for older targets).
   */
  | { readonly kind: "maygoto"; body: Block; exit: Block; position: Position | null }
  | { readonly kind: "unreachable" };

/** A basic block. Predecessors are computed by passes (`predecessors(func)`), not stored. */
export interface Block {
  readonly id: number;
  name: string;
  insts: Inst[];
  terminator: Terminator | null;
}

/** A function: a program's entry, a subprogram or a callback. */
export interface Func {
  /** Unique within the module. Entries take the program's name. */
  readonly name: string;
  readonly params: Param[];
  readonly result: IrType;
  /** In layout order; the first is the entry and has no predecessors. */
  blocks: Block[];
  /** Next free ids. */
  nextInst: number;
  nextBlock: number;
  /**
   * `entry`: a program. `static`: a subprogram, checked with its callers, may be inlined. `global`: a subprogram that the verifier checks
   * once by its BTF prototype, never inlined. `callback`: called by helpers such as for_each_map_elem.
   */
  readonly role: "entry" | "static" | "global" | "callback";
  /** Present exactly for entries. */
  readonly program?: ProgramDecl;
  /** `always`: inlined wherever called; `never`; default: the pass decides. */
  inline?: "always" | "never";
  /** BTF id of the FUNC_PROTO in the module's BTF; when absent the code generator writes one from the IR types (ptr as `void *`, i64 as `unsigned long long`). */
  readonly protoTypeId?: number;
  /** BTF id of the FUNC itself, when the front end wrote one (with tags on it). */
  readonly funcTypeId?: number;
  position: Position | null;
}

/** What an entry function is loaded as. */
export interface ProgramDecl {
  /** `ProgType.*` */
  readonly type: number;
  /** `AttachType.*`, 0 when none. */
  readonly expectedAttachType: number;
  /** For BTF-attached programs. */
  readonly attachTo?: string;
  readonly sleepable?: boolean;
  /** As in `ProgramSpec`. */
  readonly flags?: number;
  readonly section?: string;
  readonly attach?: AttachRequest;
  readonly attachTypeOptional?: boolean;
  readonly autoload?: boolean;
  /** A global function of the module that runs when the program throws (kernel 6.7). */
  readonly exceptionCallback?: string;
}

/** One compilation: functions, maps and sources. */
export interface Module {
  readonly name: string;
  readonly license: string;
  readonly funcs: Func[];
  readonly maps: MapSpec[];
  /** For line info; `Position.source` indexes it. */
  readonly sources: SourceText[];
  /** Maps of data whose first values are final: loads from them that are not volatile are constants. */
  readonly constantMaps?: Set<string>;
  /** As in `BpfObject`. */
  readonly variables?: VariableSpec[];
  readonly externs?: ExternSpec[];
}

/** True for instructions whose value alone matters: no memory, no side effect, removable when unused. */
export const PURE_OPS: ReadonlySet<Op> = new Set<Op>([
  "add",
  "sub",
  "mul",
  "udiv",
  "sdiv",
  "urem",
  "srem",
  "and",
  "or",
  "xor",
  "shl",
  "lshr",
  "ashr",
  "icmp",
  "select",
  "zext",
  "sext",
  "trunc",
  "bswap",
  "ptradd",
  "ptrdiff",
  "ptrtoint",
  "inttoptr",
  "mapref",
  "mapvalue",
  "funcref",
  "core",
  "ksym",
  "isconst",
  "phi",
]);

/** Blocks that a terminator may go to, in order. */
export function successors(terminator: Terminator | null): Block[] {
  switch (terminator?.kind) {
    case "jump":
      return [terminator.target];
    case "branch":
      return [terminator.then, terminator.else];
    case "maygoto":
      return [terminator.body, terminator.exit];
    default:
      return [];
  }
}
