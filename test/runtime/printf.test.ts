import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { parseFormat } from "../../src/lang/bpftrace/printf.ts";
import { I32, I64, I8, U16, U64, U8, BOOL } from "../../src/lang/bpftrace/types.ts";
import type { Type } from "../../src/lang/bpftrace/types.ts";
import type { Compat } from "../../src/runtime/format/context.ts";
import { printfWriter } from "../../src/runtime/format/printf.ts";
import { Sink } from "../../src/runtime/format/sink.ts";
import { describeWith } from "../support/needs.ts";
import { encode, fakeContext } from "./support.ts";
import type { Plain } from "./support.ts";

const text = (size: number): Type => ({ kind: "string", size });
const pointer: Type = { kind: "pointer", to: I8, space: "kernel" };
const buffer: Type = { kind: "buffer", size: 8 };
const bytes = Uint8Array.of(0x61, 0x01, 0xff, 0x20);

/** Prints as a run would: the record is the header and the fields, each at a multiple of 8. */
function print(format: string, args: readonly (readonly [Type, Plain])[], compat: Compat = "0.26"): string {
  const { pieces, problem } = parseFormat(format);
  expect(problem).toBeNull();
  let offset = 8;
  const fields = args.map(([type, value]) => {
    const encoded = encode(type, value);
    const field = { offset, type, encoded };
    offset += Math.ceil(encoded.length / 8) * 8;
    return field;
  });
  const record = new Uint8Array(offset);
  for (const field of fields) record.set(field.encoded, field.offset);
  const sink = new Sink(4);
  printfWriter(pieces, fields, fakeContext(compat))(sink, record, new DataView(record.buffer), 0);
  return sink.toString();
}

describe("printf follows C", () => {
  const cases: [format: string, args: [Type, Plain][], expected: string][] = [
    ["plain 100%%", [], "plain 100%"],
    [
      "%d %i",
      [
        [I64, -5],
        [U64, 7],
      ],
      "-5 7",
    ],
    ["%d", [[U64, 0x1234567890n]], "878082192"],
    [
      "%ld %lld %jd %zd %td",
      [
        [I64, -1],
        [I64, -2],
        [I64, -3],
        [I64, -4],
        [I64, -5],
      ],
      "-1 -2 -3 -4 -5",
    ],
    ["%lu", [[U64, 0xffffffffffffffffn]], "18446744073709551615"],
    ["%lu", [[U64, 10n ** 19n]], "10000000000000000000"],
    ["%lu", [[U64, 4294967296n]], "4294967296"],
    ["%ld", [[I64, -(2n ** 63n)]], "-9223372036854775808"],
    ["%u", [[I64, -1]], "4294967295"],
    [
      "%x %X %lx",
      [
        [I64, -1],
        [U64, 0xabc],
        [I64, -1],
      ],
      "ffffffff ABC ffffffffffffffff",
    ],
    ["%lx", [[U64, 0x100000001n]], "100000001"],
    [
      "%o %lo",
      [
        [U64, 8],
        [U64, 2n ** 40n],
      ],
      "10 20000000000000",
    ],
    [
      "%hhx %hx %hhd %hd",
      [
        [U64, 300],
        [I64, -1],
        [U64, 255],
        [U64, 65535],
      ],
      "2c ffff -1 -1",
    ],
    ["%x", [[I8, -1]], "ffffffff"],
    [
      "%5d|%-5d|%05d|%+d|% d",
      [
        [I32, 3],
        [I32, 3],
        [I32, -3],
        [I32, 3],
        [I32, 3],
      ],
      "    3|3    |-0003|+3| 3",
    ],
    [
      "%#x|%#o|%#X|%#x",
      [
        [U64, 255],
        [U64, 8],
        [U64, 255],
        [U64, 0],
      ],
      "0xff|010|0XFF|0",
    ],
    [
      "%#06x|%+05d|%-#8x|",
      [
        [U64, 255],
        [I64, 42],
        [U64, 1],
      ],
      "0x00ff|+0042|0x1     |",
    ],
    [
      "%5.3d|%.5d|%.0d|%-6.3d|",
      [
        [I32, 7],
        [I32, -42],
        [I32, 0],
        [I32, 7],
      ],
      "  007|-00042||007   |",
    ],
    [
      "%*d|%-*d|%.*d",
      [
        [I32, 5],
        [I32, 1],
        [I32, 4],
        [I32, 2],
        [I32, 3],
        [I32, 9],
      ],
      "    1|2   |009",
    ],
    [
      "%*d|",
      [
        [I32, -4],
        [I32, 1],
      ],
      "1   |",
    ],
    [
      "%c%c%5c%-3c|",
      [
        [U64, 65],
        [U8, 0x42],
        [U64, 67],
        [U64, 68],
      ],
      "AB    CD  |",
    ],
    [
      "%p %p",
      [
        [pointer, 0xdeadn],
        [U64, 0],
      ],
      "0xdead 0",
    ],
    ["%20p|", [[U64, 0xffffffff81000000n]], "  0xffffffff81000000|"],
    [
      "%s|%10s|%-10s|%.2s|%6.3s|",
      [
        [text(8), "ab"],
        [text(8), "ab"],
        [text(8), "ab"],
        [text(8), "abcdef"],
        [text(8), "abcdef"],
      ],
      "ab|        ab|ab        |ab|   abc|",
    ],
    [
      "%s|%s",
      [
        [{ kind: "string", size: 5, marksCut: true }, "abcd"],
        [text(4), "abcd"],
      ],
      "abcd..|abcd",
    ],
    ["%s", [[text(16), "größe"]], "größe"],
    [
      "%s %s %s",
      [
        [I64, -4],
        [U16, 65535],
        [BOOL, true],
      ],
      "-4 65535 true",
    ],
    ["%d", [[BOOL, true]], "1"],
    [
      "%r|%rx|%rh",
      [
        [buffer, bytes],
        [buffer, bytes],
        [buffer, bytes],
      ],
      "a\\x01\\xff |\\x61\\x01\\xff\\x20|61 01 ff 20",
    ],
    ["%s", [[buffer, Uint8Array.of(0x62)]], "b"],
    ["%s", [[{ kind: "probe-name" }, 1]], "tracepoint:sched:sched_switch"],
    ["%s", [[{ kind: "ksym" }, 0xabcn]], "kabc"],
    ["%s", [[{ kind: "usym" }, [0x12, 99]]], "u12@99"],
    ["%s", [[{ kind: "username" }, 0]], "root"],
    ["%s", [[{ kind: "mac" }, Uint8Array.of(0, 0x1a, 2, 3, 4, 0xff)]], "00:1A:02:03:04:FF"],
    ["%s", [[{ kind: "inet" }, Uint8Array.of(127, 0, 0, 1)]], "127.0.0.1"],
    ["%s", [[{ kind: "cgroup-path", filter: "unified" }, 5]], "unified:/c5"],
    ["%s", [[{ kind: "stack", of: "kernel", mode: "bpftrace", limit: 2 }, [7]]], "\n        k10+1\n        k20+1\n"],
    ["%s", [[{ kind: "stack", of: "user", mode: "perf", limit: 1 }, [7, 42]]], "\n\t10 u10@42+1 (/bin/x)\n"],
    ["%s", [[{ kind: "stack", of: "kernel", mode: "raw", limit: 9 }, [7]]], "\n10\n20\n30\n"],
    ["%s", [[{ kind: "stack", of: "kernel", mode: "raw", limit: 9 }, [-14]]], "\n"],
    [
      "%s%d%s%d%s%d",
      [
        [text(4), "a"],
        [I32, 1],
        [text(4), "b"],
        [I32, 2],
        [text(4), "c"],
        [I32, 3],
      ],
      "a1b2c3",
    ],
  ];
  test.each(cases)("%j", (format, args, expected) => {
    expect(print(format, args)).toBe(expected);
  });

  test("bytes that are no UTF-8 pass as they are", () => {
    const { pieces } = parseFormat("%s");
    const record = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0x28, 0xff, 0);
    const sink = new Sink();
    printfWriter(pieces, [{ offset: 8, type: text(4) }], fakeContext())(sink, record, new DataView(record.buffer), 0);
    expect([...sink.view()]).toEqual([0xc3, 0x28, 0xff]);
  });

  test("addresses of 0.17", () => {
    expect(print("%p", [[U64, 0]], "0.17")).toBe("(nil)");
  });
});

/** Format, and arguments as the script writes them beside what they are in memory. */
const PEER: [format: string, args: [script: string, type: Type, value: Plain][]][] = [
  [
    "%d|%x|%u|%lld",
    [
      ["0x1234567890", U64, 0x1234567890n],
      ["-1", I64, -1],
      ["-1", I64, -1],
      ["-1", I64, -1],
    ],
  ],
  [
    "%hhx|%hx|%5c|%-5c|%o",
    [
      ["300", U64, 300],
      ["-1", I64, -1],
      ["65", U64, 65],
      ["65", U64, 65],
      ["8", U64, 8],
    ],
  ],
  [
    "%10s|%-10s|%.2s|%10.3s|%p",
    [
      ['"ab"', text(64), "ab"],
      ['"ab"', text(64), "ab"],
      ['"abcdef"', text(64), "abcdef"],
      ['"abcdef"', text(64), "abcdef"],
      ["0xdead", U64, 0xdead],
    ],
  ],
  [
    "%-05d|%5.3d|%x|%d",
    [
      ["3", I64, 3],
      ["7", I64, 7],
      ["(int8)-1", I8, -1],
      ["(int8)-1", I8, -1],
    ],
  ],
  [
    "%llx|%lx|%lu|%ld",
    [
      ["-1", I64, -1],
      ["-1", I64, -1],
      ["0xffffffffffffffff", U64, 0xffffffffffffffffn],
      ["-9", I64, -9],
    ],
  ],
  [
    "%08x|%-8x|%8X|%020lu",
    [
      ["255", U64, 255],
      ["255", U64, 255],
      ["48879", U64, 48879],
      ["1", U64, 1],
    ],
  ],
  [
    "%p|%16p|%-16p|",
    [
      ["0", U64, 0],
      ["1", U64, 1],
      ["2", U64, 2],
    ],
  ],
  [
    "%.5d|%.0d|%7.3x|",
    [
      ["-42", I64, -42],
      ["0", I64, 0],
      ["10", U64, 10],
    ],
  ],
];

describeWith(["root", "bpf", "bpftrace"], "printf prints what bpftrace 0.17 prints", () => {
  test("all formats", () => {
    const statements = PEER.map(
      ([format, args]) => `printf("${format}\\n", ${args.map(([script]) => script).join(", ")});`,
    );
    const run = spawnSync("bpftrace", ["-e", `BEGIN { ${statements.join(" ")} exit(); }`], { encoding: "utf8" });
    const [banner, ...lines] = run.stdout.split("\n");
    expect(banner).toBe("Attaching 1 probe...");
    const ours = PEER.map(([format, args]) =>
      print(
        format,
        args.map(([, type, value]) => [type, value]),
        "0.17",
      ),
    );
    expect(ours).toEqual(lines.slice(0, ours.length));
  });
});
