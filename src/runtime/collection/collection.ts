/** An object from opening to closing: its spec, and once loaded its programs, maps, globals and links. */
import { SkepError } from "../../base/index.ts";
import { Btf } from "../../btf/index.ts";
import { openLinuxKernel } from "../../kernel/index.ts";
import type { Kernel, KernelMap, KernelProgram, Link, LoadedObject, LoadOptions } from "../../kernel/index.ts";
import type { AttachRequest, BpfObject } from "../../object/index.ts";
import { type AttachedProgram, type AttachOptions, attachProgram } from "../attachment/index.ts";
import type { MapHandle } from "../maps/base.ts";
import { eventTypes, type MapEvents } from "../records/event-types.ts";
import { GlobalVariables } from "./globals.ts";
import { alternativeRank, placeOfAlternative } from "./alternatives.ts";
import { openMap } from "./maps.ts";
import { namedThings, noSuchName } from "./names.ts";
import { Program } from "./program.ts";
import { type ObjectSpec, SpecEditor } from "./spec.ts";
import type { AnyObject, ObjectTypes } from "./types.ts";

/** A program at its places, or a struct_ops map that is registered. */
export type Attachment = AttachedProgram | Link;

/** A program that this kernel does not take, or that another one of the object stands for. */
export interface LeftOut {
  readonly program: string;
  readonly error: SkepError;
  readonly stage: "load" | "attach";
}

/** Options of {@link Collection.attach}. */
export interface AttachAllOptions extends AttachOptions {
  /**
   * Programs that cannot be attached are left out, as long as one can; and of two for the same place, of which one is meant for kernels
   * that lack the other's way (`fentry/f` and `kprobe/f`, `tp_btf/t` and `raw_tp/t`), the second.
   */
  readonly partial?: boolean;
}

/** How an object is opened. */
export interface CollectionOptions {
  /** The kernel that it is loaded into; default: the running one, opened when it is needed. */
  readonly kernel?: Kernel;
  /** Types of records of ring buffers and perf buffers, by map and C name: `{ events: "struct event" }`. */
  readonly events?: Readonly<Record<string, string>>;
}

/** A kernel in which maps of functions are registered. */
interface RegisteringKernel extends Kernel {
  attachStructOps(map: KernelMap): Link;
}

type Names<T> = Extract<keyof T, string>;

/**
 * An opened object. Until {@link load} its spec and globals may be changed; then programs run and maps hold what they hold. Closing it
 * detaches and frees everything that was not pinned; use after that throws SkepError (`closed`).
 */
export class Collection<T extends ObjectTypes = AnyObject> {
  /** Programs and maps as they will be loaded; may be changed before {@link load}. */
  readonly spec: ObjectSpec<Names<T["programs"]>, string>;
  /** By name. A name that the object does not have throws, with the nearest one. */
  readonly programs: Readonly<T["programs"]>;
  /** By name; after {@link load}. */
  readonly maps: Readonly<T["maps"]>;
  /** Variables by section and name: first values before {@link load}, afterwards the memory that programs see. */
  readonly globals: Readonly<T["globals"]>;
  /** The object as it was read. */
  readonly object: BpfObject;
  private readonly options: CollectionOptions;
  private readonly btf: Btf | undefined;
  private readonly editor: SpecEditor;
  private readonly variables: GlobalVariables;
  private readonly programsByName: ReadonlyMap<string, Program>;
  private readonly openMaps = new Map<string, MapHandle>();
  private readonly attached = new Set<Attachment>();
  private events: ReadonlyMap<string, MapEvents> | undefined;
  private kernel: Kernel | undefined;
  private ownsKernel = false;
  private loaded: LoadedObject | undefined;
  /** Programs that were neither loaded nor attached, and why: after {@link load} and {@link attach} with `partial`. */
  readonly leftOut: LeftOut[] = [];
  private closed = false;

  constructor(object: BpfObject, options: CollectionOptions = {}) {
    this.object = object;
    this.options = options;
    this.btf = object.btf === undefined ? undefined : Btf.parse(object.btf);
    this.editor = new SpecEditor(object);
    this.spec = this.editor.spec as ObjectSpec<Names<T["programs"]>, string>;
    this.variables = new GlobalVariables(object, this.btf);
    this.globals = this.variables.sections as T["globals"];
    if (options.events !== undefined) eventTypes(object, this.btf, options.events);
    const host = {
      loadedProgram: (name: string) => this.loadedProgram(name),
      attachProgram: (name: string, request: AttachRequest | undefined, how: AttachOptions) =>
        this.attachOne(name, request, how),
    };
    this.programsByName = new Map(
      object.programs.map(({ name }) => [name, new Program(name, this.editor.spec.programs[name]!, host)]),
    );
    const isFixed = (name: string): SkepError => new SkepError("read-only", `${name}: is not to be replaced`);
    this.programs = namedThings(
      "program",
      "no-program",
      new Map([...this.programsByName].map(([name, program]) => [name, { get: () => program }])),
      isFixed,
    ) as T["programs"];
    this.maps = namedThings(
      "map",
      "no-map",
      new Map(object.maps.map(({ name }) => [name, { get: () => this.map(name) }])),
      isFixed,
    ) as T["maps"];
  }

  /** Name of the object. */
  get name(): string {
    return this.object.name ?? "object";
  }

  /** Whether {@link load} was done. */
  get isLoaded(): boolean {
    return this.loaded !== undefined;
  }

  private live(what: string): LoadedObject {
    if (this.closed) throw new SkepError("closed", `${what}: used after object ${this.name} was closed`);
    if (this.loaded === undefined) {
      throw new SkepError("not-loaded", `${what}: object ${this.name} is not loaded yet: await load() first`);
    }
    return this.loaded;
  }

  /**
   * Creates maps and loads programs. All or nothing (but for `partial`): on an error everything made is gone, and the spec may be changed for another try.
   * Throws VerifierError with the log and the C line, UnsupportedError for what this kernel or user cannot do, SyscallError else.
   */
  async load(options: LoadOptions = {}): Promise<this> {
    if (this.closed) throw new SkepError("closed", `load: used after object ${this.name} was closed`);
    if (this.loaded !== undefined) throw new SkepError("loaded", `object ${this.name}: is loaded already`);
    if (this.kernel === undefined) {
      this.kernel = this.options.kernel ?? openLinuxKernel();
      this.ownsKernel = this.options.kernel === undefined;
    }
    const loaded = this.kernel.load(this.editor.build(this.variables.changedValues()), options);
    this.loaded = loaded;
    for (const [program, error] of loaded.refused ?? []) this.leftOut.push({ program, error, stage: "load" });
    this.editor.freeze();
    this.variables.use((name) => {
      const autocreate = this.editor.spec.maps[name]?.autocreate ?? true;
      return autocreate ? loaded.map(name) : undefined;
    });
    return this;
  }

  /**
   * Attaches every program whose section says where, and registers struct_ops maps; programs whose `autoload` or `autoattach` is false are
   * left out. All or nothing (but for `partial`, see {@link leftOut}). Throws as {@link Program.attach}.
   */
  async attach(options: AttachAllOptions = {}): Promise<Attachment[]> {
    const loaded = this.live("attach");
    const made: Attachment[] = [];
    try {
      const refused = new Set(this.leftOut.map(({ program }) => program));
      const names = this.object.programs
        .map(({ name }) => name)
        .filter((name) => this.editor.autoattaches(name) && !refused.has(name))
        .filter((name) => this.spec.programs[name as Names<T["programs"]>].attach !== undefined);
      if (options.partial === true) {
        const rank = (name: string): number => alternativeRank(this.program(name).spec);
        names.sort((a, b) => rank(a) - rank(b));
      }
      for (const name of names) this.attachOrLeaveOut(name, made, options);
      const [first] = this.leftOut;
      if (options.partial === true && made.length === 0 && first !== undefined) throw first.error;
      for (const map of loaded.object.maps) {
        if (map.structOps === undefined || map.autocreate === false) continue;
        const link = (this.kernel as RegisteringKernel).attachStructOps(loaded.map(map.name));
        this.attached.add(link);
        made.push(link);
      }
    } catch (error) {
      await this.detach(made);
      throw error;
    }
    return made;
  }

  private attachOrLeaveOut(name: string, made: Attachment[], options: AttachAllOptions): void {
    try {
      const taken = options.partial === true ? this.alternativeOf(name, made) : undefined;
      if (taken !== undefined) {
        throw new SkepError("alternative", `program ${name}: program ${taken} is at the same place already`);
      }
      made.push(this.attachOne(name, undefined, options));
    } catch (error) {
      if (options.partial !== true || !(error instanceof SkepError)) throw error;
      this.leftOut.push({ program: name, error, stage: "attach" });
    }
  }

  /** The attached program that does the same where one is for kernels that lack the other. */
  private alternativeOf(name: string, made: readonly Attachment[]): string | undefined {
    const place = placeOfAlternative(this.program(name).spec);
    if (place === undefined) return undefined;
    return made
      .flatMap((one) => ("program" in one ? [one.program] : []))
      .find((other) => {
        const { section } = this.program(other).spec;
        return section !== this.program(name).spec.section && placeOfAlternative(this.program(other).spec) === place;
      });
  }

  private attachOne(name: string, request: AttachRequest | undefined, options: AttachOptions): AttachedProgram {
    const loaded = this.live(`program ${name}`);
    this.loadedProgram(name);
    const attachment = attachProgram(this.kernel!, loaded, name, request, options);
    this.attached.add(attachment);
    return attachment;
  }

  /** What {@link attach} and {@link Program.attach} made and nobody closed yet. */
  get links(): readonly Attachment[] {
    for (const attachment of this.attached) if (isClosed(attachment)) this.attached.delete(attachment);
    return [...this.attached];
  }

  /** Takes programs off their places, default all, without waiting for each: much faster than closing one after the other. */
  async detach(attachments: readonly Attachment[] = this.links): Promise<void> {
    const links = attachments.flatMap((attachment) => ("links" in attachment ? attachment.links : [attachment]));
    if (links.length > 0) await this.kernel!.detach(links);
    for (const attachment of attachments) {
      attachment.close();
      this.attached.delete(attachment);
    }
  }

  private loadedProgram(name: string): KernelProgram {
    const loaded = this.live(`program ${name}`);
    this.program(name);
    return loaded.program(name);
  }

  /** A program by a name that is only known when it runs. Throws SkepError (`no-program`) with the nearest name. */
  program(name: string): Program {
    const program = this.programsByName.get(name);
    if (program === undefined) throw noSuchName("program", name, [...this.programsByName.keys()], "no-program");
    return program;
  }

  /**
   * A map by a name that is only known when it runs, those of sections included; with a class, of that class. Throws SkepError
   * (`no-map`) with the nearest name, TypeError when it is of another class.
   */
  map(name: string): MapHandle;
  map<M extends MapHandle>(name: string, type: new (...args: never[]) => M): M;
  map<M extends MapHandle>(name: string, type?: new (...args: never[]) => M): MapHandle {
    const names = this.object.maps.map((map) => map.name);
    if (!names.includes(name)) throw noSuchName("map", name, names, "no-map");
    const loaded = this.live(`map ${name}`);
    const map: MapHandle =
      this.openMaps.get(name) ?? openMap(loaded.map(name), loaded.map(name).spec, this.btf, this.eventsOf(name));
    this.openMaps.set(name, map);
    if (type !== undefined && !(map instanceof type)) {
      throw new TypeError(`map ${name}: is ${map.constructor.name}, not ${type.name}`);
    }
    return map;
  }

  /** What the records of an event map are, and how that is known. Undefined for other maps. */
  eventsOf(map: string): MapEvents | undefined {
    this.events ??= new Map(eventTypes(this.object, this.btf, this.options.events).map((e) => [e.map, e]));
    return this.events.get(map);
  }

  private free(): void {
    this.closed = true;
    this.variables.close();
    for (const map of this.openMaps.values()) map.close();
    this.loaded?.close();
    if (this.ownsKernel) this.kernel?.close();
  }

  /** Detaches and frees everything that was not pinned. Nothing the second time. Many links are closed faster by {@link end}. */
  close(): void {
    if (this.closed) return;
    try {
      for (const attachment of this.attached) attachment.close();
    } finally {
      this.attached.clear();
      this.free();
    }
  }

  /** As {@link close}, all places at once, without waiting for each. */
  async end(): Promise<void> {
    if (this.closed) return;
    try {
      await this.detach();
    } finally {
      this.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

function isClosed(attachment: Attachment): boolean {
  const links = "links" in attachment ? attachment.links : [attachment];
  return links.every((link) => "isClosed" in link && link.isClosed === true);
}
