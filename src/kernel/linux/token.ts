/** BPF tokens: rights that the owner of a bpffs delegates to a user namespace. Linux 6.9. */
import { constants, openSync } from "node:fs";
import { UnsupportedError } from "../../base/index.ts";
import { BpfCmd } from "../../isa/index.ts";
import { bpf, bpfFailure } from "./bpf.ts";
import { TokenCreateAttr } from "./bpf-attr.ts";
import { Errno } from "../errno.ts";
import { OwnedFd } from "./fd.ts";
import { machine } from "./machine.ts";
import { callAttributes } from "./scratch.ts";

/** Why there is no token, by errno. */
const reasons: ReadonlyMap<number, string> = new Map([
  [
    Errno.ENOENT,
    "nothing is delegated there: mount it with delegate_cmds, delegate_maps, delegate_progs and delegate_attachs",
  ],
  [Errno.EINVAL, "it is no bpffs, or not its root"],
  [
    Errno.EOPNOTSUPP,
    "tokens are for user namespaces, and this process is in the first one, where capabilities suffice",
  ],
  [Errno.EPERM, "the bpffs belongs to another user namespace, or this process lacks CAP_BPF in its own"],
]);

/** Makes a token of the bpffs at `path`. The caller closes it. Throws UnsupportedError with the reason. */
export function createToken(path: string): OwnedFd {
  const directory = openBpffs(path);
  try {
    const result = bpf(
      BpfCmd.TOKEN_CREATE,
      callAttributes(TokenCreateAttr.SIZE).u32(TokenCreateAttr.BPFFS_FD, directory.value),
    );
    if (result >= 0) return new OwnedFd(result, `token of ${path}`);
    const why = machine.atLeast(6, 9) ? reasons.get(-result) : "needs Linux 6.9";
    const cause = bpfFailure(BpfCmd.TOKEN_CREATE, -result, path);
    if (why === undefined) throw cause;
    throw new UnsupportedError(`BPF token of ${path}`, why, { cause });
  } finally {
    directory.close();
  }
}

function openBpffs(path: string): OwnedFd {
  try {
    return new OwnedFd(openSync(path, constants.O_RDONLY | constants.O_DIRECTORY), `directory ${path}`);
  } catch (cause) {
    throw new UnsupportedError(`BPF token of ${path}`, `the directory cannot be opened: ${(cause as Error).message}`, {
      cause,
    });
  }
}
