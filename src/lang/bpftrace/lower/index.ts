/** Lowering of checked bpftrace scripts to the compiler's IR and the plan of their run. */
export { lowerScript } from "./lower.ts";
export type { LoweredScript } from "./lower.ts";
export type { LowerTarget } from "./script.ts";
export { syscallNumbers } from "./syscalls.ts";
