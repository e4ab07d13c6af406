/** What is attached where, so that it can be detached by the names it was attached by. */
import { SkepError, nearestNames } from "../base/index.ts";
import type { Link } from "../kernel/index.ts";
import type { AttachedProgram } from "../runtime/index.ts";

/** Kinds of places that BCC tells apart. */
export type PlaceKind =
  | "kprobe"
  | "kretprobe"
  | "uprobe"
  | "uretprobe"
  | "tracepoint"
  | "raw tracepoint"
  | "perf event"
  | "kfunc"
  | "kretfunc"
  | "fmod_ret"
  | "lsm"
  | "xdp"
  | "raw socket"
  | "function";

/** Probes that are open in this process, of all programs: BCC limits them. */
let openProbes = 0;
/** Unless `BCC_PROBE_LIMIT` says otherwise. */
const DEFAULT_PROBE_LIMIT = 1000;

/** Kinds that count against the limit. */
const limited: ReadonlySet<PlaceKind> = new Set(["kprobe", "kretprobe", "uprobe", "uretprobe"]);

/** Most probes of functions that one process may have open: `BCC_PROBE_LIMIT` of the environment, or 1000. */
export function getProbeLimit(): number {
  const given = process.env["BCC_PROBE_LIMIT"] ?? "";
  return /^\d+$/.test(given) ? Number(given) : DEFAULT_PROBE_LIMIT;
}

/** Probes of functions that are open in this process, of all programs. */
export function openProbeCount(): number {
  return openProbes;
}

/** Throws SkepError (`probe-limit`) when so many more would be too many. */
export function checkProbeQuota(more: number): void {
  const limit = getProbeLimit();
  if (openProbes + more <= limit) return;
  throw new SkepError(
    "probe-limit",
    `probes: ${openProbes} are open, and ${more} more would exceed the limit of ${limit}: set BCC_PROBE_LIMIT for more`,
  );
}

/** One attachment: of a function, or of what has no name of its own. */
export interface Attached {
  readonly fn: string;
  readonly place: Pick<AttachedProgram, "links" | "close">;
}

/** The attachments of one program. Closing takes everything off. */
export class Attachments {
  private readonly places = new Map<PlaceKind, Map<string, Attached[]>>();

  /** Remembers one. */
  add(kind: PlaceKind, event: string, attached: Attached): void {
    const events = this.places.get(kind) ?? new Map<string, Attached[]>();
    this.places.set(kind, events);
    events.set(event, [...(events.get(event) ?? []), attached]);
    if (limited.has(kind)) openProbes++;
  }

  /** Whether something is attached at a place. */
  has(kind: PlaceKind, event: string): boolean {
    return this.places.get(kind)?.has(event) === true;
  }

  /** Number of places of some kinds. */
  count(...kinds: PlaceKind[]): number {
    return kinds.reduce((sum, kind) => sum + (this.places.get(kind)?.size ?? 0), 0);
  }

  /** Names of the places of a kind. */
  events(kind: PlaceKind): string[] {
    return [...(this.places.get(kind)?.keys() ?? [])];
  }

  /** Takes off what is at a place, or one function of it. Throws SkepError (`not-attached`) with near names when nothing is there. */
  detach(kind: PlaceKind, event: string, fn?: string): void {
    const all = this.places.get(kind)?.get(event) ?? [];
    const gone = fn === undefined ? all : all.filter((one) => one.fn === fn);
    if (gone.length === 0) throw this.notAttached(kind, event, all.length === 0 ? undefined : fn);
    const left = all.filter((one) => !gone.includes(one));
    if (left.length > 0) this.places.get(kind)!.set(event, left);
    else this.places.get(kind)!.delete(event);
    if (limited.has(kind)) openProbes -= gone.length;
    for (const { place } of gone) place.close();
  }

  private notAttached(kind: PlaceKind, event: string, fn: string | undefined): SkepError {
    if (fn !== undefined) {
      return new SkepError("not-attached", `${kind} ${event}: function ${fn} is not attached there`, { exitStatus: 2 });
    }
    const there = this.events(kind);
    const near = nearestNames(event, there);
    const hint =
      near.length > 0
        ? `did you mean ${near.join(" or ")}?`
        : there.length === 0
          ? "nothing of its kind is attached"
          : `attached are ${there.slice(0, 10).join(", ")}`;
    return new SkepError("not-attached", `${kind} ${event}: is not attached (${hint})`, { exitStatus: 2 });
  }

  private take(): Attached[] {
    const all: Attached[] = [];
    for (const [kind, events] of this.places) {
      for (const attached of events.values()) {
        all.push(...attached);
        if (limited.has(kind)) openProbes -= attached.length;
      }
    }
    this.places.clear();
    return all;
  }

  /** Takes everything off, one after the other. */
  close(): void {
    for (const { place } of this.take()) place.close();
  }

  /** Takes everything off at once: `detach` is the kernel's. */
  async end(detach: (links: readonly Link[]) => Promise<void>): Promise<void> {
    const all = this.take();
    await detach(all.flatMap(({ place }) => place.links));
    for (const { place } of all) place.close();
  }
}
