/** BCC's Python API for TypeScript: programs in BCC's dialect of C, compiled here, with their tables, events, symbols and static probes. */
export { BPF } from "./bpf.ts";
export type { BpfOptions } from "./bpf.ts";
export { compileBcc, preprocessBcc } from "./compile.ts";
export type { BccCompileOptions } from "./compile.ts";
export type { CompiledBpf } from "./compiled.ts";
export { BPFProgType, Debug, PerfHWConfig, PerfSWConfig, PerfType, XDPAction, XDPFlags } from "./constants.ts";
export type { Pattern, UserFunction } from "./discovery.ts";
export type { HistogramOptions } from "./histogram.ts";
export type { BpfFunction } from "./loader.ts";
export type {
  KprobeOptions,
  KprobePlace,
  KretprobeOptions,
  PerfEventAttr,
  PerfEventOptions,
  PerfEventRawOptions,
  UprobeOptions,
  UprobePlace,
} from "./probes.ts";
export type { Address, SymOptions } from "./symbols.ts";
export type { AnyTable } from "./tables/any.ts";
export { PerfEventTable, RingTable } from "./tables/events.ts";
export type { LostCallback, PerfBufferSettings, PerfCallback, RingCallback } from "./tables/events.ts";
export { ArrayTable, HashTable, KeyedTable } from "./tables/keyed.ts";
export { LpmTable } from "./tables/lpm.ts";
export { PerCpuTable } from "./tables/per-cpu.ts";
export type { Reducer } from "./tables/per-cpu.ts";
export { BPF_EXIST, QueueTable } from "./tables/queue.ts";
export { CgroupTable, CpuTable, DeviceTable, MapsTable, ProgramTable, SocketTable } from "./tables/references.ts";
export type { TableDescriptor } from "./tables/references.ts";
export { StackTable } from "./tables/stack.ts";
export type { StackFrame } from "./tables/stack.ts";
export { StorageTable } from "./tables/storage.ts";
export { Table } from "./tables/table.ts";
export type { TraceFields } from "./trace-pipe.ts";
export { UsdtProbeArgument, UsdtProbeInfo, UsdtProbeLocation } from "./usdt/probe.ts";
export { getOnlineCpus, getPossibleCpus, syscallName, tcpFlagsText, tcpStateName } from "./utils.ts";
export { USDT } from "./usdt/usdt.ts";
export type { EnabledProbe, UsdtOptions } from "./usdt/usdt.ts";
