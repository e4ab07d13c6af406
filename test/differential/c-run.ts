/** Compiles generated programs with Skep, with clang's BPF target and for this machine, runs them all and compares what they computed. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type KernelTarget, type OptimizeLevel, kernelTarget } from "../../src/compiler/index.ts";
import type { LinuxKernel } from "../../src/kernel/linux/linux.ts";
import { compileC } from "../../src/lang/c/compile.ts";
import { type BpfObject, readObject, writeElf } from "../../src/object/index.ts";
import { INPUT_WORDS, OUTPUT_WORDS } from "./c-generator.ts";
import { Random } from "./c-types.ts";

/** clang puts static constants into sections to be merged, which its own BTF and so libbpf do not know: there they are global. */
const COMMON = `#ifndef CONSTANT
#define CONSTANT static const
#endif
typedef signed char s8;
typedef unsigned char u8;
typedef short s16;
typedef unsigned short u16;
typedef int s32;
typedef unsigned int u32;
typedef long long s64;
typedef unsigned long long u64;
struct input { union { u64 w[${INPUT_WORDS}]; struct { s32 d[8]; u16 h[8]; s8 c[8]; } b; }; };
struct output { u64 o[${OUTPUT_WORDS}]; };
`;

const BPF_PRELUDE = `/* What LLVM knows of indexes it uses in ways that the verifier cannot follow: no mask for what is small, OR of addresses on the stack. */
#ifdef HIDE_INDEXES
#define AT(index, mask) ({ u64 at_ = (index); asm volatile("" : "+r"(at_)); at_ &= mask; asm volatile("" : "+r"(at_)); at_; })
#else
#define AT(index, mask) (index) & mask
#endif
${COMMON}#define SEC(name) __attribute__((section(name), used))
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *) 1;
struct { int (*type)[2]; u32 *key; struct input *value; int (*max_entries)[1]; } input SEC(".maps");
struct { int (*type)[2]; u32 *key; struct output *value; int (*max_entries)[1]; } output SEC(".maps");
char _license[] SEC("license") = "GPL";
`;

/** A program with its text, as the harness runs it. */
export interface Subject {
  readonly name: string;
  readonly text: string;
}

/** How Skep compiles. */
export interface Variant {
  readonly optimize: OptimizeLevel;
  readonly target: KernelTarget;
  /** Written as an ELF file and read again. */
  readonly elf: boolean;
}

/** One after the other, batch by batch. */
export const VARIANTS: readonly Variant[] = [
  { optimize: 2, target: kernelTarget([6, 18]), elf: false },
  { optimize: 2, target: kernelTarget([6, 1]), elf: true },
  { optimize: 2, target: kernelTarget([5, 15]), elf: false },
  { optimize: 2, target: kernelTarget([6, 1]), elf: false },
];

/** What one side made of one program: its outputs, or at which step it failed. */
export type Outcome =
  | { readonly step: "ran"; readonly outputs: Buffer }
  | { readonly step: "compile" | "load" | "run"; readonly why: string };

/** What became of a program. */
export interface Verdict {
  readonly name: string;
  /**
   * `equal`; `skipped` when the referees refuse the program; `wrong`, `refused` (by the compiler), `crashed` (the compiler) and `rejected`
   * (by the verifier) are failures of Skep, `referees` a difference between clang and this machine's code.
   */
  readonly kind: "equal" | "skipped" | "wrong" | "refused" | "crashed" | "rejected" | "referees";
  readonly why: string;
}

/** Source of a file with these programs for BPF. */
export function bpfSource(subjects: readonly Subject[]): string {
  const bodies = subjects.map(
    ({ name, text }) => `${text}
SEC("syscall") int ${name}(void *ctx)
{
	u32 zero = 0;
	struct input *in = bpf_map_lookup_elem(&input, &zero);
	struct output *out = bpf_map_lookup_elem(&output, &zero);
	if (!in || !out)
		return 0;
	u64 result = ${name}_main(in, out->o);
	out->o[0] ^= result;
	return (int)(result >> 3);
}
`,
  );
  return BPF_PRELUDE + bodies.join("\n");
}

/** Source of a program of this machine that runs them: reads inputs, writes outputs and results. */
function nativeSource(subjects: readonly Subject[]): string {
  const calls = subjects.map(({ name }) => `\trun(${name}_main, inputs, count);\n`).join("");
  return `#include <stdio.h>
#include <string.h>
#define AT(index, mask) (index) & mask
${COMMON}${subjects.map(({ text }) => text).join("\n")}
static void run(u64 (*of)(const struct input *, u64 *), const struct input *inputs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct output out = {};
		u64 result = of(&inputs[i], out.o);
		u32 returned = (u32)(result >> 3);
		out.o[0] ^= result;
		fwrite(&out, sizeof(out), 1, stdout);
		fwrite(&returned, sizeof(returned), 1, stdout);
	}
}
int main(void)
{
	static struct input inputs[256];
	size_t count = fread(inputs, sizeof(inputs[0]), 256, stdin);
${calls}	return 0;
}
`;
}

const RECORD_BYTES = OUTPUT_WORDS * 8 + 4;

/** Runs a command to its end. */
function command(
  path: string,
  args: readonly string[],
  input: Uint8Array = new Uint8Array(0),
): Promise<{ status: number | string; stdout: Buffer; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { stdio: "pipe" });
    const chunks: Buffer[] = [];
    let stderr = "";
    const timer = setTimeout(() => child.kill("SIGKILL"), 120_000);
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.once("error", reject);
    child.once("close", (status, signal) => {
      clearTimeout(timer);
      resolve({ status: status ?? signal ?? "", stdout: Buffer.concat(chunks), stderr });
    });
    // One that ends before it has read everything.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

function firstLine(text: string): string {
  return text.split("\n").find((line) => line.trim() !== "") ?? "";
}

function errorLine(stderr: string): string {
  return stderr.split("\n").find((line) => /error|unsupported|fatal/i.test(line)) ?? firstLine(stderr);
}

/** What the verifier said last before it counted. */
function verifierLine(error: unknown): string {
  const log = (error as { log?: unknown }).log;
  if (typeof log !== "string") return firstLine(error instanceof Error ? error.message : String(error));
  const lines = log
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^(processed|verification time|stack depth|mark_precise)/.test(line));
  return lines.at(-1) ?? "";
}

/** Referees and kernel of a run. */
export class Differential {
  private readonly kernel: LinuxKernel;
  private readonly directory = mkdtempSync(join(tmpdir(), "skep-differential-"));
  private readonly inputs: Buffer;
  private readonly count: number;
  private readonly sanitize: boolean;
  private files = 0;

  constructor(
    kernel: LinuxKernel,
    seed: number,
    options: { readonly inputs?: number; readonly sanitize?: boolean } = {},
  ) {
    this.kernel = kernel;
    this.count = options.inputs ?? 6;
    this.sanitize = options.sanitize === true;
    const random = new Random(seed);
    const words = Array.from({ length: this.count * INPUT_WORDS }, (_, i) => (i < INPUT_WORDS ? 0n : random.word()));
    this.inputs = Buffer.from(BigUint64Array.from(words).buffer);
  }

  close(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Judges programs that are compiled together. `withClang` is false for programs that clang's BPF target refuses. */
  async judge(subjects: readonly Subject[], variant: Variant, withClang: boolean): Promise<Verdict[]> {
    const native = this.native(subjects);
    const clang = withClang ? this.clang(subjects) : Promise.resolve(undefined);
    const ours = this.ours(subjects, variant);
    const [expected, theirs] = await Promise.all([native, clang]);
    return subjects.map(({ name }) => verdict(name, ours.get(name)!, theirs?.get(name), expected.get(name)!));
  }

  /** Skep's outcome alone, of each. */
  ours(subjects: readonly Subject[], variant: Variant): Map<string, Outcome> {
    let object: BpfObject;
    try {
      ({ object } = compileC({ name: "generated.bpf.c", text: bpfSource(subjects) }, variant));
      if (variant.elf) object = readObject(writeElf(object), { name: "generated.bpf.o" });
    } catch (error) {
      if (subjects.length > 1) return new Map(subjects.flatMap((one) => [...this.ours([one], variant)]));
      const isAnswer = error instanceof Error && error.name === "CompileError";
      const why = isAnswer ? firstLine(error.message).replace(/^\S+:\d+:\d+: /, "") : `crashed: ${stackOf(error)}`;
      return new Map([[subjects[0]!.name, { step: "compile", why }]]);
    }
    return this.run(object, subjects);
  }

  /** Outcomes of clang's objects. */
  async clang(subjects: readonly Subject[]): Promise<Map<string, Outcome>> {
    const source = join(this.directory, `${this.files++}.bpf.c`);
    writeFileSync(source, bpfSource(subjects));
    const flags = [
      "-target",
      "bpf",
      "-O2",
      "-mcpu=v3",
      "-g",
      "-fwrapv",
      "-fno-strict-aliasing",
      "-w",
      "-DCONSTANT=const",
      "-DHIDE_INDEXES",
    ];
    const { status, stderr } = await command("clang", [...flags, "-c", source, "-o", `${source}.o`]);
    if (status !== 0) {
      if (subjects.length === 1) return new Map([[subjects[0]!.name, { step: "compile", why: errorLine(stderr) }]]);
      return this.each(subjects, (one) => this.clang(one));
    }
    let object: BpfObject;
    try {
      object = readObject(readFileSync(`${source}.o`), { name: "generated.bpf.o" });
    } catch (error) {
      if (subjects.length === 1) return new Map([[subjects[0]!.name, { step: "load", why: verifierLine(error) }]]);
      return this.each(subjects, (one) => this.clang(one));
    }
    return this.run(object, subjects);
  }

  /** Outcomes of this machine's code. */
  async native(subjects: readonly Subject[]): Promise<Map<string, Outcome>> {
    const source = join(this.directory, `${this.files++}.c`);
    writeFileSync(source, nativeSource(subjects));
    const sanitizers = [
      "-fsanitize=undefined,address",
      "-fno-sanitize=signed-integer-overflow,shift-base,alignment",
      "-g",
    ];
    const flags = ["-O1", "-fwrapv", "-fno-strict-aliasing", "-w", ...(this.sanitize ? sanitizers : [])];
    const built = await command("clang", [...flags, source, "-o", `${source}.out`]);
    const all = (outcome: Outcome): Map<string, Outcome> => new Map(subjects.map(({ name }) => [name, outcome]));
    if (built.status !== 0) {
      if (subjects.length === 1) return all({ step: "compile", why: errorLine(built.stderr) });
      return this.each(subjects, (one) => this.native(one));
    }
    const ran = await command(`${source}.out`, [], this.inputs);
    if (ran.status !== 0 || ran.stderr !== "") {
      if (subjects.length === 1) return all({ step: "run", why: `ended with ${ran.status} ${firstLine(ran.stderr)}` });
      return this.each(subjects, (one) => this.native(one));
    }
    const bytes = RECORD_BYTES * this.count;
    return new Map(
      subjects.map(({ name }, i) => [name, { step: "ran", outputs: ran.stdout.subarray(i * bytes, (i + 1) * bytes) }]),
    );
  }

  private async each(
    subjects: readonly Subject[],
    of: (one: readonly Subject[]) => Promise<Map<string, Outcome>>,
  ): Promise<Map<string, Outcome>> {
    const outcomes = new Map<string, Outcome>();
    for (const one of subjects) for (const [name, outcome] of await of([one])) outcomes.set(name, outcome);
    return outcomes;
  }

  private run(object: BpfObject, subjects: readonly Subject[]): Map<string, Outcome> {
    let loaded;
    try {
      loaded = this.kernel.load(object);
    } catch (error) {
      if (subjects.length === 1) return new Map([[subjects[0]!.name, { step: "load", why: verifierLine(error) }]]);
      return new Map(
        subjects.flatMap((one) => {
          const programs = object.programs.filter(({ name }) => name === one.name);
          return [...this.run({ ...object, programs }, [one])];
        }),
      );
    }
    try {
      const [input, output] = [loaded.map("input"), loaded.map("output")];
      const zero = new Uint8Array(4);
      const empty = new Uint8Array(OUTPUT_WORDS * 8);
      return new Map(
        subjects.map(({ name }) => {
          const outputs = Buffer.alloc(RECORD_BYTES * this.count);
          const program = loaded.program(name);
          for (let i = 0; i < this.count; i++) {
            input.update(zero, this.inputs.subarray(i * INPUT_WORDS * 8, (i + 1) * INPUT_WORDS * 8));
            output.update(zero, empty);
            const returned = program.testRun();
            outputs.set(output.lookup(zero)!, i * RECORD_BYTES);
            outputs.writeUInt32LE(returned >>> 0, (i + 1) * RECORD_BYTES - 4);
          }
          return [name, { step: "ran", outputs }];
        }),
      );
    } finally {
      loaded.close();
    }
  }
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return `${error.name}: ${firstLine(error.message)} ${(frames[0] ?? "").trim()}`;
}

function verdict(name: string, ours: Outcome, clang: Outcome | undefined, native: Outcome): Verdict {
  if (native.step !== "ran") return { name, kind: "skipped", why: `this machine: ${native.step}: ${native.why}` };
  if (clang?.step === "ran" && !clang.outputs.equals(native.outputs))
    return { name, kind: "referees", why: difference(clang.outputs, native.outputs) };
  if (clang !== undefined && clang.step !== "ran" && ours.step !== "ran")
    return { name, kind: "skipped", why: `clang: ${clang.step}: ${clang.why}; Skep: ${ours.step}: ${ours.why}` };
  if (ours.step === "compile")
    return { name, kind: ours.why.startsWith("crashed") ? "crashed" : "refused", why: ours.why };
  if (ours.step !== "ran") return { name, kind: "rejected", why: ours.why };
  if (!ours.outputs.equals(native.outputs))
    return { name, kind: "wrong", why: difference(ours.outputs, native.outputs) };
  return { name, kind: "equal", why: "" };
}

function difference(a: Buffer, b: Buffer): string {
  for (let at = 0; at < b.length; at++) {
    if (a[at] === b[at]) continue;
    const record = Math.floor(at / RECORD_BYTES);
    const word = Math.floor((at % RECORD_BYTES) / 8);
    return `input ${record}, word ${word}: byte ${at % 8} is ${a[at]}, not ${b[at]}`;
  }
  return "";
}
