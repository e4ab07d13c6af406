/** Attaches a program of a loaded object to where its section says, or its user: names become places, static probes get their arguments. */
import { SkepError, SyscallError, UnsupportedError } from "../../base/index.ts";
import type { Kernel, KernelProgram, Link, LoadedObject, Owner } from "../../kernel/kernel.ts";
import type { IteratorRun } from "../../kernel/linux/iterator.ts";
import { LinuxLink } from "../../kernel/linux/link.ts";
import type { LinkInfo } from "../../kernel/linux/link-info.ts";
import { LinuxProgram } from "../../kernel/linux/programs.ts";
import type { AttachRequest, AttachSpec, ProgramSpec } from "../../object/index.ts";
import { type AttachMachine, thisMachine } from "./machine.ts";
import { placeWanted } from "./places.ts";
import { resolveAttachRequest } from "./request.ts";
import { hasUsdtSpecs, prepareUsdt } from "./usdt-specs.ts";

/** Options of {@link attachProgram}. */
export interface AttachOptions {
  /** Only events of this process, for places that can be told apart so (uprobes, static probes, samples, iterators over tasks). */
  readonly pid?: number;
  /** What names stand for; default: the machine that this process runs on. */
  readonly machine?: AttachMachine;
}

/** Places of a pattern at which the kernel would not have the program. */
export interface RefusedPlaces {
  readonly count: number;
  /** The error of the first. */
  readonly first: Error;
}

/** One program at all the places that a request stands for. Closing takes it off everywhere. */
export class AttachedProgram implements Owner {
  /** Name of the program. */
  readonly program: string;
  readonly request: AttachRequest;
  /** One for each place; at least one. */
  readonly links: readonly Link[];
  /** Undefined when the program is everywhere. */
  readonly refused: RefusedPlaces | undefined;
  private readonly kernel: Kernel;
  private release: (() => void) | undefined;

  constructor(
    kernel: Kernel,
    attached: {
      readonly program: string;
      readonly request: AttachRequest;
      readonly links: readonly Link[];
      readonly refused?: RefusedPlaces | undefined;
      readonly release?: (() => void) | undefined;
    },
  ) {
    this.kernel = kernel;
    this.program = attached.program;
    this.request = attached.request;
    this.links = attached.links;
    this.refused = attached.refused;
    this.release = attached.release;
  }

  /** What the kernel tells of the links; empty for places that it has no links for. */
  info(): LinkInfo[] {
    return this.linuxLinks("info").flatMap((link) => link.info());
  }

  /**
   * Puts another program of the same type in the place of this one, without a moment between them, at all its places. Throws UnsupportedError
   * where the kernel cannot exchange programs.
   */
  update(program: KernelProgram): void {
    if (!(program instanceof LinuxProgram))
      throw new TypeError(`program ${program.spec.name}: belongs to another kernel`);
    for (const link of this.linuxLinks("update")) link.update(program);
  }

  /** Runs an iterator program over everything, and gives what it writes. Whoever holds the run closes it. Throws SyscallError for other programs. */
  iterate(): IteratorRun {
    return this.linuxLinks("iterate")[0]!.iterate();
  }

  private linuxLinks(what: string): LinuxLink[] {
    return this.links.map((link) => {
      if (!(link instanceof LinuxLink))
        throw new UnsupportedError(`${what} of program ${this.program}`, "its kernel has no links");
      return link;
    });
  }

  close(): void {
    for (const link of this.links) link.close();
    this.releaseOnce();
  }

  /** As {@link close}, all places at once, without waiting for each: see `Kernel.detach`. */
  async detach(): Promise<void> {
    await this.kernel.detach(this.links);
    this.releaseOnce();
  }

  private releaseOnce(): void {
    const { release } = this;
    this.release = undefined;
    release?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Kinds whose places may be refused one by one when a pattern found several: some functions bear no probe. */
const patterns: ReadonlySet<AttachRequest["kind"]> = new Set(["kprobe-pattern", "uprobe-pattern"]);

/** Kinds that follow one process. */
const ofProcesses: ReadonlySet<AttachRequest["kind"]> = new Set([
  "uprobe",
  "uprobe-multi",
  "uprobe-symbol",
  "uprobe-pattern",
  "usdt",
  "perf-event",
]);

function followed(request: AttachRequest, program: ProgramSpec, pid: number | undefined): AttachRequest {
  if (pid === undefined) return request;
  if (request.kind === "tracing" && (program.attachTo ?? "").startsWith("task")) return { kind: "iterator", pid };
  return ofProcesses.has(request.kind) && !("pid" in request) ? ({ ...request, pid } as AttachRequest) : request;
}

/**
 * Attaches a program by its name: to `request`, or else to where its section says. A request in names may stand for several places; of what a
 * pattern found, those that the kernel refuses are left out unless it refuses all. On an error nothing stays attached.
 *
 * Throws SkepError `no-place` when nobody says where the program goes, with what to say; UnsupportedError for what this machine has not
 * got or cannot do; SyscallError else.
 */
export function attachProgram(
  kernel: Kernel,
  loaded: LoadedObject,
  name: string,
  request?: AttachRequest,
  options: AttachOptions = {},
): AttachedProgram {
  const program = loaded.program(name);
  const asked = request ?? program.spec.attach;
  if (asked === undefined)
    throw new SkepError("no-place", `program ${name}: ${placeWanted(program.spec)}`, { exitStatus: 2 });
  const wanted = followed(asked, program.spec, options.pid);
  const machine = options.machine ?? thisMachine;
  let places: readonly AttachSpec[];
  let release: (() => void) | undefined;
  if (wanted.kind === "usdt" && hasUsdtSpecs(loaded)) {
    const prepared = prepareUsdt(loaded, program.spec, wanted, machine);
    places = prepared.places;
    release = () => prepared.release();
  } else {
    places = kernel.name === "linux" ? resolveAttachRequest(program.spec, wanted, machine) : [wanted as AttachSpec];
  }
  const links: Link[] = [];
  let refused: { count: number; first: Error } | undefined;
  try {
    for (const place of places) {
      try {
        links.push(kernel.attach(program, place));
      } catch (error) {
        const isRefusal = error instanceof UnsupportedError || error instanceof SyscallError;
        if (!patterns.has(wanted.kind) || places.length === 1 || !isRefusal) throw error;
        if (refused === undefined) refused = { count: 1, first: error };
        else refused.count++;
      }
    }
    if (links.length === 0 && refused !== undefined) throw refused.first;
    return new AttachedProgram(kernel, { program: name, request: wanted, links, refused, release });
  } catch (error) {
    for (const link of links) link.close();
    release?.();
    throw error;
  }
}
