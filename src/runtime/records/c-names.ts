/** Types of BTF by the names that C gives them. */
import { type Btf, BtfKind } from "../../btf/index.ts";

/** A type by the name that C gives it: `struct event`, `union u`, `enum e`, a typedef, or a bare tag. Undefined when there is none. */
export function typeByCName(btf: Btf, name: string): number | undefined {
  const [, keyword, tag] = /^(?:(struct|union|enum)\s+)?(\w+)$/.exec(name.trim()) ?? [];
  if (tag === undefined) return undefined;
  switch (keyword) {
    case "struct":
      return btf.structByName(tag)?.id;
    case "union":
      return btf.unionByName(tag)?.id;
    case "enum":
      return btf.enumByName(tag)?.id;
    default:
      return (
        btf.structByName(tag)?.id ??
        btf.typedefByName(tag)?.id ??
        btf.unionByName(tag)?.id ??
        btf.enumByName(tag)?.id ??
        btf.findByName(tag, BtfKind.INT)
      );
  }
}

/** Name of a type as C says it. */
export function cNameOf(btf: Btf, typeId: number): string {
  const type = btf.typeById(typeId);
  const keyword =
    type.kind === BtfKind.STRUCT
      ? "struct "
      : type.kind === BtfKind.UNION
        ? "union "
        : type.kind === BtfKind.ENUM || type.kind === BtfKind.ENUM64
          ? "enum "
          : "";
  return `${keyword}${type.name === "" ? "(anonymous)" : type.name}`;
}
