// Why clang and Skep may differ on a source or on a program: the first entry that fits explains it.

/** @type {readonly { source: RegExp, why: RegExp, reason: string }[]} */
export const compileReasons = [
  {
    source: /^(linked_(funcs|maps|vars)[12]|test_subskeleton(_lib)?|test_usdt_multispec)\.c$/,
    why: /is declared and not defined/,
    reason: "Half of an object that is linked from several files: give all sources at once",
  },
  {
    source: /./,
    why: /this is too long for one jump/,
    reason: "Unrolled to more instructions than a jump of Linux 6.1 reaches",
  },
  {
    source: /^pyperf600_bpf_loop\.c$/,
    why: /bytes of stack/,
    reason: "The frame of the callback and that of its caller take more than 512 bytes",
  },
  {
    source: /^test_pinning_invalid\.c$/,
    why: /attribute pinning/,
    reason: "Meant to be refused; Skep says so when it compiles, libbpf when it loads",
  },
  {
    source: /^sections\.bpf\.c$/,
    why: /says no type of a program/,
    reason: "Sections of other compilers' making, which Skep refuses when it compiles",
  },
];

/** @type {readonly { who: "ours loads" | "clang's loads", object: RegExp, program?: RegExp, reason: string }[]} */
export const verdictReasons = [];
