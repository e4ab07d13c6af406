/** BTF of the running kernel and of its modules. */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readdirSync } from "node:fs";
import { Btf, type BtfKind } from "../../btf/index.ts";
import { UnsupportedError } from "../../base/index.ts";
import { describeBtf, objectIds, openById } from "./bpf.ts";
import type { OwnedFd } from "./fd.ts";
import { machine } from "./machine.ts";
import { Mmap, syscall6, viewMemory } from "./sys.ts";

const directory = "/sys/kernel/btf";

let vmlinux: Btf | undefined;

/** True when the running kernel tells its types (CONFIG_DEBUG_INFO_BTF). Costs one look at a path. */
export function hasKernelBtf(): boolean {
  return vmlinux !== undefined || existsSync(`${directory}/vmlinux`);
}

/**
 * The bytes of the kernel's types. Since Linux 6.16 they can be mapped: reading them takes a system call for each of some 1,500 pages,
 * and six megabytes of memory that the kernel holds anyway. The mapping stays for the life of the process, as the types do.
 */
function vmlinuxBytes(): Uint8Array {
  const path = `${directory}/vmlinux`;
  return (machine.atLeast(6, 16) ? mapped(path) : undefined) ?? readFileSync(path);
}

/** A file mapped into memory; undefined where that cannot be done, and when calls are only pretended. */
function mapped(path: string): Uint8Array | undefined {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const address = syscall6("mmap", 0, size, Mmap.PROT_READ, Mmap.MAP_PRIVATE, file, 0);
    if (address < 0) return undefined;
    const bytes = new Uint8Array(viewMemory(address, size));
    return bytes[0] === 0 && bytes[1] === 0 ? undefined : bytes;
  } catch (error) {
    // Without koffi the types can still be read.
    if (error instanceof UnsupportedError) return undefined;
    throw error;
  } finally {
    closeSync(file);
  }
}

/** BTF of the running kernel, read once. Throws UnsupportedError when it was built without. */
export function kernelBtf(): Btf {
  if (vmlinux !== undefined) return vmlinux;
  let bytes: Uint8Array;
  try {
    bytes = vmlinuxBytes();
  } catch (cause) {
    const why =
      machine.kernelOption("CONFIG_DEBUG_INFO_BTF") === "n"
        ? "this kernel was built without it (CONFIG_DEBUG_INFO_BTF is not set)"
        : `${directory}/vmlinux cannot be read`;
    throw new UnsupportedError("kernel BTF", why, { cause });
  }
  try {
    vmlinux = Btf.parse(bytes);
  } catch (cause) {
    throw new UnsupportedError("kernel BTF", `${directory}/vmlinux cannot be understood: ${(cause as Error).message}`, {
      cause,
    });
  }
  return vmlinux;
}

/** Names of the modules that have BTF, sorted. */
export function modulesWithBtf(): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name !== "vmlinux")
    .toSorted();
}

const modules = new Map<string, Btf>();

/** BTF of a module on top of the kernel's, read once. */
export function moduleBtf(name: string): Btf {
  const known = modules.get(name);
  if (known !== undefined) return known;
  const btf = Btf.parse(readFileSync(`${directory}/${name}`), { base: kernelBtf() });
  modules.set(name, btf);
  return btf;
}

/** A type of the kernel or of a module. */
export interface KernelType {
  readonly id: number;
  /** The module whose own types hold it. */
  readonly module?: string;
}

/** Looks up a type in the kernel, then in its modules. */
export function findKernelType(name: string, kind: BtfKind): KernelType | undefined {
  const id = kernelBtf().findByName(name, kind);
  if (id !== undefined) return { id };
  for (const module of modulesWithBtf()) {
    const found = moduleBtf(module).findOwnByName(name, kind);
    if (found !== undefined) return { id: found, module };
  }
  return undefined;
}

/** Looks up a type among those that are a module's own. */
export function findModuleType(module: string, name: string, kind: BtfKind): KernelType | undefined {
  const id = moduleBtf(module).findOwnByName(name, kind);
  return id === undefined ? undefined : { id, module };
}

/** A descriptor of a module's BTF, which the caller closes; undefined when the module is gone. Linux 5.11. */
export function openModuleBtf(module: string): OwnedFd | undefined {
  for (const id of objectIds("btf")) {
    const fd = openById("btf", id);
    if (fd === undefined) continue;
    const description = describeBtf(fd.value);
    if (description.isKernel && description.name === module) return fd;
    fd.close();
  }
  return undefined;
}
