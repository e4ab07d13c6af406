export type { BpfObject, MapSpec, ProgramSpec, Relocation } from "./spec.ts";
