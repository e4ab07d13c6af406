/** Clang and its tools referee what clang 14 knows of our llvm text: cpu v3 and before. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { assemble, decode, disassemble, disassembleInsn, encode } from "../../src/isa/index.ts";
import { describeWith } from "../support/needs.ts";
import { fromHex, opcodeCases, toHex } from "./table.ts";

/** C that makes clang use most of what it has. */
const source = `
typedef unsigned long long u64; typedef unsigned u32; typedef unsigned short u16; typedef unsigned char u8;
u64 atomics(u64 *p, u64 v) {
  v += __sync_fetch_and_add(p, v); v += __sync_fetch_and_xor(p, v); v += __sync_lock_test_and_set(p, v);
  v += __sync_val_compare_and_swap(p, v, 3); __sync_fetch_and_add(p + 1, v); return v;
}
u32 atomics32(u32 *q, u32 w) {
  w += __sync_fetch_and_or(q, w); w += __sync_lock_test_and_set(q, w); w += __sync_val_compare_and_swap(q, w, 3);
  return w + __sync_fetch_and_and(q + 1, w);
}
u64 memory(u8 *a, u16 *b, u32 *c, u64 *d) {
  a[3] = *b; b[-1] = *c; c[7] = *d; d[2] = a[0]; return (signed char)a[1] + (short)b[2] + (int)c[3] + *(d - 1);
}
u64 arithmetic(u64 x, u64 y, u32 z, int s) {
  x = x * 3 + y / 7 - y % 5; x ^= y << 3; x |= y >> z; x &= ~y; z = z * z + 9; z = z / 3 % 11; z ^= z >> 5; s >>= 3;
  x -= -y; x += __builtin_bswap16(z) + __builtin_bswap32(z) + __builtin_bswap64(y); return x + z + s + 0x123456789abcull;
}
int jumps(long x, u64 y, int z, u32 w) {
  int n = 0;
  for (long i = x; i < 100; i++) { if (y > (u64)i) n += z; if (z < n) n--; if (w >= (u32)n) n ^= w; if (y & 9) n++; if (z == 5) break; }
  while (z <= n) { z += 3; if (w & 12) n -= z; if (w != 17) n -= w; }
  return n;
}
int called(int);
int calls(int x) { return called(x) + called(x + 1); }
`;

describeWith(["clang", "llvmObjdump"], "clang's tools agree", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "skep-isa-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it("on bytes and text of what clang compiles", () => {
    const object = join(directory, "a.o");
    writeFileSync(join(directory, "a.c"), source);
    execFileSync("clang", ["-O2", "-target", "bpf", "-mcpu=v3", "-c", join(directory, "a.c"), "-o", object]);
    const dump = execFileSync("llvm-objdump", ["-d", "--mattr=+alu32", object], { encoding: "utf8" });
    const lines = [...dump.matchAll(/^\s*\d+:\t((?:[0-9a-f]{2} )+[0-9a-f]{2})\t(.*)$/gm)].filter(
      // clang 14's own disassembler does not know its 32-bit atomics; a call that awaits the linker says -1.
      ([, , text = ""]) => text !== "<unknown>" && text !== "call -1",
    );
    expect(lines.length).toBeGreaterThan(100);
    for (const [, bytes = "", shown = ""] of lines) {
      const text = shown.replace(/ <[^<>]*>$/, "");
      expect(`${bytes}: ${disassembleInsn(decode(fromHex(bytes))[0]!, { dialect: "llvm" })}`).toBe(`${bytes}: ${text}`);
      expect(`${text}: ${toHex(encode(assemble(text, { dialect: "llvm" })))}`).toBe(`${text}: ${bytes}`);
    }
    const whole = dump.slice(dump.indexOf("<atomics>") - 17).replace(/^.*(?:<unknown>|call -1)$/gm, "");
    expect(assemble(whole, { dialect: "llvm" })).toHaveLength(lines.length);
  });

  it("on the bytes of the table's text", () => {
    // To it, `call pc-4` and `call kernel-function` are symbols.
    const cases = opcodeCases.filter(({ llvm }) => !/^call [a-z]/.test(llvm));
    const text = cases.map(({ llvm }) => llvm).join("\n");
    const args = ["-triple", "bpfel", "-mattr=+alu32", "-show-encoding"];
    const { stdout, stderr } = spawnSync("llvm-mc", args, { input: text, encoding: "utf8" });
    const unknown = new Set([...stderr.matchAll(/^<stdin>:(\d+):\d+: error/gm)].map(([, line]) => Number(line) - 1));
    const known = cases.filter((_, i) => !unknown.has(i));
    const encodings = [...stdout.matchAll(/encoding: \[([^\]]*)\]/g)].map(([, bytes = ""]) =>
      bytes.replaceAll("0x", "").replaceAll(",", " "),
    );
    expect(known.length).toBeGreaterThan(115);
    expect(encodings).toEqual(known.map(({ bytes }) => toHex(bytes)));
  });

  it("on printing those bytes", () => {
    const object = join(directory, "b.o");
    const words = opcodeCases.map(({ bytes }) => `.byte ${[...bytes].join(",")}`).join("\n");
    execFileSync("llvm-mc", ["-triple", "bpfel", "-filetype=obj", "-o", object], { input: words });
    const dump = execFileSync("llvm-objdump", ["-d", "--no-show-raw-insn", "--mattr=+alu32", object], {
      encoding: "utf8",
    });
    const ours = disassemble(
      opcodeCases.flatMap(({ bytes }) => decode(bytes)),
      { dialect: "llvm", index: true },
    )
      .trimEnd()
      .split("\n");
    const theirs = dump.split("\n").filter((line) => /^\s*\d+:\t/.test(line));
    expect(theirs).toHaveLength(ours.length);
    const differing = theirs
      .map((line, i) => [line.replace(/ <[^<>]*>$/, ""), ours[i]!] as const)
      .filter(([their, our]) => their !== our && !their.includes("<unknown>"))
      .map(([their, our]) => `${their.trim().split("\t")[1]} | ${our.trim().split("\t")[1]}`);
    expect(differing).toEqual([
      // It waits for a relocation to say what is loaded.
      ...[
        "map[id:7]",
        "map[id:7][0]+16",
        "btf[id:99]",
        "btf[id:99]@5",
        "subprog[+3]",
        "map[idx:1]",
        "map[idx:1]+8",
      ].map((loaded) => `ld_pseudo | r6 = ${loaded}`),
      // It does not look at offsets, which cpu v4 gave a meaning.
      "w1 /= -5 | w1 s/= -5",
      "r1 /= -5 | r1 s/= -5",
      "w1 /= w2 | w1 s/= w2",
      "r1 /= r2 | r1 s/= r2",
      // It never makes these immediates, and leaves them out.
      ...["u32", "u16", "u8"].map((size) => `r0 = *(${size} *)skb[r7] | r0 = *(${size} *)skb[r7 + 14]`),
      // It does not tell helpers from other calls.
      "call -4 | call pc-4",
      "call 123 | call kernel-function#123",
      "call 123 | call kernel-function#123@3",
      "callx r0 | callx r5",
      "w1 = w2 | w1 = (s8)w2",
      "w1 = w2 | w1 = (s16)w2",
      "r1 = r2 | r1 = (s8)r2",
      "r1 = r2 | r1 = (s16)r2",
      "r1 = r2 | r1 = (s32)r2",
      "r1 = r2 | r1 = addr_space_cast(r2, 1, 0)",
      "r1 = r2 | r1 = &(void __percpu *)(r2)",
      // It does not look at the atomic operation.
      "lock *(u32 *)(r1 - 8) += w2 | w1 = load_acquire((u32 *)(r2 - 8))",
      "lock *(u64 *)(r1 - 8) += r2 | r1 = load_acquire((u64 *)(r2 - 8))",
    ]);
  });
});
