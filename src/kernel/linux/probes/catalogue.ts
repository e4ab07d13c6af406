/** Everything that can be asked of a kernel by one name each, in groups. */
import {
  ATTACH_TYPE_SINCE,
  AttachType,
  LINK_TYPE_SINCE,
  LinkType,
  MAP_TYPE_SINCE,
  MapType,
  PROG_TYPE_SINCE,
  ProgType,
} from "../../../isa/index.ts";
import { SkepError } from "../../../base/index.ts";
import { abilityEntry, abilityNames, probeAbility } from "./abilities.ts";
import { type ProbeAnswer, unknown } from "./answer.ts";
import { probeAttachType } from "./attach-types.ts";
import { btfFeatureEntry, btfFeatureNames, probeBtfFeature } from "./btf-features.ts";
import { isaEntry, isaNames, probeIsa } from "./isa.ts";
import { probeLinkType } from "./links.ts";
import { probeMapType } from "./map-types.ts";
import { probeProgramType } from "./program-types.ts";

/** A kind of feature; the first part of its name. */
export type FeatureGroup = "ability" | "program" | "map" | "attach" | "link" | "isa" | "btf";

/** Something that a kernel has or has not. */
export interface KernelFeature {
  /** Group and own name: `map/lru_hash`, `ability/tokens`. */
  readonly name: string;
  readonly group: FeatureGroup;
  /** What it is, in a few words; empty where the name says it. */
  readonly summary: string;
  /** First mainline version, such as `5.8`, where it is known. */
  readonly since?: string;
  /** Asks the running kernel. Throws nothing that it expects. */
  probe(): ProbeAnswer;
}

/** A feature with the running kernel's answer. */
export interface FeatureReport extends ProbeAnswer {
  readonly name: string;
  readonly group: FeatureGroup;
  readonly summary: string;
  readonly since?: string;
}

/** What each group is called in headings. */
export const featureGroups: Readonly<Record<FeatureGroup, string>> = {
  ability: "Abilities",
  program: "Program types",
  map: "Map types",
  attach: "Attach types",
  link: "Link types",
  isa: "Instructions",
  btf: "BTF of programs",
};

function ofTypes(
  group: FeatureGroup,
  numbers: Readonly<Record<string, number>>,
  since: Readonly<Record<string, string>>,
  probe: (type: number) => ProbeAnswer,
): KernelFeature[] {
  return Object.entries(numbers)
    .filter(([name]) => name !== "UNSPEC")
    .map(([name, type]) => feature(group, name.toLowerCase(), "", since[name], () => probe(type)));
}

function feature(
  group: FeatureGroup,
  name: string,
  summary: string,
  since: string | undefined,
  ask: () => ProbeAnswer,
): KernelFeature {
  const probe = (): ProbeAnswer => {
    try {
      return ask();
    } catch (error) {
      if (!(error instanceof SkepError)) throw error;
      return unknown("asking failed", error.message);
    }
  };
  return { name: `${group}/${name}`, group, summary, ...(since === undefined ? {} : { since }), probe };
}

let all: readonly KernelFeature[] | undefined;

/** All features that have a name, group by group. */
export function kernelFeatures(): readonly KernelFeature[] {
  all ??= [
    ...abilityNames.map((name) => {
      const { since, summary } = abilityEntry(name);
      return feature("ability", name, summary, since, () => probeAbility(name));
    }),
    ...ofTypes("program", ProgType, PROG_TYPE_SINCE, probeProgramType),
    ...ofTypes("map", MapType, MAP_TYPE_SINCE, probeMapType),
    ...ofTypes("attach", AttachType, ATTACH_TYPE_SINCE, probeAttachType),
    ...ofTypes("link", LinkType, LINK_TYPE_SINCE, probeLinkType),
    ...isaNames.map((name) => {
      const { since, summary } = isaEntry(name);
      return feature("isa", name, summary, since, () => probeIsa(name));
    }),
    ...btfFeatureNames.map((name) => {
      const { since, summary } = btfFeatureEntry(name);
      return feature("btf", name, summary, since, () => probeBtfFeature(name));
    }),
  ];
  return all;
}

/** Features of this name: with its group exactly one (`map/hash`), without it one of each group that has it; spelling of `-`, `_` and case aside. */
export function featuresNamed(name: string): readonly KernelFeature[] {
  const plain = (text: string): string => text.toLowerCase().replaceAll("_", "-");
  const wanted = plain(name);
  return kernelFeatures().filter((one) => {
    const own = plain(one.name);
    return own === wanted || own.slice(own.indexOf("/") + 1) === wanted;
  });
}

/** Asks the running kernel for features: all of them, or those of some groups. Some three hundred system calls, 10 to 50 ms. */
export function probeFeatures(groups?: readonly FeatureGroup[]): FeatureReport[] {
  return kernelFeatures()
    .filter(({ group }) => groups === undefined || groups.includes(group))
    .map(reportOf);
}

/** Asks the running kernel for one feature. */
export function reportOf(one: KernelFeature): FeatureReport {
  const { name, group, summary, since } = one;
  return { name, group, summary, ...(since === undefined ? {} : { since }), ...one.probe() };
}
