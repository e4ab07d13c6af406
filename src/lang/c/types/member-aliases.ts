/**
 * Members that kernel headers name by macros: `sk->sk_dport` is `sk->__sk_common.skc_dport`. Here they are aliases of members of those structs
 * alone, so that no other struct's member of the name is touched.
 */

import { findField, sizeOf } from "./layout.ts";
import { type CType, type RecordType, shapeOf } from "./types.ts";

/** Of records by tag, what stands for a name: members from outside in. */
type Aliases = (name: string) => readonly string[] | undefined;

function table(paths: Readonly<Record<string, string>>): Aliases {
  return (name) => (Object.hasOwn(paths, name) ? paths[name]!.split(".") : undefined);
}

/** Names that begin with `prefix` are members of `path` that begin with `inner`. */
function prefixed(prefix: string, path: readonly string[], inner: string): Aliases {
  return (name) => (name.startsWith(prefix) ? [...path, inner + name.slice(prefix.length)] : undefined);
}

function either(...all: readonly Aliases[]): Aliases {
  return (name) => {
    for (const aliases of all) {
      const path = aliases(name);
      if (path !== undefined) return path;
    }
    return undefined;
  };
}

const siginfo = table({
  si_pid: "_sifields._kill._pid",
  si_uid: "_sifields._kill._uid",
  si_status: "_sifields._sigchld._status",
  si_utime: "_sifields._sigchld._utime",
  si_stime: "_sifields._sigchld._stime",
  si_value: "_sifields._rt._sigval",
  si_int: "_sifields._rt._sigval.sival_int",
  si_ptr: "_sifields._rt._sigval.sival_ptr",
  si_tid: "_sifields._timer._tid",
  si_overrun: "_sifields._timer._overrun",
  si_addr: "_sifields._sigfault._addr",
  si_band: "_sifields._sigpoll._band",
  si_fd: "_sifields._sigpoll._fd",
  si_syscall: "_sifields._sigsys._syscall",
  si_arch: "_sifields._sigsys._arch",
});

/** Registers of x86-64 as user space and the kernel name them. */
const registers = "ax bx cx dx si di bp sp ip".split(" ");

/** Members of `struct flowi4` and `flowi6` that they share. */
const flowPorts = {
  dport: "uli.ports.dport",
  sport: "uli.ports.sport",
  icmp_type: "uli.icmpt.type",
  icmp_code: "uli.icmpt.code",
};

function flow(version: "4" | "6"): Aliases {
  const ports = Object.entries(flowPorts).map(([name, path]) => [`fl${version}_${name}`, path]);
  return either(table(Object.fromEntries(ports)), prefixed(`flowi${version}_`, ["__fl_common"], "flowic_"));
}

const byTag: Readonly<Record<string, Aliases>> = {
  sock: either(
    table({ sk_rmem_alloc: "sk_backlog.rmem_alloc", sk_rxhash: "__sk_common.skc_rxhash" }),
    prefixed("sk_", ["__sk_common"], "skc_"),
  ),
  inet_sock: prefixed("inet_", ["sk", "__sk_common"], "skc_"),
  inet_timewait_sock: either(
    table({ tw_node: "__tw_common.skc_nulls_node", tw_dr: "__tw_common.skc_tw_dr" }),
    prefixed("tw_", ["__tw_common"], "skc_"),
  ),
  tcp_timewait_sock: prefixed("tw_", ["tw_sk", "__tw_common"], "skc_tw_"),
  request_sock: prefixed("rsk_", ["__req_common"], "skc_"),
  inet_request_sock: either(
    table({
      ir_loc_addr: "req.__req_common.skc_rcv_saddr",
      ir_rmt_addr: "req.__req_common.skc_daddr",
      ir_rmt_port: "req.__req_common.skc_dport",
      ir_v6_rmt_addr: "req.__req_common.skc_v6_daddr",
      ir_v6_loc_addr: "req.__req_common.skc_v6_rcv_saddr",
      ir_iif: "req.__req_common.skc_bound_dev_if",
    }),
    prefixed("ireq_", ["req", "__req_common"], "skc_"),
    prefixed("ir_", ["req", "__req_common"], "skc_"),
  ),
  in6_addr: table({ s6_addr: "in6_u.u6_addr8", s6_addr16: "in6_u.u6_addr16", s6_addr32: "in6_u.u6_addr32" }),
  dentry: table({ d_lock: "d_lockref.lock", d_iname: "d_shortname.string" }),
  siginfo,
  kernel_siginfo: siginfo,
  flowi4: flow("4"),
  flowi6: flow("6"),
  flowi: prefixed("flowi_", ["u", "__fl_common"], "flowic_"),
  fib_nh: table({
    fib_nh_dev: "nh_common.nhc_dev",
    fib_nh_oif: "nh_common.nhc_oif",
    fib_nh_gw4: "nh_common.nhc_gw.ipv4",
  }),
  icmp6hdr: table({
    icmp6_identifier: "icmp6_dataun.u_echo.identifier",
    icmp6_sequence: "icmp6_dataun.u_echo.sequence",
    icmp6_mtu: "icmp6_dataun.un_data32.0",
    icmp6_unused: "icmp6_dataun.un_data32.0",
    icmp6_pointer: "icmp6_dataun.un_data32.0",
    icmp6_maxdelay: "icmp6_dataun.un_data16.0",
    icmp6_hop_limit: "icmp6_dataun.u_nd_ra.hop_limit",
    icmp6_solicited: "icmp6_dataun.u_nd_advt.solicited",
    icmp6_override: "icmp6_dataun.u_nd_advt.override",
    icmp6_router: "icmp6_dataun.u_nd_advt.router",
  }),
  sockaddr_in: table({ sin_zero: "__pad" }),
  pt_regs: table(
    Object.fromEntries([
      ...registers.flatMap((name) => [
        [`r${name}`, name],
        [name, `r${name}`],
      ]),
      ["eflags", "flags"],
      ["flags", "eflags"],
      ["orig_rax", "orig_ax"],
      ["orig_ax", "orig_rax"],
    ]),
  ),
};

/** A member at the end of a path: its type, and bits from the start of the record. */
export interface MemberOfPath {
  readonly type: CType;
  readonly bitOffset: number;
}

/** The member that a path of names leads to; numbers are indexes. Undefined when there is none. */
export function findMembers(record: RecordType, path: readonly string[]): MemberOfPath | undefined {
  let at: CType = record;
  let bitOffset = 0;
  for (const word of path) {
    const shape = shapeOf(at);
    if (shape.kind === "array") {
      at = shape.of;
      bitOffset += Number(word) * (sizeOf(at) ?? 0) * 8;
      continue;
    }
    const found = shape.kind === "record" && shape.contents !== undefined ? findField(shape.contents, word) : undefined;
    if (found === undefined) return undefined;
    at = found.path.at(-1)!.type;
    bitOffset += found.bitOffset;
  }
  return { type: at, bitOffset };
}

/** What stands for `name` in the record of a tag; undefined when it is no alias. Whether those members exist is another question. */
export function memberAlias(tag: string | undefined, name: string): readonly string[] | undefined {
  return tag !== undefined && Object.hasOwn(byTag, tag) ? byTag[tag]!(name) : undefined;
}
