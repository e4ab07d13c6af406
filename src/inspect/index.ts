/** What there is to see in objects and kernels: disassembly, and files generated from types. */
export { coreText, disassembleObject, disassembleProgram, listDisassembly, programTypeName } from "./disasm.ts";
export type { DisassembledInsn, DisassembledProgram, ListingOptions } from "./disasm.ts";
export { generateTypes } from "./gen/skeleton.ts";
export type { GenerateTypesOptions } from "./gen/skeleton.ts";
