import { expect, test } from "vitest";
import { readComplaint, summarizeLog } from "../../../src/kernel/linux/verifier-log.ts";

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

/** As Linux 7.3 and later write it. */
const explained = `0: R1=ctx() R10=fp0
; return p->value; @ prog.bpf.c:12
3: (79) r0 = *(u64 *)(r1 +8)
R1 invalid mem access 'scalar'

Verification failed: Memory Access: Invalid pointer

Reason:
  R1 holds a scalar here,
  and scalars cannot be read through.

At:
  prog.bpf.c:12
        | ^-- error: R1 is a scalar
  Instruction context:
  >>> 3 | (79) r0 = *(u64 *)(r1 +8)

Causal path:
  no retained diagnostic events on this path

Suggestion:
  Check the pointer first.

processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`;

test("the format of Linux 7.3: complaint first, then reason, place and suggestion", () => {
  expect(readComplaint(explained)).toEqual({
    text: "R1 invalid mem access 'scalar'",
    category: "Memory Access: Invalid pointer",
    reason: "R1 holds a scalar here, and scalars cannot be read through.",
    suggestion: "Check the pointer first.",
    insnIndex: 3,
    insnText: "r0 = *(u64 *)(r1 +8)",
    source: "return p->value;",
    place: "prog.bpf.c:12",
  });
  expect(summarizeLog(explained)).toBe(
    "R1 invalid mem access 'scalar': R1 holds a scalar here, and scalars cannot be read through. " +
      "(at prog.bpf.c:12: return p->value;) (hint: Check the pointer first.)",
  );
  expect(summarizeLog(explained.replace(/^;.*\n/m, "").replace(/Suggestion:\n.*\n/, ""))).toBe(
    "R1 invalid mem access 'scalar': R1 holds a scalar here, and scalars cannot be read through. " +
      "(at instruction 3: r0 = *(u64 *)(r1 +8))",
  );
});
