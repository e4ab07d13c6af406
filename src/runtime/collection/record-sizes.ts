/** Which sizes of records the code of an object writes to its ring buffers and perf buffers, as far as they are constants. */
import { ParseError } from "../../base/index.ts";
import { Btf, decodeLineInfo } from "../../btf/index.ts";
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
import type { BpfObject, ProgramSpec } from "../../object/index.ts";

/** One place in a program that writes a record. */
export interface RecordSite {
  readonly program: string;
  readonly insnIndex: number;
  /** Name of the map that the record goes to. */
  readonly map: string;
  /** Bytes; undefined when only the running program knows. */
  readonly size: number | undefined;
  /** Text of the C line, when the object tells. */
  readonly source?: string;
  /** `file.c:12`. */
  readonly place?: string;
}

/** Registers of the map and of the size, by the helper that writes. */
const writers: ReadonlyMap<number, { readonly map: number; readonly size: number }> = new Map(
  (
    [
      ["ringbuf_reserve", { map: 1, size: 2 }],
      ["ringbuf_output", { map: 1, size: 3 }],
      ["ringbuf_reserve_dynptr", { map: 1, size: 2 }],
      ["perf_event_output", { map: 2, size: 5 }],
      ["skb_output", { map: 2, size: 5 }],
      ["xdp_output", { map: 2, size: 5 }],
    ] as const
  ).flatMap(([name, registers]) => {
    const helper = helperByName(name);
    return helper === undefined ? [] : [[helper.id, registers] as const];
  }),
);

/** What is known of a register: a number, a map, or nothing. */
type Known = number | { readonly map: string } | undefined;

const REGISTERS = 11;
/** r0 to r5 are what a call leaves undefined. */
const SCRATCHED = 6;

/** All places of an object's programs that write records. Code that cannot be read has none. */
export function recordSites(object: BpfObject): RecordSite[] {
  const btf = object.btf === undefined ? undefined : Btf.parse(object.btf);
  return object.programs.flatMap((program) => sitesOf(program, btf));
}

function sitesOf(program: ProgramSpec, btf: Btf | undefined): RecordSite[] {
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
  if (![...bySlot.values()].some((insn) => isWriter(insn))) return [];
  const states = propagate(program, bySlot);
  const lines = btf === undefined ? [] : decodeLineInfo(program.lineInfo, btf.strings);
  const sites: RecordSite[] = [];
  for (const [slot, insn] of bySlot) {
    const state = states.get(slot);
    if (!isWriter(insn) || state === undefined) continue;
    const registers = writers.get(insn.imm)!;
    const map = state[registers.map];
    if (typeof map !== "object") continue;
    const size = state[registers.size];
    const line = lines.findLast(({ insnIndex }) => insnIndex <= slot);
    sites.push({
      program: program.name,
      insnIndex: slot,
      map: map.map,
      size: typeof size === "number" ? size : undefined,
      ...(line === undefined ? {} : { source: line.source.trim(), place: `${line.file}:${line.line}` }),
    });
  }
  return sites;
}

function isWriter(insn: Insn): boolean {
  return OPCODE_FORMS[insn.opcode] === "call" && insn.src === 0 && writers.has(insn.imm);
}

/** What is known of the registers before each instruction, joined over all ways that lead there. */
function propagate(program: ProgramSpec, bySlot: ReadonlyMap<number, Insn>): Map<number, Known[]> {
  const maps = new Map(program.relocations.flatMap((r) => (r.kind === "map" ? [[r.insnIndex, r.map] as const] : [])));
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
    // Subprograms begin with what is not looked after here.
    if (target !== undefined) reach(target, form === "call" ? unknown() : state);
    if (form !== "goto" && form !== "gotol" && form !== "exit" && form !== "gotox") {
      reach(slot + slotsOf(insn), state);
    }
    if (form === "ld-imm64" && insn.src === PseudoImm64.FUNC) reach(slot + 1 + insn.imm, unknown());
  }
  return states;
}

function equal(a: Known, b: Known): boolean {
  return typeof a === "object" && typeof b === "object" ? a.map === b.map : a === b;
}

/** What an instruction leaves in the registers. */
function step(state: Known[], insn: Insn, map: string | undefined): void {
  const { dst, src, imm } = insn;
  switch (OPCODE_FORMS[insn.opcode]) {
    case "ld-imm64":
      state[dst] = map === undefined ? undefined : { map };
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
    case "call":
    case "callx":
    case "ld-abs":
    case "ld-ind":
      state.fill(undefined, 0, SCRATCHED);
      break;
    default:
  }
}
