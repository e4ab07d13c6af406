/**
 * Who holds what. Off in production; tests turn it on to prove that everything opened was closed, and to show where the rest
 * was opened.
 */

/** A resource that is open, and the stack that opened it. */
export interface OpenResource {
  /** Such as `fd 23: map counts`. */
  readonly what: string;
  readonly stack: string;
}

let open: Map<string, OpenResource> | undefined;

/** Starts to keep the list of {@link openResources}. Resources opened before are not known. */
export function trackResources(): void {
  open ??= new Map();
}

/** What is open now, in the order of opening; empty when not tracking. */
export function openResources(): OpenResource[] {
  return open === undefined ? [] : [...open.values()];
}

/** Notes a resource; `key` is unique among those open. */
export function resourceOpened(key: string, what: string): void {
  if (open === undefined) return;
  open.set(key, { what: `${key}: ${what}`, stack: new Error("opened here").stack ?? "" });
}

/** Notes that a resource was given back. */
export function resourceClosed(key: string): void {
  open?.delete(key);
}
