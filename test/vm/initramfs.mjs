// The initramfs of the test VM: our static init and the few modules that mounting the root needs.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { VmError, modulesInLoadOrder } from "./kernel.mjs";

const initSource = fileURLToPath(new URL("init.c", import.meta.url));
const sources = ["init.c", "initramfs.mjs", "kernel.mjs"].map((name) => fileURLToPath(new URL(name, import.meta.url)));
const bootModules = ["virtio_pci", "virtiofs", "overlay"];

/**
 * Path of the initramfs for a kernel, built when its sources changed.
 * @param {{ directory: string, tree: string }} kernel
 */
export function initramfs(kernel) {
  const hash = createHash("sha256");
  for (const source of sources) hash.update(readFileSync(source));
  const path = join(kernel.directory, `initramfs-${hash.digest("hex").slice(0, 12)}.cpio`);
  if (existsSync(path)) return path;
  const work = mkdtempSync(join(kernel.directory, "initramfs-"));
  try {
    const init = join(work, "init");
    try {
      execFileSync("gcc", ["-O2", "-Wall", "-static", "-o", init, initSource], { stdio: ["ignore", "pipe", "pipe"] });
    } catch (error) {
      throw new VmError(
        `init.c: gcc failed (apt-get install gcc libc6-dev): ${error instanceof Error ? error.message : error}`,
      );
    }
    const modules = modulesInLoadOrder(kernel.tree, bootModules);
    const archive = cpio([
      ...["dev", "proc", "sys", "lower", "upper", "root", "modules"].map((name) => ({ name, mode: 0o40755 })),
      // The kernel opens it for init's standard streams before init mounts /dev.
      { name: "dev/console", mode: 0o20600, device: [5, 1] },
      { name: "init", mode: 0o100755, bytes: readFileSync(init) },
      {
        name: "modules/order",
        mode: 0o100644,
        bytes: Buffer.from(modules.map((module) => `/modules/${module.name}.ko\n`).join("")),
      },
      ...modules.map((module) => ({ name: `modules/${module.name}.ko`, mode: 0o100644, bytes: module.bytes })),
    ]);
    writeFileSync(join(work, "cpio"), archive);
    renameSync(join(work, "cpio"), path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return path;
}

/**
 * A cpio archive in the "newc" format: 13 fields of eight hexadecimal digits, name and data each padded to four bytes.
 * @param {{ name: string, mode: number, bytes?: Buffer, device?: number[] }[]} entries
 */
export function cpio(entries) {
  /** @type {Buffer[]} */
  const parts = [];
  /** @param {Buffer} bytes */
  const padded = (bytes) => parts.push(bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4));
  for (const [index, entry] of [...entries, { name: "TRAILER!!!", mode: 0 }].entries()) {
    const bytes = ("bytes" in entry && entry.bytes) || Buffer.alloc(0);
    const [major = 0, minor = 0] = ("device" in entry && entry.device) || [];
    const name = Buffer.from(`${entry.name}\0`);
    // inode, mode, uid, gid, links, mtime, size, device of the archive (2), device of a node (2), name size, checksum
    const fields = [index + 1, entry.mode, 0, 0, 1, 0, bytes.length, 0, 0, major, minor, name.length, 0];
    const header = fields.map((field) => field.toString(16).padStart(8, "0")).join("");
    padded(Buffer.concat([Buffer.from(`070701${header}`), name]));
    padded(bytes);
  }
  return Buffer.concat(parts);
}
