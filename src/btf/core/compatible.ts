/**
 * Whether a type of a program and one of the kernel are the same for CO-RE. Three relations, from loose to strict: of fields that are read,
 * of types whose existence is asked, and of types that must match. Pairs with libbpf's relo_core.c.
 */
import type { Btf } from "../btf.ts";
import { BtfIntEncoding, BtfKind } from "../kinds.ts";
import type { BtfEnum, BtfMember, BtfType } from "../types.ts";
import { CoreError } from "./error.ts";
import { essentialName } from "./names.ts";

/** Pointers, arrays and return values followed in a row, and prototypes or structs inside one another. */
const DEPTH_LIMIT = 32;
/** Pairs of types compared for one relocation: the kernel's largest structs take a few thousand; damaged types could take for ever. */
const PAIR_LIMIT = 200_000;

/** How many comparisons are left. */
class Budget {
  private left = PAIR_LIMIT;

  spend(): void {
    if (--this.left < 0) throw new CoreError(`comparing the types takes more than ${PAIR_LIMIT} steps`);
  }
}

/** A struct or a union. */
export function isComposite(kind: number): boolean {
  return kind === BtfKind.STRUCT || kind === BtfKind.UNION;
}

/** An enum of either width. */
export function isEnum(kind: number): boolean {
  return kind === BtfKind.ENUM || kind === BtfKind.ENUM64;
}

/** Kinds that CO-RE takes for the same: equal ones, and enums of both widths. */
export function kindsCompatible(a: number, b: number): boolean {
  return a === b || (isEnum(a) && isEnum(b));
}

function stripped(btf: Btf, id: number): BtfType {
  return btf.typeById(btf.stripModifiers(id));
}

function tooDeep(): CoreError {
  return new CoreError(`types are nested deeper than ${DEPTH_LIMIT}`);
}

/** Old compilers wrote bitfields as integers with an offset, which CO-RE does not read. */
function bothPlainInts(a: BtfType, b: BtfType): boolean {
  return a.kind === BtfKind.INT && b.kind === BtfKind.INT && a.bitOffset === 0 && b.bitOffset === 0;
}

/**
 * Whether a field of the kernel's type may be read as the program's: integers of any size and sign, any pointers, any structs and unions,
 * enums and forward declarations of one name (or none), arrays by their elements. Pairs with `bpf_core_fields_are_compat`.
 */
export function fieldsCompatible(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  let [localAt, targetAt] = [localId, targetId];
  for (let depth = 0; depth < DEPTH_LIMIT; depth++) {
    const a = stripped(local, localAt);
    const b = stripped(target, targetAt);
    if (isComposite(a.kind) && isComposite(b.kind)) return true;
    if (!kindsCompatible(a.kind, b.kind)) return false;
    switch (a.kind) {
      case BtfKind.PTR:
      case BtfKind.FLOAT:
        return true;
      case BtfKind.FWD:
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
        return a.name === "" || b.name === "" || essentialName(a.name) === essentialName(b.name);
      case BtfKind.INT:
        return bothPlainInts(a, b);
      case BtfKind.ARRAY:
        if (b.kind !== BtfKind.ARRAY) return false;
        [localAt, targetAt] = [a.elementTypeId, b.elementTypeId];
        break;
      default:
        return false;
    }
  }
  throw tooDeep();
}

/**
 * Whether two types are the same in kind, down through pointers, arrays and prototypes; names, sizes and members are not compared. Pairs
 * with `bpf_core_types_are_compat`. Throws {@link CoreError} for types nested too deep.
 */
export function typesCompatible(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  if (!kindsCompatible(local.kindOf(localId), target.kindOf(targetId))) return false;
  return compatible(local, localId, target, targetId, DEPTH_LIMIT, new Budget());
}

function compatible(
  local: Btf,
  localId: number,
  target: Btf,
  targetId: number,
  level: number,
  budget: Budget,
): boolean {
  budget.spend();
  let [localAt, targetAt] = [localId, targetId];
  for (let depth = 0; depth < DEPTH_LIMIT; depth++) {
    const a = stripped(local, localAt);
    const b = stripped(target, targetAt);
    if (!kindsCompatible(a.kind, b.kind)) return false;
    switch (a.kind) {
      case BtfKind.UNKN:
      case BtfKind.STRUCT:
      case BtfKind.UNION:
      case BtfKind.ENUM:
      case BtfKind.ENUM64:
      case BtfKind.FWD:
        return true;
      case BtfKind.INT:
        return bothPlainInts(a, b);
      case BtfKind.PTR:
        [localAt, targetAt] = [a.typeId, (b as typeof a).typeId];
        break;
      case BtfKind.ARRAY:
        [localAt, targetAt] = [a.elementTypeId, (b as typeof a).elementTypeId];
        break;
      case BtfKind.FUNC_PROTO: {
        const other = b as typeof a;
        if (a.parameters.length !== other.parameters.length || a.variadic !== other.variadic) return false;
        if (level <= 0 && a.parameters.length > 0) throw tooDeep();
        for (const [i, parameter] of a.parameters.entries()) {
          if (!compatible(local, parameter.typeId, target, other.parameters[i]!.typeId, level - 1, budget))
            return false;
        }
        [localAt, targetAt] = [a.returnTypeId, other.returnTypeId];
        break;
      }
      default:
        return false;
    }
  }
  throw tooDeep();
}

/**
 * Whether a type of the kernel has everything that the program's says: members by name and type, enum constants by name, integers of one
 * size and sign, prototypes parameter by parameter; of structs behind pointers only kind and name count. The names of the outermost types
 * are the caller's to compare. Pairs with `bpf_core_types_match`. Throws {@link CoreError} for types nested too deep.
 */
export function typesMatch(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  return matches(local, localId, target, targetId, false, DEPTH_LIMIT, new Budget());
}

function namesMatch(local: string, target: string): boolean {
  return target === "" ? local === "" : essentialName(local) === essentialName(target);
}

function matches(
  local: Btf,
  localId: number,
  target: Btf,
  targetId: number,
  viaPointer: boolean,
  level: number,
  budget: Budget,
): boolean {
  budget.spend();
  if (level <= 0) throw tooDeep();
  let [localAt, targetAt, behindPointer] = [localId, targetId, viaPointer];
  for (let depth = 0; depth < DEPTH_LIMIT; depth++) {
    const a = stripped(local, localAt);
    const b = stripped(target, targetAt);
    if (!namesMatch(a.kind === BtfKind.UNKN ? "" : a.name, b.kind === BtfKind.UNKN ? "" : b.name)) return false;
    if (behindPointer && (isComposite(a.kind) || a.kind === BtfKind.FWD)) return declarationsMatch(a, b);
    if (isEnum(a.kind) && isEnum(b.kind)) return enumsMatch(a as BtfEnum, b as BtfEnum);
    if (a.kind !== b.kind) return false;
    switch (a.kind) {
      case BtfKind.UNKN:
        return true;
      case BtfKind.FWD:
        return a.union === (b as typeof a).union;
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        return membersMatch(local, a.members, target, (b as typeof a).members, behindPointer, level, budget);
      case BtfKind.INT: {
        const other = b as typeof a;
        const differing = (a.encoding ^ other.encoding) & BtfIntEncoding.SIGNED;
        return a.size === other.size && differing === 0;
      }
      case BtfKind.PTR:
        behindPointer = true;
        [localAt, targetAt] = [a.typeId, (b as typeof a).typeId];
        break;
      case BtfKind.ARRAY: {
        const other = b as typeof a;
        if (a.count !== other.count) return false;
        [localAt, targetAt] = [a.elementTypeId, other.elementTypeId];
        break;
      }
      case BtfKind.FUNC_PROTO: {
        const other = b as typeof a;
        if (a.parameters.length !== other.parameters.length || a.variadic !== other.variadic) return false;
        for (const [i, { typeId }] of a.parameters.entries()) {
          if (!matches(local, typeId, target, other.parameters[i]!.typeId, behindPointer, level - 1, budget))
            return false;
        }
        [localAt, targetAt] = [a.returnTypeId, other.returnTypeId];
        break;
      }
      default:
        return false;
    }
  }
  throw tooDeep();
}

/** Behind a pointer a struct may be declared only on one side; what it holds is not compared. */
function declarationsMatch(a: BtfType, b: BtfType): boolean {
  const shape = (type: BtfType): "struct" | "union" | undefined => {
    if (type.kind === BtfKind.STRUCT) return "struct";
    if (type.kind === BtfKind.UNION) return "union";
    return type.kind === BtfKind.FWD ? (type.union ? "union" : "struct") : undefined;
  };
  return shape(a) === shape(b);
}

function enumsMatch(a: BtfEnum, b: BtfEnum): boolean {
  if (a.size !== b.size || a.values.length > b.values.length) return false;
  const present = new Set(b.values.map(({ name }) => essentialName(name)));
  return a.values.every(({ name }) => present.has(essentialName(name)));
}

function membersMatch(
  local: Btf,
  wanted: readonly BtfMember[],
  target: Btf,
  present: readonly BtfMember[],
  behindPointer: boolean,
  level: number,
  budget: Budget,
): boolean {
  if (wanted.length > present.length) return false;
  // Anonymous structs and unions are several of one name.
  const byName = new Map<string, BtfMember[]>();
  for (const member of present) {
    const name = essentialName(member.name);
    const known = byName.get(name);
    if (known === undefined) byName.set(name, [member]);
    else known.push(member);
  }
  return wanted.every(({ name, typeId }) =>
    byName
      .get(essentialName(name))
      ?.some((other) => matches(local, typeId, target, other.typeId, behindPointer, level - 1, budget)),
  );
}
