/** The kernel's types from its file, for kernels that have them and do not show them in /sys (before Linux 5.4, or sysfs hidden). */
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { SkepError } from "../../base/index.ts";
import { Btf } from "../../btf/index.ts";
import { Elf } from "../../object/index.ts";

/** Where distributions put the kernel's file with its sections, as libbpf looks for it. */
const places: readonly ((release: string) => string)[] = [
  (release) => `/boot/vmlinux-${release}`,
  (release) => `/lib/modules/${release}/vmlinux-${release}`,
  (release) => `/lib/modules/${release}/build/vmlinux`,
  (release) => `/usr/lib/modules/${release}/kernel/vmlinux`,
  (release) => `/usr/lib/debug/boot/vmlinux-${release}`,
  (release) => `/usr/lib/debug/boot/vmlinux-${release}.debug`,
  (release) => `/usr/lib/debug/lib/modules/${release}/vmlinux`,
];

/** Section `.BTF` of the first file that has one; undefined without. `root` is put before all paths. */
export function vmlinuxFileBtf(release: string, root: string = ""): Btf | undefined {
  for (const place of places) {
    const path = root + place(release);
    if (!existsSync(path)) continue;
    const bytes = btfSection(path);
    if (bytes !== undefined) return Btf.parse(bytes, { section: path });
  }
  return undefined;
}

/** Reads the section and no more: the file may have hundreds of megabytes. */
function btfSection(path: string): Uint8Array | undefined {
  const file = openSync(path, "r");
  try {
    const read = (offset: number, length: number): Uint8Array => {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
    };
    const elf = Elf.parse({ size: fstatSync(file).size, read }, path);
    const section = elf.sectionByName(".BTF");
    return section === undefined ? undefined : elf.sectionData(section);
  } catch (error) {
    // A file that is none is no kernel: the next place may have one.
    if (error instanceof SkepError) return undefined;
    throw error;
  } finally {
    closeSync(file);
  }
}
