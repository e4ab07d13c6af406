import { describe, expect, test } from "vitest";
import { formatIpv6 } from "../../src/runtime/format/inet.ts";

/** As glibc's inet_ntop writes them. */
const CASES: [groups: string, expected: string][] = [
  ["0 0 0 0 0 0 0 0", "::"],
  ["0 0 0 0 0 0 0 1", "::1"],
  ["2001 db8 0 0 0 0 0 1", "2001:db8::1"],
  ["2001 db8 0 1 1 1 1 1", "2001:db8:0:1:1:1:1:1"],
  ["2001 0 0 1 0 0 0 1", "2001:0:0:1::1"],
  ["1 0 0 2 0 0 3 4", "1::2:0:0:3:4"],
  ["fe80 0 0 0 0 0 0 0", "fe80::"],
  ["0 0 0 0 0 ffff 7f00 1", "::ffff:127.0.0.1"],
  ["0 0 0 0 0 0 7f00 1", "::127.0.0.1"],
  ["0 0 0 0 ffff 0 7f00 1", "::ffff:0:7f00:1"],
  ["1 2 3 4 5 6 7 8", "1:2:3:4:5:6:7:8"],
  ["0 1 0 1 0 1 0 1", "0:1:0:1:0:1:0:1"],
];

describe("IPv6 addresses", () => {
  test.each(CASES)("%s", (groups, expected) => {
    const bytes = Uint8Array.from(
      groups.split(" ").flatMap((group) => {
        const value = Number.parseInt(group, 16);
        return [value >> 8, value & 0xff];
      }),
    );
    expect(formatIpv6(bytes, 0)).toBe(expected);
  });
});
