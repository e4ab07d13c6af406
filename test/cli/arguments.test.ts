import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/base/index.ts";
import { parseArguments } from "../../src/cli/arguments.ts";
import { COMMANDS, commandByName } from "../../src/cli/options.ts";

const TABLE = commandByName("trace")!.options;

function parse(line: string): string {
  const { options, operands } = parseArguments(line === "" ? [] : line.split(" "), TABLE, "trace");
  const shown = [...options].map(([name, value]) => (value === true ? name : `${name}=${value}`));
  return [...shown, ...operands.map((word) => `<${word}>`)].join(" ");
}

describe("command lines", () => {
  const accepted: [line: string, expected: string][] = [
    ["", ""],
    ["-e BEGIN{}", "execute=BEGIN{}"],
    ["-eBEGIN{}", "execute=BEGIN{}"],
    ["--execute=a=b", "execute=a=b"],
    ["-qv -f json", "quiet verbose format=json"],
    ["-lv t:*", "list verbose <t:*>"],
    ["-l", "list"],
    ["file.bt 1 -2 -q x", "quiet <file.bt> <1> <-2> <x>"],
    ["file.bt -- -q --help", "<file.bt> <-q> <--help>"],
    ["-", "<->"],
    ["-o out -o other", "output=other"],
    ["-d ast,asm", "debug=ast,asm"],
    ["--compat 0.17", "compat=0.17"],
  ];
  test.each(accepted)("%s", (line, expected) => expect(parse(line)).toBe(expected));

  const refused: [line: string, message: string][] = [
    ["--pidd 1", "skep trace: unknown option --pidd (did you mean --pid?)"],
    ["-z", "skep trace: unknown option -z (skep trace --help lists them)"],
    ["-p", "skep trace: -p needs a value: -p PID"],
    ["--quiet=1", "skep trace: --quiet takes no value"],
    ["-f xml", "skep trace: -f xml: must be one of text, json"],
    ["-B unbuffered", "skep trace: -B unbuffered: must be one of line, full, none"],
  ];
  test.each(refused)("%s", (line, message) => {
    expect(() => parse(line)).toThrow(new UsageError(message));
  });

  test("no option is in a table twice", () => {
    for (const command of COMMANDS) {
      const names = command.options.flatMap((option) => [option.long, ...(option.short ? [option.short] : [])]);
      expect(new Set(names).size, command.name).toBe(names.length);
    }
  });
});
