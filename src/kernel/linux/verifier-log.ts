/** The verifier's log, in one sentence. */

/** Lines that count things after the verdict. */
const trailer = /^(processed \d+ insns|verification time|stack depth|insns processed|max_states|\s*$)/;
/** Register states and instructions that lead up to the verdict. */
const trace =
  /^(\d+: \(|; |R\d+[_a-z]*=|\d+: R|from \d+ to \d+|func#|Func#|last_idx|regs=|mark_precise|arg#\d|caller:|callee:|frame\d)/;

/** The verifier's complaint: its last line that is neither statistics nor trace, with the source line before it, if any. */
export function summarizeLog(log: string): string {
  const lines = log.split("\n");
  let end = lines.length - 1;
  while (end >= 0 && trailer.test(lines[end]!)) end--;
  if (end < 0) return "the verifier refused it without a word";
  const verdict: string[] = [];
  let at = end;
  for (; at >= 0 && verdict.length < 2 && !trace.test(lines[at]!); at--) verdict.unshift(lines[at]!.trim());
  if (verdict.length === 0) verdict.push(lines[end]!.trim());
  for (let i = at; i >= 0 && i > at - 12; i--) {
    const source = /^; (.*?)(?: @ (\S+:\d+))?$/.exec(lines[i]!);
    if (source !== null)
      return `${verdict.join("; ")} (at ${source[2] === undefined ? "" : `${source[2]}: `}${source[1]!.trim()})`;
  }
  return verdict.join("; ");
}
