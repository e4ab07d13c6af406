import { expect, test } from "vitest";
import { summarizeLog } from "../../../src/kernel/linux/verifier-log.ts";

test.each([
  [
    "a plain complaint",
    `0: R1=ctx() R10=fp0
0: (79) r0 = *(u64 *)(r1 +4096)
invalid bpf_context access off=4096 size=8
processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`,
    "invalid bpf_context access off=4096 size=8",
  ],
  [
    "two lines",
    `0: (bf) r2 = r10
; @one = 1 @ script:3
8: (85) call bpf_map_lookup_elem#1
invalid indirect read from stack R2 off -8+0 size 8
processed 5 insns (limit 1000000) max_states_per_insn 0
`,
    "invalid indirect read from stack R2 off -8+0 size 8 (at script:3: @one = 1)",
  ],
  ["a fault before verification", "func#0 @0\nlast insn is not an exit or jmp\n", "last insn is not an exit or jmp"],
  ["nothing", "\n", "the verifier refused it without a word"],
])("%s", (_, log, expected) => {
  expect(summarizeLog(log)).toBe(expected);
});
