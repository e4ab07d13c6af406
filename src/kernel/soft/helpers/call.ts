/** One call of a helper: its arguments and where its result goes. */
import { ARGUMENT_WORD, FUNCTION_BASE, type Machine, VmFault, type VmMemory, addressOf } from "../../../vm/index.ts";
import type { Environment } from "../environment.ts";
import type { Packet } from "../packets.ts";
import type { SoftMap } from "../maps/map.ts";
import type { RingMap } from "../maps/ring.ts";

/** A piece of memory that is not the program's, as probe reads find it. */
export interface ForeignMemory {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** What helpers need of the kernel. */
export interface HelperServices {
  readonly environment: Environment;
  /** Rings by the records that programs hold in them: submit and discard are told the record alone. */
  readonly records: Map<number, RingMap>;
  /** The map that an address stands for. */
  mapAt(offset: number): SoftMap | undefined;
  /** Memory of the kernel and of processes at this moment: pieces by their addresses. */
  foreign(): readonly ForeignMemory[];
  /** The packet that the program runs on. */
  packet(): Packet | undefined;
  /** `ProgType.*` of the program that runs. */
  programType(): number;
  /** A line of `trace_pipe`. */
  trace(text: string): void;
  /** `bpf_perf_event_output`. */
  perfOutput(map: SoftMap, cpu: number, bytes: Uint8Array): number;
}

/** What a helper gives: an errno or small number, a number of 64 bits, or nothing (0). */
export type HelperResult = number | bigint | void;

/** A call in progress. */
export class HelperCall {
  readonly machine: Machine;
  readonly services: HelperServices;
  readonly memory: VmMemory;

  constructor(machine: Machine, services: HelperServices) {
    this.machine = machine;
    this.services = services;
    this.memory = machine.memory;
  }

  /** Lower half of an argument, unsigned. */
  u32(index: number): number {
    return this.memory.words[ARGUMENT_WORD + 2 * index]! >>> 0;
  }

  /** Lower half of an argument, signed. */
  s32(index: number): number {
    return this.memory.words[ARGUMENT_WORD + 2 * index]!;
  }

  /** An argument of 64 bits. */
  u64(index: number): bigint {
    return (BigInt(this.memory.words[ARGUMENT_WORD + 2 * index + 1]! >>> 0) << 32n) | BigInt(this.u32(index));
  }

  /** Offset of memory that the helper may read, or write; stops the program when it may not. */
  pointer(index: number, size: number, write: boolean = false): number {
    const { memory } = this;
    const at = memory.offsetOf(memory.words[ARGUMENT_WORD + 2 * index]!, memory.words[ARGUMENT_WORD + 2 * index + 1]!);
    if (at < 0 || !memory.allows(at, size, write)) {
      const detail = `argument ${index + 1} of the helper, ${size} bytes to be ${write ? "written" : "read"}`;
      throw new VmFault("memory access", this.machine.slot, { address: this.u64(index), detail });
    }
    return at;
  }

  /** Bytes at an argument, in place. */
  bytes(index: number, size: number): Uint8Array {
    const at = this.pointer(index, size);
    return this.memory.bytes.subarray(at, at + size);
  }

  /** The text at an argument, up to its NUL or `size` bytes. */
  text(index: number, size: number): string {
    const bytes = this.bytes(index, size);
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(bytes.slice(0, end < 0 ? size : end));
  }

  /** The map that an argument is; stops the program when it is none. */
  map(index: number): SoftMap {
    const { memory } = this;
    const at = memory.offsetOf(memory.words[ARGUMENT_WORD + 2 * index]!, memory.words[ARGUMENT_WORD + 2 * index + 1]!);
    const map = at < 0 ? undefined : this.services.mapAt(at);
    if (map === undefined) {
      const detail = `argument ${index + 1} of the helper is no map`;
      throw new VmFault("memory access", this.machine.slot, { address: this.u64(index), detail });
    }
    return map;
  }

  /** The address of an offset, or NULL. */
  address(offset: number): bigint {
    return offset === 0 ? 0n : addressOf(offset);
  }

  /** The address of a function of the program; stops the program when an argument is none. */
  func(index: number): bigint {
    const address = this.u64(index);
    if (address >> 16n !== FUNCTION_BASE >> 16n) throw new VmFault("unknown function", this.machine.slot, { address });
    return address;
  }
}

/** A helper. */
export type Helper = (call: HelperCall) => HelperResult;
