/**
 * struct_ops: a kernel struct of functions, such as `tcp_congestion_ops`, that programs implement. The object lays it out as its own
 * headers say; here it is laid out as the running kernel has it, member by member.
 */
import { SkepError, UnsupportedError, nearestNames } from "../../base/index.ts";
import { Btf, type BtfComposite, BtfKind, type BtfMember, btfKindNames, essentialName } from "../../btf/index.ts";
import { ProgType } from "../../isa/index.ts";
import type { BpfObject, MapSpec, StructOpsSpec } from "../../object/index.ts";
import { findKernelType, hasKernelBtf, kernelBtf, moduleBtf } from "./kernel-btf.ts";

/** What the kernel names the map values: `bpf_struct_ops_tcp_congestion_ops`. */
const VALUE_PREFIX = "bpf_struct_ops_";

/** A struct_ops map in the kernel's layout. */
export interface StructOpsLayout {
  /** The value's type in the BTF of vmlinux or of `module`. */
  readonly valueTypeId: number;
  readonly module?: string;
  /** Zeros where functions go: each takes the descriptor of its program, 8 bytes. */
  readonly value: Uint8Array;
  readonly functions: readonly { readonly program: string; readonly member: string; readonly byteOffset: number }[];
}

/** What a struct_ops program is loaded for. */
export interface StructOpsTarget {
  /** The struct in the BTF of vmlinux or of `module`. */
  readonly typeId: number;
  readonly module?: string;
  /** Index of the member that it implements: the program's expected attach type. */
  readonly memberIndex: number;
}

/** All struct_ops maps of an object that will be created, and what their programs are loaded for. */
export interface StructOpsPlan {
  readonly layouts: ReadonlyMap<string, StructOpsLayout>;
  readonly targets: ReadonlyMap<string, StructOpsTarget>;
  /** Programs that only maps use which are not created, or members that this kernel lacks: not to be loaded. */
  readonly unused: ReadonlySet<string>;
}

/**
 * Lays out the struct_ops maps of an object; undefined when it has none. Throws UnsupportedError when the kernel lacks such a struct,
 * SkepError (`struct-ops`) when a member does not fit.
 */
export function planStructOps(object: BpfObject): StructOpsPlan | undefined {
  const maps = object.maps.filter((map) => map.structOps !== undefined);
  if (maps.length === 0) return undefined;
  if (object.btf === undefined)
    throw new SkepError("struct-ops", `map ${maps[0]!.name}: struct_ops needs the object's BTF`);
  const local = Btf.parse(object.btf, { section: ".BTF" });
  const layouts = new Map<string, StructOpsLayout>();
  const targets = new Map<string, StructOpsTarget>();
  for (const map of maps) {
    if (map.autocreate !== false) layouts.set(map.name, new Layouter(object, map, local, targets).run());
  }
  const used = new Set([...layouts.values()].flatMap(({ functions }) => functions.map(({ program }) => program)));
  const named = maps.flatMap((map) => map.structOps?.functions.map(({ program }) => program) ?? []);
  return { layouts, targets, unused: new Set(named.filter((program) => !used.has(program))) };
}

/** The value of a layout with the descriptors of its programs. */
export function structOpsValue(layout: StructOpsLayout, programFd: (name: string) => number): Uint8Array {
  const value = layout.value.slice();
  const view = new DataView(value.buffer);
  for (const { program, byteOffset } of layout.functions) view.setUint32(byteOffset, programFd(program), true);
  return value;
}

/** Lays out one map. */
class Layouter {
  private readonly object: BpfObject;
  private readonly map: MapSpec;
  private readonly spec: StructOpsSpec;
  private readonly local: Btf;
  private readonly targets: Map<string, StructOpsTarget>;

  constructor(object: BpfObject, map: MapSpec, local: Btf, targets: Map<string, StructOpsTarget>) {
    this.object = object;
    this.map = map;
    this.spec = map.structOps!;
    this.local = local;
    this.targets = targets;
  }

  private failure(member: string, why: string): SkepError {
    return new SkepError(
      "struct-ops",
      `map ${this.map.name}: member ${member} of struct ${this.spec.typeName}: ${why}`,
    );
  }

  run(): StructOpsLayout {
    const { kernel, valueType, type, dataOffset, module } = this.kernelTypes();
    const value = new Uint8Array(valueType.size);
    const functions: { program: string; member: string; byteOffset: number }[] = [];
    const data = this.map.initialValue ?? new Uint8Array(this.map.valueSize);
    for (const member of this.local.members(this.spec.typeId)) {
      const memberIndex = type.members.findIndex(({ name }) => name === member.name);
      const byteOffset = member.bitOffset / 8;
      const assigned = this.spec.functions.find(({ offset }) => offset === byteOffset);
      const size = this.local.sizeOf(member.typeId);
      if (size === undefined) throw this.failure(member.name, "it has no size");
      const bytes = data.subarray(byteOffset, byteOffset + size);
      if (memberIndex === -1) {
        // Nothing is lost when it is zero. A function that only this member uses is not loaded.
        if (bytes.some((byte) => byte !== 0)) throw this.failure(member.name, this.unknownMember(type, member.name));
        continue;
      }
      const target = type.members[memberIndex]!;
      if (member.bitfieldSize !== 0 || target.bitfieldSize !== 0)
        throw this.failure(member.name, "it is a bitfield, which struct_ops cannot set");
      const offset = dataOffset + target.bitOffset / 8;
      this.checkKind(member, kernel, target);
      if (this.local.kindOf(this.local.stripModifiers(member.typeId)) === BtfKind.PTR) {
        if (assigned === undefined) continue;
        this.checkFunction(member.name, kernel, target);
        this.assign(assigned.program, member.name, {
          typeId: type.id,
          memberIndex,
          ...(module === undefined ? {} : { module }),
        });
        functions.push({ program: assigned.program, member: member.name, byteOffset: offset });
        continue;
      }
      const kernelSize = kernel.sizeOf(target.typeId);
      if (kernelSize !== size)
        throw this.failure(member.name, `it has ${size} bytes in the object and ${kernelSize} in this kernel`);
      value.set(bytes, offset);
    }
    return { valueTypeId: valueType.id, value, functions, ...(module === undefined ? {} : { module }) };
  }

  /** The struct and the map's value around it, in vmlinux or a module. */
  private kernelTypes(): {
    kernel: Btf;
    valueType: BtfComposite;
    type: BtfComposite;
    dataOffset: number;
    module: string | undefined;
  } {
    const name = essentialName(this.spec.typeName);
    const feature = `struct_ops ${name} (map ${this.map.name})`;
    if (!hasKernelBtf())
      throw new UnsupportedError(feature, "needs the kernel's type information (CONFIG_DEBUG_INFO_BTF)");
    const found = findKernelType(VALUE_PREFIX + name, BtfKind.STRUCT);
    if (found === undefined) {
      const known = [...kernelBtf().names(BtfKind.STRUCT)]
        .filter((struct) => struct.startsWith(VALUE_PREFIX))
        .map((struct) => struct.slice(VALUE_PREFIX.length));
      const near = nearestNames(name, known);
      const hint =
        near.length > 0
          ? `did you mean ${near.join(" or ")}?`
          : known.length > 0
            ? `it has ${known.filter((struct) => !struct.startsWith("bpf_dummy")).join(", ")}`
            : "it has no struct_ops (Linux 5.6 with CONFIG_BPF_JIT)";
      throw new UnsupportedError(feature, `this kernel has no such struct_ops: ${hint}`);
    }
    const kernel = found.module === undefined ? kernelBtf() : moduleBtf(found.module);
    const valueType = kernel.typeById(found.id) as BtfComposite;
    const typeId = kernel.findByName(name, BtfKind.STRUCT);
    const data = valueType.members.find((member) => member.typeId === typeId);
    if (typeId === undefined || data === undefined)
      throw new UnsupportedError(feature, `struct ${VALUE_PREFIX}${name} of this kernel holds no struct ${name}`);
    return {
      kernel,
      valueType,
      type: kernel.typeById(typeId) as BtfComposite,
      dataOffset: data.bitOffset / 8,
      module: found.module,
    };
  }

  private unknownMember(type: BtfComposite, member: string): string {
    const near = nearestNames(
      member,
      type.members.map(({ name }) => name),
    );
    return `the object sets it, and this kernel has no such member${near.length > 0 ? ` (it has ${near.join(", ")})` : ""}`;
  }

  private checkKind(member: BtfMember, kernel: Btf, target: BtfMember): void {
    const [ours, theirs] = [
      this.local.kindOf(this.local.stripModifiers(member.typeId)),
      kernel.kindOf(kernel.stripModifiers(target.typeId)),
    ];
    if (ours === theirs) return;
    const [a, b] = [ours, theirs].map((kind) => (btfKindNames[kind] ?? String(kind)).toLowerCase());
    throw this.failure(member.name, `it is a ${a} in the object and a ${b} in this kernel`);
  }

  private checkFunction(member: string, kernel: Btf, target: BtfMember): void {
    const pointer = kernel.typeById(kernel.stripModifiers(target.typeId)) as { readonly typeId: number };
    if (kernel.kindOf(kernel.stripModifiers(pointer.typeId)) !== BtfKind.FUNC_PROTO)
      throw this.failure(member, "a program is assigned, and in this kernel it is no function");
  }

  /** One program may serve several maps, but only as the same member of the same struct. */
  private assign(program: string, member: string, target: StructOpsTarget): void {
    const spec = this.object.programs.find(({ name }) => name === program);
    if (spec?.type !== ProgType.STRUCT_OPS)
      throw this.failure(member, `${program} is no struct_ops program: write SEC("struct_ops/${member}")`);
    const before = this.targets.get(program);
    if (before === undefined) this.targets.set(program, target);
    else if (before.typeId !== target.typeId || before.memberIndex !== target.memberIndex)
      throw this.failure(member, `program ${program} already implements another member, and a program can only be one`);
  }
}
