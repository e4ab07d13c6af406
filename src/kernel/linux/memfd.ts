/** Files that exist only as descriptors. */
import { NativeMemory } from "./memory.ts";
import { OwnedFd } from "./fd.ts";
import { syscallFailure } from "./diagnose.ts";
import { syscall3 } from "./sys.ts";

const MFD_CLOEXEC = 1;

/** A file in memory with these bytes, closed on exec; `name` is shown below /proc. Throws SyscallError. */
export function createMemoryFile(name: string, bytes: Uint8Array): OwnedFd {
  const text = new TextEncoder().encode(`${name}\0`);
  const memory = new NativeMemory(Math.max(text.length, bytes.length));
  try {
    memory.bytes.set(text);
    const fd = syscall3("memfd_create", memory.address, MFD_CLOEXEC);
    if (fd < 0) throw syscallFailure({ call: "memfd_create", operation: "other", errno: -fd });
    const owned = new OwnedFd(fd, `file ${name} in memory`);
    memory.bytes.set(bytes);
    const written = syscall3("write", fd, memory.address, bytes.length);
    if (written !== bytes.length) {
      owned.close();
      throw syscallFailure({ call: `write(${name})`, operation: "other", errno: -written });
    }
    return owned;
  } finally {
    memory.free();
  }
}
