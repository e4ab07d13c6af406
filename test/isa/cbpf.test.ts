import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ParseError } from "../../src/base/index.ts";
import {
  cbpfFromDecimal,
  cbpfToC,
  cbpfToDecimal,
  decodeCbpf,
  disassembleCbpf,
  disassembleCbpfInsn,
  encodeCbpf,
} from "../../src/isa/index.ts";

/** Filters as `tcpdump -ddd` and `tcpdump -d` of tcpdump 4.99.3 with libpcap 1.10.3 print them. */
const filters: readonly (readonly [filter: string, decimal: string, text: string])[] = [
  [
    "vlan 5",
    "9,40 0 0 12,21 2 0 33024,21 1 0 34984,21 0 4 37120,40 0 0 14,84 0 0 4095,21 0 1 5,6 0 0 262144,6 0 0 0",
    `(000) ldh      [12]
(001) jeq      #0x8100          jt 4	jf 2
(002) jeq      #0x88a8          jt 4	jf 3
(003) jeq      #0x9100          jt 4	jf 8
(004) ldh      [14]
(005) and      #0xfff
(006) jeq      #0x5             jt 7	jf 8
(007) ret      #262144
(008) ret      #0
`,
  ],
  [
    "vlan or inbound, on an interface",
    "10,48 0 0 4294963248,21 7 0 1,40 0 0 12,21 5 0 33024,21 4 0 34984,21 3 0 37120,40 0 0 4294963204,21 0 1 4,6 0 0 0,6 0 0 262144",
    `(000) ldb      [vlanp]
(001) jeq      #0x1             jt 9	jf 2
(002) ldh      [12]
(003) jeq      #0x8100          jt 9	jf 4
(004) jeq      #0x88a8          jt 9	jf 5
(005) jeq      #0x9100          jt 9	jf 6
(006) ldh      [type]
(007) jeq      #0x4             jt 8	jf 9
(008) ret      #0
(009) ret      #262144
`,
  ],
  [
    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
    "30,40 0 0 12,21 27 0 34525,21 0 26 2048,48 0 0 23,21 0 24 6,40 0 0 20,69 22 0 8191,177 0 0 14,72 0 0 14,21 2 0 80,72 0 0 16,21 0 17 80,40 0 0 16,2 0 0 1,48 0 0 14,84 0 0 15,100 0 0 2,7 0 0 5,96 0 0 1,28 0 0 0,2 0 0 5,177 0 0 14,80 0 0 26,84 0 0 240,116 0 0 2,7 0 0 9,96 0 0 5,29 1 0 0,6 0 0 262144,6 0 0 0",
    `(000) ldh      [12]
(001) jeq      #0x86dd          jt 29	jf 2
(002) jeq      #0x800           jt 3	jf 29
(003) ldb      [23]
(004) jeq      #0x6             jt 5	jf 29
(005) ldh      [20]
(006) jset     #0x1fff          jt 29	jf 7
(007) ldxb     4*([14]&0xf)
(008) ldh      [x + 14]
(009) jeq      #0x50            jt 12	jf 10
(010) ldh      [x + 16]
(011) jeq      #0x50            jt 12	jf 29
(012) ldh      [16]
(013) st       M[1]
(014) ldb      [14]
(015) and      #0xf
(016) lsh      #2
(017) tax${"      "}
(018) ld       M[1]
(019) sub      x
(020) st       M[5]
(021) ldxb     4*([14]&0xf)
(022) ldb      [x + 26]
(023) and      #0xf0
(024) rsh      #2
(025) tax${"      "}
(026) ld       M[5]
(027) jeq      x                jt 29	jf 28
(028) ret      #262144
(029) ret      #0
`,
  ],
];

/**
 * Every code that libpcap 1.10.3's bpf_image() prints, for `k` 7, `jt` 1, `jf` 2 at index 3: code, then the text. All others
 * are `unimp`.
 */
const images = `
0 ld       #0x7
1 ldx      #0x7
2 st       M[7]
3 stx      M[7]
4 add      #7
5 ja       11
6 ret      #7
7 tax${"      "}
12 add      x
20 sub      #7
21 jeq      #0x7             jt 5	jf 6
22 ret${"      "}
28 sub      x
29 jeq      x                jt 5	jf 6
32 ld       [7]
36 mul      #7
37 jgt      #0x7             jt 5	jf 6
40 ldh      [7]
44 mul      x
45 jgt      x                jt 5	jf 6
48 ldb      [7]
52 div      #7
53 jge      #0x7             jt 5	jf 6
60 div      x
61 jge      x                jt 5	jf 6
64 ld       [x + 7]
68 or       #0x7
69 jset     #0x7             jt 5	jf 6
72 ldh      [x + 7]
76 or       x
77 jset     x                jt 5	jf 6
80 ldb      [x + 7]
84 and      #0x7
92 and      x
96 ld       M[7]
97 ldx      M[7]
100 lsh      #7
108 lsh      x
116 rsh      #7
124 rsh      x
128 ld       #pktlen
132 neg${"      "}
135 txa${"      "}
148 mod      #7
156 mod      x
164 xor      #0x7
172 xor      x
177 ldxb     4*([7]&0xf)`;

/** Operands above 2^31, as the same function prints them. */
const operands: readonly (readonly [code: number, k: number, text: string])[] = [
  [0x30, 0xffff_f000, "(1000) ldb      [proto]"],
  [0x30, 0xffff_f02c, "(1000) ldb      [vlan_tci]"],
  [0x30, 0xffff_f03c, "(1000) ldb      [vlan_tpid]"],
  [0x30, 0xffff_f040, "(1000) ldb      [-4032]"],
  [0x30, 0xffff_f001, "(1000) ldb      [-4095]"],
  [0x30, 0xffff_ffff, "(1000) ldb      [-1]"],
  [0x30, 0x8000_0000, "(1000) ldb      [-2147483648]"],
  [0x50, 0xffff_f000, "(1000) ldb      [x + -4096]"],
  [0x04, 0xffff_ffff, "(1000) add      #-1"],
];

describe("classic BPF prints as tcpdump", () => {
  it.each(filters)("%s", (_, decimal, text) => {
    const insns = cbpfFromDecimal(decimal);
    expect(disassembleCbpf(insns)).toBe(text);
    expect(cbpfToDecimal(insns)).toBe(`${decimal.replaceAll(",", "\n")}\n`);
    expect(decodeCbpf(encodeCbpf(insns))).toEqual(insns);
  });

  it("prints every code there is", () => {
    const known = new Map(
      images
        .trimStart()
        .split("\n")
        .map((line) => [Number.parseInt(line, 10), line.slice(line.indexOf(" ") + 1)]),
    );
    for (let code = 0; code < 0x200; code++) {
      const branches = (code & 7) === 5 && (code & 0xf0) !== 0;
      const hex = `0x${code.toString(16)}`;
      const unknown = `unimp    ${branches ? `${hex.padEnd(16)} jt 5\tjf 6` : hex}`;
      expect(disassembleCbpfInsn({ code, jt: 1, jf: 2, k: 7 }, 3)).toBe(`(003) ${known.get(code) ?? unknown}`);
    }
  });

  it.each(operands)("code %i of operand %i: %s", (code, k, text) => {
    expect(disassembleCbpfInsn({ code, jt: 0, jf: 0, k }, 1000)).toBe(text);
  });

  it("prints as a C array", () => {
    expect(cbpfToC(cbpfFromDecimal("2,21 0 4 37120,6 0 0 0"))).toBe(
      "{ 0x15, 0, 4, 0x00009100 },\n{ 0x6, 0, 0, 0x00000000 },\n",
    );
  });
});

describe("classic BPF bytes", () => {
  it("go round in both orders", () => {
    const anyInsn = fc.record({
      code: fc.nat(0xffff),
      jt: fc.nat(255),
      jf: fc.nat(255),
      k: fc.integer({ min: 0, max: 0xffff_ffff }),
    });
    fc.assert(
      fc.property(fc.array(anyInsn), fc.constantFrom("little" as const, "big" as const), (insns, order) => {
        expect(decodeCbpf(encodeCbpf(insns, order), order)).toEqual(insns);
        expect(cbpfFromDecimal(cbpfToDecimal(insns))).toEqual(insns);
      }),
    );
  });

  it("are refused when malformed", () => {
    expect(() => decodeCbpf(new Uint8Array(12))).toThrow(ParseError);
    expect(() => encodeCbpf([{ code: 6, jt: 256, jf: 0, k: 0 }])).toThrow(RangeError);
    for (const [text, why] of [
      ["", "no instructions announced"],
      ["2,6 0 0 0", "2 instructions announced, 1 found"],
      ["6 0 0 0", "the number of instructions wanted first"],
      ["1,6 0 0", "code, jt, jf and k wanted"],
      ["1,6 0 0 -1", "decimal numbers wanted"],
      ["1,6 300 0 0", "does not fit"],
    ] as const) {
      expect(() => cbpfFromDecimal(text), text).toThrow(why);
    }
  });
});
