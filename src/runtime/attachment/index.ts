/** Attaching in names: what sections and users say becomes places of this machine. */
export { AttachedProgram, attachProgram } from "./attach-program.ts";
export type { AttachOptions, RefusedPlaces } from "./attach-program.ts";
export { BinaryFile, findBinary } from "./binary-file.ts";
export type { FunctionPlace } from "./binary-file.ts";
export { LinuxAttachMachine } from "./machine.ts";
export type { AttachMachine, TraceableFunction } from "./machine.ts";
export { placeWanted } from "./places.ts";
export { kernelFunctionOf, resolveAttachRequest } from "./request.ts";
export { hasUsdtSpecs } from "./usdt-specs.ts";
