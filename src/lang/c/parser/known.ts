/** What `__has_builtin`, `__has_attribute`, `__has_feature` and `__has_extension` answer yes to. */
import { isAttribute } from "./attributes.ts";
import { isBuiltin } from "./builtins.ts";

/** Features of C11 and GNU C that clang knows by these names. */
const features: ReadonlySet<string> = new Set([
  "c_alignas",
  "c_alignof",
  "c_generic_selections",
  "c_static_assert",
  "gnu_asm",
  "gnu_asm_goto_with_outputs",
  "statement_attributes_with_gnu_syntax",
]);

/** The answer to `operator(name)`. */
export function isKnown(operator: string, name: string): boolean {
  const bare = name.replace(/^(?:clang|gnu|_Clang|__gnu__)::/, "").replace(/^__(.*)__$/, "$1");
  if (operator === "__has_builtin") return isBuiltin(name);
  if (operator.endsWith("attribute")) return isAttribute(bare);
  return (operator === "__has_feature" || operator === "__has_extension") && features.has(bare);
}
