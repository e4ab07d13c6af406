/** The rooms of src/ and what each may import: layers point one way. */
import { dirname, join, normalize } from "node:path/posix";
import type { Import } from "./scanner.ts";

/** What a room may import. */
export interface Room {
  readonly rooms: readonly string[];
  /** May use Node's built-in modules and globals. Rooms without also run in a browser. */
  readonly node?: boolean;
  /** npm packages. */
  readonly packages?: readonly string[];
}

const objects = ["base", "isa", "btf", "object"];
const kernels = [...objects, "verifier", "vm"];
const everything = [
  "base",
  "isa",
  "btf",
  "object",
  "compiler",
  "lang/*",
  "verifier",
  "vm",
  "kernel",
  "kernel/*",
  "runtime",
  "inspect",
  "bcc",
  "tools",
];

/**
 * Folder under src/ and its room; a name with a star stands for each folder there. A folder belongs to the longest name that fits.
 * A kernel knows nothing of front ends, a front end nothing of kernels and of other front ends.
 */
export const rooms: Readonly<Record<string, Room>> = {
  base: { rooms: [] },
  isa: { rooms: ["base"] },
  btf: { rooms: ["base", "isa"] },
  object: { rooms: ["base", "isa", "btf"] },
  compiler: { rooms: objects },
  "lang/*": { rooms: [...objects, "compiler"] },
  verifier: { rooms: objects },
  vm: { rooms: ["base", "isa", "object"] },
  kernel: { rooms: [...kernels, "kernel/*"], node: true },
  "kernel/linux": { rooms: [...kernels, "kernel"], node: true, packages: ["koffi"] },
  "kernel/soft": { rooms: [...kernels, "kernel"] },
  runtime: { rooms: [...kernels, "kernel", "kernel/*", "compiler", "lang/*"], node: true },
  inspect: { rooms: [...kernels, "kernel", "kernel/*", "runtime"], node: true },
  bcc: { rooms: [...kernels, "kernel", "kernel/*", "runtime", "inspect", "compiler", "lang/*"], node: true },
  tools: { rooms: [...kernels, "kernel", "kernel/*", "runtime", "compiler", "lang/*"], node: true },
  cli: { rooms: everything, node: true },
  web: { rooms: everything },
  cluster: { rooms: everything, node: true },
  // src/index.ts
  ".": { rooms: everything, node: true },
};

/** Name in {@link rooms} of the room that a file (`src/isa/decode.ts`) is in, and its folder; undefined when there is none. */
export function roomOf(path: string): { readonly name: string; readonly folder: string } | undefined {
  const parts = path.split("/").slice(1, -1);
  if (parts.length === 0) return { name: ".", folder: "." };
  for (let length = Math.min(parts.length, 2); length > 0; length--) {
    const folder = parts.slice(0, length).join("/");
    const pattern = [...parts.slice(0, length - 1), "*"].join("/");
    if (Object.hasOwn(rooms, folder)) return { name: folder, folder };
    if (length > 1 && Object.hasOwn(rooms, pattern)) return { name: pattern, folder };
  }
  return undefined;
}

function mayImport(room: Room, folder: string): boolean {
  return room.rooms.some((name) => name === folder || (name.endsWith("/*") && folder.startsWith(name.slice(0, -1))));
}

/** What is wrong with an import in `path`, or undefined. */
export function complaint(path: string, { module }: Import): string | undefined {
  const own = roomOf(path);
  const room = own && rooms[own.name];
  if (!own || !room) return `${path} is in no room`;
  if (!module.startsWith(".")) {
    const name = module
      .split("/")
      .slice(0, module.startsWith("@") ? 2 : 1)
      .join("/");
    if (module.startsWith("node:")) return room.node ? undefined : `${own.folder} also runs in a browser: no ${module}`;
    return room.packages?.includes(name) ? undefined : `${own.folder} may not import the package ${name}`;
  }
  if (!module.endsWith(".ts")) return `${module}: imports end in .ts`;
  const target = normalize(join(dirname(path), module));
  const other = roomOf(target);
  if (!target.startsWith("src/")) return `${module} is outside src/`;
  if (!other) return `${module} is in no room`;
  if (other.folder === own.folder) return undefined;
  return mayImport(room, other.folder) ? undefined : `${own.folder} may not import ${other.folder}`;
}
