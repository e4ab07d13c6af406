/** Makes failing programs smaller for as long as they fail in the same way. */
import { type Differential, type Variant, type Verdict } from "./c-run.ts";
import { type Program, cutsOf, printProgram } from "./c-tree.ts";

/** Verdicts alike: of the same kind and, but for numbers, the same reason. */
function isSame(a: Verdict, b: Verdict): boolean {
  const reason = ({ why }: Verdict): string => why.replace(/[rw]?\d+|0x[0-9a-f]+|'[^']*'/g, "N");
  return a.kind === b.kind && (a.kind === "wrong" || a.kind === "referees" || reason(a) === reason(b));
}

/** Cuts until nothing can be cut any more, or time is over. The program itself is changed. */
export async function reduce(
  program: Program,
  differential: Differential,
  variant: Variant,
  wanted: Verdict,
  withClang: boolean,
  seconds: number = 60,
): Promise<Program> {
  const end = Date.now() + seconds * 1000;
  const fails = async (): Promise<boolean> => {
    const subject = { name: program.name, text: printProgram(program) };
    // Most cuts do not matter to whether Skep fails, and its own part is the cheapest to ask.
    const ours = differential.ours([subject], variant).get(program.name)!;
    if (ours.step === "ran" ? wanted.kind !== "wrong" && wanted.kind !== "referees" : wanted.kind === "wrong")
      return false;
    const [found] = await differential.judge([subject], variant, withClang);
    return isSame(found!, wanted);
  };
  for (let isSmaller = true; isSmaller && Date.now() < end;) {
    isSmaller = false;
    for (const cut of cutsOf(program)) {
      if (Date.now() > end) break;
      cut.apply();
      if (await fails()) {
        isSmaller = true;
        break;
      }
      cut.undo();
    }
  }
  return program;
}
