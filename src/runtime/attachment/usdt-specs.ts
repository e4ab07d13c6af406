/**
 * Arguments of static probes for programs that include libbpf's `usdt.bpf.h`: its maps tell the program where the arguments of the probe
 * that it runs at are. The map `__bpf_usdt_specs` has an entry for each kind of place, which the probe's cookie names; on kernels without
 * cookies `__bpf_usdt_ip_to_spec_id` names it by address. The layout of an entry is that of the object's own types.
 */
import { SkepError, UnsupportedError } from "../../base/index.ts";
import { Btf } from "../../btf/index.ts";
import type { KernelMap, LoadedObject } from "../../kernel/kernel.ts";
import {
  type AttachRequest,
  type AttachSpec,
  ElfType,
  type ProgramSpec,
  type UsdtArch,
  type UsdtArgument,
  type UsdtProbe,
  parseUsdtArguments,
  resolveUsdtArgument,
} from "../../object/index.ts";
import { codecFor } from "../values/codec-for.ts";
import { type Codec, encodeValue } from "../values/codec.ts";
import { readMaps } from "../symbols/process.ts";
import { BinaryFile, type PlacedProbe, findBinary } from "./binary-file.ts";
import { type AttachMachine, requireArch } from "./machine.ts";
import { isUprobeMulti } from "./request.ts";

const SPECS_MAP = "__bpf_usdt_specs";
const ADDRESSES_MAP = "__bpf_usdt_ip_to_spec_id";

/** `enum __bpf_usdt_arg_type` */
const ArgType = { CONST: 0, REG: 1, REG_DEREF: 2, SIB: 3 } as const;

/** Most arguments that an entry holds (`BPF_USDT_MAX_ARG_CNT`). */
const MAX_ARGUMENTS = 12;

/** Members of `struct __bpf_usdt_arg_spec` that are not zero. */
type ArgumentSpec = Record<string, number | bigint | boolean>;

/** An entry of the map of specs, as its codec takes it. */
interface UsdtSpec {
  readonly args: readonly ArgumentSpec[];
  readonly usdt_cookie: bigint;
  readonly arg_cnt: number;
}

/** True when an object has the maps of `usdt.bpf.h`. */
export function hasUsdtSpecs(loaded: LoadedObject): boolean {
  return loaded.object.maps.some(({ name }) => name === SPECS_MAP);
}

/** Which entries of an object's maps are taken. */
interface SpecStore {
  readonly specs: KernelMap;
  readonly addresses: KernelMap;
  readonly codec: Codec<UsdtSpec>;
  readonly free: number[];
  next: number;
}

const stores = new WeakMap<LoadedObject, SpecStore>();

function storeOf(loaded: LoadedObject, what: string): SpecStore {
  const known = stores.get(loaded);
  if (known !== undefined) return known;
  const definition = loaded.object.maps.find(({ name }) => name === SPECS_MAP);
  const { btf } = loaded.object;
  if (definition?.valueTypeId === undefined || definition.valueTypeId === 0 || btf === undefined)
    throw new UnsupportedError(what, `map ${SPECS_MAP} has no type: compile the object with -g`);
  const store: SpecStore = {
    specs: loaded.map(SPECS_MAP),
    addresses: loaded.map(ADDRESSES_MAP),
    codec: codecFor<UsdtSpec>(Btf.parse(btf), definition.valueTypeId),
    free: [],
    next: 0,
  };
  stores.set(loaded, store);
  return store;
}

function argumentSpec(argument: UsdtArgument, what: string): ArgumentSpec {
  const { size, isSigned } = argument;
  const common = { arg_signed: isSigned, arg_bitshift: 64 - size * 8 };
  if (argument.kind === "unreadable")
    throw new UnsupportedError(what, `argument ${argument.text} cannot be read: ${argument.reason}`);
  if (argument.isFloat) throw new UnsupportedError(what, `argument ${argument.text} is a floating point number`);
  if (argument.kind === "constant")
    return { ...common, arg_type: ArgType.CONST, val_off: BigInt.asUintN(64, argument.value) };
  if (argument.kind === "register") return { ...common, arg_type: ArgType.REG, reg_off: argument.register.offset };
  const { base, index, scale } = argument;
  const place = { ...common, val_off: BigInt.asUintN(64, argument.offset), reg_off: base!.offset };
  if (index === undefined) return { ...place, arg_type: ArgType.REG_DEREF };
  return { ...place, arg_type: ArgType.SIB, idx_reg_off: index.offset, scale_bitshift: Math.log2(scale) };
}

function encodeSpec(
  codec: Codec<UsdtSpec>,
  probe: UsdtProbe,
  binary: BinaryFile,
  arch: UsdtArch,
  cookie: number,
  what: string,
): Uint8Array {
  const found = parseUsdtArguments(probe.arguments, arch).map((argument) =>
    resolveUsdtArgument(argument, probe, arch, (symbol) => binary.symbolAddress(symbol)),
  );
  if (found.length > MAX_ARGUMENTS)
    throw new UnsupportedError(what, `it has ${found.length} arguments, ${MAX_ARGUMENTS} are what usdt.bpf.h takes`);
  const args = found.map((argument) => argumentSpec(argument, what));
  const whole = [...args, ...Array.from({ length: MAX_ARGUMENTS - args.length }, () => ({}))];
  try {
    return encodeValue(codec, { args: whole, usdt_cookie: BigInt(cookie), arg_cnt: args.length });
  } catch (cause) {
    if (args.some(({ arg_type: type }) => type === ArgType.SIB)) {
      const why = `the arguments ${probe.arguments} are indexed, which the object's usdt.bpf.h does not know: compile it with that of libbpf 1.7`;
      throw new UnsupportedError(what, why, { cause });
    }
    throw cause;
  }
}

function key(value: number | bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  if (size === 8) view.setBigUint64(0, BigInt(value), true);
  else view.setUint32(0, Number(value), true);
  return bytes;
}

/** Where the places of a file are in a process, for kernels without cookies. */
function processAddress(probe: PlacedProbe, binary: BinaryFile, pid: number | undefined, what: string): bigint {
  if (binary.elf.header.type !== ElfType.DYN) return probe.address;
  if (pid === undefined) {
    const why =
      "this kernel has no cookies (Linux 5.15), without which a library is followed in one process only: give a pid";
    throw new UnsupportedError(what, why);
  }
  const path = binary.path.replace(/^\/proc\/\d+\/root(?=\/)/, "");
  for (const mapping of readMaps(pid) ?? []) {
    const into = probe.fileOffset - mapping.fileOffset;
    if (mapping.path === path && into >= 0 && BigInt(into) < mapping.end - mapping.start)
      return mapping.start + BigInt(into);
  }
  throw new UnsupportedError(what, `process ${pid} has not loaded ${path}`);
}

/** Places of a static probe, whose arguments are known to the program while `release` was not called. */
export interface PreparedUsdt {
  readonly places: readonly AttachSpec[];
  /** Gives the entries of the maps back; to be called when nothing is attached any more. */
  release(): void;
}

/**
 * Writes where the arguments of a static probe are into the object's maps, and returns the places to attach to. Throws UnsupportedError,
 * with what the file has, when it has no such probe, or arguments that programs cannot read.
 */
export function prepareUsdt(
  loaded: LoadedObject,
  program: ProgramSpec,
  request: Extract<AttachRequest, { kind: "usdt" }>,
  machine: AttachMachine,
): PreparedUsdt {
  const { provider, name, pid } = request;
  const what = `usdt ${request.path}:${provider}:${name}`;
  const arch = requireArch(what, machine);
  const store = storeOf(loaded, what);
  const path = findBinary(what, request.path, arch, pid);
  using binary = new BinaryFile(what, path);
  const probes = binary.requireProbes(what, provider, name);
  const withCookies = machine.hasCookies;
  const taken = new Map<string, number>();
  const addresses: bigint[] = [];
  const release = (): void => {
    store.free.push(...taken.values());
    taken.clear();
    for (const address of addresses.splice(0)) store.addresses.delete(key(address, store.addresses.spec.keySize));
  };
  try {
    const ids = probes.map((probe) => {
      // Symbols lie at another distance from each place: an entry serves all places only without them.
      const bytes = encodeSpec(store.codec, probe, binary, arch, request.cookie ?? 0, what);
      const text = Buffer.from(bytes).toString("latin1");
      const known = taken.get(text);
      if (known !== undefined) return known;
      const id = store.free.pop() ?? store.next++;
      if (id >= store.specs.spec.maxEntries) {
        store.next = id;
        const why = `map ${SPECS_MAP} has ${store.specs.spec.maxEntries} entries, and all are taken: define BPF_USDT_MAX_SPEC_CNT larger`;
        throw new SkepError("usdt-full", `${what}: ${why}`);
      }
      taken.set(text, id);
      store.specs.update(key(id, 4), bytes);
      return id;
    });
    if (!withCookies) {
      probes.forEach((probe, i) => {
        const address = processAddress(probe, binary, pid, what);
        store.addresses.update(key(address, store.addresses.spec.keySize), key(ids[i]!, 4), 1);
        addresses.push(address);
      });
    }
    return { places: placesOf(program, path, probes, withCookies ? ids : undefined, pid), release };
  } catch (error) {
    release();
    throw error;
  }
}

function placesOf(
  program: ProgramSpec,
  path: string,
  probes: readonly PlacedProbe[],
  cookies: readonly number[] | undefined,
  pid: number | undefined,
): AttachSpec[] {
  const process = pid === undefined ? {} : { pid };
  if (isUprobeMulti(program)) {
    return [
      {
        kind: "uprobe-multi",
        path,
        fileOffsets: probes.map(({ fileOffset }) => fileOffset),
        refCtrOffsets: probes.map(({ semaphoreOffset }) => semaphoreOffset ?? 0),
        isReturn: false,
        ...process,
        ...(cookies === undefined ? {} : { cookies }),
      },
    ];
  }
  return probes.map(({ fileOffset, semaphoreOffset }, i) => ({
    kind: "uprobe",
    path,
    fileOffset,
    isReturn: false,
    ...process,
    ...(cookies === undefined ? {} : { cookie: cookies[i]! }),
    ...(semaphoreOffset === undefined ? {} : { refCtrOffset: semaphoreOffset }),
  }));
}
