// Why Skep and libbpf may differ: the first entry that fits a difference explains it. What fits none fails the comparison.

/**
 * @typedef {{ what: RegExp, object?: RegExp, program?: RegExp, why?: RegExp, kernel?: RegExp, reason: string }} Reason
 * `what` is the difference; `why` what both sides said, `Skep | libbpf`.
 */

/** @type {readonly Reason[]} */
export const reasons = [];
