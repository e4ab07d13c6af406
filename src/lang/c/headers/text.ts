/** How the texts of headers are put together. */

/** Macros with up to this many arguments are told apart by their number. */
export const MOST_ARGUMENTS = 12;

/** Numbers from `first` up to and with `last`. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}

/** One macro for each number of arguments from 0 on: `#define PREFIX2 …`. `body` gives what stands behind the number. */
export function byCount(prefix: string, most: number, body: (count: number) => string): string {
  return range(0, most)
    .map((count) => `#define ${prefix}${count}${body(count)}`)
    .join("\n");
}

/** A macro that the user may have defined before: `define` is what stands behind `#define`. */
export function unlessDefined(define: string): string {
  const name = /^\w+/.exec(define)?.[0] ?? define;
  return `#ifndef ${name}\n#define ${define}\n#endif`;
}
