/** Static probes as BCC describes them: probes, their places, and where arguments are. */
import {
  type UsdtArch,
  type UsdtArgument,
  type UsdtProbe,
  parseUsdtArguments,
  resolveUsdtArgument,
} from "../../object/index.ts";
import { UnsupportedError } from "../../base/index.ts";
import type { BinaryFile } from "../../runtime/attachment/index.ts";

/** A place of a probe in a binary, with what is needed to attach there. */
export interface UsdtPlace {
  readonly probe: UsdtProbe;
  readonly binPath: string;
  /** Bytes from the start of the file. */
  readonly fileOffset: number;
  /** Resolved: without symbols. */
  readonly arguments: readonly UsdtArgument[];
}

/** Places of a probe, arguments read. Those whose code the linker dropped are left out. */
export function usdtPlace(probe: UsdtProbe, binary: BinaryFile, arch: UsdtArch): UsdtPlace | undefined {
  if (probe.fileOffset === undefined) return undefined;
  const found = parseUsdtArguments(probe.arguments, arch).map((argument) =>
    resolveUsdtArgument(argument, probe, arch, (symbol) => binary.symbolAddress(symbol)),
  );
  return { probe, binPath: binary.path, fileOffset: probe.fileOffset, arguments: found };
}

/** The integer type of C that holds an argument. */
export function argumentType({ size, isSigned }: UsdtArgument): string {
  return `${isSigned ? "" : "u"}int${size * 8}_t`;
}

/** An argument of a probe at one of its places, as BCC shows it: `4 signed   bytes @ di`. */
export class UsdtProbeArgument {
  readonly argument: UsdtArgument;

  constructor(argument: UsdtArgument) {
    this.argument = argument;
  }

  /** Bytes. */
  get size(): number {
    return this.argument.size;
  }

  get signed(): boolean {
    return this.argument.isSigned;
  }

  private place(): string {
    const { argument } = this;
    switch (argument.kind) {
      case "constant":
        return String(argument.value);
      case "register":
        return registerName(argument.register.name);
      case "unreadable":
        return `unrecognized argument format, ${argument.text}: ${argument.reason}`;
      case "memory": {
        const { base, index, scale, offset } = argument;
        const scaled = index === undefined ? "" : ` + ${registerName(index.name)} * ${scale}`;
        const sign = offset < 0n ? "-" : "+";
        return `*(${registerName(base?.name ?? "0")} ${sign} ${offset < 0n ? -offset : offset}${scaled})`;
      }
    }
  }

  toString(): string {
    return `${this.size} ${this.signed ? "signed  " : "unsigned"} bytes @ ${this.place()}`;
  }
}

/** A register as a member of `struct pt_regs`, whose names programs use. */
export function registerName(name: string): string {
  const arm = /^x(\d+)$/.exec(name);
  if (arm !== null) return `regs[${arm[1]}]`;
  return /^r[a-z]/.test(name) ? name.slice(1) : name;
}

/** One place of a probe. */
export class UsdtProbeLocation {
  readonly place: UsdtPlace;

  constructor(place: UsdtPlace) {
    this.place = place;
  }

  get binPath(): string {
    return this.place.binPath;
  }

  /** Virtual address in the file's own numbering. */
  get address(): bigint {
    return this.place.probe.address;
  }

  get numArguments(): number {
    return this.place.arguments.length;
  }

  /** An argument, from 0. Throws RangeError when there are not so many. */
  getArgument(index: number): UsdtProbeArgument {
    const argument = this.place.arguments[index];
    if (argument === undefined)
      throw new RangeError(`argument ${index}: the probe has ${this.numArguments} at ${this.toString()}`);
    return new UsdtProbeArgument(argument);
  }

  toString(): string {
    return `${this.binPath} 0x${this.address.toString(16)}`;
  }
}

/** A static probe with all its places. */
export class UsdtProbeInfo {
  readonly provider: string;
  readonly name: string;
  readonly places: readonly UsdtPlace[];

  constructor(provider: string, name: string, places: readonly UsdtPlace[]) {
    this.provider = provider;
    this.name = name;
    this.places = places;
  }

  /** File of its first place. */
  get binPath(): string {
    return this.places[0]!.binPath;
  }

  /** Offset in the file of the counter that switches the probe's code on; 0 when it has none. */
  get semaphore(): number {
    return this.places[0]!.probe.semaphoreOffset ?? 0;
  }

  get numLocations(): number {
    return this.places.length;
  }

  get numArguments(): number {
    return this.places[0]!.arguments.length;
  }

  /** A place, from 0. Throws RangeError when there are not so many. */
  getLocation(index: number): UsdtProbeLocation {
    const place = this.places[index];
    if (place === undefined) throw new RangeError(`location ${index}: ${this.shortName()} has ${this.numLocations}`);
    return new UsdtProbeLocation(place);
  }

  /** `provider:name` */
  shortName(): string {
    return `${this.provider}:${this.name}`;
  }

  toString(): string {
    return `${this.shortName()} [sema 0x${this.semaphore.toString(16)}]`;
  }
}

/** The type of C of an argument (from 0): the widest of those at its places. Throws UnsupportedError when there is no such argument. */
export function argumentCType(probe: UsdtProbeInfo, index: number): string {
  let widest: UsdtArgument | undefined;
  for (const place of probe.places) {
    const argument = place.arguments[index];
    if (argument !== undefined && (widest === undefined || argument.size > widest.size)) widest = argument;
  }
  if (widest === undefined)
    throw new UnsupportedError(`argument ${index + 1} of ${probe.shortName()}`, `it has ${probe.numArguments}`);
  return argumentType(widest);
}
