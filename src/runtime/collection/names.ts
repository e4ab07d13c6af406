/** Things by name, where a name that does not exist is an error with the nearest one, not `undefined`. */
import { nearestNames, SkepError } from "../../base/index.ts";

/** What the language and its tools ask every object for; without a thing of that name they get `undefined`. */
const askedByTools: ReadonlySet<string> = new Set([
  "then",
  "toJSON",
  "constructor",
  "prototype",
  "asymmetricMatch",
  "nodeType",
  "tagName",
  "hasAttribute",
  "inspect",
  "$$typeof",
  "toString",
  "valueOf",
  "hasOwnProperty",
]);

/** The error for a name: `what` is such as `map` or `variable of .bss`; `code` identifies it. */
export function noSuchName(what: string, name: string, known: readonly string[], code: string): SkepError {
  const near = nearestNames(name, known, 1);
  const list =
    known.length === 0
      ? "there are none"
      : `there are ${known.slice(0, 12).join(", ")}${known.length > 12 ? ", ..." : ""}`;
  const hint = near.length > 0 ? `did you mean ${near[0]}?` : list;
  return new SkepError(code, `${what} ${name}: does not exist (${hint})`, { exitStatus: 2 });
}

/** How one name of a {@link namedThings} is read, and written where that is allowed. */
export interface NamedProperty<T> {
  readonly get: () => T;
  readonly set?: (value: T) => void;
}

/** An object whose keys are `properties`; other names and writing what cannot be written throw. */
export function namedThings<T>(
  what: string,
  code: string,
  properties: ReadonlyMap<string, NamedProperty<T>>,
  readOnly: (name: string) => SkepError,
): Record<string, T> {
  const target = Object.create(null) as Record<string, T>;
  for (const [name, { get, set }] of properties) {
    Object.defineProperty(target, name, {
      enumerable: true,
      configurable: false,
      get,
      set:
        set ??
        (() => {
          throw readOnly(name);
        }),
    });
  }
  const fail = (name: string): never => {
    throw noSuchName(what, name, [...properties.keys()], code);
  };
  // Shown with values, not as getters.
  Object.defineProperty(target, Symbol.for("nodejs.util.inspect.custom"), { value: () => ({ ...target }) });
  return new Proxy(target, {
    get(things, name) {
      if (typeof name === "symbol") return undefined;
      const property = properties.get(name);
      if (property !== undefined) return property.get();
      return askedByTools.has(name) ? undefined : fail(name);
    },
    set(things, name, value) {
      if (typeof name === "symbol" || !properties.has(name)) return fail(String(name));
      return Reflect.set(things, name, value);
    },
    defineProperty(things, name) {
      return fail(String(name));
    },
    deleteProperty(things, name) {
      throw new TypeError(`${what} ${String(name)}: cannot be deleted`);
    },
  });
}
