/**
 * Helpers that a program type may call.
 *
 * The verifier looks first whether the type may call the helper (EINVAL when not), and only then at the arguments (EACCES when one was
 * never set): `check_helper_call` in kernel/bpf/verifier.c. So each trial calls the helper with arguments that hold nothing: a call of a
 * subprogram before it has emptied r1 to r5. A helper without arguments is simply called. The same program without the call is known
 * to load, so nothing else can be refused, and no text of the verifier is read.
 */
import {
  type Insn,
  ProgType,
  callHelper,
  callLocal,
  encode,
  exit,
  helperById,
  helperByName,
  mov64Imm,
} from "../../../isa/index.ts";
import { checkPrivileges } from "../diagnose.ts";
import { Errno, errnoName } from "../../errno.ts";
import { hasKernelBtf, kernelBtf } from "../kernel-btf.ts";
import { type ProbeAnswer, no, reasonOf, unknown, yes } from "./answer.ts";
import { tryTrial } from "./load.ts";
import { typeName } from "./names.ts";
import { type ReadyVariant, waysOf } from "./variants.ts";

/** A program that calls a helper with nothing in its arguments, in the program's first instructions. */
function callingWithNothing(helperId: number, returns: number): Uint8Array {
  const insns: Insn[] = [callLocal(3), callHelper(helperId), mov64Imm(0, returns), exit(), mov64Imm(0, 0), exit()];
  return encode(insns);
}

/** Number and first version of a helper: from the table, or for a newer one from the kernel's BTF. */
function find(helper: string): { readonly id: number; readonly name: string; readonly since?: string } | undefined {
  const name = helper.replace(/^(?:BPF_FUNC_|bpf_)/, "");
  const known = helperByName(name);
  if (known !== undefined) return { id: known.id, name, since: known.since };
  const constant = hasKernelBtf() ? kernelBtf().enumValue(`BPF_FUNC_${name}`) : undefined;
  return constant === undefined ? undefined : { id: Number(constant.value), name };
}

/** Refusals that come after the arguments were looked at: of helpers that ask for more than a type of program (`check_get_func_ip`). */
const refusedLater: ReadonlySet<number> = new Set([Errno.EINVAL, Errno.ENOTSUPP]);

/** True when the kernel lets this variant call the helper; undefined when the answer was neither of the two. */
function mayCall(
  variant: ReadyVariant,
  helperId: number,
): { readonly may: boolean | undefined; readonly errno: number; readonly called: boolean } {
  const errno = tryTrial({ ...variant.trial, code: callingWithNothing(helperId, variant.returns) });
  if (errno === Errno.EINVAL) return { may: false, errno, called: false };
  if (errno !== 0 && errno !== Errno.EACCES) return { may: undefined, errno, called: false };
  const args = helperById(helperId)?.args;
  if (errno === 0 || args?.length !== 1 || args[0]!.kind !== "ctx") return { may: true, errno, called: errno === 0 };
  // The context is at hand, so the call can be a real one; EACCES is then a type whose helper takes something else.
  const code = encode([callHelper(helperId), mov64Imm(0, variant.returns), exit()]);
  const real = tryTrial({ ...variant.trial, code });
  return {
    may: !refusedLater.has(real),
    errno: real === 0 || refusedLater.has(real) ? real : errno,
    called: real === 0,
  };
}

/**
 * May programs of a type call this helper, named as `bpf_map_lookup_elem`, with or without prefix? Yes when any way to load such programs
 * may; the evidence says which. Extensions call what the program that they replace may call, so `EXT` cannot be told. Throws RangeError
 * for a name that neither Skep nor the kernel knows.
 */
export function probeHelper(helper: string, progType: number): ProbeAnswer {
  const found = find(helper);
  if (found === undefined)
    throw new RangeError(`helper ${helper}: neither Skep nor this kernel knows one of that name`);
  const { id, name, since } = found;
  const type = typeName(progType);
  if (hasKernelBtf() && kernelBtf().enumValue(`BPF_FUNC_${name}`) === undefined)
    return no(`BPF_FUNC_${name} is not in the kernel's BTF`, { since });
  if (progType === ProgType.EXT)
    return unknown(
      `bpf_${name} is in the kernel's helpers`,
      "an extension may call what the program that it replaces may call: ask for that program's type",
    );
  const { ready, refused } = waysOf(progType);
  const what = `bpf_${name} in programs of type ${type}`;
  if (ready.length === 0) {
    if (!checkPrivileges().ok) return unknown(what, reasonOf(Errno.EPERM));
    return refused.some(({ errno }) => errno === Errno.EPERM)
      ? unknown(`${what}: EPERM for an empty program`, reasonOf(Errno.EPERM))
      : no(
          `${what}: an empty program of that type does not load either`,
          "the kernel lacks the program type, or what it attaches to",
        );
  }
  const strange: number[] = [];
  for (const variant of ready) {
    const { may, errno, called } = mayCall(variant, id);
    const where = variant.label === "" ? type : `${type} (${variant.label})`;
    if (may === true)
      return yes(
        `a call of bpf_${name} by ${where}: ${called ? "success" : `${errnoName(errno)} for its missing arguments`}`,
      );
    if (may === undefined) strange.push(errno);
  }
  const evidence = `a call of bpf_${name} by ${type}: EINVAL in ${ready.length} ${ready.length === 1 ? "way" : "ways"} to load it`;
  if (strange.length > 0) return unknown(`${evidence} but ${strange.map(errnoName).join(", ")}`, reasonOf(strange[0]!));
  const hidden = refused.filter(({ errno }) => errno === Errno.EPERM);
  if (hidden.length > 0)
    return unknown(`${evidence}; EPERM in ${hidden.length} others (${hidden[0]!.label})`, reasonOf(Errno.EPERM));
  if (!checkPrivileges().ok) return unknown(evidence, reasonOf(Errno.EPERM));
  return no(evidence, { since });
}
