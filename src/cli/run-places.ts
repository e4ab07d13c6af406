/** `--attach PROGRAM=WHERE`: places from the command line. */
import { nearestNames, UsageError } from "../base/index.ts";
import { AttachType, ProgType } from "../isa/index.ts";
import { machine } from "../kernel/linux/index.ts";
import { type AttachRequest, type ProgramSpec, sectionMeaning } from "../object/index.ts";
import type { Collection } from "../runtime/collection/collection.ts";
import type { EditableProgram } from "../runtime/collection/spec.ts";

const cgroupTypes: ReadonlySet<number> = new Set([
  ProgType.CGROUP_SKB,
  ProgType.CGROUP_SOCK,
  ProgType.CGROUP_DEVICE,
  ProgType.CGROUP_SOCK_ADDR,
  ProgType.CGROUP_SYSCTL,
  ProgType.CGROUP_SOCKOPT,
  ProgType.SOCK_OPS,
]);

/** Which way a classifier looks by what it was made for. */
const directions: ReadonlyMap<number, "ingress" | "egress"> = new Map([
  [AttachType.TCX_INGRESS, "ingress"],
  [AttachType.TCX_EGRESS, "egress"],
]);

/** Sets the places that options name. `guesses`: programs whose type nothing says, so that their places do. Throws UsageError with what a place of that program looks like. */
export function setPlaces(
  collection: Collection,
  settings: readonly string[],
  command: string,
  guesses: ReadonlySet<string> = new Set(),
): void {
  for (const setting of settings) {
    const fail = (why: string): never => {
      throw new UsageError(`skep ${command}: --attach ${setting}: ${why}`);
    };
    const [, name, where] = /^([^=]+)=(.+)$/.exec(setting) ?? [];
    if (name === undefined) fail("PROGRAM=WHERE is wanted");
    const names = collection.object.programs.map((program) => program.name);
    if (!names.includes(name!)) {
      const near = nearestNames(name!, names, 1);
      fail(
        `the object has no such program (${near.length > 0 ? `did you mean ${near[0]}?` : `it has ${names.join(", ")}`})`,
      );
    }
    const program = collection.spec.programs[name!]!;
    program.autoload = true;
    program.attach = placeOf(program, where!, fail, guesses.has(name!));
  }
}

function placeOf(
  program: EditableProgram,
  where: string,
  fail: (why: string) => never,
  isGuess: boolean,
): AttachRequest {
  const said = isGuess ? sectionMeaning(where) : undefined;
  if (said !== undefined) program.type = said.type;
  const { type, expectedAttachType } = program;
  if (cgroupTypes.has(type)) {
    if (!where.startsWith("/")) fail("a directory of cgroup2 is wanted, such as /sys/fs/cgroup/user.slice");
    return { kind: "cgroup", path: where };
  }
  if (type === ProgType.XDP) return { kind: "xdp", device: where };
  if (type === ProgType.SCHED_CLS) {
    const [device = "", way] = where.split(":");
    if (expectedAttachType === AttachType.NETKIT_PRIMARY || expectedAttachType === AttachType.NETKIT_PEER) {
      return { kind: "netkit", device };
    }
    const direction = way ?? directions.get(expectedAttachType);
    if (device === "" || (direction !== "ingress" && direction !== "egress")) {
      fail("a device and a direction are wanted, such as eth0:ingress");
    }
    // Links to devices came with Linux 6.6.
    return { kind: machine.atLeast(6, 6) ? "tcx" : "tc", device, direction: direction as "ingress" | "egress" };
  }
  // Others are said as C programs say them.
  const meaning = sectionMeaning(where);
  if (meaning === undefined)
    return fail("a name as in SEC() is wanted, such as tp/sched/sched_switch or uprobe/libc.so.6:malloc");
  if (meaning.problem !== undefined) fail(meaning.problem);
  if (meaning.attach === undefined) fail(`${where} names no place`);
  if (meaning.type !== type) fail(`the program is of another type than ${where}`);
  if (meaning.attachTo !== undefined) program.attachTo = meaning.attachTo;
  program.expectedAttachType = meaning.expectedAttachType;
  return meaning.attach!;
}

/** A place that a program could be given on the command line, as an example; undefined for programs that have none there. */
export function placeExample({ name, type, section, expectedAttachType }: ProgramSpec): string | undefined {
  const base = section?.replace(/^\?/, "").split("/")[0] ?? "";
  const where = (): string | undefined => {
    if (cgroupTypes.has(type)) return "/sys/fs/cgroup/user.slice";
    switch (type) {
      case ProgType.XDP:
        return "eth0";
      case ProgType.SCHED_CLS:
        return directions.has(expectedAttachType) ? "eth0" : "eth0:ingress";
      case ProgType.KPROBE:
        if (base.startsWith("usdt")) return `${base}//usr/bin/PROGRAM:PROVIDER:NAME`;
        return `${base || "kprobe"}/${base.startsWith("u") ? "/bin/bash:main" : "vfs_read"}`;
      case ProgType.TRACEPOINT:
        return `${base || "tp"}/sched/sched_switch`;
      case ProgType.RAW_TRACEPOINT:
        return `${base || "raw_tp"}/sched_switch`;
      default:
        return undefined;
    }
  };
  const place = where();
  return place === undefined ? undefined : `--attach ${name}=${place}`;
}
