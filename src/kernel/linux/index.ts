/** The running Linux kernel: what it can do, what it lists, and how it is reached. */
export { LinuxKernel, openLinuxKernel } from "./linux.ts";
export type { LinuxKernelOptions } from "./linux.ts";
export type { AlternativeHint } from "./attach/common.ts";
export { LinuxLink } from "./link.ts";
export { linkInfo } from "./link-info.ts";
export type { LinkInfo, LinkInfoBase, ProbedPlace } from "./link-info.ts";
export { IteratorRun } from "./iterator.ts";
export { networkInterface, networkInterfaces } from "./network.ts";
export type { NetworkInterface } from "./network.ts";
export { btfBytes, programBtf } from "./program-btf.ts";
export { LinuxMap, userValueSize } from "./maps.ts";
export type { EntryChunk } from "../kernel.ts";
export { LinuxObject } from "./load.ts";
export { LinuxPerfBufferReader } from "./perfbuffer.ts";
export type { PerfBufferOptions } from "./perfbuffer.ts";
export { LinuxProgram } from "./programs.ts";
export { openRawSocket } from "./raw-socket.ts";
export { LinuxRingReader } from "./ring.ts";
export { LinuxUserRing } from "./user-ring.ts";
export type { TestRunRequest, TestRunResult } from "./bpf-prog.ts";
export {
  describeBtf,
  describeLink,
  describeMap,
  describeProg,
  nextId,
  objectIds,
  openById,
  openPinned,
  pinObject,
  translatedCode,
} from "./bpf.ts";
export type { BtfDescription, LinkDescription, MapDescription, ObjectKind, ProgDescription } from "./bpf.ts";
export { OwnedFd } from "./fd.ts";
export { openPinnedLink, openPinnedMap, openPinnedProgram } from "./pinned.ts";
export { DEFAULT_PIN_PATH, pinPathOf, unpin } from "./pins.ts";
export { LinuxFacts } from "./facts.ts";
export { linuxMapOf, openLinuxMap, openPath, openPid } from "./open.ts";
export { openCgroup } from "./attach/cgroup-path.ts";
export { pageSize } from "./sys.ts";
export { Capability, Machine, machine, parseCpuList, parseKernelVersion } from "./machine.ts";
export type { CapabilityName, KernelVersion, Lockdown, MachineSource } from "./machine.ts";
export { checkPrivileges, kprobesMissing, requirePrivileges } from "./diagnose.ts";
export type { MissingPrivilege } from "./diagnose.ts";
export { featureNames, features, measureInstructions, probeFeature, versionHas } from "./features.ts";
export type { Feature, FeatureAnswer, FeatureName, MeasuredInstructions } from "./features.ts";
export { findKernelType, hasKernelBtf, kernelBtf, moduleBtf, modulesWithBtf } from "./kernel-btf.ts";
export type { KernelType } from "./kernel-btf.ts";
export { isBlacklisted, kernelFunctions, traceableFunctions } from "./kallsyms.ts";
export {
  listTracepoints,
  tracefs,
  tracepointCategories,
  tracepointFormat,
  tracepointId,
  tracepointNames,
} from "./tracefs.ts";
export type { TracepointName } from "./tracefs.ts";
export { PerfSoftware, PerfType, openPerfCounter } from "./perf.ts";
export { summarizeLog } from "./verifier-log.ts";
export {
  abilityNames,
  btfFeatureNames,
  featureGroups,
  featuresNamed,
  isaNames,
  iteratorNames,
  kernelFeatures,
  kfuncNames,
  lsmHookNames,
  probeAbility,
  probeAttachType,
  probeBtfFeature,
  probeFeatures,
  probeHelper,
  probeIsa,
  probeKfunc,
  probeLinkType,
  probeMapType,
  probeProgramType,
  rawTracepointNames,
  reportOf,
  structOpsNames,
} from "./probes/index.ts";
export type {
  AbilityName,
  BtfFeatureName,
  FeatureGroup,
  FeatureReport,
  IsaName,
  KernelFeature,
  KfuncQuestion,
  Listed,
  ProbeAnswer,
  ProbeVerdict,
} from "./probes/index.ts";
