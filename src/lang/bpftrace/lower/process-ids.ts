/** Ids of the current process and thread, as the user's own tools show them: inside a container, those of its namespace. */
import type { Value } from "../../../compiler/ir.ts";
import type { Body } from "./body.ts";

/** Id of the process (the kernel's tgid). `space`: "init" asks for the id on the whole machine. */
export function processId(body: Body, space: "own" | "init" = "own"): Value {
  const own = space === "own" ? ownIds(body) : null;
  if (own) return body.b.load(own, 32, { offset: 4 });
  return body.b.binary("lshr", body.helper("get_current_pid_tgid", []), body.int(32));
}

/** Id of the thread (the kernel's pid). */
export function threadId(body: Body, space: "own" | "init" = "own"): Value {
  const own = space === "own" ? ownIds(body) : null;
  if (own) return body.b.load(own, 32);
  return body.b.zext(body.helper("get_current_pid_tgid", []), 32);
}

/** The ids of thread and process in memory, 32 bits each in this order. */
export function idsInMemory(body: Body): Value {
  const own = ownIds(body);
  if (own) return own;
  const memory = body.b.alloca(8, 8, "ids");
  body.b.store(memory, body.helper("get_current_pid_tgid", []), 64);
  return memory;
}

/** `struct bpf_pidns_info` of the current thread (Linux 5.7): zeros for threads outside the namespace. Null where all is one namespace. */
function ownIds(body: Body): Value | null {
  const namespace = body.script.env.pidNamespace;
  if (!namespace || !body.script.hasHelper("get_ns_current_pid_tgid")) return null;
  const memory = body.b.alloca(8, 8);
  body.helper("get_ns_current_pid_tgid", [body.int(namespace.device), body.int(namespace.inode), memory, body.int(8)]);
  return memory;
}
