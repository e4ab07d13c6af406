/** What runs objects: the running Linux kernel behind the `Kernel` interface. */
export type {
  EntryChunk,
  Kernel,
  KernelMap,
  KernelProgram,
  Link,
  LoadOptions,
  LoadedObject,
  Owner,
  ProgramInfo,
  RecordHandler,
  RingReader,
} from "./kernel.ts";
export { LinuxKernel, openLinuxKernel } from "./linux/index.ts";
export { LinuxFacts, openPinnedLink, openPinnedMap, openPinnedProgram, pinPathOf, unpin } from "./linux/index.ts";
export type { LinuxKernelOptions } from "./linux/index.ts";
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
} from "./linux/probes/index.ts";
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
} from "./linux/probes/index.ts";
export { RecordWindow } from "./records.ts";
export type { RecordSource } from "./records.ts";
