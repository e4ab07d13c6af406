/** Objects for tests of written files: from IR text, and what the kernel made of them. */
import { execFileSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Btf, BtfBuilder, BtfVarLinkage } from "../../src/btf/index.ts";
import { MapType, ProgType, assemble, encode } from "../../src/isa/index.ts";
import type { Insn } from "../../src/isa/index.ts";
import { compileModule, kernelTarget, parseModule } from "../../src/compiler/index.ts";
import { Elf } from "../../src/object/index.ts";
import type { BpfObject, ElfSymbol, MapSpec, ProgramSpec } from "../../src/object/index.ts";
import { describeMap, openById, openPinned, translatedCode } from "../../src/kernel/linux/bpf.ts";
import type { OwnedFd } from "../../src/kernel/linux/fd.ts";

/** Compiles IR text, all but its first line, for a recent kernel. */
export function compiled(text: string): BpfObject {
  const module = parseModule(`module test license "GPL"\nsource "t.bt" "first line\\nsecond line"\n${text}\n`);
  return compileModule(module, { target: kernelTarget([6, 1]), check: true });
}

const none = new Uint8Array(0);

/** A program of instructions, or of their text in the kernel's notation. */
export function handMade(
  name: string,
  code: string | readonly Insn[],
  options: Partial<ProgramSpec> = {},
): ProgramSpec {
  return {
    name,
    type: ProgType.RAW_TRACEPOINT,
    expectedAttachType: 0,
    code: encode(typeof code === "string" ? assemble(code) : [...code]),
    relocations: [],
    funcInfo: none,
    lineInfo: none,
    ...options,
  };
}

/** An object of programs and maps under the GPL. */
export function objectOf(programs: readonly ProgramSpec[], maps: readonly MapSpec[] = [], btf?: Uint8Array): BpfObject {
  return { license: "GPL", programs, maps, ...(btf === undefined ? {} : { btf }) };
}

const counter = (name: string, type: number, map: string): string => `
entry @${name}(%ctx: ptr) -> i64 type ${type} attach 0 {
e:
  %k = alloca 8 align 8
  store [%k] 1 bits 64
  %m = mapref @${map}
  %v = helper ptr map_lookup_elem(%m, %k)
  %c = icmp eq ptr %v, null
  branch %c, none, some
some:
  atomic add [%v] 1 bits 64
  return 0
none:
  return 0
}`;

/** A function that is not inlined, adds a number and then calls others. */
const adds = (name: string, number: number, ...calls: string[]): string => `
static @${name}(%x: i64) -> i64 inline never {
e:
  %p = mapvalue @out
  %old = load i64 [%p] bits 64 volatile
  %sum = add i64 %old, ${number}
  store [%p] %sum bits 64 volatile
${calls.map((callee, i) => `  %c${i} = call i64 @${callee}(%sum)`).join("\n")}
  return ${calls.length === 0 ? "%sum" : `%c${calls.length - 1}`}
}`;

const OUT = "map out type 2 key 4 value 16 entries 1 flags 0";

/** Objects that the kernel takes: name, IR. */
export const objects: readonly (readonly [string, string])[] = [
  ["a hash", `map m type 1 key 8 value 8 entries 16 flags 1\n${counter("count", 5, "m")}`],
  [
    "two programs of one kind, one of another",
    `map m type 1 key 8 value 8 entries 16 flags 0
     ${counter("first", 17, "m")}\n${counter("second", 17, "m")}\n${counter("third", 7, "m")}`,
  ],
  [
    "maps of many types",
    `map lru type 9 key 8 value 8 entries 100 flags 2
     map percpu type 5 key 8 value 24 entries 7 flags 0
     map array type 2 key 4 value 8 entries 3 flags 0
     map ring type 27 key 0 value 0 entries 4096 flags 0
     map perf type 4 key 4 value 4 entries 8 flags 0
     map stacks type 7 key 4 value 1016 entries 128 flags 0
     map tails type 3 key 4 value 4 entries 5 flags 0
     map queue type 22 key 0 value 8 entries 5 flags 0
     map trie type 11 key 8 value 4 entries 9 flags 1
     ${counter("count", 17, "lru")}`,
  ],
  [
    "constants in a frozen map",
    `${OUT}\nmap table type 2 key 4 value 16 entries 1 flags 128 initial "000102030405060708090a0b0c0d0e0f" frozen
entry @reads(%ctx: ptr) -> i64 type 17 attach 0 {
e:
  %n = load i64 [%ctx] bits 64
  %i = and i64 %n, 7
  %t = mapvalue @table + 4
  %p = ptradd %t, %i
  %b = load i64 [%p] bits 8
  %o = mapvalue @out + 8
  store [%o] %b bits 64
  return %b
}`,
  ],
  [
    "variables with a first value",
    `map data type 2 key 4 value 8 entries 1 flags 0 initial "2a00000000000000"
entry @adds(%ctx: ptr) -> i64 type 17 attach 0 {
e:
  %d = mapvalue @data
  %x = load i64 [%d] bits 64
  %y = add i64 %x, 1
  store [%d] %y bits 64
  return %y
}`,
  ],
  [
    "functions, called in another order than they are placed in",
    `${OUT}\n${adds("a", 1, "c")}\n${adds("b", 2)}\n${adds("c", 3)}
entry @main(%ctx: ptr) -> i64 type 17 attach 0 {
e:
  %x = load i64 [%ctx] bits 64
  %y = call i64 @a(%x)
  %z = call i64 @b(%y)
  return %z
}`,
  ],
  [
    "two programs with a function in common",
    `${OUT}\n${adds("shared", 1)}\n${adds("own", 2, "shared")}
entry @one(%ctx: ptr) -> i64 type 17 attach 0 {
e:
  %y = call i64 @shared(7)
  return %y
}
entry @two(%ctx: ptr) -> i64 type 5 attach 0 {
e:
  %x = call i64 @own(8)
  %y = call i64 @shared(%x)
  return %y
}`,
  ],
  [
    "a callback",
    `map m type 1 key 8 value 8 entries 16 flags 0\n${OUT}
callback @each(%map: ptr, %key: ptr, %value: ptr, %extra: ptr) -> i64 {
e:
  %p = mapvalue @out
  %x = load i64 [%value] bits 64
  store [%p] %x bits 64
  return 0
}
entry @walks(%ctx: ptr) -> i64 type 17 attach 0 {
e:
  %m = mapref @m
  %f = funcref @each
  %n = helper i64 for_each_map_elem(%m, %f, null, 0)
  return %n
}`,
  ],
];

/** An object as a loader would make it of clang's output: a section with two variables, and sections that describe the file. */
export function fromFile(): BpfObject {
  const builder = new BtfBuilder();
  const int = builder.int("int", 4);
  const inner = builder.variable("seen", int, BtfVarLinkage.STATIC);
  const outer = builder.variable("limit", int);
  const data = builder.dataSection(".data", 8, [
    { typeId: outer, offset: 0, size: 4 },
    { typeId: inner, offset: 4, size: 4 },
  ]);
  const license = builder.variable("_license", builder.array(builder.int("char", 1), 4));
  builder.dataSection("license", 4, [{ typeId: license, offset: 0, size: 4 }]);
  builder.dataSection(".maps", 4, [{ typeId: builder.variable("old", int), offset: 0, size: 4 }]);
  return objectOf(
    [handMade("p", "r0 = 0\nexit")],
    [
      {
        name: ".data",
        type: MapType.ARRAY,
        keySize: 4,
        valueSize: 8,
        maxEntries: 1,
        flags: 0,
        initialValue: Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0),
        valueTypeId: data,
      },
      { name: "counts", type: MapType.HASH, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 },
    ],
    builder.finish(),
  );
}

/** A written file, read back. */
export class WrittenFile {
  readonly elf: Elf;

  constructor(bytes: Uint8Array) {
    this.elf = Elf.parse(bytes, "written");
  }

  data(section: string): Uint8Array {
    const found = this.elf.sectionByName(section);
    if (found === undefined) throw new Error(`no section ${section}`);
    return this.elf.sectionData(found);
  }

  /** Names of all sections but the tables'. */
  get sections(): string[] {
    return this.elf.sections.map((s) => s.name).filter((n) => n !== "" && n !== ".symtab" && n !== ".strtab");
  }

  get symbols(): ElfSymbol[] {
    return [...this.elf.symbols()];
  }

  get btf(): Btf {
    return Btf.parse(this.data(".BTF"));
  }

  /** `offset type symbol` of each relocation of a section, sections' symbols by their section's name. */
  relocations(section: string): string[] {
    const bytes = this.data(`.rel${section}`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const symbols = this.symbols;
    const out: string[] = [];
    for (let at = 0; at < bytes.length; at += 16) {
      const symbol = symbols[view.getUint32(at + 12, true)]!;
      const name = symbol.name === "" ? this.elf.sections[symbol.sectionIndex]!.name : symbol.name;
      const type = view.getUint32(at + 8, true) === 1 ? "64_64" : "64_32";
      out.push(`${view.getUint32(at, true) / 8} ${type} ${name}`);
    }
    return out;
  }
}

/** What a file loaded with bpftool left in a directory of the BPF file system. */
export class PinnedObject {
  private readonly directory: string;
  private readonly fds: OwnedFd[] = [];

  /** Throws with bpftool's output when it does not load. `directory` must not exist. */
  constructor(file: string, directory: string) {
    this.directory = directory;
    execFileSync("mkdir", ["-p", directory]);
    try {
      execFileSync("bpftool", ["prog", "loadall", file, join(directory, "p"), "pinmaps", join(directory, "m")], {
        encoding: "utf8",
        stdio: "pipe",
      });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get programs(): string[] {
    return readdirSync(join(this.directory, "p"));
  }

  get maps(): string[] {
    return readdirSync(join(this.directory, "m"));
  }

  program(name: string): OwnedFd {
    return this.open("p", name);
  }

  map(name: string): OwnedFd {
    return this.open("m", name);
  }

  private open(of: string, name: string): OwnedFd {
    const fd = openPinned(join(this.directory, of, name));
    this.fds.push(fd);
    return fd;
  }

  /** What bpftool tells of a map. */
  show(map: string): unknown {
    return this.ask("show", map);
  }

  /** Entries of a map as bpftool prints them. */
  dump(map: string): unknown {
    return this.ask("dump", map);
  }

  /** A program's instructions between its source lines. */
  lines(program: string): string {
    const args = ["prog", "dump", "xlated", "pinned", join(this.directory, "p", program), "linum"];
    return execFileSync("bpftool", args, { encoding: "utf8" });
  }

  private ask(command: string, map: string): unknown {
    const args = ["-j", "map", command, "pinned", join(this.directory, "m", map)];
    return JSON.parse(execFileSync("bpftool", args, { encoding: "utf8" }));
  }

  close(): void {
    for (const fd of this.fds) fd.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * A loaded program's instructions with what differs between two loads of one object taken out: maps stand as their type and sizes, called
 * functions as their own text instead of their place.
 */
export function kernelText(programFd: number): string {
  const code = translatedCode(programFd);
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  const targets = new Set<number>([0]);
  const references = new Map<number, number>();
  for (let i = 0; i < code.length / 8; i++) {
    const [opcode, source] = [code[i * 8]!, code[i * 8 + 1]! >> 4];
    // In what the kernel shows, a call has its distance in the offset.
    if (opcode === 0x85 && source === 1) references.set(i, i + 1 + view.getInt16(i * 8 + 2, true));
    if (opcode === 0x18 && source === 4) references.set(i, i + 1 + view.getInt32(i * 8 + 4, true));
    if (opcode === 0x18) i++;
  }
  for (const target of references.values()) targets.add(target);
  const starts = [...targets].toSorted((a, b) => a - b);
  const text = (start: number): string => {
    const end = starts[starts.indexOf(start) + 1] ?? code.length / 8;
    const lines: string[] = [];
    for (let i = start; i < end; i++) {
      const insn = Buffer.from(code.slice(i * 8, i * 8 + 8));
      const isWide = insn[0] === 0x18;
      const source = insn[1]! >> 4;
      let what = "";
      const target = references.get(i);
      if (target !== undefined) what = `{\n${text(target)}\n}`;
      else if (isWide && (source === 1 || source === 2)) what = mapText(insn.readInt32LE(4));
      if (what !== "") insn.fill(0, 2);
      lines.push(`${insn.toString("hex")} ${what}`);
    }
    return lines.join("\n");
  };
  return text(0);
}

function mapText(id: number): string {
  using fd = openById("map", id)!;
  const { type, keySize, valueSize, maxEntries } = describeMap(fd.value);
  return `map ${type} ${keySize} ${valueSize} ${maxEntries}`;
}
