/** One program for many system calls: it leaves at once when the call is none of the script's. */
import type { Value } from "../../../compiler/ir.ts";
import type { ProbeTarget } from "../checked.ts";
import type { Body } from "./body.ts";
import { readRegister } from "./builtins.ts";

/** Numbers that are compared one by one; more are looked up in a table. */
const COMPARED_NUMBERS = 4;

/** `TS_COMPAT` in `thread_info.status` of x86: a call of the 32-bit ABI, whose numbers mean other calls. */
const TS_COMPAT = 2;
/** `TIF_32BIT` in `thread_info.flags` of 64-bit Arm. */
const TIF_32BIT = 1 << 22;

/** Goes on for the system calls of the script alone; sets the number, and the probe's name where the body wants it. */
export function dispatchSyscalls(
  body: Body,
  syscalls: { readonly side: "enter" | "exit"; readonly numbers: ReadonlyMap<number, ProbeTarget> },
): void {
  const { b } = body;
  const skip = b.block("skip");
  // At the exit the number costs a call that takes the task: asked about first, the task need not be kept beyond it.
  const early = syscalls.side === "exit" && body.site.context === "syscall-task";
  if (early) excludeCompat(body, skip);
  const number = syscallNumber(body, syscalls.side);
  body.syscallNumber = number;
  const { numbers } = syscalls;
  const wantsName = body.program.uses.has("probe");
  if (numbers.size === 1 || (numbers.size <= COMPARED_NUMBERS && !wantsName)) {
    const pass = b.block("ours");
    const list = [...numbers.keys()];
    list.forEach((n, i) => {
      const next = i === list.length - 1 ? skip : b.block("next");
      b.branch(b.icmp("eq", number, body.int(n)), pass, next);
      if (next !== skip) b.moveTo(next);
    });
    b.moveTo(pass);
  } else {
    const index = lookupTable(body, number, numbers, wantsName, skip);
    if (wantsName) body.probeNameIndex = index;
  }
  if (!early) excludeCompat(body, skip);
  // Read here, the registers serve every place of the body; where none uses them, the optimiser drops the call.
  if (syscalls.side === "enter" && body.site.context === "syscall-task" && body.program.args) {
    readRegister(body, 0, 64);
  }
  const pass = b.here;
  b.moveTo(skip);
  b.return(body.int(0));
  b.moveTo(pass);
}

/** The number of the call; at the exit of one it is in the registers. */
function syscallNumber(body: Body, side: "enter" | "exit"): Value {
  const { b, script } = body;
  if (side === "enter") return b.load(body.context, 64, { offset: 8 });
  const { offset, bits } = script.registers.syscallNumber;
  return readRegister(body, offset, bits);
}

/** A table by number in a frozen map: 0 for calls that are not ours, else 1, or the index of the probe's name and 1. */
function lookupTable(
  body: Body,
  number: Value,
  numbers: ReadonlyMap<number, ProbeTarget>,
  names: boolean,
  skip: ReturnType<Body["b"]["block"]>,
): Value {
  const { b, script } = body;
  const count = Math.max(...numbers.keys()) + 1;
  const width = names ? 2 : 1;
  const table = new Uint8Array(Math.ceil((count * width) / 8) * 8);
  const view = new DataView(table.buffer);
  for (const [n, target] of numbers) {
    if (names) view.setUint16(n * 2, script.probeName(target.name) + 1, true);
    else view.setUint8(n, 1);
  }
  const map = script.constantMap(table);
  const known = b.block("known");
  b.branch(b.icmp("ult", number, body.int(count)), known, skip);
  b.moveTo(known);
  const at = names ? b.binary("shl", number, body.int(1)) : number;
  const entry = b.load(b.ptradd(b.mapvalue(map), at), names ? 16 : 8);
  const pass = b.block("ours");
  b.branch(b.icmp("ne", entry, body.int(0)), pass, skip);
  b.moveTo(pass);
  return names ? b.binary("sub", entry, body.int(1)) : entry;
}

/** Leaves for calls of the 32-bit ABI, as the kernel's own syscall events do (`arch_trace_is_compat_syscall`). */
function excludeCompat(body: Body, skip: ReturnType<Body["b"]["block"]>): void {
  const { b, script } = body;
  // `struct thread_info` is the first member of the task, and its layout is fixed: no types are read for it.
  const arm = script.env.arch === "aarch64";
  const offset = arm ? 0 : script.atLeast(5, 11) ? 16 : 8;
  const mask = arm ? TIF_32BIT : TS_COMPAT;
  let status: Value;
  if (script.kernelHasBtf && script.hasHelper("get_current_task_btf")) {
    status = b.load(body.helper("get_current_task_btf", [], "ptr"), 32, { offset, faultable: true });
  } else {
    const buffer = b.alloca(8, 8);
    body.probeRead("kernel", buffer, 0, 4, body.addressPlus(body.helper("get_current_task", []), offset));
    status = b.load(buffer, 32);
  }
  const pass = b.block("native");
  b.branch(b.icmp("eq", b.binary("and", status, body.int(mask)), body.int(0)), pass, skip);
  b.moveTo(pass);
}
