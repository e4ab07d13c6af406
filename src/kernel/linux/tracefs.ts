/** The kernel's event directory: which tracepoints there are, their numbers and formats. */
import { type Dirent, accessSync, constants, existsSync, readFileSync, readdirSync } from "node:fs";
import { UnsupportedError, nearestNames } from "../../base/index.ts";
import { machine } from "./machine.ts";

/** Where it is mounted on practically every system, newer place first. */
const usualPlaces = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] as const;

let mount: string | undefined;

/** Directory of tracefs. Throws UnsupportedError with the mend when it is missing or closed to this user. */
export function tracefs(): string {
  mount ??= findMount();
  return mount;
}

function findMount(): string {
  for (const place of usualPlaces) {
    if (existsSync(`${place}/events`)) {
      try {
        accessSync(`${place}/events`, constants.R_OK | constants.X_OK);
      } catch (cause) {
        throw new UnsupportedError(
          "tracefs",
          `${place} may only be read by root: run as root, for instance with sudo`,
          { cause },
        );
      }
      return place;
    }
  }
  for (const line of (machine.file("/proc/self/mounts") ?? "").split("\n")) {
    const [, place, type] = line.split(" ");
    if (type === "tracefs" && place !== undefined) return place.replaceAll("\\040", " ");
  }
  if (!machine.isRoot) {
    throw new UnsupportedError("tracefs", "not found, or hidden from this user: run as root, for instance with sudo");
  }
  if (machine.kernelOption("CONFIG_TRACING") === "n") {
    throw new UnsupportedError("tracefs", "this kernel was built without tracing (CONFIG_FTRACE and CONFIG_TRACING)");
  }
  throw new UnsupportedError("tracefs", "not mounted: mount -t tracefs tracefs /sys/kernel/tracing");
}

/** Categories of tracepoints, such as `sched`, sorted. */
export function tracepointCategories(): string[] {
  return readEvents(`${tracefs()}/events`)
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .toSorted();
}

/** Entries of the event directory, which may have been unmounted under the mounts that /proc tells of. */
function readEvents(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (cause) {
    throw new UnsupportedError(
      "tracefs",
      `${directory} cannot be read (${(cause as NodeJS.ErrnoException).code}): mount -t tracefs tracefs /sys/kernel/tracing`,
      { cause },
    );
  }
}

/** Tracepoints of a category, sorted; empty when there is no such category. */
export function tracepointNames(category: string): string[] {
  const directory = `${tracefs()}/events/${category}`;
  if (category.includes("/") || !existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .toSorted();
}

/** A tracepoint by category and name. */
export interface TracepointName {
  readonly category: string;
  readonly name: string;
}

/** All tracepoints, sorted by category and name. */
export function listTracepoints(): TracepointName[] {
  const events = tracefs();
  // One file instead of a walk over two thousand directories; missing only where tracefs is cut down.
  const listed = machine.source.read(`${events}/available_events`);
  if (listed === undefined) {
    return tracepointCategories().flatMap((category) => tracepointNames(category).map((name) => ({ category, name })));
  }
  const found: TracepointName[] = [];
  for (const line of new TextDecoder().decode(listed).split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) found.push({ category: line.slice(0, colon), name: line.slice(colon + 1) });
  }
  return found.toSorted((a, b) => compare(a.category, b.category) || compare(a.name, b.name));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function readEventFile(category: string, name: string, file: string): string {
  const directory = `${tracefs()}/events/${category}/${name}`;
  try {
    return readFileSync(`${directory}/${file}`, "utf8");
  } catch (cause) {
    throw tracepointMissing(category, name, cause);
  }
}

function tracepointMissing(category: string, name: string, cause: unknown): UnsupportedError {
  const feature = `tracepoint ${category}:${name}`;
  const inCategory = tracepointNames(category);
  if (inCategory.includes(name)) {
    return new UnsupportedError(feature, "exists, and cannot be opened: run as root, for instance with sudo", {
      cause,
    });
  }
  let near = nearestNames(name, inCategory).map((other) => `${category}:${other}`);
  if (near.length === 0) {
    near = listTracepoints()
      .filter((event) => event.name === name)
      .slice(0, 3)
      .map((event) => `${event.category}:${event.name}`);
  }
  if (near.length === 0) near = nearestNames(category, tracepointCategories()).map((other) => `${other}:*`);
  const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : "skep -l lists what there is";
  const what =
    inCategory.length === 0 ? `this kernel has no category ${category}` : "this kernel has no such tracepoint";
  return new UnsupportedError(feature, `${what}; ${hint}`, { cause });
}

/** Number of a tracepoint, the config of its perf event. Throws UnsupportedError with near names when there is none. */
export function tracepointId(category: string, name: string): number {
  return Number(readEventFile(category, name, "id"));
}

/** The `format` file of a tracepoint: its fields as C declarations with offsets. Throws as {@link tracepointId}. */
export function tracepointFormat(category: string, name: string): string {
  return readEventFile(category, name, "format");
}
