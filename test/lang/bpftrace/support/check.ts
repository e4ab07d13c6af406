/** Checks a script on the machine of the tests, and tells its types in a line. */
import { ScriptError } from "../../../../src/base/index.ts";
import {
  checkScript,
  type CheckedScript,
  parseScript,
  type TraceEnvironment,
  typeName,
} from "../../../../src/lang/bpftrace/index.ts";
import { fakeEnvironment } from "./environment.ts";

/** What a check may be told. */
export interface CheckWith {
  readonly env?: Partial<TraceEnvironment>;
  readonly unsafe?: boolean;
}

/** Parses and checks. */
export function check(text: string, options: CheckWith = {}): CheckedScript {
  const env = fakeEnvironment(options.env);
  const source = { name: "stdin", text };
  const script = parseScript(source, { positional: env.positional });
  return checkScript(script, source, env, { unsafe: options.unsafe ?? false });
}

/** Maps and variables with their types: `@a[uint32]=count_t $x=int64`. */
export function typesOf(checked: CheckedScript): string {
  const maps = [...checked.maps.values()].map(
    (m) => `${m.name}${m.key ? `[${typeName(m.key)}]` : ""}=${typeName(m.value)}`,
  );
  const variables = checked.programs.flatMap((p) => p.variables.map((v) => `$${v.name}=${typeName(v.type)}`));
  return [...maps, ...variables].join(" ");
}

/** Complaints as `text under the marks: message | hint`. Empty when there are none. */
export function complaints(text: string, options: CheckWith = {}): string[] {
  try {
    check(text, options);
    return [];
  } catch (error) {
    if (!(error instanceof ScriptError)) throw error;
    return error.diagnostics.map((d) => {
      const marked = text.slice(d.span.start, d.span.end);
      return `${marked}: ${d.message}${d.hint ? ` | ${d.hint}` : ""}`;
    });
  }
}
