/** Attaches programs to the running kernel: one function a kind of place, in a table. */
import type { AttachSpec } from "../../object/index.ts";
import { attachCgroup } from "./attach/cgroup.ts";
import type { AlternativeHint, Attacher } from "./attach/common.ts";
import { attachNetfilter, attachNetkit, attachNetns, attachTcx, attachXdp } from "./attach/net.ts";
import { attachPerfEvent, attachTracepoint } from "./attach/perf.ts";
import { attachKprobe, attachKprobeMulti, attachUprobe, attachUprobeMulti } from "./attach/probe.ts";
import { attachLirc, attachSocket, attachSockmap } from "./attach/socket.ts";
import { attachTc } from "./attach/tc.ts";
import {
  attachIterator,
  attachRawTracepoint,
  attachReplacement,
  attachTracing,
  attachTracingMulti,
} from "./attach/tracing.ts";
import type { LinuxLink } from "./link.ts";
import type { LinuxProgram } from "./programs.ts";

const attachers: { readonly [Kind in AttachSpec["kind"]]: Attacher<Kind> } = {
  tracepoint: attachTracepoint,
  "raw-tracepoint": attachRawTracepoint,
  tracing: attachTracing,
  "tracing-multi": attachTracingMulti,
  kprobe: attachKprobe,
  "kprobe-multi": attachKprobeMulti,
  uprobe: attachUprobe,
  "uprobe-multi": attachUprobeMulti,
  "perf-event": attachPerfEvent,
  iterator: attachIterator,
  freplace: attachReplacement,
  xdp: attachXdp,
  tcx: attachTcx,
  tc: attachTc,
  netkit: attachNetkit,
  netfilter: attachNetfilter,
  cgroup: attachCgroup,
  netns: attachNetns,
  sockmap: attachSockmap,
  lirc: attachLirc,
  socket: attachSocket,
  "struct-ops": (program, spec) => {
    throw new TypeError(`program ${program.spec.name}: struct_ops ${spec.map} is attached by its map: attachStructOps`);
  },
  pinned: (_, spec) => {
    throw new TypeError(`${spec.path}: a pinned link is attached already: open it with openPinnedLink`);
  },
};

/** Attaches a program. Throws UnsupportedError when this machine cannot, with what it lacks; SyscallError else. */
export function attachProgram(
  program: LinuxProgram,
  spec: AttachSpec,
  hint: AlternativeHint = () => undefined,
): LinuxLink {
  const attach = attachers[spec.kind] as Attacher<AttachSpec["kind"]> | undefined;
  if (attach === undefined) throw new TypeError(`no way to attach by ${spec.kind}`);
  return attach(program, spec, hint);
}
