/**
 * Kernel functions that programs may call.
 *
 * BTF of kernels built with a newer pahole (about 6.10 on) tags them `bpf_kfunc`; that is the whole answer. On others a function of the
 * name exists, and whether it may be called is asked of the verifier, which looks at that before it looks at arguments (`check_kfunc_call`).
 * It refuses with EACCES, as it does for some arguments too; so the same call is made of a function that is surely no kfunc, and only a
 * refusal that differs in nothing but the function's name and number counts as one. What the text says is never looked at.
 */
import { BtfKind, type Btf } from "../../../btf/index.ts";
import { ProgType, callKfunc, callLocal, encode, exit, mov64Imm } from "../../../isa/index.ts";
import { checkPrivileges } from "../diagnose.ts";
import { Errno, errnoName } from "../../errno.ts";
import type { OwnedFd } from "../fd.ts";
import { hasKernelBtf, kernelBtf, moduleBtf, modulesWithBtf, openModuleBtf } from "../kernel-btf.ts";
import { type ProbeAnswer, isSince, no, reasonOf, unknown, yes } from "./answer.ts";
import { type Trial, tryLogged } from "./load.ts";
import { typeName } from "./names.ts";
import { type ReadyVariant, waysOf } from "./variants.ts";

const TAG = "bpf_kfunc";

/** Functions of every kernel, with plain arguments, that no program may call. */
const noKfuncs = ["vfs_read", "kernel_read", "vfs_write", "dput", "kfree"];

/** How to ask for a kfunc. */
export interface KfuncQuestion {
  /** Only this module's; else the kernel's own, then those of all modules. */
  readonly module?: string;
  /** May programs of this type (`ProgType.*`) call it? Else: may any? */
  readonly progType?: number;
}

const tagged = new WeakMap<Btf, ReadonlySet<number>>();

/** Ids of the functions that a BTF (its own types) tags as kfuncs; empty when it tags none. */
function taggedIn(btf: Btf): ReadonlySet<number> {
  const known = tagged.get(btf);
  if (known !== undefined) return known;
  const ids = new Set<number>();
  for (const id of btf.idsByKind(BtfKind.DECL_TAG)) {
    if (id < btf.firstId || btf.nameOf(id) !== TAG) continue;
    const tag = btf.readType(id);
    if (tag.kind === BtfKind.DECL_TAG) ids.add(tag.typeId);
  }
  tagged.set(btf, ids);
  return ids;
}

/** Names of the kernel's kfuncs, or a module's, sorted. Undefined when the BTF does not tag them. Throws UnsupportedError without BTF. */
export function kfuncNames(module?: string): string[] | undefined {
  const btf = module === undefined ? kernelBtf() : moduleBtf(module);
  const ids = taggedIn(btf);
  if (ids.size === 0 && taggedIn(kernelBtf()).size === 0) return undefined;
  return [...ids].map((id) => btf.nameOf(id)).toSorted();
}

interface Found {
  readonly id: number;
  readonly btf: Btf;
  readonly module?: string;
}

function find(name: string, module: string | undefined): Found | undefined {
  if (module === undefined) {
    const id = kernelBtf().findByName(name, BtfKind.FUNC);
    if (id !== undefined) return { id, btf: kernelBtf() };
  }
  const modules = module === undefined ? modulesWithBtf() : modulesWithBtf().filter((one) => one === module);
  for (const one of modules) {
    const btf = moduleBtf(one);
    const id = btf.findOwnByName(name, BtfKind.FUNC);
    if (id !== undefined) return { id, btf, module: one };
  }
  return undefined;
}

function calling(way: ReadyVariant, id: number, moduleFd: OwnedFd | undefined): Trial {
  // A subprogram that is called first leaves nothing in r1 to r5.
  const code = encode([
    callLocal(3),
    callKfunc(id, moduleFd === undefined ? 0 : 1),
    mov64Imm(0, way.returns),
    exit(),
    mov64Imm(0, 0),
    exit(),
  ]);
  return { ...way.trial, code, ...(moduleFd === undefined ? {} : { moduleFds: [moduleFd.value] }) };
}

/** The verifier's words with the function left out. */
function nameless(log: string, name: string, id: number): string {
  return log.replaceAll(name, "").replaceAll(String(id), "");
}

/** How the verifier refuses a function that is no kfunc, in this way of loading; undefined when none of them can be tried. */
function refusal(way: ReadyVariant): { readonly errno: number; readonly log: string } | undefined {
  for (const name of noKfuncs) {
    const id = kernelBtf().findByName(name, BtfKind.FUNC);
    if (id === undefined) continue;
    const { errno, log } = tryLogged(calling(way, id, undefined));
    if (errno === Errno.EACCES) return { errno, log: nameless(log, name, id) };
  }
  return undefined;
}

/** Types asked in turn when the question names none: those with most kfuncs first. */
const allTypes: readonly number[] = [
  ...new Set<number>([
    ProgType.SYSCALL,
    ProgType.SCHED_CLS,
    ProgType.XDP,
    ProgType.TRACING,
    ProgType.LSM,
    ProgType.STRUCT_OPS,
    ...Object.values(ProgType).filter((type) => type !== ProgType.UNSPEC && type !== ProgType.EXT),
  ]),
];

function askVerifier(name: string, found: Found, types: readonly number[]): ProbeAnswer {
  const where = found.module === undefined ? "" : ` of module ${found.module}`;
  if (!checkPrivileges().ok) return unknown(`function ${name}${where} is in the kernel's BTF`, reasonOf(Errno.EPERM));
  const moduleFd = found.module === undefined ? undefined : openModuleBtf(found.module);
  let asked = 0;
  let hidden = 0;
  let early = 0;
  try {
    for (const type of types) {
      const { ready, refused } = waysOf(type);
      hidden += refused.filter(({ errno }) => errno === Errno.EPERM).length;
      for (const way of ready) {
        const refuses = refusal(way);
        if (refuses === undefined) continue;
        asked++;
        const { errno, log } = tryLogged(calling(way, found.id, moduleFd));
        if (errno === refuses.errno && nameless(log, name, found.id) === refuses.log) continue;
        // Refused before anything was verified, so the log shows no instruction of the program.
        if (errno !== 0 && !log.startsWith("0:") && !log.includes("\n0:")) {
          early++;
          continue;
        }
        const label = way.label === "" ? typeName(type) : `${typeName(type)} (${way.label})`;
        return yes(
          `a call of ${name}${where} by ${label}: ${errno === 0 ? "success" : `${errnoName(errno)} for its missing arguments`}`,
        );
      }
    }
  } finally {
    moduleFd?.close();
  }
  // Where kfuncs are unknown, every call of a kernel function is a malformed instruction.
  if (asked === 0 && !isSince("5.13")) {
    const evidence = `function ${name}${where} is in the kernel's BTF, and no program may call kernel functions`;
    return no(evidence, { since: "5.13" });
  }
  if (asked === 0)
    return unknown(`function ${name}${where} is in the kernel's BTF`, "no program loads that could call it");
  const evidence = `a call of ${name}${where}: refused as that of a function which is no kfunc, in ${asked} ${asked === 1 ? "way" : "ways"} to load it`;
  if (early > 0)
    return unknown(evidence, "it asks for more of a program than to be of some type, such as being bound to a device");
  return hidden > 0 ? unknown(`${evidence}; EPERM in ${hidden} others`, reasonOf(Errno.EPERM)) : no(evidence);
}

/** Is there a kernel function of this name that programs may call? */
export function probeKfunc(name: string, question: KfuncQuestion = {}): ProbeAnswer {
  if (!hasKernelBtf()) return no(`kfunc ${name}: the kernel gives no BTF, without which none can be called`);
  const found = find(name, question.module);
  if (found === undefined) {
    const where =
      question.module === undefined ? "the kernel's BTF nor in its modules'" : `the BTF of module ${question.module}`;
    return no(`no function ${name} is in ${where}`);
  }
  if (question.progType !== undefined) return askVerifier(name, found, [question.progType]);
  if (taggedIn(kernelBtf()).size > 0) {
    const of = found.module === undefined ? "the kernel's BTF" : `the BTF of module ${found.module}`;
    return taggedIn(found.btf).has(found.id)
      ? yes(`function ${name} is tagged ${TAG} in ${of}`)
      : no(`function ${name} is in ${of}, which tags other functions as ${TAG} and not this one`);
  }
  return askVerifier(name, found, allTypes);
}
