/** Attaches to cgroups: packets, sockets and their addresses and options, devices, sysctl, LSM hooks of the tasks in them. */
import { SkepError, UnsupportedError } from "../../../base/index.ts";
import { AttachFlags, AttachType, ProgType } from "../../../isa/index.ts";
import { queryPrograms, tryProgAttach, tryProgDetach, tryTargetLink } from "../bpf-link.ts";
import { Errno } from "../../errno.ts";
import { OwnedFd } from "../fd.ts";
import { LinuxLink } from "../link.ts";
import { machine } from "../machine.ts";
import type { LinuxProgram } from "../programs.ts";
import { openCgroup } from "./cgroup-path.ts";
import { type SpecOf, attachFailure, builtWithout, tooOld, withoutLink } from "./common.ts";
import { namePrograms } from "./occupants.ts";
import { requireBpfLsm } from "./tracing.ts";

/** Where programs go that were loaded without an attach type, by `ProgType.*`. */
const defaultTypes: ReadonlyMap<number, number> = new Map([
  [ProgType.CGROUP_SKB, AttachType.CGROUP_INET_INGRESS],
  [ProgType.CGROUP_SOCK, AttachType.CGROUP_INET_SOCK_CREATE],
  [ProgType.SOCK_OPS, AttachType.CGROUP_SOCK_OPS],
  [ProgType.CGROUP_DEVICE, AttachType.CGROUP_DEVICE],
  [ProgType.CGROUP_SYSCTL, AttachType.CGROUP_SYSCTL],
]);

/** Types of programs that go to cgroups. */
const cgroupTypes: ReadonlySet<number> = new Set([
  ...defaultTypes.keys(),
  ProgType.CGROUP_SOCK_ADDR,
  ProgType.CGROUP_SOCKOPT,
  ProgType.LSM,
]);

const modeFlags = {
  multi: AttachFlags.ALLOW_MULTI,
  override: AttachFlags.ALLOW_OVERRIDE,
  exclusive: 0,
} as const;

/**
 * Attaches to a cgroup: by a link, or, where the mode or a kernel before 5.7 wants it, without one. What is attached without a link
 * stays when the process is killed, until the cgroup is removed; closing takes it off.
 */
export function attachCgroup(program: LinuxProgram, spec: SpecOf<"cgroup">): LinuxLink {
  const { type, name, expectedAttachType } = program.spec;
  const what = `cgroup ${spec.path}`;
  if (!cgroupTypes.has(type)) throw new TypeError(`${what}: program ${name} is of a type that does not go to cgroups`);
  if (type === ProgType.LSM) {
    if (expectedAttachType !== AttachType.LSM_CGROUP)
      throw new TypeError(`${what}: program ${name} is for all tasks (SEC("lsm_cgroup/HOOK") is wanted)`);
    requireBpfLsm(`LSM hook ${program.spec.attachTo ?? name} of ${what}`);
  }
  const attachType = expectedAttachType === 0 ? (defaultTypes.get(type) ?? 0) : expectedAttachType;
  const missing = builtWithout(what, "CONFIG_CGROUP_BPF");
  if (missing !== undefined) throw missing;
  const cgroup = openCgroup(what, spec.path);
  try {
    const mode = spec.mode ?? "multi";
    if (mode !== "multi" && (spec.anchor !== undefined || spec.preorder === true))
      throw new TypeError(`${what}: a place among others goes with mode multi, not ${mode}`);
    // Programs of LSM have links only.
    const byLink = mode === "multi" && (machine.atLeast(5, 7) || attachType === AttachType.LSM_CGROUP);
    if (!byLink) return attachPlainly(program, spec, cgroup, { attachType, flags: modeFlags[mode] }, what);
    const old =
      (attachType === AttachType.LSM_CGROUP ? tooOld(`LSM programs of ${what}`, 6, 0) : undefined) ??
      (spec.preorder === true ? tooOld(`preorder in ${what}`, 6, 15) : undefined) ??
      (spec.anchor === undefined ? undefined : tooOld(`a place among programs of ${what}`, 6, 17));
    if (old !== undefined) throw old;
    const result = tryTargetLink({
      progFd: program.fd.value,
      target: cgroup.value,
      attachType,
      flags: spec.preorder === true ? AttachFlags.PREORDER : 0,
      anchor: spec.anchor,
    });
    if (result < 0) throw cgroupFailure(spec, attachType, cgroup, what, -result);
    cgroup.close();
    return new LinuxLink(spec, { holders: [new OwnedFd(result, `link ${what}`)], events: [] });
  } catch (error) {
    cgroup.close();
    throw error;
  }
}

/** Without a link. Takes the cgroup's descriptor over. */
function attachPlainly(
  program: LinuxProgram,
  spec: SpecOf<"cgroup">,
  cgroup: OwnedFd,
  how: { readonly attachType: number; readonly flags: number },
  what: string,
): LinuxLink {
  const { attachType, flags } = how;
  const result = tryProgAttach({ target: cgroup.value, progFd: program.fd.value, attachType, flags });
  if (result < 0) throw cgroupFailure(spec, attachType, cgroup, what, -result);
  const fds = withoutLink(program, what, `the cgroup itself, in mode ${spec.mode ?? "multi"}`, () => {
    const off = tryProgDetach({ target: cgroup.value, progFd: fds.holders[0]!.value, attachType });
    // ENOENT: somebody else took it off, or put another program in its place.
    if (off < 0 && off !== -Errno.ENOENT && off !== -Errno.EINVAL)
      throw new SkepError(
        "program-left",
        `${what}: the program cannot be taken off: ${attachFailure(what, -off).message}`,
      );
  });
  return new LinuxLink(spec, { ...fds, holders: [...fds.holders, cgroup] });
}

function cgroupFailure(
  spec: SpecOf<"cgroup">,
  attachType: number,
  cgroup: OwnedFd,
  what: string,
  errno: number,
): Error {
  const cause = attachFailure(what, errno);
  if (errno === Errno.E2BIG) {
    return new UnsupportedError(what, "it has 64 programs of this kind, the most that the kernel allows", { cause });
  }
  if (errno === Errno.EPERM) {
    const there = queryPrograms(cgroup.value, attachType);
    if (there !== undefined && there.ids.length > 0 && there.flags !== AttachFlags.ALLOW_MULTI) {
      const way = there.flags === AttachFlags.ALLOW_OVERRIDE ? "override" : "exclusive";
      const why = `${namePrograms(there.ids)} is attached there in mode ${way}, which bears no others: detach it, or attach in mode ${way}`;
      return new UnsupportedError(what, why, { cause });
    }
    if (there !== undefined && there.ids.length > 0 && spec.mode !== undefined && spec.mode !== "multi") {
      const why = `${namePrograms(there.ids)} is attached there in mode multi, which mode ${spec.mode} cannot join`;
      return new UnsupportedError(what, why, { cause });
    }
    const above = queryPrograms(cgroup.value, attachType, 1);
    if (above !== undefined && above.ids.length > 0) {
      const why = `${namePrograms(above.ids)} of a cgroup above is attached in mode exclusive, which bears no programs below`;
      return new UnsupportedError(what, why, { cause });
    }
  }
  return cause;
}
