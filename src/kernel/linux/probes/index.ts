/** Feature probes: what the running kernel can do, each answer with its evidence. */
export type { ProbeAnswer, ProbeVerdict } from "./answer.ts";
export { abilityNames, probeAbility } from "./abilities.ts";
export type { AbilityName } from "./abilities.ts";
export { probeAttachType } from "./attach-types.ts";
export { btfFeatureNames, probeBtfFeature } from "./btf-features.ts";
export type { BtfFeatureName } from "./btf-features.ts";
export { featureGroups, featuresNamed, kernelFeatures, probeFeatures, reportOf } from "./catalogue.ts";
export type { FeatureGroup, FeatureReport, KernelFeature } from "./catalogue.ts";
export { probeHelper } from "./helpers.ts";
export { isaNames, probeIsa } from "./isa.ts";
export type { IsaName } from "./isa.ts";
export { kfuncNames, probeKfunc } from "./kfuncs.ts";
export type { KfuncQuestion } from "./kfuncs.ts";
export { probeLinkType } from "./links.ts";
export { iteratorNames, lsmHookNames, rawTracepointNames, structOpsNames } from "./lists.ts";
export type { Listed } from "./lists.ts";
export { probeMapType } from "./map-types.ts";
export { probeProgramType } from "./program-types.ts";
