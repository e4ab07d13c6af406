/** Why a program was stopped. */
import { SkepError } from "../base/index.ts";

/** Reasons, by the number that compiled code reports. */
export const faultKinds = [
  "memory access",
  "fuel",
  "call depth",
  "unreachable code",
  "unknown helper",
  "unknown function",
] as const;

/** One of the reasons. */
export type FaultKind = (typeof faultKinds)[number];

const phrases: Readonly<Record<FaultKind, string>> = {
  "memory access": "touches memory that is not its own",
  fuel: "has run for as many instructions as it was given",
  "call depth": "calls functions more than 8 deep",
  "unreachable code": "runs past its end",
  "unknown helper": "calls a helper that is not there",
  "unknown function": "calls an address that is no function",
};

/** A program did what it may not: code `fault`. It has been stopped; nothing outside of its memory was touched. */
export class VmFault extends SkepError {
  readonly kind: FaultKind;
  /** Slot of the instruction, counted from the program's start. */
  readonly slot: number;
  /** Of memory accesses and of calls of unknown functions. */
  readonly address: bigint | undefined;
  /** What else is known, such as the access's size. */
  readonly detail: string | undefined;

  constructor(kind: FaultKind, slot: number, options: { readonly address?: bigint; readonly detail?: string } = {}) {
    const { address, detail } = options;
    const where = address === undefined ? "" : ` at 0x${BigInt.asUintN(64, address).toString(16)}`;
    super("fault", `instruction ${slot}: ${phrases[kind]}${where}${detail === undefined ? "" : `: ${detail}`}`);
    this.kind = kind;
    this.slot = slot;
    this.address = address;
    this.detail = detail;
  }
}
