/** The software kernel: the objects of the Linux kernel, run in this process. */
export { Environment } from "./environment.ts";
export type { SoftTask } from "./environment.ts";
export { SoftKernel } from "./kernel.ts";
export type { Attached, PacketResult, SoftKernelOptions } from "./kernel.ts";
export type { PacketOptions } from "./packets.ts";
export { softMapTypes } from "./maps/create.ts";
export type { ForeignMemory } from "./helpers/call.ts";
export { DEFAULT_FUEL, SoftProgram } from "./program.ts";
export type { ExecutionMode } from "./program.ts";
