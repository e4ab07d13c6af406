/** Names of C as names of TypeScript. */

/** What a module must not declare, or what generated modules themselves use. */
const taken: ReadonlySet<string> = new Set(
  (
    "break case catch class const continue debugger default delete do else enum export extends false finally for function if import in " +
    "instanceof new null return super switch this throw true try typeof var void while with as implements interface let package private " +
    "protected public static yield any bigint boolean constructor declare get module require number set string symbol type from of " +
    "never unknown object await async arguments eval undefined NaN Infinity " +
    "Array ArrayBuffer BigInt Boolean DataView Date Error Function JSON Map Math Number Object Promise Proxy Readonly Record RegExp Set " +
    "String Symbol URL Uint8Array globalThis open openObject objectBytes expects Collection ObjectSource OpenOptions Program MapHandle " +
    "ArenaMap ArrayMap BloomFilterMap CgroupArrayMap CpuMap DeviceMap LocalStorageMap LpmTrieMap MapOfMaps PerCpuMap " +
    "PerfEventArrayMap ProgramArrayMap QueueMap RingBufferMap SocketMap StackTraceMap StructOpsMap TypedMap UserRingBufferMap XskMap"
  ).split(" "),
);

/** Whether a name may stand as it is: behind a dot, and as a key. */
export function isIdentifier(name: string): boolean {
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name);
}

/** A key of a type or object literal, quoted where it must be. */
export function propertyKey(name: string): string {
  return isIdentifier(name) ? name : JSON.stringify(name);
}

/** `tcp_event` as `TcpEvent`, `u64_t` as `U64T`; never empty, never beginning with a digit. */
export function pascalCase(name: string): string {
  const joined = name
    .split(/[^\p{ID_Continue}$]+|_+/u)
    .filter((part) => part !== "")
    .map((part) => part[0]!.toUpperCase() + part.slice(1))
    .join("");
  if (joined === "") return "Anonymous";
  return isIdentifier(joined) ? joined : `_${joined}`;
}

/** Gives every name once: a second `Event` becomes `Event2`. */
export class UniqueNames {
  private readonly used: Set<string>;

  constructor(reserved: Iterable<string> = []) {
    this.used = new Set([...taken, ...reserved]);
  }

  /** The first of the wishes that is free, or the last of them with a number. */
  take(...wishes: readonly string[]): string {
    const free = wishes.find((wish) => !this.used.has(wish));
    let name = free ?? wishes.at(-1)!;
    for (let n = 2; this.used.has(name); n++) name = `${wishes.at(-1)!}${n}`;
    this.used.add(name);
    return name;
  }
}

/** Text that may stand inside a comment. */
export function commentText(text: string): string {
  return text.replaceAll("*/", "* /").replace(/\s+/g, " ").trim();
}
