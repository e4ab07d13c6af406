// The virtual machine beside the kernel's JIT: nanoseconds an instruction on four programs, warm; and from bytes to the first result, cold.
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, need, table } from "./lib.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const BUFFER = 65_536;

/** Text of each program, with r1 pointing to the buffer; instructions that it executes; r0 on a fresh buffer. */
const PROGRAMS = {
  alu: [
    "r0 = 0\nr1 = 100000\nr3 = 0\nL: r0 += r1\nr0 ^= r3\nr0 *= 0x1b873593\nr3 = r0\nr3 >>= 15\nr0 ^= r3\nr1 -= 1\nif r1 != 0 goto L\nexit",
    800_004,
    0x2bd54e3d08230d9n,
  ],
  mem: [
    "r6 = r1\nr7 = 30\nr0 = 0\nO: r3 = r6\nr4 = 4096\nI: r5 = *(u32 *)(r3 + 0)\nr0 += r5\nr5 ^= r7\n*(u32 *)(r3 + 0) = r5\nr3 += 4\nr4 -= 1\nif r4 != 0 goto I\nr7 -= 1\nif r7 != 0 goto O\nexit",
    860_284,
    0xeee198506d5an,
  ],
  fnv: [
    "r6 = r1\nr7 = 9\nr0 = 0xcbf29ce484222325 ll\nr8 = 0x100000001b3 ll\nO: r3 = r6\nr4 = 16384\nI: r5 = *(u8 *)(r3 + 0)\nr0 ^= r5\nr0 *= r8\nr3 += 1\nr4 -= 1\nif r4 != 0 goto I\nr7 -= 1\nif r7 != 0 goto O\nexit",
    884_777,
    0x37a447b7bdc440ben,
  ],
  sieve: [
    "r6 = r1\nr0 = 0\nr3 = 0\nZ: r4 = r6\nr4 += r3\n*(u8 *)(r4 + 0) = 1\nr3 += 1\nif r3 < 8000 goto Z\nr2 = 2\nP: r4 = r6\nr4 += r2\nr5 = *(u8 *)(r4 + 0)\nif r5 == 0 goto X\nr0 += 1\nr3 = r2\nr3 += r2\nif r3 >= 8000 goto X\nM: r4 = r6\nr4 += r3\n*(u8 *)(r4 + 0) = 0\nr3 += r2\nif r3 < 8000 goto M\nX: r2 += 1\nif r2 < 8000 goto P\nexit",
    183_146,
    0x3efn,
  ],
};

const SOURCE = `
import { assemble, encode, ldImm64Pseudo, ProgType } from "${root}src/isa/index.ts";
import { LinuxKernel } from "${root}src/kernel/linux/linux.ts";
import { CompiledProgram, Interpreter, VmMemory, VmProgram, addressOf } from "${root}src/vm/index.ts";
export { assemble, encode, ldImm64Pseudo, ProgType, LinuxKernel, CompiledProgram, Interpreter, VmMemory, VmProgram, addressOf };
`;

const fill = (bytes) => {
  let x = 12_345;
  for (let i = 0; i < BUFFER; i++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) & 0x7fffffff;
    bytes[i] = (x >> 16) & 255;
  }
};

export async function run(args) {
  need(process.getuid?.() === 0, "root, for the kernel's side");
  const rounds = Number(args[0] ?? 5);
  const directory = mkdtempSync(join(tmpdir(), "skep-bench-"));
  try {
    const { build } = await import("rolldown");
    writeFileSync(join(directory, "entry.ts"), SOURCE);
    symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
    const bundle = join(directory, "vm.mjs");
    await build({
      input: join(directory, "entry.ts"),
      platform: "node",
      external: ["koffi"],
      transform: { target: "node20" },
      output: { file: bundle, format: "esm" },
      logLevel: "silent",
    });
    const vm = await import(bundle);
    const kernel = new vm.LinuxKernel();
    const memory = new vm.VmMemory();
    const at = memory.allocate(BUFFER);
    const fresh = new Uint8Array(BUFFER);
    fill(fresh);
    const rows = [];
    for (const [name, [text, insns, result]] of Object.entries(PROGRAMS)) {
      const code = vm.assemble(text, { dialect: "llvm" });
      const theirs = loadForKernel(vm, kernel, code);
      const machines = [vm.CompiledProgram, vm.Interpreter].map(
        (Form) => new Form(new vm.VmProgram(vm.encode(code)), memory),
      );
      const times = [[], [], []];
      for (let round = 0; round < rounds; round++) {
        times[0].push(timeKernel(theirs, fresh) / insns);
        for (const [i, machine] of machines.entries()) {
          memory.bytes.set(fresh, at);
          const r0 = machine.execute([vm.addressOf(at)]);
          if (r0 !== result) throw new Error(`${name}: ${r0.toString(16)}, not ${result.toString(16)}`);
          const runs = i === 0 ? 200 : 10;
          let best = Infinity;
          for (let n = 0; n < runs; n++) {
            const begun = process.hrtime.bigint();
            machine.execute([vm.addressOf(at)]);
            best = Math.min(best, Number(process.hrtime.bigint() - begun));
          }
          times[1 + i].push(best / insns);
        }
      }
      theirs.close();
      for (const machine of machines) machine.close();
      const [k, w, j] = times.map(median);
      rows.push({
        program: name,
        "kernel's JIT": k.toFixed(3),
        WebAssembly: w.toFixed(3),
        ratio: (w / k).toFixed(2),
        interpreter: j.toFixed(2),
      });
    }
    console.log(`nanoseconds an instruction, medians of ${rounds} rounds\n`);
    table(rows);
    console.log(
      `\ncold, a program of 1,000 instructions in a new process, from bytes to its result: ${cold(bundle, rounds)} ms`,
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The program on the value of an array map, as XDP. */
function loadForKernel(vm, kernel, code) {
  const program = vm.encode([vm.ldImm64Pseudo(1, 2, 0n), ...code]);
  return kernel.load({
    license: "GPL",
    maps: [{ name: "buffer", type: 2, keySize: 4, valueSize: BUFFER, maxEntries: 1, flags: 0 }],
    programs: [
      {
        name: "main",
        type: vm.ProgType.XDP,
        expectedAttachType: 0,
        code: program,
        relocations: [{ kind: "map-value", insnIndex: 0, map: "buffer", offset: 0 }],
        funcInfo: new Uint8Array(),
        lineInfo: new Uint8Array(),
      },
    ],
  });
}

/** Nanoseconds a run, by the kernel's own clock: the best of some. */
function timeKernel(loaded, fresh) {
  loaded.map("buffer").update(new Uint8Array(4), fresh);
  let best = Infinity;
  for (let n = 0; n < 10; n++) best = Math.min(best, loaded.program("main").run({ repeat: 20 }).durationNs);
  return best;
}

/** Milliseconds from a program's bytes to its first result, in a process that has run nothing before. */
function cold(bundle, rounds) {
  const script = `
    const { assemble, encode, CompiledProgram, VmMemory, VmProgram } = await import(${JSON.stringify(bundle)});
    const lines = Array.from({ length: 999 }, (_, i) => i % 7 === 6 ? "if r0 > r" + (i % 5 + 1) + " goto +1" : "r" + (i % 6) + " += " + i);
    const code = encode(assemble(lines.join("\\n") + "\\nr0 = 1\\nexit", { dialect: "llvm" }));
    const memory = new VmMemory();
    const begun = performance.now();
    new CompiledProgram(new VmProgram(code), memory).execute([1n, 2n, 3n, 4n, 5n]);
    console.log(performance.now() - begun);`;
  const times = Array.from({ length: rounds }, () =>
    Number(execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" })),
  );
  return median(times).toFixed(1);
}
