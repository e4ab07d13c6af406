/** Headers that come with the C compiler. */
export { BuiltinHeaders } from "./builtin-headers.ts";
export type { BuiltinHeaderOptions } from "./builtin-headers.ts";
export { registerNames } from "./registers.ts";
export type { CArch, RegisterNames } from "./registers.ts";
