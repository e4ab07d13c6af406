/** Generated TypeScript: what it says, that TypeScript takes it, that it refuses what is wrong, and that its values are those of the kernel. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { generateTypes, type GenerateTypesOptions } from "../../src/inspect/index.ts";
import { readObject } from "../../src/object/index.ts";
import type { BpfObject } from "../../src/object/index.ts";
import { open } from "../../src/runtime/index.ts";
import { compileProgram } from "../support/clang.ts";
import { describeWith } from "../support/needs.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
// Below the package, so that Node's types are found.
const cache = join(root, "node_modules/.cache");
let directory: string;
beforeAll(() => {
  mkdirSync(cache, { recursive: true });
  directory = mkdtempSync(join(cache, "gen-types-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function object(name: string): BpfObject {
  return readObject(compileProgram(name), { name: `${name}.bpf.o` });
}

function generate(name: string, options: GenerateTypesOptions = {}): string {
  return generateTypes(object(name), { source: `${name}.bpf.o`, ...options });
}

/** Of an object without BTF. */
function bare(): string {
  const { btf: _btf, ...rest } = object("api");
  const none = { funcInfo: new Uint8Array(0), lineInfo: new Uint8Array(0) };
  return generateTypes({ ...rest, programs: rest.programs.map((program) => ({ ...program, ...none })) });
}

/** What tsc says of files in a directory of their own, in the strictest way there is. */
function typeCheck(files: Readonly<Record<string, string>>): string[] {
  const place = mkdtempSync(join(directory, "check-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(place, name), text);
  const options = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: { rootDir: "/", noUnusedLocals: false, paths: { skep: [join(root, "src/index.ts")] } },
    include: [place],
  };
  writeFileSync(join(place, "tsconfig.json"), JSON.stringify(options));
  const { stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", place, "--pretty", "false"], {
    encoding: "utf8",
  });
  return stdout
    .split("\n")
    .filter((line) => line.includes("error") && !line.startsWith("  "))
    .map((line) => line.replace(/^.*check-\w+\//, ""));
}

describeWith(["clang"], "skep gen types", () => {
  const texts = { api: generate("api"), gen: generate("gen") };

  test.each<[name: "api" | "gen", text: string]>([
    ["api", "/** `struct event`, 80 bytes. */\nexport interface Event {"],
    [
      "api",
      "  ts: bigint;\n  pid: number;\n  state: State;\n  comm: string;\n  mac: Uint8Array;\n  ok: boolean;\n  low: number;",
    ],
    [
      "api",
      "  anonymous: number;\n  addr4: number;\n  addr6: Uint8Array;\n  pair: {\n    a: number;\n    b: number;\n  }[];",
    ],
    ["api", '    /** SEC("tracepoint/syscalls/sys_enter_getppid") */\n    on_getppid: Program;'],
    ["api", "    /** RINGBUF, 65536 bytes; records: named at api.bpf.c:94. */\n    events: RingBufferMap<Event>;"],
    ["api", "    points: TypedMap<number, Point>;"],
    [
      "api",
      "    rodata: {\n      min_us: bigint;\n      verbose: boolean;\n      prefix: string;\n      targ_pid: number;\n    };",
    ],
    ["api", "export const State = {\n  STATE_IDLE: 0,\n  STATE_BUSY: 3,"],
    // Pointers that wait to be followed are addresses.
    ["api", "export interface Node {\n  next: bigint;\n  callback: bigint;\n  value: bigint;\n}"],
    ["gen", "export const ItemEnum = {"],
    ["gen", "export interface StringStruct {\n  constructor: string;\n}"],
    ["gen", "export interface PromiseStruct {\n  then: number;\n}"],
    ["gen", "  rows: string[];\n  raw: Uint8Array[];\n  small: number[];\n  grid: number[][][];\n  wide: bigint;"],
    ["gen", "  huge: bigint;\n  ratio: number;\n  kind: number;\n  tail: number[];"],
    ["gen", "    maps: MapOfMaps<number, TypedMap<number, Item>>;"],
    ["gen", "    untyped: TypedMap<Uint8Array, Uint8Array>;"],
    ["gen", "    kconfig: {\n      readonly LINUX_KERNEL_VERSION: number;"],
    ["gen", "    data_more: {\n      class_: number;"],
  ])("%s has %s", (name, text) => expect(texts[name]).toContain(text));

  test("it is formatted", () => {
    const files = ["api", "gen"] as const;
    for (const name of files) writeFileSync(join(directory, `${name}.ts`), texts[name]);
    writeFileSync(join(directory, "embedded.ts"), generate("api", { embed: compileProgram("api") }));
    writeFileSync(join(directory, "only.d.ts"), generate("gen", { declarations: true }));
    const paths = ["api.ts", "gen.ts", "embedded.ts", "only.d.ts"].map((name) => join(directory, name));
    // The house's settings: 120 columns; what is in node_modules is formatted only when asked for.
    const flags = ["--check", "--with-node-modules", "-c", join(root, ".oxfmtrc.json")];
    const { stdout, stderr, status } = spawnSync(join(root, "node_modules/.bin/oxfmt"), [...flags, ...paths], {
      encoding: "utf8",
    });
    expect({ said: status === 0 ? "" : stdout + stderr, status }).toEqual({ said: "", status: 0 });
  });

  test("TypeScript takes it, and refuses programs that use it wrongly", { timeout: 60_000 }, () => {
    const use = (body: string): string =>
      `import { open, State } from "./api.ts";\nexport async function use(): Promise<void> {\n  using obj = await open();\n  ${body}\n}\n`;
    const right = [
      "obj.globals.rodata.min_us = 100n;",
      "obj.globals.rodata.targ_pid = 5;",
      'obj.spec.maps["events"]!.maxEntries = 1 << 20; obj.spec.programs.on_exit.autoload = false;',
      "await obj.load(); await obj.attach();",
      "for await (const e of obj.maps.events) console.log(e.comm.trim(), e.ts + 1n, e.state === State.STATE_BUSY);",
      "obj.maps.points.set(1, { x: 1, y: 2 }); console.log(obj.maps.points.get(1)?.x, obj.maps.counts.get(0) ?? 0n);",
      "for (const [key, { x }] of obj.maps.points) console.log(key + x);",
      "obj.maps.points.set(2, { x: 1 }); obj.maps.counts.set(0, 7);",
      "console.log(obj.maps.hits.get(0)?.[0], obj.programs.never.testRun());",
    ];
    const wrong: [body: string, error: string][] = [
      ["obj.globals.rodata.min_us = 100;", "'number' is not assignable to type 'bigint'"],
      ["obj.globals.rodata.min_uss = 100n;", "Did you mean 'min_us'?"],
      ["obj.globals.rodat.min_us = 100n;", "rodat"],
      ["obj.spec.programs.on_exitt.autoload = false;", "Did you mean 'on_exit'?"],
      ["for await (const e of obj.maps.event) console.log(e);", "Did you mean 'events'?"],
      ["for await (const e of obj.maps.events) console.log(e.coomm);", "Did you mean 'comm'?"],
      ['obj.maps.points.set("1", { x: 1, y: 2 });', "'string' is not assignable to parameter of type 'number'"],
      ["obj.maps.points.set(1, { x: 1, z: 2 });", "'z' does not exist"],
      ["obj.programs.never.test();", "test"],
      ["obj.maps.points = obj.maps.points;", "read-only"],
    ];
    const files: Record<string, string> = {
      "api.ts": texts.api,
      "gen.ts": texts.gen,
      "bare.ts": bare(),
      "embedded.ts": generate("api", { embed: compileProgram("api") }),
      "only.d.ts": generate("gen", { declarations: true }),
      "right.ts": use(right.join("\n  ")),
    };
    wrong.forEach(([body], i) => (files[`wrong${i}.ts`] = use(body)));
    const errors = typeCheck(files);
    expect(errors.filter((line) => !line.startsWith("wrong"))).toEqual([]);
    for (const [i, [body, error]] of wrong.entries()) {
      const said = errors.filter((line) => line.startsWith(`wrong${i}.ts`)).join("\n");
      expect(`${body} ${said}`).toContain(error);
    }
  });

  test("declarations have no values", () => {
    const text = generate("api", { declarations: true });
    expect(text).not.toMatch(/^export (const|function)/m);
    expect(text).toContain(" * `enum state`: STATE_IDLE = 0, STATE_BUSY = 3, STATE_DEAD = 4294967295.");
  });

  test("types of events that are named, and that do not exist", () => {
    expect(generate("api", { events: { events: "struct point" } })).toContain("events: RingBufferMap<Point>;");
    expect(generate("api", { events: { events: "struct point,struct event" } })).toContain(
      "RingBufferMap<Point | Event>",
    );
    expect(() => generate("api", { events: { event: "struct point" } })).toThrow("did you mean events?");
    expect(() => generate("api", { events: { events: "struct pint" } })).toThrow("did you mean point?");
  });

  test("types of another object are refused when it is opened", async () => {
    const other = compileProgram("gen");
    await expect(open(other, { expects: { programs: ["on_getppid"], maps: [] } })).rejects.toThrow(/skep gen types/);
  });

  test("an object without BTF has names and bytes", () => {
    expect(bare()).toContain("points: TypedMap<Uint8Array, Uint8Array>;");
    expect(bare()).toContain("min_us: Uint8Array;");
  });
});
