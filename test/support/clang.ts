/** Objects that clang makes of the programs in test/programs. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const programs = fileURLToPath(new URL("../programs/", import.meta.url));

/** Where the headers of the architecture are on Debian, by `process.arch`, and what bpf_tracing.h calls it. */
const machines: Readonly<Record<string, readonly [triplet: string, target: string]>> = {
  x64: ["x86_64-linux-gnu", "x86"],
  arm64: ["aarch64-linux-gnu", "arm64"],
};

const made = new Map<string, Uint8Array>();

/** Compiles `test/programs/NAME.bpf.c`. Further flags make another object of the same source. */
export function compileProgram(name: string, ...flags: readonly string[]): Uint8Array {
  const key = [name, ...flags].join(" ");
  const known = made.get(key);
  if (known !== undefined) return known;
  const directory = mkdtempSync(join(tmpdir(), "skep-clang-"));
  try {
    const object = join(directory, `${name}.bpf.o`);
    const [triplet, target] = machines[process.arch] ?? machines["x64"]!;
    const usual = ["-target", "bpf", "-g", "-O2", `-D__TARGET_ARCH_${target}`, `-I/usr/include/${triplet}`];
    execFileSync("clang", [...usual, ...flags, "-c", join(programs, `${name}.bpf.c`), "-o", object]);
    const bytes = new Uint8Array(readFileSync(object));
    made.set(key, bytes);
    return bytes;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
