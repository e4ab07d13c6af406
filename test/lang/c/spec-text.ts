/** What an object says, without code and in text, to compare objects of two compilers. */
import { Btf, BtfKind } from "../../../src/btf/index.ts";
import type { BpfObject, MapSpec } from "../../../src/object/index.ts";

/** A type's structure as text. Structs behind pointers are named only: whether they are written out is a compiler's own choice. */
export function typeText(btf: Btf, id: number, depth: number = 0): string {
  const type = btf.typeById(id);
  const inner = (of: number): string => typeText(btf, of, depth + 1);
  switch (type.kind) {
    case BtfKind.UNKN:
      return "void";
    case BtfKind.PTR: {
      const to = btf.typeById(btf.stripModifiers(type.typeId));
      const isNamed = to.kind === BtfKind.STRUCT || to.kind === BtfKind.UNION || to.kind === BtfKind.FWD;
      return isNamed && to.name !== "" && depth > 0 ? `*${to.name}` : `*${inner(type.typeId)}`;
    }
    case BtfKind.CONST:
    case BtfKind.VOLATILE:
    case BtfKind.RESTRICT:
      return `${Object.keys(BtfKind).find((k) => BtfKind[k as keyof typeof BtfKind] === type.kind)} ${inner(type.typeId)}`;
    case BtfKind.ARRAY:
      return `[${type.count}] ${inner(type.elementTypeId)}`;
    case BtfKind.STRUCT:
    case BtfKind.UNION: {
      const members = type.members.map(
        (m) => `${m.name}@${m.bitOffset}${m.bitfieldSize === 0 ? "" : `:${m.bitfieldSize}`} ${inner(m.typeId)}`,
      );
      return `${type.kind === BtfKind.UNION ? "union" : "struct"} ${type.name} ${type.size} {${members.join("; ")}}`;
    }
    case BtfKind.ENUM:
    case BtfKind.ENUM64:
      // Older compilers do not say whether values have a sign.
      return `enum ${type.name} ${type.size} {${type.values.map((v) => `${v.name}=${BigInt.asIntN(type.size * 8, v.value)}`).join(", ")}}`;
    case BtfKind.INT:
      return `${type.name}:${type.size}:${type.encoding}`;
    case BtfKind.FUNC_PROTO:
      return `(${type.parameters.map((p) => inner(p.typeId)).join(", ")}) -> ${inner(type.returnTypeId)}`;
    case BtfKind.TYPEDEF:
      // A macro in one <stdbool.h>, a name of a type in another.
      return type.name === "bool" ? inner(type.typeId) : `${type.name} ${inner(type.typeId)}`;
    case BtfKind.TYPE_TAG:
      return `${type.name} ${inner(type.typeId)}`;
    case BtfKind.FUNC:
      return `${type.name}${inner(type.typeId)}`;
    default:
      return btf.nameOf(id);
  }
}

/** Sections of constants without a variable hold a compiler's literals. */
function isLiterals(object: BpfObject, { name }: MapSpec): boolean {
  return name.startsWith(".rodata") && !(object.variables ?? []).some(({ map }) => map === name);
}

function mapText(btf: Btf | undefined, map: MapSpec, whole: boolean): object {
  const { keyTypeId = 0, valueTypeId = 0, initialValue, structOps, inner, valueSize, name, ...rest } = map;
  const isData = /^\.(?:rodata|data|bss|kconfig)/.test(name);
  const text = (id: number): string => (id === 0 || btf === undefined ? "" : typeText(btf, id));
  return {
    ...rest,
    // Literals are among the constants, and each compiler has others.
    ...(isData && !whole ? {} : { valueSize }),
    ...(initialValue === undefined || (isData && !whole)
      ? {}
      : { initialValue: Buffer.from(initialValue).toString("hex") }),
    key: text(keyTypeId),
    value: isData ? "" : text(valueTypeId),
    ...(structOps === undefined ? {} : { structOps: { ...structOps, typeId: 0 } }),
    ...(inner === undefined ? {} : { inner: mapText(btf, inner, true) }),
  };
}

/** The object by names: programs, maps, variables, externs, license. Without `types` only what every reader sees. */
export function specText(object: BpfObject, options: { readonly types?: boolean } = {}): Record<string, unknown> {
  const btf = object.btf === undefined || options.types === false ? undefined : Btf.parse(object.btf);
  const text = (id: number): string => (id === 0 || btf === undefined ? "" : typeText(btf, id));
  return {
    license: object.license,
    version: object.kernelVersion,
    programs: Object.fromEntries(
      object.programs
        .map(({ code: _c, relocations: _r, funcInfo: _f, lineInfo: _l, coreRelocations: _o, ...rest }) => rest)
        .map((program) => [program.name, program])
        .toSorted(byName),
    ),
    maps: Object.fromEntries(
      object.maps
        // libbpf's own maps of static probes differ with its versions.
        .filter((map) => !isLiterals(object, map) && !map.name.startsWith("__bpf_usdt"))
        .map((map) => [map.name, mapText(btf, map, map.name.startsWith(".data"))] as const)
        .toSorted(byName),
    ),
    variables: Object.fromEntries(
      (object.variables ?? [])
        .map(({ typeId, ...v }) => [v.name, { ...v, type: text(typeId) }] as const)
        .toSorted(byName),
    ),
    externs: Object.fromEntries(
      (object.externs ?? [])
        .map(({ typeId, ...e }) => [e.name, { ...e, type: text(typeId) }] as const)
        .toSorted(byName),
    ),
  };
}

function byName(a: readonly unknown[], b: readonly unknown[]): number {
  return String(a[0]) < String(b[0]) ? -1 : 1;
}
