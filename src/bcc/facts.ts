/** What BCC's `BPF` knows of the machine: the same members on the class and on its objects, as Python has them. */
import { ProgType } from "../isa/index.ts";
import { getProbeLimit, openProbeCount } from "./attachments.ts";
import { XDPAction, XDPFlags } from "./constants.ts";
import * as discovery from "./discovery.ts";
import * as symbols from "./symbols.ts";

/** Nanoseconds of CLOCK_MONOTONIC, which `bpf_ktime_get_ns` reads too. */
function monotonicTime(): bigint {
  return process.hrtime.bigint();
}

/** Functions that need no program. Each does what the function of its name in this room does. */
export class MachineFacts {
  static readonly sym: typeof symbols.sym = symbols.sym;
  static readonly ksym: typeof symbols.ksym = symbols.ksym;
  static readonly ksymname: typeof symbols.ksymname = symbols.ksymname;
  static readonly addModule: typeof symbols.addModule = symbols.addModule;
  static readonly getKprobeFunctions: typeof discovery.getKprobeFunctions = discovery.getKprobeFunctions;
  static readonly getTracepoints: typeof discovery.getTracepoints = discovery.getTracepoints;
  static readonly tracepointExists: typeof discovery.tracepointExists = discovery.tracepointExists;
  static readonly kernelStructHasField: typeof discovery.kernelStructHasField = discovery.kernelStructHasField;
  static readonly kernelEnumHasVal: typeof discovery.kernelEnumHasVal = discovery.kernelEnumHasVal;
  static readonly getSyscallPrefix: typeof discovery.getSyscallPrefix = discovery.getSyscallPrefix;
  static readonly getSyscallFnname: typeof discovery.getSyscallFnname = discovery.getSyscallFnname;
  static readonly fixSyscallFnname: typeof discovery.fixSyscallFnname = discovery.fixSyscallFnname;
  static readonly supportKfunc: typeof discovery.supportKfunc = discovery.supportKfunc;
  static readonly supportLsm: typeof discovery.supportLsm = discovery.supportLsm;
  static readonly supportFmodRet: typeof discovery.supportFmodRet = discovery.supportFmodRet;
  static readonly supportRawTracepoint: typeof discovery.supportRawTracepoint = discovery.supportRawTracepoint;
  static readonly supportRawTracepointInModule: typeof discovery.supportRawTracepointInModule =
    discovery.supportRawTracepointInModule;
  static readonly getUserFunctions: typeof discovery.getUserFunctions = discovery.getUserFunctions;
  static readonly getUserAddresses: typeof discovery.getUserAddresses = discovery.getUserAddresses;
  static readonly getUserFunctionsAndAddresses: typeof discovery.getUserFunctionsAndAddresses =
    discovery.getUserFunctionsAndAddresses;
  static readonly findLibrary: typeof discovery.findLibraryFile = discovery.findLibraryFile;
  static readonly findExe: typeof discovery.findExe = discovery.findExe;
  static readonly monotonicTime: typeof monotonicTime = monotonicTime;
  static readonly getProbeLimit: typeof getProbeLimit = getProbeLimit;
  static readonly openProbeCount: typeof openProbeCount = openProbeCount;

  static readonly SOCKET_FILTER: number = ProgType.SOCKET_FILTER;
  static readonly KPROBE: number = ProgType.KPROBE;
  static readonly SCHED_CLS: number = ProgType.SCHED_CLS;
  static readonly SCHED_ACT: number = ProgType.SCHED_ACT;
  static readonly TRACEPOINT: number = ProgType.TRACEPOINT;
  static readonly XDP: number = ProgType.XDP;
  static readonly PERF_EVENT: number = ProgType.PERF_EVENT;
  static readonly CGROUP_SKB: number = ProgType.CGROUP_SKB;
  static readonly CGROUP_SOCK: number = ProgType.CGROUP_SOCK;
  static readonly LWT_IN: number = ProgType.LWT_IN;
  static readonly LWT_OUT: number = ProgType.LWT_OUT;
  static readonly LWT_XMIT: number = ProgType.LWT_XMIT;
  static readonly SOCK_OPS: number = ProgType.SOCK_OPS;
  static readonly SK_SKB: number = ProgType.SK_SKB;
  static readonly CGROUP_DEVICE: number = ProgType.CGROUP_DEVICE;
  static readonly SK_MSG: number = ProgType.SK_MSG;
  static readonly RAW_TRACEPOINT: number = ProgType.RAW_TRACEPOINT;
  static readonly CGROUP_SOCK_ADDR: number = ProgType.CGROUP_SOCK_ADDR;
  static readonly TRACING: number = ProgType.TRACING;
  static readonly LSM: number = ProgType.LSM;
  static readonly XDP_ABORTED: number = XDPAction.XDP_ABORTED;
  static readonly XDP_DROP: number = XDPAction.XDP_DROP;
  static readonly XDP_PASS: number = XDPAction.XDP_PASS;
  static readonly XDP_TX: number = XDPAction.XDP_TX;
  static readonly XDP_REDIRECT: number = XDPAction.XDP_REDIRECT;
  static readonly XDP_FLAGS_UPDATE_IF_NOEXIST: number = XDPFlags.UPDATE_IF_NOEXIST;
  static readonly XDP_FLAGS_SKB_MODE: number = XDPFlags.SKB_MODE;
  static readonly XDP_FLAGS_DRV_MODE: number = XDPFlags.DRV_MODE;
  static readonly XDP_FLAGS_HW_MODE: number = XDPFlags.HW_MODE;
  static readonly XDP_FLAGS_REPLACE: number = XDPFlags.REPLACE;

  readonly sym: typeof symbols.sym = symbols.sym;
  readonly ksym: typeof symbols.ksym = symbols.ksym;
  readonly ksymname: typeof symbols.ksymname = symbols.ksymname;
  readonly getKprobeFunctions: typeof discovery.getKprobeFunctions = discovery.getKprobeFunctions;
  readonly getTracepoints: typeof discovery.getTracepoints = discovery.getTracepoints;
  readonly tracepointExists: typeof discovery.tracepointExists = discovery.tracepointExists;
  readonly kernelStructHasField: typeof discovery.kernelStructHasField = discovery.kernelStructHasField;
  readonly kernelEnumHasVal: typeof discovery.kernelEnumHasVal = discovery.kernelEnumHasVal;
  readonly getSyscallPrefix: typeof discovery.getSyscallPrefix = discovery.getSyscallPrefix;
  readonly getSyscallFnname: typeof discovery.getSyscallFnname = discovery.getSyscallFnname;
  readonly fixSyscallFnname: typeof discovery.fixSyscallFnname = discovery.fixSyscallFnname;
  readonly supportKfunc: typeof discovery.supportKfunc = discovery.supportKfunc;
  readonly supportLsm: typeof discovery.supportLsm = discovery.supportLsm;
  readonly supportRawTracepoint: typeof discovery.supportRawTracepoint = discovery.supportRawTracepoint;
  readonly getUserFunctions: typeof discovery.getUserFunctions = discovery.getUserFunctions;
  readonly getUserAddresses: typeof discovery.getUserAddresses = discovery.getUserAddresses;
  readonly getUserFunctionsAndAddresses: typeof discovery.getUserFunctionsAndAddresses =
    discovery.getUserFunctionsAndAddresses;
}
