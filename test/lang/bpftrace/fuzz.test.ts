import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ScriptError, SkepError } from "../../../src/base/index.ts";
import { listProbes } from "../../../src/lang/bpftrace/index.ts";
import { check } from "./support/check.ts";
import { fakeEnvironment } from "./support/environment.ts";

/** Valid scripts that between them use everything. */
const SEEDS: readonly string[] = [
  'BEGIN { printf("%-6d %*s %r\\n", pid, 5, comm, buf("abc")); @start[tid, "x"] = nsecs; exit(1); }',
  'tracepoint:syscalls:sys_enter_open* /comm == "a" && pid != 1/ { @[str(args.filename)] = count(); }',
  "kprobe:vfs_read { $t = (struct task_struct *)arg0; if ($t->pid > 5) { @h = hist($t.mm->owner->pid, 2); } else { @l[comm] = lhist(arg1, 0, 100, 10); } }",
  "uprobe:libc:malloc,uretprobe:/bin/bash:readline { @s[ustack(perf, 5)] = sum(pid); unroll (3) { $i++; } }",
  "#define N 3\nstruct s { int a[N]; char *b; union { u64 c; } d; int e : 2; };\nenum e { A = 1, B };\nBEGIN { $p = (struct s *)0; print($p->a[1]); @e = A; }",
  "config = { max_strlen = 64; stack_mode = raw }\nlet @m = lruhash(10);\nBEGIN { @m[1] = 2; for ($kv : @m) { print($kv.0); } for ($i : 0..10) { if ($i == 5) { break; } } while (1) { continue; } }",
  'interval:s:1 { $x = { $y = 1; $y + 1 }; $z = $x > 1 ? (1, "a", $y) : (2, "bc", 3); print($z.1); delete(@a, 1); @a[1] = (uint8[4])$x; let $q: int32 = -1; }',
  'profile:hz:99,software:faults:10,hardware:cycles { @[kstack, cpu] = count(); @m = max(nsecs - elapsed); clear(@m); time("%H"); }',
];

/** Pieces that edits put in. */
const PIECES: readonly string[] = [
  ..."{}()[];:,./*+-=<>!~&|^?%$@#\"'\\\n \t0129azAZ_",
  "$x",
  "@m",
  "@m[1]",
  "args.",
  "->",
  "==",
  "&&",
  "++",
  "/*",
  "*/",
  "//",
  "if ",
  "else ",
  "for ",
  "while ",
  "let ",
  "return ",
  "sizeof(",
  "(struct task_struct *)",
  "count()",
  "hist(",
  "18446744073709551616",
  "0x",
  "1e99",
  "5s",
  "é",
  "\u0000",
  "\ud800",
  "struct ",
  "tracepoint:",
  "uprobe:/",
  "BEGIN",
  "comptime ",
  "(1,",
  '"%s%d%n"',
  "#if 0\n",
  "#endif\n",
  "$1",
  "$#",
  "config = {",
  "macro ",
  "fn ",
];

const edit = fc.record({
  at: fc.nat(400),
  remove: fc.nat(12),
  insert: fc.array(fc.constantFrom(...PIECES), { maxLength: 4 }),
});

function apply(seed: string, edits: readonly { at: number; remove: number; insert: readonly string[] }[]): string {
  let text = seed;
  for (const { at, remove, insert } of edits) {
    const place = at % (text.length + 1);
    text = text.slice(0, place) + insert.join("") + text.slice(place + remove);
  }
  return text;
}

/** Every complaint has a place in the text and says something. */
function checkOrComplain(text: string): void {
  try {
    check(text, { unsafe: true, env: { positional: ["1", "b"] } });
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    expect(error.diagnostics.length).toBeGreaterThan(0);
    for (const { span, message } of error.diagnostics) {
      expect(message).not.toBe("");
      expect(span.start).toBeGreaterThanOrEqual(0);
      expect(span.start).toBeLessThanOrEqual(span.end);
      expect(span.end).toBeLessThanOrEqual(Math.max(1, text.length));
    }
  }
}

describe("edited scripts compile or are refused with a reason", () => {
  test.each(SEEDS)("%s", (seed) => {
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => checkOrComplain(apply(seed, edits))),
      { numRuns: 300 },
    );
  });

  test("pieces in any order", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 60 }), (pieces) => {
        checkOrComplain(`BEGIN { ${pieces.join("")} }`);
        checkOrComplain(pieces.join(""));
      }),
      { numRuns: 500 },
    );
  });

  test("patterns of lists", () => {
    const env = fakeEnvironment();
    fc.assert(
      fc.property(fc.string({ maxLength: 20 }), fc.boolean(), (pattern, verbose) => {
        try {
          listProbes(pattern, env, { verbose });
        } catch (error) {
          if (!(error instanceof SkepError)) throw error;
        }
      }),
      { numRuns: 300 },
    );
  });
});
