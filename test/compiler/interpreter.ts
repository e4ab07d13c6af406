/** Runs IR directly: what compiled programs are compared with. Memory is objects of bytes, a pointer an object and an offset. */
import { helperById, helperByName } from "../../src/isa/index.ts";
import type { Block, Const, Func, Inst, Module, Value } from "../../src/compiler/index.ts";
import { isBinary } from "../../src/compiler/ops.ts";
import { ASSEMBLY } from "./random-program.ts";
import { arithmetic, compare, evaluate } from "../../src/compiler/passes/evaluate.ts";

/** A pointer: null has no object. */
interface Pointer {
  readonly bytes: Uint8Array | null;
  readonly offset: number;
}

type Datum = bigint | Pointer;

/** Maps as the interpreter holds them: arrays of one value, hashes by the key's bytes. */
export interface MapState {
  readonly array: Uint8Array;
  readonly hash: Map<string, Uint8Array>;
}

const HELPER = {
  lookup: helperByName("map_lookup_elem")!.id,
  update: helperByName("map_update_elem")!.id,
  delete: helperByName("map_delete_elem")!.id,
  probeRead: helperByName("probe_read_kernel")!.id,
};

/** Runs functions of a module over its maps. */
export class Interpreter {
  readonly module: Module;
  readonly maps: Map<string, MapState> = new Map();
  private steps = 0;
  /** Results of assembly where it ran last. */
  private readonly results = new Map<Inst, bigint[]>();

  constructor(module: Module) {
    this.module = module;
    for (const m of module.maps) {
      this.maps.set(m.name, { array: m.initialValue?.slice() ?? new Uint8Array(m.valueSize), hash: new Map() });
    }
  }

  /** Runs an entry with its context; returns r0. */
  run(name: string, context: Uint8Array): bigint {
    const func = this.module.funcs.find((f) => f.name === name)!;
    return this.call(func, [{ bytes: context, offset: 0 }]) as bigint;
  }

  private call(func: Func, args: readonly Datum[]): Datum {
    const values = new Map<Inst, Datum>();
    const valueOf = (v: Value): Datum => {
      if (v.kind === "const") return v.type === "ptr" ? { bytes: null, offset: 0 } : v.value;
      return v.kind === "param" ? args[v.index]! : values.get(v)!;
    };
    let block: Block = func.blocks[0]!;
    let from: Block | null = null;
    for (;;) {
      const phis = block.insts.filter((i) => i.op === "phi");
      const incoming = phis.map((phi) => valueOf(phi.args[phi.incoming!.indexOf(from!)]!));
      phis.forEach((phi, i) => values.set(phi, incoming[i]!));
      for (const inst of block.insts.slice(phis.length)) {
        if (++this.steps > 1_000_000) throw new Error("interpreter: too many steps");
        const result = this.execute(inst, inst.args.map(valueOf));
        if (result !== null) values.set(inst, result);
      }
      const t = block.terminator!;
      from = block;
      if (t.kind === "return") return t.value ? valueOf(t.value) : 0n;
      if (t.kind === "jump") block = t.target;
      else if (t.kind === "branch") block = (valueOf(t.condition) as bigint) !== 0n ? t.then : t.else;
      else if (t.kind === "maygoto") block = t.body;
      else throw new Error("interpreter: unreachable");
    }
  }

  private execute(inst: Inst, args: Datum[]): Datum | null {
    const asConst = (d: Datum, i: number): Const => ({
      kind: "const",
      type: inst.args[i]!.type,
      value: typeof d === "bigint" ? d : d.bytes ? 1n << 32n : 0n,
    });
    if (isBinary(inst.op)) {
      const width = inst.type === "i32" ? 32 : 64;
      return BigInt.asUintN(width, arithmetic(inst.op, asConst(args[0]!, 0), asConst(args[1]!, 1))!);
    }
    const [p, q] = args as [Pointer, Pointer];
    const at = inst.offset ?? 0;
    switch (inst.op) {
      case "icmp":
        return compare(inst.predicate!, asConst(args[0]!, 0), asConst(args[1]!, 1)) ? 1n : 0n;
      case "select":
        return args[0] === 0n ? args[2]! : args[1]!;
      case "opaque":
      case "inttoptr":
        return args[0]!;
      case "alloca":
        return { bytes: new Uint8Array(inst.size!), offset: 0 };
      case "load": {
        const raw = this.read(p, at, inst.bits!);
        const value = inst.signed ? BigInt.asIntN(inst.bits!, raw) : raw;
        return BigInt.asUintN(inst.type === "i32" ? 32 : 64, value);
      }
      case "store":
        this.write(p, at, inst.bits!, args[1] as bigint);
        return null;
      case "atomic": {
        const bits = inst.bits!;
        const old = this.read(p, at, bits);
        const x = args[1] as bigint;
        const next = {
          add: old + x,
          and: old & x,
          or: old | x,
          xor: old ^ x,
          xchg: x,
          cmpxchg: old === BigInt.asUintN(bits, x) ? (args[2] as bigint) : old,
        }[inst.atomic!];
        this.write(p, at, bits, next);
        return inst.type === "void" ? null : old;
      }
      case "memset":
        p.bytes!.fill(inst.byte!, p.offset + at, p.offset + at + inst.size!);
        return null;
      case "memcpy": {
        const start = q.offset + (inst.fromOffset ?? 0);
        p.bytes!.set(q.bytes!.slice(start, start + inst.size!), p.offset + at);
        return null;
      }
      case "ptradd":
        return { bytes: p.bytes, offset: p.offset + Number(BigInt.asIntN(64, args[1] as bigint)) };
      case "mapvalue":
        return { bytes: this.maps.get(inst.map!)!.array, offset: at };
      case "asm":
        this.runAssembly(inst, args);
        return null;
      case "asmresult": {
        const value = this.results.get(inst.args[0] as Inst)![at]!;
        return BigInt.asUintN(inst.type === "i32" ? 32 : 64, value);
      }
      case "mapref":
        return { bytes: null, offset: [...this.maps.keys()].indexOf(inst.map!) };
      case "call":
        return this.call(
          this.module.funcs.find((f) => f.name === inst.callee)!,
          args,
        );
      case "helper":
        return this.helper(inst, args);
      default: {
        const value = evaluate(inst, args.map(asConst));
        if (!value) throw new Error(`interpreter: ${inst.op}`);
        return value.value;
      }
    }
  }

  private runAssembly(inst: Inst, args: Datum[]): void {
    const inputs = args.map((a) => a as bigint);
    this.results.set(inst, ASSEMBLY.get(inst.asm!.template)!(...inputs));
  }

  private helper(inst: Inst, args: Datum[]): Datum {
    const map = (): { state: MapState; spec: Module["maps"][number] } => {
      const spec = this.module.maps[(args[0] as Pointer).offset]!;
      return { state: this.maps.get(spec.name)!, spec };
    };
    const bytes = (d: Datum, size: number): Uint8Array => {
      const p = d as Pointer;
      return p.bytes!.slice(p.offset, p.offset + size);
    };
    switch (inst.helper) {
      case HELPER.lookup: {
        const { state, spec } = map();
        const value = state.hash.get(bytes(args[1]!, spec.keySize).join());
        return { bytes: value ?? null, offset: 0 };
      }
      case HELPER.update: {
        const { state, spec } = map();
        const key = bytes(args[1]!, spec.keySize).join();
        const value = bytes(args[2]!, spec.valueSize);
        const old = state.hash.get(key);
        // Values found before stay the same memory.
        if (old) old.set(value);
        else state.hash.set(key, value);
        return 0n;
      }
      case HELPER.delete: {
        const { state, spec } = map();
        return state.hash.delete(bytes(args[1]!, spec.keySize).join()) ? 0n : BigInt.asUintN(64, -2n);
      }
      case HELPER.probeRead: {
        const [to, size, from] = args as [Pointer, bigint, Pointer | bigint];
        const source = typeof from === "bigint" ? null : from.bytes;
        const n = Number(size);
        if (source) to.bytes!.set(bytes(from, n), to.offset);
        else to.bytes!.fill(0, to.offset, to.offset + n);
        return 0n;
      }
      default:
        throw new Error(`interpreter: helper ${helperById(inst.helper!)?.name}`);
    }
  }

  private read(p: Pointer, at: number, bits: number): bigint {
    let value = 0n;
    for (let i = bits / 8 - 1; i >= 0; i--) value = (value << 8n) | BigInt(p.bytes![p.offset + at + i]!);
    return value;
  }

  private write(p: Pointer, at: number, bits: number, value: bigint): void {
    let v = BigInt.asUintN(bits, value);
    for (let i = 0; i < bits / 8; i++) {
      p.bytes![p.offset + at + i] = Number(v & 0xffn);
      v >>= 8n;
    }
  }
}
