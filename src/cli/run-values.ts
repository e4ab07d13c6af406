/** `--set NAME=VALUE`: first values of global variables from the command line. */
import { nearestNames, UsageError } from "../base/index.ts";
import type { Collection } from "../runtime/collection/collection.ts";

/** Sets the variables that an option names. Throws UsageError with the nearest name, and with what a value must be. */
export function setVariables(collection: Collection, settings: readonly string[], command: string): void {
  const sections = collection.globals as Readonly<Record<string, Record<string, unknown>>>;
  const known = new Map<string, Record<string, unknown>>();
  for (const [section, variables] of Object.entries(sections)) {
    if (section === "kconfig") continue;
    for (const name of Object.keys(variables)) {
      if (!known.has(name)) known.set(name, variables);
      known.set(`${section}.${name}`, variables);
    }
  }
  for (const setting of settings) {
    const fail = (why: string): never => {
      throw new UsageError(`skep ${command}: --set ${setting}: ${why}`);
    };
    const equals = setting.indexOf("=");
    if (equals < 1) fail("NAME=VALUE is wanted");
    const name = setting.slice(0, equals).trim();
    const text = setting.slice(equals + 1);
    const variables = known.get(name);
    if (variables === undefined) {
      const names = [...known.keys()].filter((key) => !key.includes("."));
      const near = nearestNames(name, names, 1);
      const hint =
        near.length > 0
          ? `did you mean ${near[0]}?`
          : names.length === 0
            ? "it has none"
            : `it has ${names.slice(0, 12).join(", ")}`;
      fail(`the object has no such variable (${hint})`);
    }
    const key = name.slice(name.lastIndexOf(".") + 1);
    const value = valueOf(text, variables![key], fail);
    try {
      variables![key] = value;
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) fail(error.message);
      throw error;
    }
  }
}

/** `--max-entries MAP=N`. Throws UsageError with the nearest name. */
export function setMaxEntries(collection: Collection, settings: readonly string[], command: string): void {
  for (const setting of settings) {
    const [, name, number] = /^([^=]+)=(\d+)$/.exec(setting) ?? [];
    const maxEntries = Number(number);
    if (name === undefined || maxEntries < 1 || maxEntries > 0xffff_ffff) {
      throw new UsageError(`skep ${command}: --max-entries ${setting}: MAP=N is wanted, N from 1 to 4294967295`);
    }
    const names = collection.object.maps.map((map) => map.name);
    if (!names.includes(name)) {
      const near = nearestNames(name, names, 1);
      const hint = near.length > 0 ? `did you mean ${near[0]}?` : `it has ${names.join(", ") || "none"}`;
      throw new UsageError(`skep ${command}: --max-entries ${setting}: the object has no such map (${hint})`);
    }
    collection.spec.maps[name]!.maxEntries = maxEntries;
  }
}

/** The text as a value of the kind that the variable has now. */
function valueOf(text: string, now: unknown, fail: (why: string) => never): unknown {
  switch (typeof now) {
    case "bigint":
      return toInteger(text) ?? fail("a whole number is wanted");
    case "number": {
      const integer = toInteger(text);
      if (integer !== undefined) return Number(integer);
      if (/^[-+]?\d*\.\d+(e[-+]?\d+)?$/i.test(text)) return Number(text);
      // An enum takes the names of its constants; the codec knows them.
      return /^[A-Za-z_]\w*$/.test(text) ? text : fail("a number is wanted");
    }
    case "boolean":
      if (text === "true" || text === "1") return true;
      if (text === "false" || text === "0") return false;
      return fail("true or false is wanted");
    case "string":
      return text;
    default: {
      if (now instanceof Uint8Array && /^([0-9a-f]{2})+$/i.test(text)) return Uint8Array.from(Buffer.from(text, "hex"));
      try {
        return revive(JSON.parse(text), now);
      } catch (cause) {
        if (!(cause instanceof SyntaxError)) throw cause;
        return fail(
          now instanceof Uint8Array
            ? "hexadecimal digits are wanted, two a byte"
            : 'JSON is wanted, such as [1,2] or {"x":1}',
        );
      }
    }
  }
}

function toInteger(text: string): bigint | undefined {
  const [, sign, digits] = /^([-+]?)(0x[0-9a-f]+|0b[01]+|\d+)$/i.exec(text.trim()) ?? [];
  if (digits === undefined) return undefined;
  return sign === "-" ? -BigInt(digits) : BigInt(digits);
}

/** Bytes of arrays are numbers in JSON. */
function revive(value: unknown, now: unknown): unknown {
  return now instanceof Uint8Array && Array.isArray(value) ? Uint8Array.from(value as number[]) : value;
}
