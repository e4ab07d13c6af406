/** Values without a register: their places in the frame, and the short-lived registers of each use. */
import { Bpf, defsOf, FP, isMove, termUses, usesOf } from "./machine.ts";
import type { FrameObject, MFunc, MInst, Reg } from "./machine.ts";

/** So many instructions a register of one use may live on for a second one. */
const REUSE = 2;

/** What is known of spilled registers. */
export interface Interference {
  /** Registers merged with one, itself included. */
  members(r: Reg): readonly Reg[];
  /** True when two are alive at one time. */
  conflict(a: Reg, b: Reg): boolean;
}

/** Puts registers into the frame: each use and each write gets a short-lived register of its own. */
export function spill(func: MFunc, spilled: readonly Reg[], unspillable: Set<Reg>, graph: Interference): void {
  const slots = new Map<Reg, FrameObject | MInst>();
  const shared: { slot: FrameObject; owners: Reg[] }[] = [];
  for (const r of spilled) {
    const members = graph.members(r);
    const remat = members.length === 1 ? func.remat.get(r) : undefined;
    let home: FrameObject | MInst;
    if (remat) home = remat;
    else {
      let entry = shared.find((s) => s.owners.every((o) => !graph.conflict(o, r)));
      if (!entry) {
        const slot: FrameObject = { size: 8, align: 8, name: "spill", offset: 0 };
        func.frame.push(slot);
        shared.push((entry = { slot, owners: [] }));
      }
      entry.owners.push(r);
      home = entry.slot;
    }
    for (const m of members) slots.set(m, home);
  }
  const isSlot = (home: FrameObject | MInst): home is FrameObject => "size" in home;
  for (const block of func.blocks) {
    const out: MInst[] = [];
    // What a slot holds is for a moment still in the register that it was written from or read into.
    let recent: { home: FrameObject; temp: Reg; at: number } | null = null;
    const remember = (home: FrameObject, temp: Reg): void => {
      recent = { home, temp, at: out.length };
    };
    const fetch = (r: Reg, position: MInst["position"]): Reg => {
      const home = slots.get(r)!;
      if (recent?.home === home && out.length - recent.at <= REUSE) return recent.temp;
      const temp = func.nextReg++;
      unspillable.add(temp);
      if (isSlot(home)) {
        out.push({ code: Bpf.LDX | Bpf.MEM | Bpf.DW, dst: temp, src: FP, off: 0, imm: 0, frame: home, position });
        remember(home, temp);
      } else out.push({ ...home, dst: temp, position });
      return temp;
    };
    for (const inst of block.insts) {
      const homeOfDst = slots.get(inst.dst);
      if (homeOfDst && !isSlot(homeOfDst) && defsOf(inst).includes(inst.dst)) continue;
      // A copy between spilled registers of one slot is nothing.
      if (isMove(inst) && homeOfDst && homeOfDst === slots.get(inst.src)) continue;
      const uses = usesOf(inst);
      const defs = defsOf(inst);
      const temps = new Map<Reg, Reg>();
      for (const r of uses) if (slots.has(r) && !temps.has(r)) temps.set(r, fetch(r, inst.position));
      const stores: [Reg, FrameObject][] = [];
      for (const r of defs) {
        const home = slots.get(r);
        if (!home || !isSlot(home)) continue;
        let temp = temps.get(r);
        if (temp === undefined) {
          temp = func.nextReg++;
          unspillable.add(temp);
          temps.set(r, temp);
        }
        stores.push([temp, home]);
      }
      if (inst.asm) inst.asm.regs = inst.asm.regs.map((r) => temps.get(r) ?? r);
      else if (inst.code !== Bpf.CALL) {
        inst.dst = temps.get(inst.dst) ?? inst.dst;
        inst.src = temps.get(inst.src) ?? inst.src;
      }
      out.push(inst);
      if (inst.code === Bpf.CALL || inst.asm) recent = null;
      for (const [temp, home] of stores) {
        const code = Bpf.STX | Bpf.MEM | Bpf.DW;
        out.push({ code, dst: FP, src: temp, off: 0, imm: 0, frame: home, position: inst.position });
        remember(home, temp);
      }
    }
    const t = block.term;
    if (t.kind === "cond") {
      const uses = termUses(t);
      const temps = new Map<Reg, Reg>();
      for (const r of uses) if (slots.has(r) && !temps.has(r)) temps.set(r, fetch(r, block.position));
      t.dst = temps.get(t.dst) ?? t.dst;
      t.src = temps.get(t.src) ?? t.src;
    }
    block.insts = out;
  }
}
