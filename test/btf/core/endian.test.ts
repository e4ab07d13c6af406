import { expect, it } from "vitest";
import {
  compileBpf,
  readBtf,
  readTestObject,
  relocatedByUs,
  temporaryDirectory,
} from "../../support/libbpf/relocations.ts";
import { describeWith } from "../../support/needs.ts";

const directory = temporaryDirectory("core-endian");

function compile(source: string, target: string, ...flags: readonly string[]): string {
  // Of two targets the last counts.
  return compileBpf(directory, source, `${source}.${target}.o`, "-target", target, ...flags);
}

/** Programs whose numbers depend on the byte order: where bits lie, and which bytes macros read. */
const ordered =
  /^(lshift_|bit_|(offset|size|rshift|signed)_(low|mid|high|sig|wide_bits|plain_now|bit_now|state_bits|straddle_))/;

describeWith(["clang"], "CO-RE of big-endian objects", () => {
  it.each([1, 2, 3])("is that of little-endian ones on kernel %d", (kernel) => {
    const [little, big] = ["bpfel", "bpfeb"].map((target) => {
      const types = readBtf(compile("core-target.c", target, `-DKERNEL=${kernel}`));
      expect(types.bigEndian).toBe(target === "bpfeb");
      return relocatedByUs(readTestObject(compile("core-types.bpf.c", target)), types, true);
    }) as [ReadonlyMap<string, string>, ReadonlyMap<string, string>];
    expect(big.size).toBe(little.size);
    const differing = [...little].filter(([name, code]) => !ordered.test(name) && big.get(name) !== code);
    expect(differing.map(([name, code]) => `${name}: little ${code}, big ${big.get(name)}`)).toEqual([]);
    // Shifts are of the kernel's byte order, so that none is refused for not being the compiler's.
    const refused = (relocated: ReadonlyMap<string, string>): string[] =>
      [...relocated].filter(([, code]) => code === "refused").map(([name]) => name);
    expect(refused(big)).toEqual(refused(little));
  });
});
