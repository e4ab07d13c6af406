/** What code does with addresses of variables: whether it only reads there. */
import type { Inst, Module, Value } from "../../../compiler/index.ts";

/** Addresses of a module through which something may be written, or that go where nobody can follow them. */
export function escapingAddresses(module: Module): ReadonlySet<Inst> {
  const escaping = new Set<Inst>();
  const escape = (value: Value | undefined | null): void => {
    for (let at = value; at?.kind === "inst" && !escaping.has(at); at = at.args[0]) {
      escaping.add(at);
      // What escapes with a step goes with the address that was stepped from.
      if (at.op !== "ptradd") return;
    }
  };
  for (const func of module.funcs) {
    for (const { insts, terminator } of func.blocks) {
      for (const inst of insts) inst.args.forEach((arg, i) => !isRead(inst, i) && escape(arg));
      if (terminator?.kind === "return") escape(terminator.value);
    }
  }
  return escaping;
}

/** True when an instruction only reads through its operand, or makes an address of it that is looked at on its own. */
function isRead(inst: Inst, operand: number): boolean {
  switch (inst.op) {
    case "load":
      return inst.volatile !== true;
    case "memcpy":
      return operand === 1;
    case "ptradd":
    case "icmp":
      return true;
    default:
      return false;
  }
}
