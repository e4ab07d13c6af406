/** Types of kernels to test against: this machine's, and those that the test VM has downloaded. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Elf } from "../../src/object/index.ts";

/** Types of a kernel, in a file of raw BTF. */
export interface KernelTypes {
  readonly name: string;
  readonly path: string;
}

/** This machine's kernel. */
const RUNNING = "/sys/kernel/btf/vmlinux";

/** Series of test/vm/kernel.mjs. */
const series = ["5.10", "6.1", "6.12", "7.2"];

/** The BTF of a kernel that the VM has, cut out of it on first use; undefined when it was not downloaded. */
function vmKernelBtf(version: string): string | undefined {
  const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "skep-vm");
  const vmlinux = join(cache, `kernel-${version}-1`, "vmlinux");
  if (!existsSync(vmlinux)) return undefined;
  const path = `${vmlinux}.btf`;
  if (!existsSync(path)) {
    const elf = Elf.parse(readFileSync(vmlinux), vmlinux);
    const working = `${path}.${process.pid}`;
    writeFileSync(working, elf.sectionData(elf.sectionByName(".BTF")!));
    renameSync(working, path);
  }
  return path;
}

/** All kernels whose types are at hand: possibly none. Others are fetched by `node test/vm/run.mjs -k 6.1 --fetch`. */
export function kernelsAtHand(): KernelTypes[] {
  const found: KernelTypes[] = existsSync(RUNNING) ? [{ name: "this kernel", path: RUNNING }] : [];
  for (const version of series) {
    const path = vmKernelBtf(version);
    if (path !== undefined) found.push({ name: `Debian's ${version}`, path });
  }
  return found;
}
