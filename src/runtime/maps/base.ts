/** What all maps have in common: the kernel's map behind them, its name, its end. */
import { SkepError } from "../../base/index.ts";
import type { KernelMap, Owner } from "../../kernel/index.ts";
import { LinuxMap, type MapDescription, describeMap } from "../../kernel/linux/index.ts";
import type { MapSpec } from "../../object/index.ts";

/** A map as users hold it. Closing it closes the kernel's map; use after that throws SkepError (`closed`). */
export abstract class MapHandle implements Owner {
  /** As it was created. */
  readonly spec: MapSpec;
  /** The map as bytes. */
  readonly kernelMap: KernelMap;

  constructor(map: KernelMap) {
    this.kernelMap = map;
    this.spec = map.spec;
  }

  /** Name in the object. */
  get name(): string {
    return this.spec.name;
  }

  /** What the kernel tells of the map: its id, its name there, its types. */
  info(): MapDescription {
    return describeMap(this.linuxMap("information").fd.value);
  }

  /** The map of the running kernel; other kernels have no descriptors. `what` is what needs one. */
  protected linuxMap(what: string): LinuxMap {
    if (this.kernelMap instanceof LinuxMap) return this.kernelMap;
    throw new SkepError("unsupported", `map ${this.name}: ${what}: only maps of the running Linux kernel have it`, {
      exitStatus: 3,
    });
  }

  close(): void {
    this.kernelMap.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Something with a descriptor of the kernel: a number, or an owner such as a program or map of the running kernel. */
export type Descriptor = number | { readonly fd: { readonly value: number } } | { readonly value: number };

/** The number of a descriptor. Throws SkepError when its owner was closed. */
export function descriptorOf(descriptor: Descriptor): number {
  if (typeof descriptor === "number") {
    if (Number.isInteger(descriptor) && descriptor >= 0) return descriptor;
    throw new RangeError(`descriptor: ${descriptor} is none`);
  }
  return "fd" in descriptor ? descriptor.fd.value : descriptor.value;
}
