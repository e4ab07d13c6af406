/** Objects that clang makes of C text, for tests with small programs. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory of a test. Its maker removes it. */
export function temporaryDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "skep-object-"));
  return { path, remove: () => rmSync(path, { recursive: true }) };
}

/** Compiles C text for BPF with BTF; later flags win. */
export function clang(source: string, ...flags: readonly string[]): Uint8Array {
  const { path, remove } = temporaryDirectory();
  try {
    const [from, to] = [join(path, "text.bpf.c"), join(path, "text.bpf.o")];
    writeFileSync(from, `${source}\n`);
    execFileSync("clang", ["-target", "bpf", "-w", "-g", "-O2", ...flags, "-c", from, "-o", to], { stdio: "pipe" });
    return new Uint8Array(readFileSync(to));
  } finally {
    remove();
  }
}
