/** Program types: an empty program of the type is loaded, in each way that the type has. */
import { BtfBuilder, BtfFuncLinkage, BtfIntEncoding, encodeFuncInfo } from "../../../btf/index.ts";
import { PROG_TYPE_SINCE, ProgType } from "../../../isa/index.ts";
import { loadBtf } from "../bpf-prog.ts";
import { checkPrivileges } from "../diagnose.ts";
import { Errno, errnoName } from "../../errno.ts";
import { hasKernelBtf } from "../kernel-btf.ts";
import {
  type ProbeAnswer,
  type Requirement,
  answerOf,
  missingEnumerator,
  no,
  reasonOf,
  unknown,
  yes,
} from "./answer.ts";
import { codeOf, tryTrial, withTrial } from "./load.ts";
import { constantOf, typeName } from "./names.ts";
import { waysOf } from "./variants.ts";

/** Options of the kernel's configuration that a type needs besides `CONFIG_BPF_SYSCALL`. */
const options: Readonly<Record<string, readonly string[]>> = {
  KPROBE: ["CONFIG_BPF_EVENTS"],
  TRACEPOINT: ["CONFIG_BPF_EVENTS"],
  PERF_EVENT: ["CONFIG_BPF_EVENTS"],
  RAW_TRACEPOINT: ["CONFIG_BPF_EVENTS"],
  RAW_TRACEPOINT_WRITABLE: ["CONFIG_BPF_EVENTS"],
  SCHED_CLS: ["CONFIG_NET"],
  SCHED_ACT: ["CONFIG_NET"],
  XDP: ["CONFIG_NET"],
  CGROUP_SKB: ["CONFIG_CGROUP_BPF"],
  CGROUP_SOCK: ["CONFIG_CGROUP_BPF"],
  CGROUP_DEVICE: ["CONFIG_CGROUP_BPF"],
  CGROUP_SOCK_ADDR: ["CONFIG_CGROUP_BPF"],
  CGROUP_SYSCTL: ["CONFIG_CGROUP_BPF"],
  CGROUP_SOCKOPT: ["CONFIG_CGROUP_BPF"],
  LWT_IN: ["CONFIG_LWTUNNEL_BPF"],
  LWT_OUT: ["CONFIG_LWTUNNEL_BPF"],
  LWT_XMIT: ["CONFIG_LWTUNNEL_BPF"],
  LWT_SEG6LOCAL: ["CONFIG_IPV6_SEG6_BPF"],
  LIRC_MODE2: ["CONFIG_BPF_LIRC_MODE2"],
  SK_REUSEPORT: ["CONFIG_INET"],
  TRACING: ["CONFIG_DEBUG_INFO_BTF"],
  STRUCT_OPS: ["CONFIG_DEBUG_INFO_BTF", "CONFIG_BPF_JIT"],
  EXT: ["CONFIG_DEBUG_INFO_BTF", "CONFIG_BPF_JIT"],
  LSM: ["CONFIG_BPF_LSM"],
  NETFILTER: ["CONFIG_NETFILTER_BPF_LINK"],
};

function requirementOf(name: string | undefined): Requirement {
  return name === undefined ? {} : { since: PROG_TYPE_SINCE[name], options: options[name] ?? [] };
}

/** A socket filter with a global function `int skep_target(int)`, and an extension that replaces it. */
function probeExtension(requirement: Requirement): ProbeAnswer {
  const types = new BtfBuilder();
  const int = types.int("int", 4, BtfIntEncoding.SIGNED);
  const proto = types.funcProto(int, [{ name: "value", typeId: int }]);
  const main = types.func("skep_main", proto, BtfFuncLinkage.GLOBAL);
  const target = types.func("skep_target", proto, BtfFuncLinkage.GLOBAL);
  const btf = loadBtf(types.finish());
  const what = "loading an extension of a socket filter's function";
  if (!("fd" in btf)) return answerOf(btf.errno, "loading BTF for an extension", requirement);
  try {
    const base = { type: ProgType.SOCKET_FILTER, btfFd: btf.fd.value };
    const errno = withTrial(
      {
        ...base,
        code: codeOf("r1 = 1\ncall target\nr0 = 0\nexit\ntarget: r0 = 1\nexit"),
        funcInfo: encodeFuncInfo([
          { insnIndex: 0, typeId: main },
          { insnIndex: 4, typeId: target },
        ]),
      },
      (fd) =>
        tryTrial({
          type: ProgType.EXT,
          code: codeOf("r0 = 2\nexit"),
          btfFd: btf.fd.value,
          funcInfo: encodeFuncInfo([{ insnIndex: 0, typeId: target }]),
          attachFd: fd,
          attachBtfId: target,
        }),
    );
    return answerOf(errno, what, requirement);
  } finally {
    btf.fd.close();
  }
}

/** Can programs of this type (`ProgType.*`) be loaded? */
export function probeProgramType(progType: number): ProbeAnswer {
  const constant = constantOf(ProgType, progType);
  const requirement = requirementOf(constant);
  const type = typeName(progType);
  if (constant !== undefined) {
    const absent = missingEnumerator(`BPF_PROG_TYPE_${constant}`, requirement);
    if (absent !== undefined) return absent;
  }
  if (progType === ProgType.EXT) return probeExtension(requirement);
  const { ready, refused } = waysOf(progType);
  if (ready.length > 0) {
    const [{ label }] = ready as [(typeof ready)[number]];
    return yes(`loading an empty ${type} program${label === "" ? "" : ` (${label})`}: success`);
  }
  const what = `loading an empty ${type} program`;
  const errnos = refused.flatMap(({ errno }) => (errno === undefined ? [] : [errno]));
  if (errnos.length === 0) {
    return hasKernelBtf()
      ? no(`${what}: this kernel has nothing that it could attach to`, requirement)
      : no(`${what}: needs the kernel's BTF, which it does not give`, requirement);
  }
  // EPERM beside other answers is the one that says most.
  const errno = errnos.includes(Errno.EPERM) ? Errno.EPERM : errnos[0]!;
  if (errno === Errno.EPERM && checkPrivileges().ok)
    return no(`${what}: ${errnoName(errno)} in ${errnos.length} ways`, `the kernel knows the type: ${reasonOf(errno)}`);
  if (errno === Errno.EPERM) return unknown(`${what}: EPERM`, reasonOf(errno));
  return answerOf(errno, what, requirement);
}
