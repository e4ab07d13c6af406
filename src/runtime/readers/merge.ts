/** Several rings as one stream. */
import type { EventReader } from "./event-reader.ts";

/** An event, and the name of the reader that it came from. */
export type NamedEvent<R extends Record<string, EventReader<unknown>>> = {
  [K in keyof R]: { readonly source: K; readonly event: R[K] extends EventReader<infer T> ? T : never };
}[keyof R];

/** Events that one reader may give before the next has its turn, and those before timers and signals have theirs. */
const TURN_EVENTS = 64;
const LOOP_EVENTS = 1024;

/**
 * Events of several readers, by the names given here; each ring's own order is kept, and none waits for another. All are watched at once, by one
 * epoll. Leaving the loop closes all readers; it ends when all are closed.
 */
export async function* mergeEvents<R extends Record<string, EventReader<unknown>>>(
  readers: R,
): AsyncGenerator<NamedEvent<R>, void, undefined> {
  const named = Object.entries(readers);
  try {
    for (;;) {
      const open = named.filter(([, reader]) => !reader.closed);
      if (open.length === 0) return;
      let given = 0;
      for (const [source, reader] of open) {
        for (let i = 0; i < TURN_EVENTS && !reader.closed; i++) {
          const found = reader.tryNext();
          if (found === undefined) break;
          given++;
          yield { source, event: found.value } as NamedEvent<R>;
        }
      }
      if (given === 0) await anyReadable(open.map(([, reader]) => reader));
      else if (given >= LOOP_EVENTS || open.length * TURN_EVENTS > LOOP_EVENTS) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  } finally {
    for (const [, reader] of named) reader.close();
  }
}

function anyReadable(readers: readonly EventReader<unknown>[]): Promise<void> {
  return new Promise((resolve) => {
    const cancels: (() => void)[] = [];
    const wake = (): void => {
      for (const cancel of cancels) cancel();
      resolve();
    };
    for (const reader of readers) cancels.push(reader.whenReadable(wake));
  });
}
