/** Registers struct_ops maps: tables of functions that the kernel calls, such as a TCP congestion control. */
import { SkepError, UnsupportedError } from "../../../base/index.ts";
import { MapFlags, MapType } from "../../../isa/index.ts";
import { tryStructOpsLink } from "../bpf-link.ts";
import { Errno } from "../../errno.ts";
import { OwnedFd, duplicateFd } from "../fd.ts";
import { LinuxLink } from "../link.ts";
import type { LinuxMap } from "../maps.ts";
import { attachFailure, onlyLink, tooOld } from "./common.ts";

/**
 * Registers a struct_ops map. With a link (Linux 6.4) it goes with the link, or with the process, whichever section it is from. Before,
 * writing its value registers it, and the kernel keeps it so: closing takes it off, and what a killed process left stays until
 * `bpftool struct_ops unregister`.
 */
export function attachStructOpsMap(map: LinuxMap): LinuxLink {
  const { name, type, flags } = map.spec;
  const what = `struct_ops ${name}`;
  const spec = { kind: "struct-ops", map: name } as const;
  if (type !== MapType.STRUCT_OPS) throw new TypeError(`${what}: map ${name} is of another type`);
  if ((flags & MapFlags.LINK) === 0) {
    // Loading leaves the value to us, since writing it registers. A map that came otherwise was written by whoever made it.
    if (map.structOpsValue !== undefined) map.update(new Uint8Array(4), map.structOpsValue);
    const holder = duplicateFd(map.fd, what);
    return new LinuxLink(spec, {
      holders: [holder],
      events: [],
      noLink: "the map's own value (links came with Linux 6.4)",
      takeOff: () => void map.delete(new Uint8Array(4)),
    });
  }
  const old = tooOld(`link to ${what}`, 6, 4, "put it in section .struct_ops");
  if (old !== undefined) throw old;
  const result = tryStructOpsLink(map.fd.value);
  if (result >= 0) return new LinuxLink(spec, onlyLink(new OwnedFd(result, `link ${what}`)));
  const cause = attachFailure(what, -result);
  if (result === -Errno.EEXIST || result === -Errno.EBUSY) {
    const why = "one of that name is registered already, or its kind bears only one";
    throw new UnsupportedError(what, why, { cause });
  }
  if (result === -Errno.EINVAL) {
    const why = "the kernel finds members missing or wrong in it, or its value was not written";
    throw new SkepError("struct-ops", `${what}: ${why}`, { cause });
  }
  throw cause;
}
