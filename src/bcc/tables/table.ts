/** What all tables have in common: the map behind them, its name and size, its types as BCC shows them. */
import { SkepError } from "../../base/index.ts";
import { type Btf, BtfKind } from "../../btf/index.ts";
import { MapType } from "../../isa/index.ts";
import type { MapSpec } from "../../object/index.ts";
import { LinuxMap } from "../../kernel/linux/index.ts";
import type { MapHandle } from "../../runtime/index.ts";
import { layoutText } from "../layout.ts";
import { scanValue, valueText } from "../value-text.ts";

/** What tables need of the program that they belong to. */
export interface TableHost {
  /** Types of the program; undefined when it has none. */
  readonly btf: Btf | undefined;
  /** Where histograms go, a line at a time. */
  print(line: string): void;
}

/** Names of the kernel's map types, such as `HASH`. */
const typeNames: ReadonlyMap<number, string> = new Map(Object.entries(MapType).map(([name, type]) => [type, name]));

/** A table: a map of the program, as BCC's tools use it. It is closed with its program. */
export class Table<M extends MapHandle = MapHandle> {
  /** The map as the library has it, with all that BCC's tables have not. */
  readonly map: M;
  protected readonly host: TableHost;
  /** As the program declares it. */
  readonly spec: MapSpec;

  constructor(map: M, spec: MapSpec, host: TableHost) {
    this.map = map;
    this.spec = spec;
    this.host = host;
  }

  /** Name in the program. */
  get name(): string {
    return this.spec.name;
  }

  /** The kernel's name of its type, such as `HASH`. */
  get typeName(): string {
    return typeNames.get(this.spec.type) ?? "<unknown>";
  }

  /** Most entries, as the map was created. */
  get maxEntries(): number {
    return this.map.spec.maxEntries;
  }

  /** `BPF_F_*` that it was created with. */
  get flags(): number {
    return this.spec.flags;
  }

  /** Its descriptor, which stays the table's to close. */
  getFd(): number {
    const { kernelMap } = this.map;
    if (kernelMap instanceof LinuxMap) return kernelMap.fd.value;
    throw new SkepError("unsupported", `table ${this.name}: only tables of the running kernel have descriptors`);
  }

  /** Number that the kernel gave it. */
  get id(): number {
    return this.map.info().id;
  }

  protected keyIsStruct(): boolean {
    const { btf } = this.host;
    const { keyTypeId = 0 } = this.spec;
    if (btf === undefined || keyTypeId === 0) return false;
    const kind = btf.kindOf(btf.stripModifiers(keyTypeId));
    return kind === BtfKind.STRUCT || kind === BtfKind.UNION;
  }

  private typeOf(what: "key" | "leaf"): { readonly btf: Btf; readonly id: number } {
    const { btf } = this.host;
    const id = (what === "key" ? this.spec.keyTypeId : this.spec.valueTypeId) ?? 0;
    if (btf === undefined || id === 0)
      throw new SkepError("no-type", `table ${this.name}: the program does not tell the type of its ${what}`);
    return { btf, id };
  }

  /** A key as BCC writes it: integers in hexadecimal, structs in braces: `{ 0x1 "bash" }`. */
  keySprintf(key: unknown): string {
    const { btf, id } = this.typeOf("key");
    return valueText(btf, id, key);
  }

  /** A value, as {@link keySprintf}. */
  leafSprintf(leaf: unknown): string {
    const { btf, id } = this.typeOf("leaf");
    return valueText(btf, id, leaf);
  }

  /** The key that {@link keySprintf} would write so. Throws ParseError with the column. */
  keyScanf(text: string): unknown {
    const { btf, id } = this.typeOf("key");
    return scanValue(btf, id, text, `key of table ${this.name}`);
  }

  /** The value that {@link leafSprintf} would write so. Throws ParseError with the column. */
  leafScanf(text: string): unknown {
    const { btf, id } = this.typeOf("leaf");
    return scanValue(btf, id, text, `leaf of table ${this.name}`);
  }

  /** Its layout as `decode_table` of BCC shows it; with `sizeInfo` offsets and sizes in bytes. */
  layout(sizeInfo: boolean = false): string {
    const { btf } = this.host;
    const { keyTypeId = 0, valueTypeId = 0 } = this.spec;
    const title = `Layout of BPF map ${this.name} (type ${this.typeName}, FD ${this.getFd()}, ID ${this.id}):`;
    if (btf === undefined) return title;
    const parts = [keyTypeId, valueTypeId].flatMap((id, i) =>
      id === 0 ? [] : layoutText(btf, id, i === 0 ? "key" : "value", sizeInfo),
    );
    return [title, ...parts].join("\n");
  }
}
