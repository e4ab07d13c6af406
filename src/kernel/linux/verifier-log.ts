/** The verifier's log, in one sentence. */

/** Lines that count things after the verdict. */
const trailer = /^(processed \d+ insns|verification time|stack depth|insns processed|max_states|\s*$)/;
/** Register states and instructions that lead up to the verdict. */
const trace =
  /^(\d+: \(|; |R\d+[_a-z]*=|\d+: R|from \d+ to \d+|func#|Func#|last_idx|regs=|mark_precise|arg#\d|caller:|callee:|frame\d)/;
/** An instruction as the verifier prints it: index, opcode, text. */
const instruction = /^(\d+): \([0-9a-f]{2}\) (.*?)(?:\s+;.*)?$/;
/** A line of the program's source, with its place since Linux 6.10. */
const sourceLine = /^; (.*?)(?: @ (\S+:\d+))?$/;

/** From Linux 7.3 on a section of its own follows the complaint. */
const verdictTitle = "Verification failed: ";
const reasonTitle = "Reason:";
const suggestionTitle = "Suggestion:";

/** What the verifier complains of, and where. */
export interface Complaint {
  /** Its own words, one or two lines in one. */
  readonly text: string;
  /** From Linux 7.3 on: what kind of fault, why, and what to do. */
  readonly category?: string;
  readonly reason?: string;
  readonly suggestion?: string;
  /** The last instruction that it looked at. */
  readonly insnIndex?: number;
  readonly insnText?: string;
  /** The source line before the complaint, and its place where the kernel prints it: `prog.c:12`. */
  readonly source?: string;
  readonly place?: string;
}

/** Reads the end of a log, of either format. */
export function readComplaint(log: string): Complaint {
  const lines = log.split("\n");
  const heading = lines.findLastIndex((line) => line.startsWith(verdictTitle));
  let end = (heading === -1 ? lines.length : heading) - 1;
  while (end >= 0 && trailer.test(lines[end]!)) end--;
  const explained = heading === -1 ? {} : explanation(lines, heading);
  if (end < 0) return { text: "the verifier refused it without a word", ...explained };
  const verdict: string[] = [];
  let at = end;
  for (; at >= 0 && verdict.length < 2 && !trace.test(lines[at]!); at--) verdict.unshift(lines[at]!.trim());
  if (verdict.length === 0) verdict.push(lines[end]!.trim());
  const text = verdict.join("; ");
  return { text, ...explained, ...lastInstruction(lines, end), ...lastSource(lines, at) };
}

function explanation(lines: readonly string[], heading: number): Partial<Complaint> {
  const [reason, suggestion] = [reasonTitle, suggestionTitle].map((title) => section(lines, heading, title));
  return {
    category: lines[heading]!.slice(verdictTitle.length).trim(),
    ...(reason === undefined ? {} : { reason }),
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}

/** The indented lines below a title, in one. */
function section(lines: readonly string[], from: number, title: string): string | undefined {
  const start = lines.indexOf(title, from);
  if (start === -1) return undefined;
  let end = start + 1;
  while (end < lines.length && /^\s+\S/.test(lines[end]!)) end++;
  const text = lines
    .slice(start + 1, end)
    .map((line) => line.trim())
    .join(" ");
  return text === "" ? undefined : text;
}

function lastInstruction(lines: readonly string[], end: number): Partial<Complaint> {
  for (let i = end; i >= 0; i--) {
    const found = instruction.exec(lines[i]!);
    if (found !== null) return { insnIndex: Number(found[1]), insnText: found[2]! };
  }
  return {};
}

/** Looked for in the few lines above: what is farther belongs to other instructions. */
function lastSource(lines: readonly string[], from: number): Partial<Complaint> {
  for (let i = from; i >= 0 && i > from - 12; i--) {
    const found = sourceLine.exec(lines[i]!);
    if (found !== null) {
      const source = found[1]!.trim();
      return found[2] === undefined ? { source } : { source, place: found[2] };
    }
  }
  return {};
}

/** A complaint in one line, with the place in the source as far as it is known. */
export function complaintText(complaint: Complaint): string {
  const { text, category, reason, suggestion, source, place, insnIndex, insnText } = complaint;
  const from = source === undefined ? place : `${place === undefined ? "" : `${place}: `}${source}`;
  // Without lines of the source the instruction has to do.
  const code = category === undefined || insnText === undefined ? undefined : `instruction ${insnIndex}: ${insnText}`;
  const where = from ?? code;
  const why = reason === undefined ? "" : `: ${reason}`;
  const mend = suggestion === undefined ? "" : ` (hint: ${suggestion})`;
  return `${text}${why}${where === undefined ? "" : ` (at ${where})`}${mend}`;
}

/** The verifier's complaint: its last line that is neither statistics nor trace, with the source line before it, if any. */
export function summarizeLog(log: string): string {
  return complaintText(readComplaint(log));
}
