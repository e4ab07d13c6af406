/** What helpers do to memory and whether calls of them may be merged or dropped. */
import { helperById, helperByName } from "../../isa/index.ts";
import type { HelperArg } from "../../isa/index.ts";
import type { Inst, Module } from "../ir.ts";

function ids(names: string): ReadonlySet<number> {
  return new Set(names.split(" ").flatMap((name) => helperByName(name)?.id ?? []));
}

/** Helpers whose answer is one and the same during a run of a program. */
const CONSTANT = ids(
  "get_current_pid_tgid get_current_uid_gid get_current_task get_current_task_btf get_smp_processor_id get_numa_node_id " +
    "get_current_cgroup_id get_func_ip get_attach_cookie task_pt_regs",
);

/** Helpers that change nothing: an unused call may go. */
const HARMLESS = new Set([
  ...CONSTANT,
  ...ids(
    "ktime_get_ns ktime_get_boot_ns ktime_get_coarse_ns ktime_get_tai_ns jiffies64 get_prandom_u32 map_lookup_elem",
  ),
]);

/** Helpers that write no memory of the program or of maps' values. */
const WRITES_NOTHING = new Set([
  ...HARMLESS,
  ...ids("trace_printk perf_event_output ringbuf_output get_stackid send_signal ktime_get_ns"),
]);

/** True when equal calls give equal answers during one run. */
export function isConstantCall(inst: Inst): boolean {
  return inst.op === "helper" && CONSTANT.has(inst.helper!);
}

/** True when the call may be dropped once its result is unused. */
export function isRemovableCall(inst: Inst): boolean {
  return inst.op === "helper" && HARMLESS.has(inst.helper!);
}

/** True when the call leaves all memory that loads could see as it was. */
export function writesNothing(inst: Inst): boolean {
  return inst.op === "helper" && WRITES_NOTHING.has(inst.helper!);
}

/** What a call does with memory that an argument points to. */
export interface ArgumentEffect {
  readonly reads: boolean;
  readonly writes: boolean;
  /** Bytes from the pointer on; null when unknown. */
  readonly size: number | null;
  /** What is written may be less than `size`: what was there before may live on behind it. */
  readonly partly?: boolean;
}

/** Helpers that may leave the end of their buffer as it was. The verifier counts all of it as written. */
const WRITES_PARTLY = ids(
  "probe_read_str probe_read_user_str probe_read_kernel_str get_current_comm get_stack get_task_stack d_path snprintf " +
    "snprintf_btf ima_inode_hash ima_file_hash read_branch_records sysctl_get_name",
);

const UNKNOWN: ArgumentEffect = { reads: true, writes: true, size: null };

/** Reading and writing of the memory behind argument `index` of a call. */
export function argumentEffect(inst: Inst, index: number, module: Module | null): ArgumentEffect {
  if (inst.op !== "helper") return UNKNOWN;
  const helper = helperById(inst.helper!);
  const arg: HelperArg | undefined = helper?.args[index];
  if (!arg) return UNKNOWN;
  switch (arg.kind) {
    case "map_key":
    case "map_value": {
      const map = module && inst.args.find((a) => a.kind === "inst" && a.op === "mapref");
      const spec = map && map.kind === "inst" ? module.maps.find((m) => m.name === map.map) : undefined;
      const size = spec ? (arg.kind === "map_key" ? spec.keySize : spec.valueSize) : null;
      return { reads: !arg.uninit, writes: arg.uninit || arg.write, size };
    }
    case "mem": {
      const next = helper!.args[index + 1];
      const sized = next && (next.kind === "const_size" || next.kind === "const_size_or_zero");
      const amount = sized ? inst.args[index + 1] : undefined;
      const size = arg.size ?? (amount?.kind === "const" ? Number(amount.value) : null);
      const partly = WRITES_PARTLY.has(inst.helper!);
      return { reads: !arg.uninit, writes: arg.uninit || arg.write, size, ...(partly ? { partly } : {}) };
    }
    case "anything":
      // A number to the helper; probe reads look at it without asking the verifier.
      return { reads: true, writes: false, size: null };
    default:
      return UNKNOWN;
  }
}
