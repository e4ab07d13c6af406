/** Scripts over a program of our own, whose memory, order of calls and addresses are known. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWith } from "../support/needs.ts";
import { bundleCli, run } from "./support.ts";

const PROGRAM = `
struct record { char tag[4]; int low : 5, high : 9; char after[4]; };
int answer = 42;
__attribute__((noinline)) int inner(struct record *r) { return r->low + answer; }
__attribute__((noinline)) int outer(struct record *r) { return inner(r) + 1; }
__attribute__((noinline)) int _ZN4shop4sellEi(int count) { return count + answer; }
int main(void) {
  _ZN4shop4sellEi(1);
  struct record r = { { 'a', 'b', 'c', 'd' }, -3, 200, { 'x', 'y', 'z', 0 } };
  return outer(&r) == 0;
}
`;

const RECORD = "struct record { char tag[4]; int low : 5, high : 9; char after[4] }";

/** Script over the program PROGRAM, and what it prints. `fixed` and `pie` are built of the same source. */
const ROWS: readonly (readonly [what: string, script: string, expected: string])[] = [
  [
    "text that fills its array",
    `${RECORD} uprobe:PROGRAM:outer { $r = (struct record *)arg0; $t = $r->tag; printf("%s %s %s\\n", $r->tag, $t, $r->after); @[$t] = 1; }`,
    "abcd abcd xyz\n\n\n@[abcd]: 1",
  ],
  [
    "bit fields have no sign",
    `${RECORD} uprobe:PROGRAM:outer { $r = (struct record *)arg0; print(($r->low, $r->high)); print(*$r); }`,
    "(29, 200)\n{ .tag = abcd, .low = 29, .high = 200, .after = xyz }",
  ],
  ["variables by name", 'uprobe:PROGRAM:inner { print(*uaddr("answer")); }', "42"],
  [
    "programs at one place run in the script's order",
    'uprobe:PROGRAM:inner { printf("1"); } uprobe:PROGRAM:inner { printf("2"); } uretprobe:PROGRAM:inner { printf("3"); } uretprobe:PROGRAM:inner { printf("4\\n"); }',
    "1234",
  ],
  [
    "length of a stack kept in a variable",
    "uprobe:PROGRAM:inner { $s = ustack(3); $t = ustack(2); print((len($s), len($t), len(ustack(1)))); }",
    "(3, 2, 1)",
  ],
  [
    "names of probes as text",
    'uprobe:PROGRAM:inner,uprobe:PROGRAM:outer { if (strcontains(probe, ":outer")) { print("outer"); } else if (probe == "uprobe:PROGRAM:inner") { print("inner"); } }',
    "outer\ninner",
  ],
];

describeWith(["linux", "root", "bpf", "uprobes", "clang"], "uprobes on a program", () => {
  let entry: string;
  let directory: string;

  beforeAll(async () => {
    entry = await bundleCli();
    directory = mkdtempSync(join(tmpdir(), "skep-uprobes-"));
    writeFileSync(join(directory, "program.c"), PROGRAM);
    for (const [name, flag] of [
      ["fixed", "-no-pie"],
      ["pie", "-pie"],
    ] as const) {
      const flags = ["-O0", "-fno-omit-frame-pointer", ...(name === "pie" ? ["-fPIE"] : []), flag];
      execFileSync("gcc", [...flags, "-o", join(directory, name), join(directory, "program.c")]);
    }
  }, 60_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  for (const name of ["fixed", "pie"]) {
    test.each(ROWS)(`${name}: %s`, async (_what, script, expected) => {
      const program = join(directory, name);
      const words = ["trace", "-q", "-e", script.replaceAll("PROGRAM", program), "-c", program];
      const result = await run(process.execPath, [entry, ...words]);
      expect(result.stderr).toBe("");
      expect(result.stdout.trim()).toBe(expected);
    });
  }

  // The program is over when names are looked up: only where it is at a fixed address is that no race.
  test.each([
    ["as people write them", "", "shop::sell(int)+0"],
    ["as they are", "config = { cpp_demangle = false } ", "_ZN4shop4sellEi+0"],
  ])("names of C++ %s", async (_what, config, expected) => {
    const script = `${config}uprobe:${join(directory, "fixed")}:_ZN4shop4sellEi { print(ustack(1)); }`;
    const result = await run(process.execPath, [entry, "trace", "-q", "-e", script, "-c", join(directory, "fixed")]);
    expect(result.stdout.trim()).toBe(expected);
  });

  test("text that was cut ends with the trailer", async () => {
    const program = join(directory, "fixed");
    const script =
      "config = { max_strlen = 3 } uprobe:PROGRAM:outer { print(str(arg0)); print(str(arg0, 2)); @[str(arg0)] = 1; }";
    const words = ["trace", "-q", "-e", script.replaceAll("PROGRAM", program), "-c", program];
    const result = await run(process.execPath, [entry, ...words]);
    expect(result.stdout.trim()).toBe("abc..\na\n\n\n@[abc..]: 1");
  });

  test("the probes of a script are listed", async () => {
    const file = join(directory, "script.bt");
    const program = join(directory, "fixed");
    writeFileSync(file, `interval:ms:7 { } uprobe:${program}:inn* { }`);
    const result = await run(process.execPath, [entry, "trace", "-l", file]);
    expect(result).toMatchObject({ status: 0, stdout: `interval:ms:\nuprobe:${program}:inner\n` });
  });
});
