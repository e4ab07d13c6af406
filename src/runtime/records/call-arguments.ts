/** What a program's code gives to helpers, as far as it is constant: maps, places in maps, numbers. */
import { ParseError } from "../../base/index.ts";
import {
  Alu,
  Class,
  decode,
  helperByName,
  type Insn,
  OPCODE_FORMS,
  PseudoImm64,
  slotsOf,
  targetOf,
} from "../../isa/index.ts";
import type { ProgramSpec } from "../../object/index.ts";

/** What is known of a register: a number, a map, a place in a map's first value, a value that was looked up in a map, or nothing. */
export type Known = number | { readonly map: string; readonly offset?: number; readonly isValue?: true } | undefined;

/** A call of a helper, with what is known of the registers before it. */
export interface HelperCall {
  readonly insnIndex: number;
  /** Number of the helper. */
  readonly helper: number;
  /** r0 to r10. */
  readonly registers: readonly Known[];
}

/** The helper that gives a pointer to a map's value. */
const LOOKUP: number | undefined = helperByName("map_lookup_elem")?.id;

const REGISTERS = 11;
/** r0 to r5 are what a call leaves undefined. */
const SCRATCHED = 6;

/** The calls of some helpers that can be reached. Code that cannot be read has none. */
export function helperCalls(program: ProgramSpec, helpers: { has(helper: number): boolean }): HelperCall[] {
  let insns: Insn[];
  try {
    insns = decode(program.code);
  } catch (error) {
    if (error instanceof ParseError) return [];
    throw error;
  }
  const bySlot = new Map<number, Insn>();
  let slots = 0;
  for (const insn of insns) {
    bySlot.set(slots, insn);
    slots += slotsOf(insn);
  }
  const isWanted = (insn: Insn): boolean =>
    OPCODE_FORMS[insn.opcode] === "call" && insn.src === 0 && helpers.has(insn.imm);
  if (!insns.some(isWanted)) return [];
  const states = propagate(program, bySlot);
  return [...bySlot].flatMap(([insnIndex, insn]) => {
    const registers = states.get(insnIndex);
    return isWanted(insn) && registers !== undefined ? [{ insnIndex, helper: insn.imm, registers }] : [];
  });
}

/** What is known of the registers before each instruction, joined over all ways that lead there. */
function propagate(program: ProgramSpec, bySlot: ReadonlyMap<number, Insn>): Map<number, Known[]> {
  const maps = new Map<number, Known>(
    program.relocations.flatMap((r): [number, Known][] =>
      r.kind === "map"
        ? [[r.insnIndex, { map: r.map }]]
        : r.kind === "map-value"
          ? [[r.insnIndex, { map: r.map, offset: r.offset }]]
          : [],
    ),
  );
  const states = new Map<number, Known[]>();
  const waiting: number[] = [];
  const reach = (slot: number, state: readonly Known[]): void => {
    const before = states.get(slot);
    if (before === undefined) {
      states.set(slot, [...state]);
      waiting.push(slot);
      return;
    }
    // Knowledge is only ever lost here, eleven times a slot at most.
    let changed = false;
    for (let r = 0; r < REGISTERS; r++) {
      if (before[r] !== undefined && !equal(before[r], state[r])) {
        before[r] = undefined;
        changed = true;
      }
    }
    if (changed) waiting.push(slot);
  };
  const unknown = (): Known[] => Array.from<Known>({ length: REGISTERS });
  reach(0, unknown());
  for (let slot = waiting.pop(); slot !== undefined; slot = waiting.pop()) {
    const insn = bySlot.get(slot);
    if (insn === undefined) continue;
    const state = [...states.get(slot)!];
    step(state, insn, maps.get(slot));
    const form = OPCODE_FORMS[insn.opcode];
    const target = targetOf(insn, slot);
    // Of a subprogram only the arguments are known, as far as all its callers agree.
    const isCall = form === "call";
    if (target !== undefined) reach(target, isCall ? argumentsOf(states.get(slot)!) : state);
    if (form !== "goto" && form !== "gotol" && form !== "exit" && form !== "gotox") {
      reach(slot + slotsOf(insn), state);
    }
    if (form === "ld-imm64" && insn.src === PseudoImm64.FUNC) reach(slot + 1 + insn.imm, unknown());
  }
  return states;
}

/** What a subprogram sees of its caller's registers: r1 to r5. */
function argumentsOf(state: readonly Known[]): Known[] {
  return state.map((known, register) => (register >= 1 && register < SCRATCHED ? known : undefined));
}

function equal(a: Known, b: Known): boolean {
  return typeof a === "object" && typeof b === "object"
    ? a.map === b.map && a.offset === b.offset && a.isValue === b.isValue
    : a === b;
}

/** What an instruction leaves in the registers. */
function step(state: Known[], insn: Insn, loaded: Known): void {
  const { dst, src, imm } = insn;
  switch (OPCODE_FORMS[insn.opcode]) {
    case "ld-imm64":
      state[dst] = loaded;
      break;
    case "alu-imm":
    case "alu-reg": {
      const isMove = (insn.opcode & 0xf0) === Alu.MOV && insn.off === 0;
      if (!isMove) state[dst] = undefined;
      else if (OPCODE_FORMS[insn.opcode] === "alu-imm") state[dst] = imm;
      else {
        const from = state[src];
        state[dst] = (insn.opcode & 7) === Class.ALU64 || typeof from === "number" ? from : undefined;
      }
      break;
    }
    case "neg":
    case "endian":
    case "bswap":
    case "load":
    case "load-sx":
      state[dst] = undefined;
      break;
    case "atomic":
      state[src] = undefined;
      state[0] = undefined;
      break;
    case "call": {
      const map = state[1];
      const isLookup = insn.src === 0 && imm === LOOKUP && typeof map === "object" && map.offset === undefined;
      state.fill(undefined, 0, SCRATCHED);
      if (isLookup && map.isValue === undefined) state[0] = { map: map.map, isValue: true };
      break;
    }
    case "callx":
    case "ld-abs":
    case "ld-ind":
      state.fill(undefined, 0, SCRATCHED);
      break;
    default:
  }
}
