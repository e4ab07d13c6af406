/** The programs that cases of tests become. */

/** Names of types and attributes that cases use. */
export const TYPES: string = `
typedef signed char s8; typedef unsigned char u8; typedef short s16; typedef unsigned short u16;
typedef int s32; typedef unsigned int u32; typedef long long s64; typedef unsigned long long u64;
typedef _Bool bool;
#define noinline __attribute__((noinline))
#define inlined static inline __attribute__((always_inline))
`;

/** What is outside of the function, and what is in it. */
export function parts(text: string): [outside: string, inside: string] {
  const at = text.indexOf("---");
  return at === -1 ? ["", text] : [text.slice(0, at), text.slice(at + 3)];
}

/** The case as a program of its own. */
export function programText(text: string): string {
  const [outside, inside] = parts(text);
  return `${TYPES}${outside}
#define SEC(name) __attribute__((section(name), used))
long long result;
static __attribute__((always_inline)) long long compute(long long a, long long b) {
${inside}
}
SEC("raw_tp/lower") int prog(unsigned long long *ctx) { result = compute(ctx[0], ctx[1]); return 0; }
char _license[] SEC("license") = "GPL";
`;
}
