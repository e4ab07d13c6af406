/** Names of BCC's dialect that stand for what the machine has: `struct tracepoint__CATEGORY__EVENT`. */
import type { Binding, OuterDeclarations } from "../parser/scope.ts";
import { KernelTypes } from "../types/kernel-types.ts";
import { type EnumType, type Field, INT, RecordType, UNSIGNED_LONG_LONG } from "../types/types.ts";
import { fieldType } from "./field-types.ts";
import type { BccOptions, BccTracepointField } from "./options.ts";

/** What the tags of tracepoints' records begin with. */
export const TRACEPOINT_PREFIX = "tracepoint__";

/** Bytes that every record begins with; programs may not read them. */
const COMMON_SIZE = 8;

/** Category and event of a tag; both may hold the separator, so all ways to part them are given. */
function* partings(tag: string): Generator<readonly [category: string, event: string]> {
  const rest = tag.slice(TRACEPOINT_PREFIX.length);
  for (let at = rest.indexOf("__"); at !== -1; at = rest.indexOf("__", at + 1)) {
    if (at > 0 && at + 2 < rest.length) yield [rest.slice(0, at), rest.slice(at + 2)];
  }
}

/** The kernel's names, and those of tracepoints. */
export class BccDeclarations implements OuterDeclarations {
  private readonly kernel: OuterDeclarations;
  private readonly options: BccOptions;
  private moduleTypes: readonly KernelTypes[] | undefined;
  private readonly records = new Map<string, RecordType | undefined>();

  constructor(kernel: OuterDeclarations, options: BccOptions) {
    this.kernel = kernel;
    this.options = options;
  }

  ordinary(name: string): Binding | undefined {
    return this.kernel.ordinary(name);
  }

  record(union: boolean, tag: string): RecordType | undefined {
    if (union || !tag.startsWith(TRACEPOINT_PREFIX)) return this.kernels(union, tag);
    if (!this.records.has(tag)) this.records.set(tag, this.tracepoint(tag));
    return this.records.get(tag);
  }

  /** A struct of the kernel, or of a module where the kernel only points to it. */
  private kernels(union: boolean, tag: string): RecordType | undefined {
    const found = this.kernel.record(union, tag);
    if (found?.contents !== undefined) return found;
    for (const types of this.modules()) {
      const record = types.record(union, tag);
      if (record?.contents !== undefined) return record;
    }
    return found;
  }

  private modules(): readonly KernelTypes[] {
    return (this.moduleTypes ??= [...(this.options.moduleTypes?.() ?? [])].map((btf) => new KernelTypes(btf)));
  }

  enumeration(tag: string): EnumType | undefined {
    return this.kernel.enumeration(tag);
  }

  nearest(name: string): readonly string[] {
    return this.kernel.nearest(name);
  }

  macro(name: string): string | undefined {
    return this.kernel.macro?.(name);
  }

  recordAccesses(): void {
    this.kernel.recordAccesses?.();
  }

  whyNoRecord(tag: string): string | undefined {
    if (!tag.startsWith(TRACEPOINT_PREFIX)) return this.kernel.whyNoRecord?.(tag);
    const [first] = partings(tag);
    return first === undefined
      ? "tracepoints have a category and a name"
      : `there is no tracepoint ${first[0]}:${first[1]} here, or its format is not known`;
  }

  /** The record of a tracepoint by its format, or else by the struct that the kernel's types have for its class. */
  private tracepoint(tag: string): RecordType | undefined {
    for (const [category, event] of partings(tag)) {
      const fields = this.options.tracepointFields?.(category, event);
      if (fields !== undefined) return this.define(tag, fields);
    }
    for (const [, event] of partings(tag)) {
      const found = this.kernel.record(false, `trace_event_raw_${event}`);
      if (found?.contents !== undefined) return this.byClass(tag, found);
    }
    return undefined;
  }

  private define(tag: string, fields: readonly BccTracepointField[]): RecordType {
    const made: Field[] = [common()];
    let size = COMMON_SIZE;
    for (const field of fields) {
      size = Math.max(size, field.byteOffset + field.size);
      if (field.byteOffset < COMMON_SIZE) continue;
      const isLocation = /^__(?:data|rel)_loc\b/.test(field.ctype);
      made.push({
        name: isLocation ? `data_loc_${field.name}` : field.name,
        type: isLocation ? INT : fieldType(field, this.kernel),
        bitOffset: field.byteOffset * 8,
        bitWidth: undefined,
        index: made.length,
      });
    }
    const record = new RecordType(false, tag);
    record.define({ fields: made, size: Math.ceil(size / 8) * 8, align: 8 });
    return record;
  }

  private byClass(tag: string, of: RecordType): RecordType {
    const { fields, size } = of.contents!;
    const made: Field[] = [common()];
    for (const field of fields) {
      if (field.bitOffset < COMMON_SIZE * 8 || field.name === undefined || field.name === "__data") continue;
      const name = field.name.replace(/^__data_loc_/, "data_loc_");
      made.push({ ...field, name, type: name === field.name ? field.type : INT, index: made.length });
    }
    const record = new RecordType(false, tag);
    record.define({ fields: made, size: Math.ceil(size / 8) * 8, align: 8 });
    return record;
  }
}

function common(): Field {
  return { name: "__do_not_use__", type: UNSIGNED_LONG_LONG, bitOffset: 0, bitWidth: undefined, index: 0 };
}
