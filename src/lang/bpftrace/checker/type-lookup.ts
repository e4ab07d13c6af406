/** Types by the names by which a script writes them. */
import { nearestNames, type Span } from "../../../base/index.ts";
import type { TypeExpression } from "../ast.ts";
import { BtfTypes } from "../btf-types.ts";
import { CDefinitions } from "../c-struct.ts";
import type { CDefinition } from "../ast.ts";
import type { TraceEnvironment } from "../environment.ts";
import { AGGREGATION_TYPE_NAMES, TYPE_NAMES } from "../table/type-names.ts";
import type { AddressSpace, Type } from "../types.ts";
import { didYouMean, type Reporter } from "./reporter.ts";

/** Looks up types of the script and of the kernel. */
export class TypeLookup {
  readonly definitions: CDefinitions;
  private readonly env: TraceEnvironment;
  private readonly maxStrlen: number;
  private kernelTypes: BtfTypes | null | undefined;

  constructor(preamble: readonly CDefinition[], env: TraceEnvironment, maxStrlen: number, reporter: Reporter) {
    this.maxStrlen = maxStrlen;
    this.env = env;
    this.definitions = new CDefinitions(
      preamble,
      {
        named: (keyword, name, space) => this.btf?.named(keyword, name, space),
        typedef: (name, space) => this.btf?.typedef(name, space),
      },
      (d) => reporter.error(d.span, d.message, d.hint),
    );
  }

  /** Types of the kernel; null when it tells none. Read when first asked for: most scripts name no type. */
  get btf(): BtfTypes | null {
    if (this.kernelTypes === undefined) {
      const { btf } = this.env;
      this.kernelTypes = btf ? new BtfTypes(btf, this.maxStrlen) : null;
    }
    return this.kernelTypes;
  }

  /** A struct, union or enum of the script, else of the kernel. */
  named(keyword: "struct" | "union" | "enum", name: string, space: AddressSpace): Type | undefined {
    return this.definitions.named(keyword, name, space);
  }

  /** A type name without keyword: of the language, of the script, of the kernel; or a struct's name alone. */
  byName(name: string, space: AddressSpace): Type | undefined {
    return (
      this.definitions.typedef(name, space) ?? this.named("struct", name, space) ?? this.named("union", name, space)
    );
  }

  /**
   * The type that a script wrote. `space` is where its pointers point. Reports and returns undefined when there is none.
   * `typeOf` gives the type of a `typeof(expression)`.
   */
  resolve(
    written: TypeExpression,
    space: AddressSpace,
    reporter: Reporter,
    typeOf: (e: TypeExpression & { kind: "typeof" }) => Type | undefined,
  ): Type | undefined {
    switch (written.kind) {
      case "pointer": {
        const to = this.resolve(written.to, space, reporter, typeOf);
        return to && { kind: "pointer", to, space };
      }
      case "array": {
        const of = this.resolve(written.of, space, reporter, typeOf);
        if (written.length > 1n << 24n) {
          reporter.error(written.span, `an array of ${written.length} elements is too large`);
          return undefined;
        }
        return of && { kind: "array", of, length: Number(written.length) };
      }
      case "typeof":
        return typeOf(written);
      case "name":
        return this.resolveName(written, space, reporter);
    }
  }

  private resolveName(
    written: TypeExpression & { kind: "name" },
    space: AddressSpace,
    reporter: Reporter,
  ): Type | undefined {
    const { name, keyword, size, span } = written;
    if (keyword) {
      const type = this.named(keyword, name, space);
      if (!type) {
        const what = keyword === "enum" ? "enum" : "struct/union";
        reporter.error(span, `Unknown ${what}: '${keyword} ${name}'`, this.structHint(keyword, name));
      }
      return type;
    }
    if (AGGREGATION_TYPE_NAMES.has(name)) {
      reporter.error(span, `Invalid type: ${name}`, "only maps hold aggregations: @x = count();");
      return undefined;
    }
    if (name === "string" || name === "buffer") {
      const limit = size ?? BigInt(this.maxStrlen);
      if (limit < 1n || limit > 65536n) {
        reporter.error(span, `${name}[${limit}]: the size must be between 1 and 65536`);
        return undefined;
      }
      return { kind: name, size: Number(limit) };
    }
    const type = this.byName(name, space);
    if (!type) {
      const near = nearestNames(name, [...TYPE_NAMES.keys(), ...this.definitions.structNames()]);
      reporter.error(span, `Cannot resolve unknown type "${name}"`, didYouMean(near, this.missingBtf()));
    }
    return type;
  }

  private missingBtf(): string | undefined {
    if (this.btf) return undefined;
    return "this kernel offers no BTF (/sys/kernel/btf/vmlinux): define the type at the top of the script";
  }

  private structHint(keyword: string, name: string): string | undefined {
    const other = keyword === "struct" ? "union" : "struct";
    if (keyword !== "enum" && this.named(other, name, "none")) return `did you mean ${other} ${name}?`;
    if (this.definitions.typedef(name, "none")) return `did you mean ${name}, without ${keyword}?`;
    return didYouMean(nearestNames(name, this.definitions.structNames()), this.missingBtf());
  }

  /** Reports that a type has no such field. */
  missingField(type: Type & { kind: "struct" }, name: string, span: Span, reporter: Reporter): void {
    const fields = type.layout.fields().map((f) => f.name);
    const shown = fields.length > 0 && fields.length <= 12 ? `fields are ${fields.join(", ")}` : undefined;
    reporter.error(
      span,
      `Struct/union of type '${type.keyword} ${type.name}' does not contain a field named '${name}'`,
      didYouMean(nearestNames(name, fields), shown),
    );
  }
}
