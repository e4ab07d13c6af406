/** Tables: the maps that variables of BCC's structs stand for, and what user space is told of them. */
import { MapType } from "../../../isa/index.ts";
import type { MapSpec } from "../../../object/index.ts";
import type { VariableDecl } from "../ast.ts";
import { constantInteger } from "../constant.ts";
import type { Diagnostics } from "../diagnostics.ts";
import type { DialectMap } from "../dialect.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, type Field, INT, type RecordType, UNSIGNED_LONG_LONG, shapeOf, typeText } from "../types/types.ts";
import { isTable } from "./calls.ts";
import { TABLE_SECTION } from "./prelude.ts";
import { EXTERNAL_KIND, type TableKind, tableKinds, visibilities } from "./table-kinds.ts";
import type { BccTable } from "./unit.ts";

/** A table of the program. */
export interface Table {
  readonly name: string;
  readonly kind: string;
  /** Undefined for tables of other programs. */
  readonly of: TableKind | undefined;
  readonly mapType: number;
  readonly key: CType;
  readonly leaf: CType;
  readonly maxEntries: number;
  readonly flags: number;
  readonly pinPath?: string;
  readonly inner?: string;
  visibility?: "public" | "shared";
  /** The struct of its records, once a call that sends some is seen. */
  event?: CType;
}

/** All tables of a program, by their variables. */
export class Tables {
  readonly byVariable: Map<VariableDecl, Table> = new Map();
  private readonly diagnostics: Diagnostics;

  constructor(variables: readonly VariableDecl[], diagnostics: Diagnostics) {
    this.diagnostics = diagnostics;
    const marks: VariableDecl[] = [];
    for (const variable of variables) {
      if (!isTable(variable)) continue;
      if (Object.hasOwn(visibilities, kindText(variable))) marks.push(variable);
      else this.define(variable);
    }
    for (const mark of marks) {
      const table = [...this.byVariable.values()].find(({ name }) => `__${name}` === mark.name);
      if (table !== undefined) table.visibility = visibilities[kindText(mark)]!;
    }
  }

  /** The maps of the object. */
  maps(): DialectMap[] {
    return [...this.byVariable].map(([variable, table]): DialectMap => {
      const { of, key, leaf } = table;
      const typed = of !== undefined && of.withoutBtf !== true;
      return {
        variable,
        spec: this.spec(variable, table),
        ...(typed && of.keyless !== true ? { key } : {}),
        ...(typed ? { value: leaf } : {}),
      };
    });
  }

  get(variable: VariableDecl): Table | undefined {
    return this.byVariable.get(variable);
  }

  /** What user space is told. */
  describe(typeId: (type: CType) => number): BccTable[] {
    return [...this.byVariable.values()].map((table): BccTable => {
      const { name, kind, of, mapType, key, leaf, pinPath, inner, visibility, event } = table;
      const hasKey = of?.keyless !== true && of?.typeless !== true;
      const hasLeaf = of?.typeless !== true;
      return {
        name,
        kind,
        mapType,
        keyTypeId: hasKey ? typeId(key) : 0,
        keyType: hasKey ? typeText(key) : "",
        leafTypeId: hasLeaf ? typeId(leaf) : 0,
        leafType: hasLeaf ? typeText(leaf) : "",
        ...(pinPath === undefined ? {} : { pinPath }),
        ...(inner === undefined ? {} : { inner }),
        ...(kind === EXTERNAL_KIND ? { external: true } : {}),
        ...(visibility === undefined ? {} : { visibility }),
        ...(event === undefined
          ? {}
          : { event: { typeId: typeId(event), type: typeText(event), size: sizeOf(event) ?? 0 } }),
      };
    });
  }

  private define(variable: VariableDecl): void {
    const { diagnostics } = this;
    const { name, location } = variable;
    const shape = shapeOf(variable.type);
    const member = (wanted: string): Field | undefined =>
      shape.kind === "record" ? shape.contents?.fields.find((field) => field.name === wanted) : undefined;
    const [key, leaf] = [member("key"), member("leaf")];
    if (key === undefined || leaf === undefined) {
      diagnostics.error(location, `table ${name} has no types: it is a ${typeText(variable.type)}`, {
        hint: "define it with BPF_TABLE or one of its relatives",
      });
      return;
    }
    const text = kindText(variable);
    const [, kind = "", inner, pinPath] = /^([^:$]*)(?:\$([^:]*))?(?::(.*))?$/s.exec(text) ?? [];
    const of = Object.hasOwn(tableKinds, kind) ? tableKinds[kind] : undefined;
    if (of === undefined && kind !== EXTERNAL_KIND) {
      diagnostics.error(location, `table ${name}: there is no kind "${kind}"`, {
        length: name.length,
        hint: `kinds are ${Object.keys(tableKinds).join(", ")}, ${EXTERNAL_KIND}`,
      });
      return;
    }
    if (kind === "histogram" && !isU64(leaf.type)) {
      diagnostics.error(location, `histogram ${name} counts in u64, its leaf is ${typeText(leaf.type)}`, {
        length: name.length,
      });
    }
    const mapType = kind === "histogram" && isInt(key.type) ? MapType.ARRAY : (of?.mapType ?? MapType.UNSPEC);
    const entries = this.number(variable, "max_entries");
    const table = {
      name,
      kind,
      of,
      mapType,
      key: key.type,
      leaf: leaf.type,
      maxEntries: kind === "stacktrace" ? 2 ** Math.ceil(Math.log2(Math.max(1, entries))) : entries,
      flags: this.number(variable, "flags"),
      ...(pinPath === undefined ? {} : { pinPath }),
      ...(inner === undefined ? {} : { inner }),
    };
    this.byVariable.set(variable, table);
  }

  /** The value of a member of the table's initialiser. */
  private number(variable: VariableDecl, name: string): number {
    const shape = shapeOf(variable.type) as RecordType;
    const field = shape.contents?.fields.find((candidate) => candidate.name === name);
    const { initializer } = variable;
    if (initializer?.kind !== "aggregate") return 0;
    const found = initializer.values.find(({ bitOffset }) => bitOffset === field?.bitOffset);
    if (found === undefined) return 0;
    const value = constantInteger(found.value);
    if (value === undefined)
      this.diagnostics.error(found.value.location, `table ${variable.name}: ${name} is no constant number`);
    return Number(BigInt.asUintN(32, value ?? 0n));
  }

  private spec(variable: VariableDecl, table: Table): MapSpec {
    const { name, of, mapType, key, leaf, maxEntries, flags } = table;
    const hasKey = of?.keyless !== true && of?.typeless !== true;
    const inner = table.inner === undefined ? undefined : this.inner(variable, table);
    return {
      name,
      type: mapType,
      keySize: hasKey ? (sizeOf(key) ?? 0) : 0,
      valueSize: of?.typeless === true ? 0 : inner === undefined ? (sizeOf(leaf) ?? 0) : 4,
      maxEntries,
      flags,
      ...(inner === undefined ? {} : { inner }),
    };
  }

  /** Maps of maps take the shape of inner ones from another table. */
  private inner(variable: VariableDecl, { name, inner }: Table): MapSpec | undefined {
    const found = [...this.byVariable].find(([, table]) => table.name === inner && table.inner === undefined);
    if (found !== undefined) return this.spec(...found);
    this.diagnostics.error(variable.location, `table ${name} is of maps like ${inner}, which is no table here`, {
      length: name.length,
    });
    return undefined;
  }
}

/** What is behind the prefix of a table's section. */
function kindText(variable: VariableDecl): string {
  return variable.attributes.section!.slice(TABLE_SECTION.length);
}

function isInt(type: CType): boolean {
  return shapeOf(type) === INT || (shapeOf(type).kind === "integer" && (shapeOf(type) as typeof INT).name === INT.name);
}

function isU64(type: CType): boolean {
  const shape = shapeOf(type);
  return shape.kind === "integer" && shape.bits === UNSIGNED_LONG_LONG.bits && !shape.signed;
}
