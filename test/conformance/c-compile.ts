/** Skep's C compiler as the conformance scripts call it: a source with a compiler's flags becomes an ELF object. */
import { readFileSync } from "node:fs";
import { Btf } from "../../src/btf/index.ts";
import { kernelTarget } from "../../src/compiler/index.ts";
import { type CCompileOptions, CompileError, compileC } from "../../src/lang/c/index.ts";
import { Elf, readObject, writeElf } from "../../src/object/index.ts";
import { HeaderFiles } from "../../src/runtime/header-files.ts";

/** How a source is compiled. */
export interface CJob {
  readonly source: string;
  readonly directories: readonly string[];
  readonly systemDirectories: readonly string[];
  readonly defines: readonly string[];
  readonly include: readonly string[];
  /** File with the kernel's BTF, for sources whose types come from there. */
  readonly btf?: string;
  readonly version: readonly [number, number];
}

/** What became of it. */
export type CResult =
  | {
      readonly ok: true;
      readonly object: Uint8Array;
      readonly milliseconds: number;
      /** Instructions of each program with all that it calls, by name. */
      readonly programs: Readonly<Record<string, number>>;
      /** Instructions in the file: what is called by several counts once. */
      readonly instructions: number;
    }
  | {
      readonly ok: false;
      readonly milliseconds: number;
      readonly crashed: boolean;
      readonly why: string;
      readonly full: string;
    };

const kernels = new Map<string, Btf>();

function kernelTypes(path: string): Btf {
  let btf = kernels.get(path);
  if (btf === undefined) {
    const bytes = readFileSync(path);
    const elf = bytes[0] === 0x7f ? Elf.parse(bytes, path) : undefined;
    btf = Btf.parse(elf === undefined ? bytes : elf.sectionData(elf.sectionByName(".BTF")!), { section: ".BTF" });
    kernels.set(path, btf);
  }
  return btf;
}

/** `NAME=VALUE` or `NAME`. */
function macro(text: string): { readonly define: string } {
  return { define: text };
}

/** Instructions in sections of code of an ELF object. */
export function instructionsOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [offset, size, count] = [
    Number(view.getBigUint64(40, true)),
    view.getUint16(58, true),
    view.getUint16(60, true),
  ];
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const at = offset + i * size;
    // SHT_PROGBITS with SHF_EXECINSTR.
    if (view.getUint32(at + 4, true) === 1 && (view.getUint32(at + 8, true) & 4) !== 0)
      sum += Number(view.getBigUint64(at + 32, true)) / 8;
  }
  return sum;
}

/** Compiles one source. */
export function compileJob(job: CJob): CResult {
  const begun = performance.now();
  try {
    const options: CCompileOptions = {
      headers: new HeaderFiles({ directories: job.directories, systemDirectories: job.systemDirectories }),
      macros: job.defines.map(macro),
      include: job.include,
      dialect: "libbpf",
      target: kernelTarget(job.version),
      ...(job.btf === undefined ? {} : { kernelTypes: kernelTypes(job.btf) }),
    };
    const { object } = compileC({ name: job.source, text: readFileSync(job.source, "utf8") }, options);
    const programs = Object.fromEntries(object.programs.map(({ name, code }) => [name, code.length / 8]));
    const elf = writeElf(object);
    const milliseconds = performance.now() - begun;
    // What nobody can read is no result.
    readObject(elf, { name: "written.bpf.o" });
    return { ok: true, object: elf, milliseconds, programs, instructions: instructionsOf(elf) };
  } catch (error) {
    const isAnswer = error instanceof CompileError || (error as { code?: unknown }).code !== undefined;
    const full = error instanceof Error ? (isAnswer ? error.message : (error.stack ?? error.message)) : String(error);
    const lines = full.split("\n");
    const why = lines.find((line) => /error: /.test(line)) ?? lines[0] ?? "";
    return {
      ok: false,
      milliseconds: performance.now() - begun,
      crashed: !isAnswer,
      why:
        why.replace(/^.*?error: /, "") +
        (isAnswer ? "" : ` ${lines.find((line) => /^\s+at /.test(line))?.trim() ?? ""}`),
      full,
    };
  }
}
