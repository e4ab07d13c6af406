/** Whether two object files mean the same by one name. */
import { BtfFuncLinkage, BtfKind, BtfVarLinkage, btfKindNames } from "../../btf/index.ts";
import type { Btf, BtfType } from "../../btf/index.ts";
import { readDefinition } from "../read/map-definitions.ts";
import type { MapSpec } from "../spec.ts";

/** A type of one file. */
export interface TypeOfFile {
  readonly btf: Btf;
  readonly id: number;
}

/** A type of the comparison, with what it says of how closely the types must agree. */
type Reason = string | undefined;

/** Kinds whose names must be equal. */
const named: ReadonlySet<number> = new Set([
  BtfKind.STRUCT,
  BtfKind.UNION,
  BtfKind.ENUM,
  BtfKind.ENUM64,
  BtfKind.FWD,
  BtfKind.FUNC,
  BtfKind.VAR,
]);

/**
 * Why two declarations of a variable or function do not fit, as libbpf's linker decides; undefined when they do. Members of structs must
 * be equal, behind pointers only names; qualifiers and typedefs do not count, nor do lengths of arrays and values of enums.
 */
export function declarationsDiffer(a: TypeOfFile, b: TypeOfFile): Reason {
  return differ(a, b, true, new Set(), 0);
}

/** No compiler nests declarations so deeply; damaged types can. */
const DEPTH_LIMIT = 512;

function differ(a: TypeOfFile, b: TypeOfFile, exact: boolean, seen: Set<string>, depth: number): Reason {
  if (depth > DEPTH_LIMIT) return "types that nest too deeply";
  const [idA, idB] = [a.btf.stripModifiers(a.id), b.btf.stripModifiers(b.id)];
  const key = `${idA} ${idB} ${exact}`;
  // Asked before: there, or on the way, it fits.
  if (seen.has(key)) return undefined;
  seen.add(key);
  const [x, y] = [a.btf.typeById(idA), b.btf.typeById(idB)];
  if (!exact && (x.kind === BtfKind.FWD) !== (y.kind === BtfKind.FWD)) return forwardDiffers(x, y);
  if (x.kind !== y.kind) return `${kindName(x)} and ${kindName(y)}`;
  if (named.has(x.kind) && x.name !== y.name)
    return `${kindName(x)} ${x.name || "without name"} and ${y.name || "without name"}`;
  const next = (p: number, q: number, exactly: boolean): Reason =>
    differ({ btf: a.btf, id: p }, { btf: b.btf, id: q }, exactly, seen, depth + 1);
  switch (x.kind) {
    case BtfKind.UNKN:
    case BtfKind.FWD:
      return undefined;
    case BtfKind.INT:
    case BtfKind.FLOAT:
    case BtfKind.ENUM:
    case BtfKind.ENUM64: {
      const other = y as typeof x;
      return x.size === other.size ? undefined : `${kindName(x)} of ${x.size} and of ${other.size} bytes`;
    }
    case BtfKind.PTR:
      return next(x.typeId, (y as typeof x).typeId, false);
    case BtfKind.ARRAY:
      return next(x.elementTypeId, (y as typeof x).elementTypeId, exact);
    case BtfKind.FUNC: {
      const other = y as typeof x;
      const isStatic = [x, other].map((f) => f.linkage === BtfFuncLinkage.STATIC);
      return isStatic[0] === isStatic[1] ? next(x.typeId, other.typeId, exact) : "one is static";
    }
    case BtfKind.VAR: {
      const other = y as typeof x;
      const isStatic = [x, other].map((v) => v.linkage === BtfVarLinkage.STATIC);
      return isStatic[0] === isStatic[1] ? next(x.typeId, other.typeId, exact) : "one is static";
    }
    case BtfKind.STRUCT:
    case BtfKind.UNION: {
      const other = y as typeof x;
      if (!exact) return undefined;
      const owner = `${x.kind === BtfKind.UNION ? "union" : "struct"} ${x.name || "without name"}`;
      if (x.members.length !== other.members.length)
        return `${owner} with ${x.members.length} and ${other.members.length} members`;
      for (const [i, m] of x.members.entries()) {
        const n = other.members[i]!;
        if (m.name !== n.name) return `${owner}: members ${m.name} and ${n.name}`;
        if (m.bitOffset !== n.bitOffset) return `${owner}: member ${m.name} at bit ${m.bitOffset} and ${n.bitOffset}`;
        const why = next(m.typeId, n.typeId, true);
        if (why !== undefined) return `${owner}: member ${m.name}: ${why}`;
      }
      return undefined;
    }
    case BtfKind.FUNC_PROTO: {
      const other = y as typeof x;
      const [count, otherCount] = [x.parameters.length, other.parameters.length];
      if (count !== otherCount || x.variadic !== other.variadic) return `${count} and ${otherCount} parameters`;
      for (const [i, p] of x.parameters.entries()) {
        const why = next(p.typeId, other.parameters[i]!.typeId, exact);
        if (why !== undefined) return `parameter ${i + 1}: ${why}`;
      }
      const why = next(x.returnTypeId, other.returnTypeId, exact);
      return why === undefined ? undefined : `result: ${why}`;
    }
    default:
      return `${kindName(x)}, which no variable and no function is`;
  }
}

function forwardDiffers(x: BtfType, y: BtfType): Reason {
  const [forward, body] = x.kind === BtfKind.FWD ? [x, y] : [y, x];
  if (forward.name !== body.name) return `${forward.name} and ${body.name || kindName(body)}`;
  const wanted = forward.kind === BtfKind.FWD && forward.union ? BtfKind.UNION : BtfKind.STRUCT;
  return body.kind === wanted ? undefined : `a forward declaration and a ${kindName(body)}`;
}

function kindName(type: BtfType): string {
  return (btfKindNames[type.kind] ?? String(type.kind)).toLowerCase();
}

/** Attributes of maps that all declarations must agree in. */
const attributes = ["type", "keySize", "valueSize", "maxEntries", "flags", "numaNode", "pinning"] as const;

/** Why two definitions of a map, given by their variables, do not fit; undefined when they do. */
export function mapsDiffer(name: string, a: TypeOfFile, b: TypeOfFile, fail: (what: string) => never): Reason {
  const read = ({ btf, id }: TypeOfFile): MapSpec => {
    const variable = btf.typeById(id);
    return variable.kind === BtfKind.VAR ? readDefinition(btf, name, variable.typeId, fail) : fail("it is no variable");
  };
  return specsDiffer(read(a), a.btf, read(b), b.btf);
}

function specsDiffer(a: MapSpec, btfA: Btf, b: MapSpec, btfB: Btf): Reason {
  for (const attribute of attributes) {
    const [x, y] = [a[attribute], b[attribute]];
    if (x !== y) return `${attribute} ${x ?? "not given"} and ${y ?? "not given"}`;
  }
  for (const role of ["keyTypeId", "valueTypeId"] as const) {
    const [x = 0, y = 0] = [a[role], b[role]];
    if ((x === 0) !== (y === 0)) return `${role === "keyTypeId" ? "key" : "value"} without a type`;
    const why = x === 0 ? undefined : declarationsDiffer({ btf: btfA, id: x }, { btf: btfB, id: y });
    if (why !== undefined) return `${role === "keyTypeId" ? "key" : "value"}: ${why}`;
  }
  if ((a.inner === undefined) !== (b.inner === undefined)) return "an inner map in one only";
  if (a.inner === undefined || b.inner === undefined) return undefined;
  const why = specsDiffer(a.inner, btfA, b.inner, btfB);
  return why === undefined ? undefined : `inner map: ${why}`;
}
