/** Atomic operations (RFC 9669 section 5.3). A program runs alone in its memory, so that plain loads and stores are atomic. */
import { Atomic, type Insn } from "../../isa/index.ts";

const TWO32 = 4_294_967_296;

/** Runs one on `size` bytes at the offset `at` of memory, which has been checked. Registers are pairs of halves. */
export function runAtomic(insn: Insn, r: Int32Array, view: DataView, at: number, size: number): void {
  const s = insn.src * 2;
  const wide = size === 8;
  if (insn.imm === Atomic.LOAD_ACQ) {
    const d = insn.dst * 2;
    r[d] = size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at, true) : view.getInt32(at, true);
    r[d + 1] = wide ? view.getInt32(at + 4, true) : 0;
    return;
  }
  if (insn.imm === Atomic.STORE_REL) {
    if (size === 1) view.setUint8(at, r[s]! & 0xff);
    else if (size === 2) view.setUint16(at, r[s]! & 0xffff, true);
    else view.setInt32(at, r[s]!, true);
    if (wide) view.setInt32(at + 4, r[s + 1]!, true);
    return;
  }
  const low = view.getInt32(at, true);
  const high = wide ? view.getInt32(at + 4, true) : 0;
  const set = (newLow: number, newHigh: number): void => {
    view.setInt32(at, newLow, true);
    if (wide) view.setInt32(at + 4, newHigh, true);
  };
  switch (insn.imm) {
    case Atomic.ADD:
    case Atomic.ADD | Atomic.FETCH: {
      const sum = (low >>> 0) + (r[s]! >>> 0);
      set(sum | 0, (high + r[s + 1]! + (sum >= TWO32 ? 1 : 0)) | 0);
      break;
    }
    case Atomic.OR:
    case Atomic.OR | Atomic.FETCH:
      set(low | r[s]!, high | r[s + 1]!);
      break;
    case Atomic.AND:
    case Atomic.AND | Atomic.FETCH:
      set(low & r[s]!, high & r[s + 1]!);
      break;
    case Atomic.XOR:
    case Atomic.XOR | Atomic.FETCH:
      set(low ^ r[s]!, high ^ r[s + 1]!);
      break;
    case Atomic.XCHG:
      set(r[s]!, r[s + 1]!);
      break;
    default:
      // CMPXCHG compares with r0, which always gets the old value.
      if (r[0] === low && (!wide || r[1] === high)) set(r[s]!, r[s + 1]!);
      r[0] = low;
      r[1] = high;
      return;
  }
  if ((insn.imm & Atomic.FETCH) !== 0) {
    r[s] = low;
    r[s + 1] = high;
  }
}
