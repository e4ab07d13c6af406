/** Static probes of programs and libraries (USDT), as BCC enables them. */
import { arch } from "node:os";
import { SkepError, UnsupportedError, nearestNames } from "../../base/index.ts";
import type { BccUsdtPlace } from "../../lang/c/index.ts";
import { ElfType, type UsdtArch, usdtProbes } from "../../object/index.ts";
import { BinaryFile } from "../../runtime/attachment/index.ts";
import { mappedFilePath, readMaps } from "../../runtime/symbols/process.ts";
import { findBinaryFile } from "../discovery.ts";
import { type UsdtPlace, UsdtProbeInfo, argumentCType, usdtPlace } from "./probe.ts";
import { isUniform, readerText } from "./text.ts";

/** Whose probes: of a process, of a binary, or of a binary in a process. */
export interface UsdtOptions {
  readonly pid?: number;
  /** A path, a program in `PATH`, or a library without its `lib`. */
  readonly path?: string;
}

/** A probe that is enabled, and the function that runs there. */
export interface EnabledProbe {
  readonly probe: UsdtProbeInfo;
  readonly fn: string;
  /** -1 for every process. */
  readonly pid: number;
}

function architecture(): UsdtArch {
  const here = arch();
  if (here === "x64") return "x86_64";
  if (here === "arm64") return "aarch64";
  throw new UnsupportedError("static probes", `${here}: known on x86-64 and arm64`);
}

/**
 * Static probes of a process or a binary. `enableProbe` what is wanted, then give it to `new BPF({ usdtContexts })`, which attaches. Throws
 * SkepError (`usage`) without pid and path, UnsupportedError when there is no such process or binary, or no probes in it.
 */
export class USDT {
  readonly pid: number | undefined;
  readonly path: string | undefined;
  private readonly probes: UsdtProbeInfo[];
  private readonly enabled: EnabledProbe[] = [];
  private readonly what: string;

  constructor(options: UsdtOptions) {
    const { pid, path } = options;
    this.pid = pid === undefined || pid < 0 ? undefined : pid;
    this.path = path;
    if (this.pid === undefined && path === undefined)
      throw new SkepError("usage", "USDT: either a pid or the path of a binary must be given", { exitStatus: 2 });
    this.what = `static probes of ${path ?? `process ${this.pid}`}`;
    const files = path === undefined ? mappedFiles(this.pid!, this.what) : [this.binary(path)];
    this.probes = files.flatMap((file) => probesOf(file, this.what, path !== undefined));
    if (this.probes.length === 0) throw new UnsupportedError(this.what, "there are none");
  }

  private binary(path: string): string {
    const found = findBinaryFile(path, this.pid);
    if (found === undefined) throw new UnsupportedError(this.what, "there is no such binary");
    return found;
  }

  /** All probes. */
  enumerateProbes(): readonly UsdtProbeInfo[] {
    return this.probes;
  }

  /** Probes that are enabled, with their functions. */
  enumerateActiveProbes(): readonly EnabledProbe[] {
    return this.enabled;
  }

  private find(name: string): UsdtProbeInfo {
    const colon = name.indexOf(":");
    const [provider, own] = colon === -1 ? [undefined, name] : [name.slice(0, colon), name.slice(colon + 1)];
    const found = this.probes.filter(
      (one) => one.name === own && (provider === undefined || one.provider === provider),
    );
    const [first] = found;
    if (first !== undefined && found.length === 1) return first;
    if (first !== undefined) {
      const all = found.map((one) => one.shortName()).join(", ");
      throw new SkepError("no-probe", `probe ${name}: several providers have it: say which: ${all}`, { exitStatus: 2 });
    }
    const names = this.probes.map((one) => (colon === -1 ? one.name : one.shortName()));
    const near = nearestNames(name, names);
    const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : `there are ${names.slice(0, 12).join(", ")}`;
    throw new SkepError("no-probe", `probe ${name}: ${this.what}: there is none of that name (${hint})`, {
      exitStatus: 2,
    });
  }

  /** Lets a function run where a probe (`name`, or `provider:name`) is passed. Throws SkepError (`no-probe`) with near names. */
  enableProbe(probe: string, fnName: string): void {
    const found = this.find(probe);
    if (this.enabled.some((one) => one.probe === found)) {
      throw new SkepError("no-probe", `probe ${probe}: is enabled already: make another USDT for a second function`, {
        exitStatus: 2,
      });
    }
    this.enabled.push({ probe: found, fn: fnName, pid: this.pid ?? -1 });
  }

  /** As {@link enableProbe}; says what is wrong on standard error and ends the process with 1 when it fails. */
  enableProbeOrBail(probe: string, fnName: string): void {
    try {
      this.enableProbe(probe, fnName);
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
      process.exit(1);
    }
  }

  /** The type of C of an argument of a probe, from 1: `int32_t`. */
  getProbeArgCtype(probe: string, index: number): string {
    return argumentCType(this.find(probe), index - 1);
  }

  /** Readers of the arguments of enabled probes as C. Programs do not need them: the compiler reads arguments itself. */
  getText(): string {
    return this.enabled.map(({ probe, fn }) => readerText(probe, fn, (place) => this.addressOf(place))).join("");
  }

  /** Where an argument (from 1) is for programs that run as `fn`; undefined when no enabled probe has that function. */
  argumentPlaces(fn: string, index: number): readonly BccUsdtPlace[] | undefined {
    const found = this.enabled.filter((one) => one.fn === fn);
    if (found.length === 0) return undefined;
    const places = found
      .flatMap(({ probe }) => probe.places)
      .filter((place) => place.arguments[index - 1] !== undefined);
    if (places.length === 0) return undefined;
    if (isUniform(places, index - 1)) return [{ argument: places[0]!.arguments[index - 1]! }];
    return places.map((place) => ({ address: this.addressOf(place), argument: place.arguments[index - 1]! }));
  }

  /** Address of a place in the process that runs it. */
  private addressOf(place: UsdtPlace): bigint {
    using file = new BinaryFile(this.what, place.binPath);
    if (file.elf.header.type === ElfType.EXEC) return place.probe.address;
    const probe = `${place.probe.provider}:${place.probe.name}`;
    if (this.pid === undefined) {
      const why =
        "the probe has several places whose arguments differ, and the file may be anywhere in memory: give a pid";
      throw new UnsupportedError(`usdt ${probe}`, why);
    }
    const mapping = (readMaps(this.pid) ?? []).find((one) => {
      const into = place.fileOffset - one.fileOffset;
      const isFile = one.path === place.binPath || mappedFilePath(this.pid!, one) === place.binPath;
      return isFile && into >= 0 && BigInt(into) < one.end - one.start;
    });
    if (mapping === undefined) {
      throw new UnsupportedError(`usdt ${probe}`, `process ${this.pid} has not mapped ${place.binPath}`);
    }
    return mapping.start + BigInt(place.fileOffset - mapping.fileOffset);
  }
}

function mappedFiles(pid: number, what: string): string[] {
  const maps = readMaps(pid);
  if (maps === undefined || maps.length === 0) throw new UnsupportedError(what, "there is no such process");
  const files = maps.filter(({ identity }) => identity !== "").map((mapping) => mappedFilePath(pid, mapping));
  return [...new Set(files)];
}

function probesOf(path: string, what: string, isWanted: boolean): UsdtProbeInfo[] {
  let file: BinaryFile;
  try {
    file = new BinaryFile(what, path);
  } catch (error) {
    // Of all that a process has mapped, what cannot be read is passed over.
    if (isWanted) throw error;
    return [];
  }
  using binary = file;
  const byName = new Map<string, UsdtPlace[]>();
  for (const probe of usdtProbes(binary.elf)) {
    const place = usdtPlace(probe, binary, architecture());
    if (place === undefined) continue;
    const name = `${probe.provider}:${probe.name}`;
    byName.set(name, [...(byName.get(name) ?? []), place]);
  }
  return [...byName.values()].map((places) => {
    const { provider, name } = places[0]!.probe;
    return new UsdtProbeInfo(provider, name, places);
  });
}
