/** What is thrown when a CO-RE relocation cannot be decided, as against one that finds nothing. */
import { SkepError } from "../../base/index.ts";

/**
 * A CO-RE relocation that libbpf too refuses, and the whole object with it: malformed, ambiguous, or at an instruction that it cannot
 * change. Code `"core"`.
 */
export class CoreError extends SkepError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super("core", message, { ...options, exitStatus: 2 });
  }
}
