/** What the kernel's BTF lists: iterators, LSM hooks, raw tracepoints, structs that programs implement. */
import { type Btf, BtfKind } from "../../../btf/index.ts";
import { kernelBtf, moduleBtf, modulesWithBtf } from "../kernel-btf.ts";
import { structOpsIn } from "./struct-ops.ts";

/** A name and where it comes from. */
export interface Listed {
  readonly name: string;
  /** Absent for vmlinux. */
  readonly module?: string;
}

function everywhere(list: (btf: Btf) => readonly string[]): Listed[] {
  const found: Listed[] = list(kernelBtf()).map((name) => ({ name }));
  for (const module of modulesWithBtf()) found.push(...list(moduleBtf(module)).map((name) => ({ name, module })));
  return found;
}

function* ownNames(btf: Btf, kind: BtfKind): Generator<readonly [id: number, name: string]> {
  for (const id of btf.idsByKind(kind)) if (id >= btf.firstId) yield [id, btf.nameOf(id)];
}

function iteratorsIn(btf: Btf): string[] {
  const prefix = "bpf_iter_";
  const found: string[] = [];
  for (const [id, name] of ownNames(btf, BtfKind.FUNC)) {
    if (!name.startsWith(prefix)) continue;
    // What an iterator's programs stand in for takes `struct bpf_iter_meta *meta` first; functions that serve iterators do not.
    const proto = btf.funcProto(id);
    const first = proto?.parameters[0];
    if (proto === undefined || first?.name !== "meta") continue;
    if (btf.kindOf(btf.stripModifiers(proto.returnTypeId)) !== BtfKind.INT) continue;
    const pointer = btf.typeById(btf.stripModifiers(first.typeId));
    if (pointer.kind !== BtfKind.PTR || btf.nameOf(btf.stripModifiers(pointer.typeId)) !== "bpf_iter_meta") continue;
    found.push(name.slice(prefix.length));
  }
  return [...new Set(found)].toSorted();
}

/** Iterators, as `SEC("iter/NAME")` names them. Throws UnsupportedError without kernel BTF. */
export function iteratorNames(): Listed[] {
  return everywhere(iteratorsIn);
}

/** LSM hooks that programs can be attached to, as `SEC("lsm/NAME")` names them. Throws UnsupportedError without kernel BTF. */
export function lsmHookNames(): Listed[] {
  const btf = kernelBtf();
  const hooks = btf.unionByName("security_list_options");
  if (hooks === undefined) return [];
  return hooks.members
    .map(({ name }) => name)
    .filter((name) => btf.findByName(`bpf_lsm_${name}`, BtfKind.FUNC) !== undefined)
    .toSorted()
    .map((name) => ({ name }));
}

/** Raw tracepoints with types, as `SEC("tp_btf/NAME")` names them. Throws UnsupportedError without kernel BTF. */
export function rawTracepointNames(): Listed[] {
  const prefix = "btf_trace_";
  return everywhere((btf) =>
    [...ownNames(btf, BtfKind.TYPEDEF)]
      .filter(([, name]) => name.startsWith(prefix))
      .map(([, name]) => name.slice(prefix.length))
      .toSorted(),
  );
}

/** Structs of functions that programs may implement. Throws UnsupportedError without kernel BTF. */
export function structOpsNames(): Listed[] {
  return everywhere(structOpsIn);
}
