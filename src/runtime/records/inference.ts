/**
 * What the code of an object tells of the records that it writes. Every call that writes one has a size and mostly a C line; a type is
 * chosen where these leave one only: the type or variable that the line names, the map whose value is written, the only struct of the size.
 */
import { type Btf, BtfKind, decodeFuncInfo } from "../../btf/index.ts";
import type { BpfObject, ProgramSpec } from "../../object/index.ts";
import { cNameOf, typeByCName } from "./c-names.ts";
import type { DebugRecord, DebugRecords } from "./debug-records.ts";
import { type RecordSite, recordSites } from "./record-sites.ts";

/** A type of the object's BTF, or one that only its debug information has. */
export type FoundType = { readonly typeId: number; readonly typeName: string; readonly size: number } | DebugRecord;

/** What is known of one call. */
type Finding = { readonly type: FoundType; readonly why: string } | { readonly several: readonly string[] } | undefined;

/** See the file's comment. */
export class RecordInference {
  private readonly btf: Btf;
  private readonly records: DebugRecords;
  private readonly sites: readonly RecordSite[];
  private readonly valueTypes: ReadonlyMap<string, number | undefined>;
  private readonly kernel: ReadonlySet<number>;
  private readonly kernelNames: ReadonlySet<string>;
  private readonly structs: readonly number[];

  constructor(object: BpfObject, btf: Btf, records: DebugRecords) {
    this.btf = btf;
    this.records = records;
    this.sites = recordSites(object);
    this.valueTypes = new Map(object.maps.map(({ name, valueTypeId }) => [name, valueTypeId]));
    this.kernel = kernelTypes(object, btf);
    this.kernelNames = new Set([...this.kernel].map((id) => btf.nameOf(id)));
    this.structs = [...btf.idsByKind(BtfKind.STRUCT), ...btf.idsByKind(BtfKind.UNION)];
  }

  /** The types of a map's records, and how that is known; none, and why. */
  typesOf(map: string): { readonly types: readonly FoundType[]; readonly why: string } {
    const none = (why: string): { types: FoundType[]; why: string } => ({ types: [], why });
    const sites = this.sites.filter((site) => site.map === map);
    if (sites.length === 0) return none("no program writes to it");
    const found = new Map<string, FoundType>();
    const reasons = new Set<string>();
    for (const site of sites) {
      const finding = this.named(site) ?? this.valueOfMap(site) ?? this.bySize(site);
      if (finding !== undefined && "type" in finding) {
        found.set(finding.type.typeName, this.ownType(finding.type));
        reasons.add(finding.why);
        continue;
      }
      const where = site.place ?? `program ${site.program}, instruction ${site.insnIndex}`;
      if (site.size === undefined) return none(`the size of records is not constant at ${where}`);
      return none(
        finding === undefined
          ? `no struct has the ${site.size} bytes written at ${where}${this.records.lack}`
          : `several structs have the ${site.size} bytes written at ${where}: ${finding.several.join(", ")}`,
      );
    }
    const sizes = new Set([...found.values()].map(({ size }) => size));
    if (sizes.size < found.size) return none("several structs of one size are written to it");
    return { types: [...found.values()], why: [...reasons].join(", ") };
  }

  /** The same struct in the object's BTF, where maps and variables may have it too. */
  private ownType(type: FoundType): FoundType {
    if ("typeId" in type || type.tag === "") return type;
    const id = typeByCName(this.btf, type.typeName);
    return id !== undefined && this.btf.sizeOf(id) === type.size ? this.type(id) : type;
  }

  private type(typeId: number): FoundType {
    return { typeId, typeName: cNameOf(this.btf, typeId), size: this.btf.sizeOf(typeId)! };
  }

  /** A type that the C line names in its `sizeof`, or that of the variable which it writes. */
  private named(site: RecordSite): Finding {
    const { btf, records } = this;
    const why = `named at ${site.place}`;
    const [, name] = /sizeof\s*\(\s*((?:struct\s+|union\s+)?\w+)\s*\)/.exec(site.source ?? "") ?? [];
    const id = name === undefined ? undefined : typeByCName(btf, name);
    const size = id === undefined ? undefined : btf.sizeOf(id);
    if (size !== undefined && (site.size === undefined || size === site.size)) return { type: this.type(id!), why };
    const fits = (one: { readonly size: number }): boolean => site.size === undefined || one.size === site.size;
    const [record, other] = name === undefined ? [] : records.named(name.replace(/^\w+\s+/, "")).filter(fits);
    if (record !== undefined && other === undefined) return { type: record, why };
    const variable = writtenVariable(site.source ?? "");
    const [type, another] = variable === undefined ? [] : records.ofVariable(variable).filter(fits);
    return type === undefined || another !== undefined ? undefined : { type, why };
  }

  /** Of records as long as the running program wants, the type is the whole value. */
  private valueOfMap({ valueOf, size }: RecordSite): Finding {
    const typeId = valueOf === undefined ? undefined : this.valueTypes.get(valueOf);
    const whole = typeId ? this.btf.sizeOf(typeId) : undefined;
    if (whole === undefined || !this.isRecord(typeId!) || (size !== undefined && size !== whole)) return undefined;
    return { type: this.type(this.btf.stripModifiers(typeId!)), why: `values of map ${valueOf}` };
  }

  private isRecord(typeId: number): boolean {
    const kind = this.btf.kindOf(this.btf.stripModifiers(typeId));
    return kind === BtfKind.STRUCT || kind === BtfKind.UNION;
  }

  private bySize({ size }: RecordSite): Finding {
    if (size === undefined) return undefined;
    const why = `the only struct of ${size} bytes`;
    const variables = this.records
      .ofSize(size)
      .filter(({ tag }) => !this.kernelNames.has(tag) && !KERNEL_NAMES.test(tag));
    const ids = this.structs.filter(
      (id) => this.btf.sizeOf(id) === size && !this.kernel.has(id) && !KERNEL_NAMES.test(this.btf.nameOf(id)),
    );
    // What functions have in their variables is nearer than what maps and globals are made of.
    for (const candidates of [
      likely(variables, ({ tag }) => tag),
      likely(ids, (id) => this.btf.nameOf(id)).map((id) => this.type(id)),
    ]) {
      const [type, ...more] = candidates;
      if (type === undefined) continue;
      if (more.length === 0) return { type, why };
      return { several: candidates.map(({ typeName }) => typeName) };
    }
    return undefined;
  }
}

/** Places of the record among the arguments of what writes it. */
const recordArguments: Readonly<Record<string, number>> = {
  bpf_perf_event_output: 3,
  bpf_skb_output: 3,
  bpf_xdp_output: 3,
  bpf_ringbuf_output: 1,
};

/** The variable that a C line writes, by its address or as a pointer; that which it gets a reserved place for. */
export function writtenVariable(source: string): string | undefined {
  const reserved = /(\w+)\s*=\s*(?:\([^()]*\)\s*)?bpf_ringbuf_reserve\s*\(/.exec(source)?.[1];
  if (reserved !== undefined) return reserved;
  const [, name, rest] = /\b(bpf_(?:perf_event|skb|xdp|ringbuf)_output)\s*\((.*)/.exec(source) ?? [];
  if (name === undefined) return undefined;
  const text = splitArguments(rest!)[recordArguments[name]!];
  return /^&?\s*(\w+)$/.exec(text ?? "")?.[1];
}

/** Arguments of a call up to its closing parenthesis; the last one of a line that goes on below is left out. */
function splitArguments(text: string): string[] {
  const out: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]!;
    if (letter === "(") depth++;
    else if ((letter === "," || letter === ")") && depth === 0) {
      out.push(text.slice(from, at).trim());
      from = at + 1;
      if (letter === ")") break;
    } else if (letter === ")") depth--;
  }
  return out;
}

/**
 * Types of the kernel that the object only looks into: those that CO-RE records start from and contexts of programs, with all that they
 * contain and point at.
 */
function kernelTypes(object: BpfObject, btf: Btf): Set<number> {
  const found = new Set<number>();
  const waiting = object.programs.flatMap((program) => [
    ...(program.coreRelocations ?? []).map(({ typeId }) => typeId),
    ...contextTypes(program, btf),
  ]);
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (found.has(id)) continue;
    found.add(id);
    const type = btf.typeById(id);
    switch (type.kind) {
      case BtfKind.STRUCT:
      case BtfKind.UNION:
        waiting.push(...type.members.map(({ typeId }) => typeId));
        break;
      case BtfKind.ARRAY:
        waiting.push(type.elementTypeId);
        break;
      case BtfKind.PTR:
      case BtfKind.TYPEDEF:
      case BtfKind.CONST:
      case BtfKind.VOLATILE:
      case BtfKind.RESTRICT:
      case BtfKind.TYPE_TAG:
        waiting.push(type.typeId);
        break;
      default:
    }
  }
  return found;
}

/** Parameters of a program's main function. */
function contextTypes(program: ProgramSpec, btf: Btf): number[] {
  const [main] = decodeFuncInfo(program.funcInfo);
  const proto = main === undefined ? undefined : btf.funcProto(main.typeId);
  return (proto?.parameters ?? []).map(({ typeId }) => typeId);
}

/** Contexts of programs and types of the kernel, by their names. */
const KERNEL_NAMES =
  /^(?:trace_event_|trace_entry$|bpf_|pt_regs$|user_pt_regs$|__sk_buff$|xdp_md$|sk_msg_md$|sk_reuseport_md$)/;

/**
 * Of structs of the right size those that a program could mean. One that is only used inside functions is in debug information alone, so
 * that without it one of the kernel's with its size must not be taken for it.
 */
function likely<T>(candidates: readonly T[], nameOf: (one: T) => string): T[] {
  let left = [...candidates];
  for (const test of [/./, /event|record|sample|msg|data/i]) {
    if (left.length < 2) break;
    const passed = left.filter((one) => test.test(nameOf(one)));
    if (passed.length > 0) left = passed;
  }
  return left;
}
