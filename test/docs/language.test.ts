/** docs/language.md says what the tables say, and each of its examples compiles and is accepted by the running kernel. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
// @ts-expect-error -- a plain script without types
import { languageDoc } from "../../scripts/language-doc.mjs";
import { ScriptError } from "../../src/base/index.ts";
import { openLinuxKernel, type Kernel } from "../../src/kernel/index.ts";
import { compileScript } from "../../src/lang/bpftrace/compile.ts";
import { BUILTINS } from "../../src/lang/bpftrace/table/builtins.ts";
import { CONFIG } from "../../src/lang/bpftrace/table/config.ts";
import { FUNCTIONS } from "../../src/lang/bpftrace/table/functions.ts";
import { PROBE_PROVIDERS } from "../../src/lang/bpftrace/table/probes.ts";
import { LinuxEnvironment } from "../../src/runtime/environment.ts";
import { describeWith } from "../support/needs.ts";

describe("docs/language.md", () => {
  test("is what the tables make (node scripts/language-doc.mjs writes it anew)", () => {
    const committed = readFileSync(new URL("../../docs/language.md", import.meta.url), "utf8");
    expect(committed).toBe(languageDoc({ PROBE_PROVIDERS, BUILTINS, FUNCTIONS, CONFIG }));
  });
});

const EXAMPLES: [string, string][] = [
  ...PROBE_PROVIDERS.filter((row) => row.supported).map((row): [string, string] => [`probe ${row.name}`, row.example]),
  ...BUILTINS.filter((row) => row.supported).map((row): [string, string] => [`builtin ${row.name}`, row.example]),
  ...FUNCTIONS.filter((row) => row.supported).map((row): [string, string] => [`function ${row.name}`, row.example]),
];

/** Probes that give examples what they name: `args.ret`, `args.argv`, `arg0`, `args.saddr`, `$p`. The first in which one compiles counts. */
const SURROUNDINGS = [
  "tracepoint:syscalls:sys_enter_openat { @start[tid] = nsecs; @ = count(); STATEMENT }",
  "tracepoint:syscalls:sys_enter_read { @start[tid] = nsecs; $p = args.buf; $x = 1; STATEMENT }",
  "tracepoint:syscalls:sys_exit_read { $p = curtask; $x = 1; STATEMENT }",
  "tracepoint:syscalls:sys_exit_read { STATEMENT }",
  "tracepoint:syscalls:sys_enter_execve { STATEMENT }",
  "tracepoint:tcp:tcp_probe { STATEMENT }",
  "tracepoint:tcp:tcp_destroy_sock { STATEMENT }",
  "tracepoint:sock:inet_sock_set_state { STATEMENT }",
  "tracepoint:net:netif_rx { $p = (struct net_device *)0; STATEMENT }",
  "uprobe:libc:malloc { STATEMENT }",
  "uretprobe:libc:malloc { STATEMENT }",
  `uprobe:${process.execPath}:main { STATEMENT }`,
  "profile:hz:99 { STATEMENT }",
];

/** Whole scripts to try for an example: itself, or as a statement or value in each of the surroundings. */
function scriptsOf(example: string): string[] {
  if (/^(?:[a-z]+(?::\S+)*|BEGIN|END)\s*(?:\/.*\/\s*)?\{/.test(example))
    return [
      example,
      `${example} begin { @ = 1; @start = 1; }`,
      `${example} begin { @ = count(); @start[tid] = nsecs; }`,
    ];
  const statement = /[;}]$/.test(example) ? example : `print(${example});`;
  return SURROUNDINGS.map((around) => around.replace("STATEMENT", statement));
}

describeWith(["linux", "root", "bpf", "tracefs", "vmlinuxBtf"], "examples of docs/language.md", () => {
  let kernel: Kernel;
  const environment = new LinuxEnvironment();
  beforeAll(() => void (kernel = openLinuxKernel()));
  afterAll(() => kernel.close());

  test.each(EXAMPLES)("%s: %s", (_, example) => {
    const problems: string[] = [];
    for (const text of scriptsOf(example)) {
      let compiled;
      try {
        compiled = compileScript({ name: "example", text }, environment, { unsafe: true });
      } catch (error) {
        if (!(error instanceof ScriptError)) throw error;
        // What this kernel lacks altogether is tested in VMs.
        if (environment.kprobeProblem !== null && error.message.includes("CONFIG_KPROBES")) return;
        problems.push(error.message);
        continue;
      }
      kernel.load(compiled.object).close();
      return;
    }
    // fail() is there to refuse.
    if (example.startsWith("fail(")) return;
    expect.fail(problems.join("\n"));
  });
});
