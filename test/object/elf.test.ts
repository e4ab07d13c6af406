import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Elf, ElfSegmentType, ElfSymbolType, type ElfSource, symbolTable } from "../../src/object/index.ts";
import { describeUnless, missing } from "../support/needs.ts";

const directory = mkdtempSync(join(tmpdir(), "skep-elf-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const noReadelf = spawnSync("readelf", ["--version"]).error
  ? "readelf is not installed (apt-get install binutils)"
  : undefined;

function readelf(...args: readonly string[]): string {
  return execFileSync("readelf", ["-W", ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "ignore"],
  });
}

/** Programs and libraries of this machine, and objects for machines of every class and byte order. */
const files: string[] = [
  "/bin/ls",
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/usr/bin/bpftrace",
  realpathSync(process.execPath),
].filter((f) => existsSync(f));
if (!missing("clang")) {
  for (const target of ["bpfel", "bpfeb", "mips", "mipsel", "s390x-linux-gnu", "powerpc64", "aarch64", "i386"]) {
    const file = join(directory, `${target}.o`);
    const made = spawnSync("clang", ["-g", "-O2", "-target", target, "-c", "test/programs/types.c", "-o", file]);
    if (made.status === 0) files.push(file);
  }
}

/** A file that is read piece by piece, counting. */
function sourceOf(file: string): ElfSource & { bytesRead: number; close(): void } {
  const fd = openSync(file, "r");
  return {
    size: fstatSync(fd).size,
    bytesRead: 0,
    read(offset, length) {
      this.bytesRead += length;
      const buffer = Buffer.alloc(length);
      return buffer.subarray(0, readSync(fd, buffer, 0, length, offset));
    },
    close: () => closeSync(fd),
  };
}

const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, "0");

describeUnless(noReadelf, "ELF files", () => {
  it("of both classes and byte orders are among those tested", () => {
    const headers = files.map((file) => Elf.parse(readFileSync(file), file).header);
    if (missing("clang")) return;
    expect(new Set(headers.map((h) => `${h.class} ${h.bigEndian ? "big" : "little"}`)).size).toBe(4);
  });

  describe.each(files)("%s", (file) => {
    const elf = Elf.parse(readFileSync(file), file);
    const digits = elf.header.class / 4;

    it("has the header that readelf shows", () => {
      const text = readelf("-h", file);
      expect(text).toContain(`ELF${elf.header.class}`);
      expect(text).toContain(elf.header.bigEndian ? "big endian" : "little endian");
      expect(Number(/Entry point address: +(\S+)/.exec(text)![1])).toBe(Number(elf.header.entry));
      expect(Number(/Number of section headers: +(\d+)/.exec(text)![1])).toBe(elf.sections.length);
      expect(Number(/Number of program headers: +(\d+)/.exec(text)![1])).toBe(elf.segments.length);
    });

    it("has the sections that readelf shows", () => {
      const theirs = [
        ...readelf("-S", file).matchAll(
          /^ {2}\[ *(\d+)\] (\S*) +(\S.*?) +([0-9a-f]{8,16}) ([0-9a-f]{6,}) ([0-9a-f]{6,}) ([0-9a-f]+) /gm,
        ),
      ]
        .filter((m) => m[1] !== "0")
        .map(
          ([, index, name, , address, offset, size, entry]) => `${index} ${name} ${address} ${offset} ${size} ${entry}`,
        );
      const ours = elf.sections
        .slice(1)
        .map(
          (s) =>
            `${s.index} ${s.name} ${hex(s.address, digits)} ${hex(s.offset, 6)} ${hex(s.size, 6)} ${hex(s.entrySize, 2)}`,
        );
      expect(ours).toEqual(theirs);
    });

    it("has the segments that readelf shows", () => {
      const theirs = [...readelf("-l", file).matchAll(/^ {2}LOAD +0x(\S+) 0x(\S+) 0x(\S+) 0x(\S+) 0x(\S+)/gm)].map(
        (m) => m.slice(1).join(" "),
      );
      const ours = elf.segments
        .filter((s) => s.type === ElfSegmentType.LOAD)
        .map(
          (s) =>
            `${hex(s.offset, 6)} ${hex(s.virtualAddress, digits)} ${hex(s.physicalAddress, digits)} ${hex(s.fileSize, 6)} ${hex(s.memorySize, 6)}`,
        );
      expect(ours).toEqual(theirs);
    });

    it("has the build id and the notes that readelf shows", () => {
      const text = readelf("-n", file);
      expect(elf.buildId).toBe(/Build ID: (\S+)/.exec(text)?.[1]);
      // readelf interprets the names of annobin's notes, which start with GA.
      const owners = [...text.matchAll(/^ {2}(\S+) +0x[0-9a-f]{8}\t/gm)].map((m) => m[1]!);
      const plain = (owner: string): boolean => !owner.startsWith("GA");
      expect(
        elf
          .notes()
          .map((n) => n.owner)
          .filter(plain),
      ).toEqual(owners.filter(plain));
    });

    it("has the debug link that readelf shows", () => {
      if (elf.sectionByName(".gnu_debuglink") === undefined) {
        expect(elf.debugLink).toBeUndefined();
        return;
      }
      const link = /Separate debug info file: (\S+)\s+CRC value: (\S+)/.exec(readelf("--debug-dump=links", file))!;
      expect(elf.debugLink).toEqual({ file: link[1], crc32: Number(link[2]) });
    });

    it("has the symbols that readelf shows", () => {
      for (const table of [".symtab", ".dynsym"] as const) {
        const text = readelf(table === ".symtab" ? "-s" : "--dyn-syms", file);
        const part = text.split(/^Symbol table '/m).find((t) => t.startsWith(`${table}'`)) ?? "";
        const theirs = [
          ...part.matchAll(/^ *(\d+): ([0-9a-f]+) +(\d+|0x[0-9a-f]+) (\S+) +(\S+) +\S+ +(?:\[.*?\] +)?(\S+) ?(.*)$/gm),
        ];
        let i = 0;
        for (const symbol of elf.symbols(table)) {
          const [, index, value, size, type, , , name] = theirs[i]!;
          const same =
            Number(index) === i &&
            hex(symbol.value, digits) === value &&
            symbol.size === Number(size) &&
            (symbol.type === ElfSymbolType.FUNC) === (type === "FUNC") &&
            (type === "SECTION" || name!.split("@")[0]!.trimEnd() === symbol.name.split("@")[0]);
          if (!same) expect(symbol).toBe(theirs[i]![0]);
          i++;
        }
        expect(i).toBe(theirs.length);
      }
    });
  });
});

describe("symbols of a running program", () => {
  const file = realpathSync(process.execPath);

  it("are found by name, by address and in the file, reading a part of it", () => {
    const source = sourceOf(file);
    const elf = Elf.parse(source, file);
    const main = elf.findSymbol("main")!;
    expect(main.isFunction).toBe(true);
    const functions = symbolTable(elf);
    expect(functions.lookup(main.value)).toMatchObject({ name: "main", offset: 0 });
    expect(functions.lookup(Number(main.value) + 1)).toMatchObject({ name: "main", offset: 1 });
    expect(elf.fileOffsetToVirtual(elf.virtualToFileOffset(main.value)!)).toBe(main.value);
    expect(functions.lookup(0)).toBeUndefined();
    expect(functions.lookup(2n ** 63n)).toBeUndefined();
    expect(elf.virtualToFileOffset(2n ** 63n)).toBeUndefined();
    expect(elf.findSymbol("no_such_function")).toBeUndefined();
    expect(functions.names().has("main")).toBe(true);
    expect(source.bytesRead).toBeLessThan(source.size / 2);
    source.close();
  });

  it("cover each function from its first to its last byte", () => {
    const functions = Elf.parse(readFileSync(file), file).functions;
    const step = Math.ceil(functions.count / 500);
    for (let i = 0; i < functions.count; i += step) {
      const { address, size } = functions.at(i);
      if (size === 0) continue;
      for (const place of [address, address + BigInt(size) - 1n]) {
        const hit = functions.lookup(place)!;
        expect(hit.address <= place && place < hit.address + BigInt(hit.size)).toBe(true);
        expect(hit.address >= address).toBe(true);
        expect(hit.offset).toBe(Number(place - hit.address));
      }
    }
    expect(() => functions.at(functions.count)).toThrow(RangeError);
  });

  it.skipIf(!existsSync("/lib/x86_64-linux-gnu/libc.so.6"))("of several versions, the default one is found", () => {
    const libc = Elf.parse(readFileSync("/lib/x86_64-linux-gnu/libc.so.6"));
    const text = execFileSync("readelf", ["-W", "--dyn-syms", "/lib/x86_64-linux-gnu/libc.so.6"], { encoding: "utf8" });
    for (const name of ["memcpy", "pthread_cond_wait", "realpath", "malloc"]) {
      const address = new RegExp(`: ([0-9a-f]{16}) .* ${name}@@`).exec(text)![1]!;
      expect(libc.findSymbol(name)!.value, name).toBe(BigInt(`0x${address}`));
    }
  });
});
