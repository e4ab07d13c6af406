// The running kernel's BTF: time and memory from its bytes to answers, each figure from a process of its own.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, need, table } from "./lib.mjs";

const VMLINUX = "/sys/kernel/btf/vmlinux";
const source = fileURLToPath(new URL("../src/btf/index.ts", import.meta.url));

// [what, expression over `btf`, aim in milliseconds and in MiB of heap and buffers, the file's own bytes included]
const CASES = [
  ["index", "btf.typeCount", 40, 15],
  ["struct and a field", 'btf.memberPath(btf.structByName("task_struct").id, "se.avg.load_avg").bitOffset', 40, 15],
  ["function's prototype", 'btf.funcProto(btf.funcByName("vfs_read").id).parameters.length', 40, 15],
  ["enum constant", 'btf.enumValue("BPF_MAP_TYPE_RINGBUF").value', 40, 15],
  ["a name that is not there", 'btf.findByName("no_such_type") ?? "none"', 80, 15],
  ["all functions by name", "[...btf.names(12)].filter((n) => btf.funcByName(n)).length", undefined, undefined],
  ["names of all functions", "[...btf.names(12)].length", undefined, undefined],
];

const child = (bundle, expression) => `
import { readFileSync } from "node:fs";
const { Btf } = await import(${JSON.stringify(bundle)});
const used = () => { const m = process.memoryUsage(); return m.heapUsed + m.external; };
gc();
const before = used();
const bytes = readFileSync(${JSON.stringify(VMLINUX)});
const started = performance.now();
const btf = Btf.parse(bytes);
const answer = ${expression};
const ms = performance.now() - started;
const peak = used() - before;
gc();
console.log(JSON.stringify({ ms, peak, kept: used() - before, answer: String(answer), types: btf.typeCount }));
`;

export async function run(args) {
  need(existsSync(VMLINUX), VMLINUX);
  const rounds = Number(args[0] ?? 5);
  const directory = mkdtempSync(join(tmpdir(), "skep-bench-"));
  try {
    const { build } = await import("rolldown");
    const bundle = join(directory, "btf.mjs");
    await build({ input: source, platform: "node", output: { file: bundle, format: "esm" }, logLevel: "warn" });
    const rows = [];
    let missed = 0;
    for (const [what, expression, aimMs, aimMib] of CASES) {
      const file = join(directory, "case.mjs");
      writeFileSync(file, child(bundle, expression));
      const results = [];
      for (let i = 0; i < rounds; i++) {
        results.push(JSON.parse(execFileSync(process.execPath, ["--expose-gc", file], { encoding: "utf8" })));
      }
      const ms = median(results.map((r) => r.ms));
      const peak = median(results.map((r) => r.peak)) / 2 ** 20;
      const kept = median(results.map((r) => r.kept)) / 2 ** 20;
      if (ms > (aimMs ?? Infinity) || peak > (aimMib ?? Infinity)) missed++;
      rows.push({
        what,
        ms: ms.toFixed(1),
        "aim ms": aimMs ?? "",
        "peak MiB": peak.toFixed(1),
        "kept MiB": kept.toFixed(1),
        "aim MiB": aimMib ?? "",
        answer: results[0].answer,
      });
    }
    console.log(`${VMLINUX}: ${readFileSync(VMLINUX).length} bytes, median of ${rounds} processes`);
    table(rows);
    if (missed > 0) console.log(`${missed} of ${rows.length} miss their aim`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
