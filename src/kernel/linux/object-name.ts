/** Names of objects as the kernel takes them. */
import { OBJ_NAME_LENGTH } from "../../isa/index.ts";

/** The first 15 characters, with `_` for all but letters, digits, `_` and `.`: anything else is EINVAL. */
export function kernelObjectName(name: string): string {
  return name.replace(/[^A-Za-z0-9_.]/g, "_").slice(0, OBJ_NAME_LENGTH - 1);
}
