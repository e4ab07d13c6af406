/** CO-RE relocations by libbpf itself and by us, of the same objects against the same types: lines to compare. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll } from "vitest";
import { Btf, CoreError, type CoreKernel, CoreResolver } from "../../../src/btf/index.ts";
import { Elf, type ProgramSpec, readObject, relocateProgram } from "../../../src/object/index.ts";

/** A directory that is gone when the tests of a file are done. */
export function temporaryDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `skep-${name}-`));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Compiles a program of test/programs, or at a path, for BPF. */
export function compileBpf(directory: string, source: string, name: string, ...flags: readonly string[]): string {
  const path = join(directory, name);
  const include = `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;
  const args = [
    "-target",
    "bpf",
    "-g",
    "-O2",
    `-I${include}`,
    ...flags,
    "-c",
    resolve("test/programs", source),
    "-o",
    path,
  ];
  execFileSync("clang", args, { stdio: ["ignore", "pipe", "pipe"] });
  return path;
}

/** Builds the referee with the machine's libbpf, or with one that SKEP_LIBBPF names by its prefix (`include/bpf`, `lib/libbpf.a`). */
export function buildReferee(directory: string): string {
  const path = join(directory, "core");
  const prefix = process.env["SKEP_LIBBPF"];
  const libraries =
    prefix === undefined ? ["-lbpf"] : [`-I${prefix}/include`, `${prefix}/lib/libbpf.a`, "-lelf", "-lz"];
  execFileSync("gcc", ["-O1", "-Wall", "-Werror", "test/support/libbpf/core.c", "-o", path, ...libraries]);
  return path;
}

/** By program: its instructions in hexadecimal, or `refused`. */
export type Relocated = ReadonlyMap<string, string>;

/** What libbpf makes of the programs of an object: together, or each alone. */
export function relocatedByLibbpf(referee: string, object: string, btf: string, alone: boolean): Relocated {
  const { status, stdout, stderr } = spawnSync(referee, [...(alone ? ["-e"] : []), object, btf], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  // Not an object to libbpf.
  if (status === 1) return new Map();
  if (status !== 0) throw new Error(`${referee} ${object} ${btf}: status ${status}: ${stderr}`);
  return new Map(
    stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)]),
  );
}

/** Types of an ELF file, or of BTF as it is. */
export function readBtf(path: string): Btf {
  const bytes = readFileSync(path);
  if (bytes.readUInt32BE(0) !== 0x7f454c46) return Btf.parse(bytes, { section: path });
  const elf = Elf.parse(bytes, path);
  return Btf.parse(elf.sectionData(elf.sectionByName(".BTF")!), { section: path });
}

/** An object as the tests take it. */
export interface TestObject {
  readonly programs: readonly ProgramSpec[];
  readonly local: Btf;
}

/** Reads an object file that has BTF. */
export function readTestObject(path: string): TestObject {
  const { programs, btf } = readObject(readFileSync(path), { name: path });
  return { programs, local: Btf.parse(btf!) };
}

/** As {@link relocatedByLibbpf}, by ours. */
export function relocatedByUs(object: TestObject, btf: Btf, alone: boolean): Relocated {
  return relocatedFor(object, { btf, modules: () => [] }, alone);
}

/** As {@link relocatedByUs}, for a kernel with modules. */
export function relocatedFor({ programs, local }: TestObject, kernel: CoreKernel, alone: boolean): Relocated {
  const make = (): CoreResolver => new CoreResolver(local, kernel);
  let resolver = make();
  const result = new Map<string, string>();
  for (const program of programs) {
    if (program.autoload === false) continue;
    if (alone) resolver = make();
    try {
      result.set(program.name, Buffer.from(relocateProgram(program, resolver).code).toString("hex"));
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      result.set(program.name, "refused");
    }
  }
  return result;
}
