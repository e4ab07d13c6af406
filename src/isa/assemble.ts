/**
 * Text to instructions. Reads the kernel's text and clang's, with everything that their dumps put around it: slot numbers,
 * opcodes in parentheses, raw bytes, `<label>` after jumps.
 *
 * Lines hold one statement each; `;`, `//`, a `#` at the start of a line and C comments are left out. `name:` is a label, jumps
 * and local calls take labels as well as distances.
 */
import type { Diagnostic } from "../base/index.ts";
import { nearestNames, ScriptError } from "../base/index.ts";
import type { Insn } from "./instruction.ts";
import { slotsOf } from "./instruction.ts";
import type { Target } from "./parse-insn.ts";
import { parseInsn } from "./parse-insn.ts";
import { Scanner, StatementError } from "./scanner.ts";
import { OPCODE_FORMS } from "./opcodes.ts";
import type { Dialect } from "./text.ts";

/** How to assemble. */
export interface AssembleOptions {
  /** Named in errors. Default `assembly`. */
  readonly name?: string;
  /**
   * Decides one thing: `r1 = 0x5` is a 64-bit immediate load in the kernel's text, the default, since the kernel prints plain
   * moves in decimal, and a plain move in llvm's text, where 64-bit loads end in `ll`. All else is read in both.
   */
  readonly dialect?: Dialect;
}

interface Statement {
  readonly insn: Insn;
  readonly slot: number;
  readonly target: Target | undefined;
}

const LABEL = /[ \t]*(?:[0-9a-fA-F]{8,16}[ \t]+)?(?:<([^>\n]+)>|([A-Za-z_.$][\w.$]*)):/y;
const INDEX = /[ \t]*\d+:(?=[ \t])/y;
const RAW_BYTES = /[ \t]*(?:[0-9a-f]{2} ){7}(?:[0-9a-f]{2} ){0,8}[0-9a-f]{2}(?=[ \t])/y;
const OPCODE = /[ \t]*\(([0-9a-f]{2})\)(?=[ \t])/y;

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/** Blanks comments, keeping every other character's place. */
function withoutComments(text: string): string {
  const blank = (match: string): string => match.replace(/[^\n]/g, " ");
  return text.replace(/\/\*[^]*?\*\/|\/\/[^\n]*|;[^\n]*|^[ \t]*#[^\n]*/gm, blank);
}

/**
 * Instructions of a text. Throws ScriptError with every mistake found, each with line, column and, where there is one, the mend.
 */
export function assemble(text: string, options: AssembleOptions = {}): Insn[] {
  const dialect = options.dialect ?? "kernel";
  const code = withoutComments(text);
  const diagnostics: Diagnostic[] = [];
  const labels = new Map<string, number>();
  const statements: Statement[] = [];
  let slot = 0;

  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      if (!(error instanceof StatementError)) throw error;
      diagnostics.push(error.diagnostic);
    }
  };

  for (let lineStart = 0; lineStart < code.length;) {
    const newline = code.indexOf("\n", lineStart);
    const lineEnd = newline === -1 ? code.length : newline;
    guarded(() => {
      let at = lineStart;
      for (let label = matchAt(LABEL, code, at); label; label = matchAt(LABEL, code, at)) {
        const name = label[1] ?? label[2] ?? "";
        const start = at + label[0].lastIndexOf(name);
        at += label[0].length;
        if (labels.has(name)) {
          throw new StatementError(`label ${name} is defined twice`, { start, end: start + name.length });
        }
        labels.set(name, slot);
      }
      at += matchAt(INDEX, code, at)?.[0].length ?? 0;
      at += matchAt(RAW_BYTES, code, at)?.[0].length ?? 0;
      const opcodeMark = matchAt(OPCODE, code, at);
      const opcodeAt = at;
      at += opcodeMark?.[0].length ?? 0;
      const scanner = new Scanner(code, at, lineEnd);
      if (scanner.done) return;
      const opcode = opcodeMark === null ? undefined : Number.parseInt(opcodeMark[1] ?? "", 16);
      const { insn, target } = parseInsn(scanner, dialect, opcode);
      if (!scanner.done) throw scanner.failure("end of the statement expected");
      if (opcode !== undefined && opcode !== insn.opcode) {
        const is = insn.opcode.toString(16).padStart(2, "0");
        throw new StatementError(`opcode ${opcodeMark?.[1]} stands before text that is opcode ${is}`, {
          start: opcodeAt,
          end: at,
        });
      }
      statements.push({ insn, slot, target });
      slot += slotsOf(insn);
    });
    lineStart = lineEnd + 1;
  }

  const insns = statements.map((statement): Insn => {
    let insn = statement.insn;
    guarded(() => {
      if (statement.target !== undefined) insn = resolve(statement, statement.target, labels);
    });
    return insn;
  });
  if (diagnostics.length > 0) {
    diagnostics.sort((a, b) => a.span.start - b.span.start);
    throw new ScriptError({ name: options.name ?? "assembly", text }, diagnostics);
  }
  return insns;
}

/** Puts the distance to a label into the field that this instruction keeps it in. */
function resolve({ insn, slot }: Statement, target: Target, labels: ReadonlyMap<string, number>): Insn {
  const place = labels.get(target.label);
  if (place === undefined) {
    const near = nearestNames(target.label, [...labels.keys(), ...(target.alternatives ?? [])]);
    const hint = near.length === 0 ? undefined : `Did you mean ${near.join(" or ")}?`;
    throw new StatementError(`${target.what} ${target.label} does not exist`, target, hint);
  }
  const distance = place - slot - 1;
  const form = OPCODE_FORMS[insn.opcode];
  if (form === "ld-imm64") {
    return { ...insn, imm: distance, imm64: BigInt(distance >>> 0) };
  }
  if (form === "gotol" || form === "call") return { ...insn, imm: distance };
  if (distance < -0x8000 || distance > 0x7fff) {
    const hint = form === "goto" ? "gotol (cpu v4) goes further." : "Jump over a gotol (cpu v4) instead.";
    throw new StatementError(`label ${target.label} is ${distance} slots away, 16 bits reach 32767`, target, hint);
  }
  return { ...insn, off: distance };
}
