/** The running kernel referees our text: the verifier's log and bpftool print the same instructions that we assembled. */
import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import {
  ProgType,
  type Insn,
  assemble,
  decode,
  disassembleInsn,
  encode,
  ldMapFd,
  slotsOf,
} from "../../src/isa/index.ts";
import { describeWith } from "../support/needs.ts";
import { close, createHash, loadProgram, programId } from "./load.ts";
import { fromHex } from "./table.ts";

/** Any values in r0 to r9 but r6, the context. */
const scalars = `r6 = r1\ncall bpf_get_prandom_u32\n${[1, 2, 3, 4, 5, 7, 8, 9].map((n) => `r${n} = r0`).join("\n")}`;
const signs = ["+=", "-=", "*=", "/=", "|=", "&=", "%=", "^=", "="];
const shifts = ["<<=", ">>=", "s>>="];
const comparisons = ["==", ">", ">=", "&", "!=", "s>", "s>=", "<", "<=", "s<", "s<="];
const both = (f: (letter: string) => string[]): string[] => [...f("r"), ...f("w")];

/** Programs that the kernel accepts, by cpu version. */
const programs: Readonly<Record<"v3" | "v4", Readonly<Record<string, string>>>> = {
  v3: {
    arithmetic: [
      scalars,
      ...both((l) => [
        ...signs.flatMap((sign) => [`${l}1 ${sign} ${l}2`, `${l}3 ${sign} -7`, `${l}4 ${sign} 2147483647`]),
        ...shifts.flatMap((sign) => [`${l}1 ${sign} ${l}2`, `${l}3 ${sign} 31`]),
        `${l}5 = -${l}5`,
      ]),
      ...["be", "le"].flatMap((order) => [16, 32, 64].map((bits) => `r7 = ${order}${bits} r7`)),
      "r0 = 0\nexit",
    ].join("\n"),
    // Of constants, so that the verifier walks one way and its log stays short.
    jumps: [
      "r1 = 5\nr2 = -7\nr3 = 9",
      ...both((l) => comparisons.flatMap((sign) => [`if ${l}1 ${sign} ${l}2 goto +0`, `if ${l}3 ${sign} -9 goto +0`])),
      "goto next\nnext: r0 = 0\nexit",
    ].join("\n"),
    memory: [
      scalars,
      ...[64, 32, 16, 8].flatMap((bits) => [
        `*(u${bits} *)(r10 - 8) = r2`,
        `r3 = *(u${bits} *)(r10 - 8)`,
        `*(u${bits} *)(r10 - 16) = -3`,
      ]),
      "*(u64 *)(r10 - 8) = 0",
      ...[64, 32].flatMap((bits) => [
        ...["+=", "|=", "&=", "^="].map((sign) => `lock *(u${bits} *)(r10 - 8) ${sign} r2`),
        ...["add", "or", "and", "xor"].map((op) => `r3 = atomic_fetch_${op}((u${bits} *)(r10 - 8), r3)`),
        `r3 = atomic${bits === 64 ? "64" : ""}_xchg((u${bits} *)(r10 - 8), r3)`,
        `r0 = atomic${bits === 64 ? "64" : ""}_cmpxchg((u${bits} *)(r10 - 8), r0, r3)`,
      ]),
      "r0 = 0\nexit",
    ].join("\n"),
    packet: `${scalars}\nr0 = *(u32 *)skb[0]\nr0 = *(u16 *)skb[2]\nr0 = *(u8 *)skb[-4096]\nr7 = 1\nr0 = *(u8 *)skb[r7 + 3]\nr0 = *(u16 *)skb[r7 + -4]\nexit`,
    constants: "r1 = 0x123456789abcdef0 ll\nr2 = -1 ll\nr3 = 5 ll\nr0 = 0\nexit",
    calls: "call f\nr0 = 0\nexit\nf: call bpf_ktime_get_ns\ncall bpf_get_numa_node_id\nexit",
  },
  v4: {
    arithmetic: [
      scalars,
      ...both((l) => ["s/=", "s%="].flatMap((sign) => [`${l}1 ${sign} ${l}2`, `${l}3 ${sign} -7`])),
      ...[8, 16, 32].map((bits) => `r2 = (s${bits})r3`),
      ...[8, 16].map((bits) => `w2 = (s${bits})w3`),
      ...[16, 32, 64].map((bits) => `r7 = bswap${bits} r7`),
      "r0 = 0\nexit",
    ].join("\n"),
    memory: `${scalars}\n*(u64 *)(r10 -8) = r2\n${[8, 16, 32].map((bits) => `r3 = *(s${bits} *)(r10 -8)`).join("\n")}\nr0 = 0\nexit`,
    gotol: "gotol next\nnext: r0 = 0\nexit",
    may_goto: "r7 = 0\nloop: may_goto end\nr7 += 1\ngoto loop\nend: r0 = 0\nexit",
    ordered: [
      scalars,
      "*(u64 *)(r10 - 8) = 0",
      ...[64, 32, 16, 8].flatMap((bits) => [
        `r3 = load_acquire((u${bits} *)(r10 - 8))`,
        `store_release((u${bits} *)(r10 - 8), r2)`,
      ]),
      "r0 = 0\nexit",
    ].join("\n"),
  },
};

/** Lines `12: (b7) r0 = 0` of a log, by slot, without what the verifier knows after them. */
function loggedInsns(log: string): Map<number, string> {
  const lines = [...log.matchAll(/^(\d+): (\([0-9a-f]{2}\) [^;\n]*?)\s*(?:;.*)?$/gm)];
  return new Map(lines.map(([, slot, text = ""]) => [Number(slot), text]));
}

function expectAccepted(insns: readonly Insn[], compare: (fd: number, log: string) => void): void {
  const { fd, log, errno } = loadProgram(encode(insns), ProgType.SOCKET_FILTER);
  expect(fd, `errno ${errno}\n${log.slice(-2000)}`).toBeGreaterThanOrEqual(0);
  try {
    compare(fd, log);
  } finally {
    close(fd);
  }
}

const cases = Object.entries(programs).flatMap(([cpu, byName]) =>
  Object.entries(byName).map(([name, text]) => ({ name: `${name}, cpu ${cpu}`, text, cpu })),
);

describeWith(["linux", "root", "bpf"], "the verifier's log", () => {
  it.each(cases)("$name", ({ text }) => {
    const insns = assemble(text, { dialect: "llvm" });
    expectAccepted(insns, (_, log) => {
      const logged = loggedInsns(log);
      expect(logged.size).toBeGreaterThan(1);
      let slot = 0;
      for (const insn of insns) {
        // The verifier walks no dead code, and prints no constants that could be addresses.
        const theirs = logged.get(slot);
        if (theirs !== undefined) expect(disassembleInsn(insn, { opcode: true })).toBe(theirs);
        slot += slotsOf(insn);
      }
    });
  });

  it("names maps by their descriptor's load", () => {
    const map = createHash();
    try {
      const insns = [ldMapFd(1, map), ...assemble("r0 = 0\nexit")];
      expectAccepted(insns, (_, log) => expect(log).toContain("(18) r1 = "));
    } finally {
      close(map);
    }
  });
});

describeWith(["linux", "root", "bpf", "bpftool"], "bpftool prog dump xlated", () => {
  // bpftool 7.1 prints cpu v4 as what it resembles.
  it.each(cases.filter(({ cpu }) => cpu === "v3"))("$name", ({ text }) => {
    expectAccepted(assemble(text, { dialect: "llvm" }), (fd) => {
      const args = ["prog", "dump", "xlated", "id", String(programId(fd)), "opcodes"];
      const dump = execFileSync("bpftool", args, { encoding: "utf8" });
      const lines = [...dump.matchAll(/^\s*\d+: (.*)\n\s+((?:[0-9a-f]{2} )+[0-9a-f]{2})$/gm)];
      expect(lines.length).toBeGreaterThan(1);
      for (const [, theirs = "", bytes = ""] of lines) {
        const insn = decode(fromHex(bytes))[0]!;
        // Names of functions come from the running kernel's symbols.
        const callText = (): string => /\(85\) call (.*)/.exec(theirs)?.[1] ?? "";
        expect(disassembleInsn(insn, { opcode: true, callText })).toBe(theirs);
      }
    });
  });
});
