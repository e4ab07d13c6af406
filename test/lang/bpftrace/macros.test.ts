import { describe, expect, test } from "vitest";
import { check, complaints, typesOf } from "./support/check.ts";
import { statementText } from "./support/tree.ts";

/** Macros, a body that calls them, and what the body becomes. */
const EXPANDED: readonly (readonly [string, string, string])[] = [
  ["macro one() { 1 }", "print(one()); print(one);", "(call print 1) (call print 1)"],
  ["macro add(x) { x + 1 }", "$a = add(2 * 3); print(add($a));", "(= $a (+ (* 2 3) 1)) (call print (+ $a 1))"],
  ["macro twice(x) { x; x; }", 'twice({ printf("a") });', '{{(call printf "a")} {(call printf "a")}}'],
  ["macro both($a, @b) { $a += 1; @b += 2; }", "$x = 1; both($x, @y);", "(= $x 1) {(+= $x 1) (+= @y 2)}"],
  [
    "macro local(x) { let $x = x; $x + 1 }",
    "$x = 5; print(local($x));",
    "(= $x 5) (call print (do (let $x'1 $x) (+ $x'1 1)))",
  ],
  ["macro inner(x) { x + 1 } macro outer(x) { inner(x) * 2 }", "print(outer(3));", "(call print (* (+ 3 1) 2))"],
  ["macro keyed(@m, k) { @m[k] = count(); }", "keyed(@a, pid);", "{(= @a[pid] (call count))}"],
  ["macro p_cast(a, b) { (a*)b }", "$p = p_cast(typeof(uint8), pid);", "(= $p (cast<uint8*> pid))"],
  [
    "macro over(x) { 1 } macro over($x) { 2 } macro over(@x) { 3 } macro over() { 4 }",
    "$v = 0; @m = 0; print((over(5), over($v), over(@m), over()));",
    "(= $v 0) (= @m 0) (call print (tuple 1 2 3 4))",
  ],
  ["macro sysret(ret) { if (ret < 0) { return; } $ok = ret; @last = 1; }", "print(1);", "(call print 1)"],
  [
    "macro typed(x) { let $y: typeof(x); if (true) { $y = 1 } x + $y }",
    "print(typed(1));",
    "(call print (do (let $y'1 : (typeof 1)) (if true {(= $y'1 1)}) (+ 1 $y'1)))",
  ],
  ["macro cpu(x) { x }", "print(cpu(5)); print(cpu());", "(call print 5) (call print (call cpu))"],
  ["", "print(pcomm); print(pcomm());", "(call print curtask.real_parent.comm) (call print curtask.real_parent.comm)"],
];

describe("expansion", () => {
  test.each(EXPANDED)("%s %s", (macros, body, tree) => {
    const { programs } = check(`${macros} BEGIN { ${body} }`);
    expect(programs[0]!.body.statements.map(statementText).join(" ")).toBe(tree);
  });

  test("types of what macros make", () => {
    const macros = "macro now(@m) { @m[tid] = nsecs; } macro since(@m) { nsecs - @m[tid] }";
    expect(typesOf(check(`${macros} BEGIN { now(@start); @h = hist(since(@start)); $d = since(@start); }`))).toBe(
      "@h=hist_t @start[uint32]=uint64 $d=int64",
    );
  });

  test("each probe has its own copy", () => {
    const { programs } = check("macro m(x) { $v = x; } BEGIN { m(1); } END { m(comm); }");
    expect(programs.map((p) => p.variables.map((v) => v.type.kind))).toEqual([["int"], ["string"]]);
  });
});

describe("complaints", () => {
  test.each<[string, string[]]>([
    [
      "macro m() { @x++ } BEGIN { m(); }",
      [
        "@x: Unhygienic access to map: @x. Maps must be passed into the macro as arguments. | write macro m(@x) and pass the map",
      ],
    ],
    ["macro m($x) { $x++ } BEGIN { m(1); }", ["1: Mismatched arg. m() expects a variable for arg $x | write m($x)"]],
    [
      "macro m(@x) { @x++ } BEGIN { $v = 1; m($v); }",
      ["$v: Mismatched arg. m() expects a map for arg @x | write m(@x)"],
    ],
    [
      "macro m(a, b) { a + b } BEGIN { m(1); }",
      ["m(1): Call to m() has the wrong number of arguments. Expected: 2 but got 1. | write m(a, b)"],
    ],
    [
      "macro m(a) { a } BEGIN { m; }",
      ["m: Call to m has the wrong number of arguments. Expected: 1 but got 0. | write m(a)"],
    ],
    [
      "macro a() { b() } macro b() { a() } BEGIN { a(); }",
      ["a(): Recursive macro call detected. Call chain: a > b > a | use a loop"],
    ],
    [
      "macro m(x) { x } macro m(y) { y } BEGIN { m(1); }",
      [
        "macro m(y) { y }: Redefinition of macro: m | macros of one name differ in the number or sigils of their parameters",
      ],
    ],
    ["macro m(x, x) { x } BEGIN { m(1, 2); }", ["x: Macro argument has already been used: x"]],
    [
      "macro m(x) { x + $y } BEGIN { $y = 1; m(1); }",
      ["$y: Undefined or undeclared variable: $y | assign it first: $x = 1;"],
    ],
  ])("%s", (text, expected) => {
    expect(complaints(text)).toEqual(expected);
  });

  test("macros that double on every level end", () => {
    const levels = Array.from({ length: 40 }, (_, i) => `macro m${i}(x) { m${i + 1}(x) + m${i + 1}(x) }`).join("\n");
    const [first] = complaints(`${levels}\nmacro m40(x) { x }\nBEGIN { print(m0(1)); }`);
    expect(first).toMatch(/grows beyond/);
  });
});

describe("getopt", () => {
  const option = (call: string, named: Record<string, string>): unknown => {
    const checked = check(`BEGIN { $x = ${call}; }`, { env: { named: new Map(Object.entries(named)) } });
    const statement = checked.programs[0]!.body.statements[0]!;
    return statement.kind === "assign" ? statement.value.constant : undefined;
  };

  test.each<[string, Record<string, string>, unknown]>([
    ['getopt("n", 5)', {}, 5n],
    ['getopt("n", 5)', { n: "-7" }, -7n],
    ['getopt("n", 5, "how many")', { n: "0x10" }, 16n],
    ['getopt("s", "a")', {}, "a"],
    ['getopt("s", "a")', { s: "bc" }, "bc"],
    ['getopt("b")', {}, 0n],
    ['getopt("b")', { b: "" }, 1n],
    ['getopt("b", true)', { b: "0" }, 0n],
  ])("%s %o", (call, named, value) => {
    expect(option(call, named)).toBe(value);
  });

  test("values that do not fit", () => {
    const complaintsWith = (text: string, named: Record<string, string>): string[] =>
      complaints(text, { env: { named: new Map(Object.entries(named)) } });
    expect(complaintsWith('BEGIN { getopt("n", 5); }', { n: "x" })).toEqual([
      "getopt(\"n\", 5): option --n: 'x' is not a number",
    ]);
    expect(complaintsWith('BEGIN { getopt("b"); }', { b: "maybe" })).toEqual([
      "getopt(\"b\"): option --b: 'maybe' is not true or false",
    ]);
  });
});
