/** The dynamic linker's cache: where `libc` is. Format: glibc's sysdeps/generic/dl-cache.h. */
import { ByteReader } from "../base/index.ts";
import { readProcFile } from "./symbols/file.ts";

const OLD_MAGIC = "ld.so-1.7.0";
const NEW_MAGIC = "glibc-ld.so.cache1.1";
/** Bytes of `struct cache_file` and of its entries, and the same of the format before glibc 2.2, which may come first. */
const HEADER_SIZE = 48;
const ENTRY_SIZE = 24;
const OLD_HEADER_SIZE = 16;
const OLD_ENTRY_SIZE = 12;

/** `flags` of libraries of the running machine: glibc 2 ELF and the architecture. */
const FLAGS: Record<string, number> = { x86_64: 0x0303, aarch64: 0x0a03 };

/** Libraries by name (`libc.so.6`), first entry first. Empty when the file is missing or of another kind. */
export function parseLdCache(bytes: Uint8Array, arch: string): Map<string, string> {
  const libraries = new Map<string, string>();
  const reader = new ByteReader(bytes, "ld.so.cache");
  let base = 0;
  if (reader.cstring(0, OLD_MAGIC.length) === OLD_MAGIC) {
    base = OLD_HEADER_SIZE + reader.u32le(12) * OLD_ENTRY_SIZE;
    base = (base + 7) & ~7;
  }
  if (base + HEADER_SIZE > bytes.length || reader.cstring(base, NEW_MAGIC.length) !== NEW_MAGIC) return libraries;
  const count = reader.u32le(base + 20);
  for (let i = 0; i < count; i++) {
    const at = base + HEADER_SIZE + i * ENTRY_SIZE;
    if (reader.u32le(at) !== FLAGS[arch]) continue;
    const name = reader.cstring(base + reader.u32le(at + 4));
    if (!libraries.has(name)) libraries.set(name, reader.cstring(base + reader.u32le(at + 8)));
  }
  return libraries;
}

/** Path of a library named as in `uprobe:libc:malloc`; undefined when the cache has none. */
export function findLibrary(name: string, arch: string, path = "/etc/ld.so.cache"): string | undefined {
  const bytes = readProcFile(path);
  if (!bytes) return undefined;
  const libraries = parseLdCache(bytes, arch);
  const exact = libraries.get(name) ?? libraries.get(`${name}.so`);
  if (exact) return exact;
  for (const [library, file] of libraries) if (library.startsWith(`${name}.so.`)) return file;
  return undefined;
}
