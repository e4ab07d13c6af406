/** What every front end makes and every kernel takes. */
export type { AttachSpec } from "./attach.ts";
export type { BpfObject, MapSpec, ProgramSpec, Relocation } from "./spec.ts";
