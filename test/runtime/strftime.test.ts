import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { strftime, TimestampFormat } from "../../src/runtime/format/strftime.ts";

const FORMATS =
  "%a|%A|%b|%B|%h|%c|%C|%d|%D|%e|%F|%g|%G|%H|%I|%j|%k|%l|%m|%M|%p|%P|%r|%R|%s|%S|%T|%u|%U|%V|%w|%W|%x|%X|%y|%Y|%z|%%|%-d|%_d|%05d|%^a|%10Y|%Ey|%Od";
/** Ends and starts of years and weeks, midnight, noon, a leap day. */
const TIMES = [
  0, 951782400, 1104537600, 1230768000, 1293839999, 1325376000, 1609459200, 1700000000, 1735689599, 1767225600,
  1798761599,
];

describe("strftime", () => {
  test.skipIf(process.platform !== "linux")("as date(1) formats", () => {
    for (const time of TIMES) {
      const run = spawnSync("date", ["-d", `@${time}`, `+${FORMATS}`], {
        encoding: "utf8",
        env: { ...process.env, LC_ALL: "C" },
      });
      expect(strftime(FORMATS, new Date(time * 1000))).toBe(run.stdout.trimEnd());
    }
  });

  test("what is no conversion stays", () => expect(strftime("100% %Q", new Date(0))).toBe("100% %Q"));

  test("fractions of a second", () => {
    const ns = 1_700_000_000_123_456_789n;
    expect(new TimestampFormat("%s.%f %l %k", false).format(ns)).toBe("1700000000.123456 123 123456789");
    expect(new TimestampFormat("%s.%f", true).format(ns)).toBe("1700000000.123456");
  });
});
