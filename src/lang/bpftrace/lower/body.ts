/** State and small emitters of one function of the IR while a probe's body is lowered into it. */
import type { Span } from "../../../base/index.ts";
import type { FunctionBuilder } from "../../../compiler/builder.ts";
import type { Block, Inst, IrType, MemBits, Value } from "../../../compiler/ir.ts";
import type { Expression, Variable } from "../ast.ts";
import type { CheckedProgram } from "../checked.ts";
import { sizeOf, type Type } from "../types.ts";
import type { ScriptContext, ScriptMap, Site } from "./script.ts";
import { isScalarType, type Operand, type Place } from "./values.ts";

/** Where a variable of the script lives: `pointer` to 8 bytes for scalars, to `sizeOf(type)` bytes else. */
export interface VariableSlot {
  readonly pointer: Value;
  readonly type: Type;
  /** The block of the script that first mentioned it; 0 when it is zeroed at entry. */
  scope?: number;
}

/** The key and value that a loop over a map is at. */
export interface MapCursor {
  readonly map: ScriptMap;
  readonly keyPointer: Value;
  readonly valuePointer: Value;
  readonly key: Place;
  readonly value: () => Operand;
}

/** Where `break`, `continue` and `return` go. */
export interface LoopTargets {
  readonly onBreak: () => void;
  readonly onContinue: () => void;
}

/** One function being built. */
export class Body {
  readonly script: ScriptContext;
  readonly b: FunctionBuilder;
  readonly program: CheckedProgram;
  readonly site: Site;
  /** Index in the plan's probes, under which lost records are counted. */
  readonly probeIndex: number;
  readonly variables: Map<Variable, VariableSlot> = new Map();
  /** Variables of loops over maps that are read in place. */
  readonly cursors: Map<Variable, MapCursor> = new Map();
  readonly loops: LoopTargets[] = [];
  /** Expressions whose value was computed before: they are not evaluated again. */
  readonly bound: Map<Expression, Operand> = new Map();
  /** The program's context pointer, also inside callbacks. */
  context: Value;
  /** What `return` does; `value` is null without one. */
  onReturn: (value: Expression | null) => void;
  /** True inside a function of the script that has a result. */
  returnsValue = false;
  /** Functions of the script that are being lowered in place. */
  readonly calling: Set<string> = new Set();
  private readonly scopes: number[] = [];
  private nextScope = 1;
  /** System calls: the number, and the index of the probe's name where many are served. */
  syscallNumber: Value | null = null;
  probeNameIndex: Value | null = null;
  /** System calls: the registers, where all of the body may use them. */
  taskRegisters: Value | null = null;

  constructor(
    script: ScriptContext,
    b: FunctionBuilder,
    program: CheckedProgram,
    site: Site,
    probeIndex: number,
    context: Value,
  ) {
    this.script = script;
    this.b = b;
    this.program = program;
    this.site = site;
    this.probeIndex = probeIndex;
    this.context = context;
    this.onReturn = () => this.b.return(this.int(0));
    this.scopes.push(this.nextScope++);
  }

  int(value: number | bigint): Value {
    return this.b.const(value);
  }

  /** Stamps what is built next with a place in the script. */
  at(span: Span): void {
    this.b.setPosition(this.script.position(span.start));
  }

  /** Calls a helper by name. */
  helper(name: string, args: Value[], type: IrType = "i64", span?: Span): Inst {
    return this.b.helper(this.script.helperId(name, span), args, type);
  }

  /** Memory of the frame for a value of a type. */
  memory(size: number, name?: string): Inst {
    return this.b.alloca(Math.max(8, Math.ceil(size / 8) * 8), 8, name);
  }

  /** Branches to `then` or `otherwise`, both continue behind. */
  ifElse(condition: Value, then: () => void, otherwise?: () => void, likely?: "then" | "else"): void {
    const yes = this.b.block("then");
    const no = otherwise ? this.b.block("else") : null;
    const end = this.b.block("end");
    this.b.branch(condition, yes, no ?? end, likely);
    this.b.moveTo(yes);
    then();
    this.b.jump(end);
    if (no) {
      this.b.moveTo(no);
      otherwise!();
      this.b.jump(end);
    }
    this.b.moveTo(end);
  }

  /** A value that differs by path: stored where `make` runs, loaded behind. */
  cell(initial: Value | null = null): { set: (value: Value) => void; get: () => Value } {
    const pointer = this.b.alloca(8, 8);
    if (initial) this.b.store(pointer, initial, 64);
    return {
      set: (value) => void this.b.store(pointer, value, 64),
      get: () => this.b.load(pointer, 64),
    };
  }

  /**
   * The number 0 as the verifier cannot know it. A loop that starts from a constant is followed round by round; one that starts from
   * an unknown number ends once a round changes no bounds (`widen_imprecise_scalars` has nothing to do then).
   */
  unknownZero(): Value {
    return this.b.load(this.b.mapvalue(this.script.zeroMap()), 64, { volatile: true });
  }

  /** Runs `body` with an index from 0 up to `count`, exclusive, until it calls `stop`. */
  countedLoop(count: Value, body: (index: Value, stop: () => void) => void): void {
    const { b } = this;
    const short = !this.canLoosen || (count.kind === "const" && count.value <= FOLLOWED_ROUNDS);
    const index = this.cell(short ? this.int(0) : this.unknownZero());
    const head = b.block("head");
    const inside = b.block("loop");
    const next = b.block("next");
    const end = b.block("end");
    b.jump(head);
    b.moveTo(head);
    const now = index.get();
    b.branch(b.icmp("ult", now, count), inside, end);
    b.moveTo(inside);
    body(now, () => b.jump(end));
    b.jump(next);
    b.moveTo(next);
    index.set(b.binary("add", index.get(), this.int(1)));
    if (short) b.jump(head);
    else b.maygoto(head, end);
    b.moveTo(end);
  }

  /** True when the kernel has back edges that its verifier need not follow to the end (`may_goto`). */
  get canLoosen(): boolean {
    return this.script.atLeast(6, 9);
  }

  /** A back edge that the verifier need not follow to the end. Older kernels follow every round, and refuse what they cannot. */
  backEdge(head: Block, exit: Block): void {
    if (this.canLoosen) this.b.maygoto(head, exit);
    else this.b.jump(head);
  }

  /** Runs `lower` as a block of the script: variables first seen in it are not expected to live on. */
  inScope(lower: () => void): void {
    this.scopes.push(this.nextScope++);
    lower();
    this.scopes.pop();
  }

  /**
   * The slot of a variable, made at first sight. Numbers start as 0. Other memory starts as zero when `cleared`, or when it is
   * mentioned outside the block that first assigned it, which then may not have run.
   */
  variable(variable: Variable, cleared: boolean): VariableSlot {
    const known = this.variables.get(variable);
    if (known) {
      if (known.scope && !this.scopes.includes(known.scope)) {
        known.scope = 0;
        this.clearAtEntry(known);
      }
      return known;
    }
    const number = isScalarType(variable.type);
    const pointer = number ? this.b.alloca(8, 8, variable.name) : this.memory(sizeOf(variable.type), variable.name);
    const slot: VariableSlot = { pointer, type: variable.type, scope: 0 };
    this.variables.set(variable, slot);
    if (cleared || number) this.clearAtEntry(slot);
    else slot.scope = this.scopes.at(-1) ?? 0;
    return slot;
  }

  /** Zeroes a variable where the function starts: it may be read on a path that never assigned it. */
  private clearAtEntry(slot: VariableSlot): void {
    const { b } = this;
    const entry = b.func.blocks[0]!;
    const size = isScalarType(slot.type) ? 8 : Math.max(8, Math.ceil(sizeOf(slot.type) / 8) * 8);
    const inst: Inst = {
      kind: "inst",
      id: b.func.nextInst++,
      op: "memset",
      type: "void",
      args: [slot.pointer],
      block: entry,
      position: b.position,
      byte: 0,
      size,
      offset: 0,
    };
    let at = 0;
    while (at < entry.insts.length && entry.insts[at]!.op === "alloca") at++;
    entry.insts.splice(at, 0, inst);
  }

  /** Zeroes memory of the program: by stores when it is small, else by one call that copies from nowhere. */
  zero(pointer: Value, size: number, offset = 0): void {
    if (size <= 0) return;
    if (size <= INLINE_BYTES) this.b.memset(pointer, 0, size, offset);
    // The kernel refuses to read address 0 and then clears the whole destination.
    else this.helper("probe_read_kernel", [this.b.ptradd(pointer, offset), this.int(size), this.b.const(0, "ptr")]);
  }

  /** Copies memory of the program. */
  copy(to: Value, toOffset: number, from: Value, fromOffset: number, size: number): void {
    if (size <= 0) return;
    if (size <= INLINE_BYTES) this.b.memcpy(to, from, size, { offset: toOffset, fromOffset });
    else {
      this.helper("probe_read_kernel", [this.b.ptradd(to, toOffset), this.int(size), this.b.ptradd(from, fromOffset)]);
    }
  }

  /** Reads memory of the kernel or of the process into memory of the program. What cannot be read is zero. */
  probeRead(space: "kernel" | "user", to: Value, toOffset: number, size: number, address: Value): Inst {
    return this.helper(space === "user" ? "probe_read_user" : "probe_read_kernel", [
      this.b.ptradd(to, toOffset),
      this.int(size),
      this.b.inttoptr(address),
    ]);
  }

  /** Reads a NUL-terminated string of at most `size` bytes with its NUL. Gives the length with the NUL, or a negative errno. */
  probeReadString(space: "kernel" | "user", to: Value, toOffset: number, size: Value, address: Value): Inst {
    return this.helper(space === "user" ? "probe_read_user_str" : "probe_read_kernel_str", [
      this.b.ptradd(to, toOffset),
      size,
      this.b.inttoptr(address),
    ]);
  }

  /** `address + offset`, without an instruction for 0. */
  addressPlus(address: Value, offset: number): Value {
    return offset === 0 ? address : this.b.binary("add", address, this.int(offset));
  }

  /** A number extended from its low bits. */
  extend(value: Value, bits: MemBits, signed: boolean): Value {
    if (bits === 64) return value;
    if (value.kind === "const") {
      return this.int(signed ? BigInt.asIntN(bits, value.value) : BigInt.asUintN(bits, value.value));
    }
    return signed ? this.b.sext(value, bits) : this.b.zext(value, bits);
  }

  /** A condition as the number 0 or 1. */
  flag(condition: Value): Value {
    return this.b.zext(condition, 1);
  }
}

/** Rounds of a loop that the verifier may well follow one by one. */
const FOLLOWED_ROUNDS = 64n;

/** Largest memory that is cleared or copied by instructions rather than by a call. */
const INLINE_BYTES = 128;
