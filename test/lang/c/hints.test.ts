/** What is said of names that are not declared: the header to include, what to use instead, or the nearest name. */
import { expect, it } from "vitest";
import { CompileError } from "../../../src/lang/c/diagnostics.ts";
import { compileC } from "../../../src/lang/c/index.ts";

const hints: readonly (readonly [text: string, hint: string])[] = [
  ['SEC("xdp") int f(void *ctx) { return 0; }', "SEC is a macro of <bpf/bpf_helpers.h>: include it"],
  ["int f(void) { return bpf_htons(1); }", "bpf_htons is a macro of <bpf/bpf_endian.h>: include it"],
  ["int f(int *p) { return BPF_CORE_READ(p, x); }", "BPF_CORE_READ is a macro of <bpf/bpf_core_read.h>: include it"],
  ['int f(void) { printf("x"); return 0; }', "bpf_printk() prints to the trace pipe"],
  ["int f(void *p) { free(p); return 0; }", "programs keep memory in maps"],
  ["int f(void) { return bpf_ktime_get_nss(); }", "did you mean bpf_ktime_get_ns?"],
  ["int f(void) { return bpf_map_lookup_elm(0, 0); }", "did you mean bpf_map_lookup_elem?"],
];

it.each(hints)("%s", (text, hint) => {
  try {
    compileC({ name: "t.c", text }, { dialect: "libbpf" });
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(CompileError);
    expect((error as CompileError).message).toContain(`\n  ${hint}`);
  }
});

it("a name of one letter is near to nothing", () => {
  expect(() => compileC({ name: "t.c", text: "int f(void) { return m; }" }, { dialect: "libbpf" })).toThrow(
    /m is not declared\n.*\n.*\^$/,
  );
});
