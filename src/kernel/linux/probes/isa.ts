/** Instructions: the smallest program with each is loaded. */
import { MapFlags, MapType, ProgFlags, ProgType } from "../../../isa/index.ts";
import { type ProbeAnswer, answerOf } from "./answer.ts";
import { codeOf, tryTrial } from "./load.ts";
import { withMapTrial } from "./map-types.ts";

/** A group of instructions. */
export type IsaName =
  | "v1"
  | "v2"
  | "v3"
  | "v4"
  | "movsx"
  | "ldsx"
  | "bswap"
  | "sdiv"
  | "gotol"
  | "atomic-add"
  | "atomic-fetch"
  | "cmpxchg"
  | "load-acquire"
  | "may-goto"
  | "may-goto-zero"
  | "addr-space-cast"
  | "subprograms"
  | "bounded-loops"
  | "large-programs"
  | "global-data";

/** A group of instructions that kernels know from some version on. */
interface IsaEntry {
  readonly since: string;
  readonly summary: string;
  readonly text?: string;
  errno?(): number;
}

const slot = "*(u64 *)(r10 - 8) = 1";
const v4 = {
  movsx: "r0 = 0\nr0 = (s8)r0",
  ldsx: `${slot}\nr0 = *(s8 *)(r10 - 8)\nr0 = 0`,
  bswap: "r0 = 0\nr0 = bswap32 r0",
  sdiv: "r0 = 4\nr1 = 2\nr0 s/= r1\nr0 = 0",
  // Not a distance of zero: kernels without gotol take that for an ordinary jump.
  gotol: "r0 = 0\nif r1 == 0 goto other\ngotol end\nother: r0 = 1\nend: r0 = 0",
} as const;

/** More instructions than kernels before 5.2 take, all reached. */
function largeProgram(): Uint8Array {
  const count = 4200;
  return codeOf(`${"r0 = 0\n".repeat(count)}exit`);
}

/** Where the arena's memory would be mapped: the verifier wants to know, and nothing is mapped. */
const ARENA_ADDRESS = 2 ** 44;

function arenaCast(): number {
  const arena = { keySize: 0, valueSize: 0, flags: MapFlags.MMAPABLE, mapExtra: ARENA_ADDRESS };
  return withMapTrial({ type: MapType.ARENA, ...arena }, (fd) =>
    tryTrial({
      type: ProgType.SYSCALL,
      flags: ProgFlags.SLEEPABLE,
      code: codeOf(`r1 = map[id:${fd}]
r2 = 0
r2 = addr_space_cast(r2, 0, 1)
r0 = 0
exit`),
    }),
  );
}

function globalData(): number {
  return withMapTrial({ type: MapType.ARRAY, valueSize: 8 }, (fd) =>
    tryTrial({
      type: ProgType.SOCKET_FILTER,
      code: codeOf(`r1 = map[id:${fd}][0]+4\nr0 = *(u32 *)(r1 + 0)\nr0 = 0\nexit`),
    }),
  );
}

const table: Readonly<Record<IsaName, IsaEntry>> = {
  v1: { since: "3.18", summary: "the first instruction set (-mcpu=v1)", text: "r0 = 0" },
  v2: { since: "4.14", summary: "jumps if less (-mcpu=v2)", text: "r0 = 0\nif r0 < 5 goto end\nend:" },
  v3: { since: "5.1", summary: "32-bit jumps (-mcpu=v3)", text: "r0 = 0\nif w0 == 5 goto end\nend:" },
  v4: {
    since: "6.6",
    summary: "all of movsx, ldsx, bswap, sdiv, gotol (-mcpu=v4)",
    text: [v4.movsx, v4.ldsx, v4.bswap, v4.sdiv, v4.gotol].join("\n"),
  },
  movsx: { since: "6.6", summary: "sign-extending moves", text: v4.movsx },
  ldsx: { since: "6.6", summary: "sign-extending loads", text: v4.ldsx },
  bswap: { since: "6.6", summary: "unconditional byte swaps", text: v4.bswap },
  sdiv: { since: "6.6", summary: "signed division and modulo", text: v4.sdiv },
  gotol: { since: "6.6", summary: "jumps of 32 bits", text: v4.gotol },
  "atomic-add": {
    since: "3.18",
    summary: "atomic addition",
    text: `${slot}\nr1 = 1\nlock *(u64 *)(r10 - 8) += r1\nr0 = 0`,
  },
  "atomic-fetch": {
    since: "5.12",
    summary: "atomic operations that give the old value",
    text: `${slot}\nr1 = 1\nr1 = atomic_fetch_add((u64 *)(r10 - 8), r1)\nr0 = 0`,
  },
  cmpxchg: {
    since: "5.12",
    summary: "atomic exchange and compare-and-exchange",
    text: `${slot}\nr0 = 1\nr1 = 2\nr0 = cmpxchg_64(r10 - 8, r0, r1)\nr0 = 0`,
  },
  "load-acquire": {
    since: "6.15",
    summary: "loads with acquire and stores with release order",
    text: `${slot}\nr0 = load_acquire((u64 *)(r10 - 8))\nr0 = 0`,
  },
  "may-goto": {
    since: "6.9",
    summary: "loops that the kernel ends (may_goto)",
    text: "r0 = 0\nmay_goto +1\nr0 = 1\nr0 = 0",
  },
  // Clang makes such; kernels before 6.14 know the instruction and refuse a distance of zero.
  "may-goto-zero": { since: "6.14", summary: "may_goto to the next instruction", text: "r0 = 0\nmay_goto +0" },
  "addr-space-cast": { since: "6.9", summary: "casts between an arena's address spaces", errno: arenaCast },
  subprograms: {
    since: "4.16",
    summary: "functions that the program calls",
    text: "call next\nr0 = 0\nexit\nnext: r0 = 0",
  },
  "bounded-loops": {
    since: "5.3",
    summary: "loops with a bound",
    text: "r0 = 0\nagain: r0 += 1\nif r0 < 5 goto again\nr0 = 0",
  },
  "large-programs": {
    since: "5.2",
    summary: "more than 4,096 instructions",
    errno: () => tryTrial({ type: ProgType.SOCKET_FILTER, code: largeProgram() }),
  },
  "global-data": { since: "5.2", summary: "addresses of map values as constants", errno: globalData },
};

/** All names, in the order of the table. */
export const isaNames: readonly IsaName[] = Object.keys(table) as IsaName[];

/** First mainline version and what it is, in a few words. */
export function isaEntry(name: IsaName): { readonly since: string; readonly summary: string } {
  const { since, summary } = table[name];
  return { since, summary };
}

/** Does the kernel take these instructions? */
export function probeIsa(name: IsaName): ProbeAnswer {
  const { text, errno, since, summary } = table[name];
  const result = errno?.() ?? tryTrial({ type: ProgType.SOCKET_FILTER, code: codeOf(`${text}\nexit`) });
  return answerOf(result, `loading a program with ${summary}`, { since });
}
