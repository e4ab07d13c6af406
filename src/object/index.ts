export type { AttachSpec } from "./attach.ts";
export type { BpfObject, MapSpec, ProgramSpec, Relocation } from "./spec.ts";
