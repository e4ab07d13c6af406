/** `struct`, `union` and `enum` (C11 6.7.2.1, 6.7.2.2). */
import { constantInteger } from "../constant.ts";
import type { Name } from "../names.ts";
import type { SkippedBody } from "../preprocessor/preprocessor.ts";
import type { SkippedDefinition } from "../preprocessor/skip-body.ts";
import { type Token, TokenKind } from "../preprocessor/token.ts";
import { integerShape, isComplete, isInteger } from "../types/compatible.ts";
import { type MemberDeclaration, type RecordAttributes, layOut } from "../types/layout.ts";
import {
  type CType,
  type EnumConstant,
  EnumType,
  INT,
  type IntegerType,
  LONG,
  RecordType,
  UNSIGNED_INT,
  UNSIGNED_LONG,
  shapeOf,
  typeText,
} from "../types/types.ts";
import { type GatheredAttributes, parseAttributes } from "./attributes.ts";
import { type ParserContext, type Surroundings, elsewhere, errorAt, nested, surroundings } from "./context.ts";

/** Structs within structs take more room on the way down than other things. */
const RECORD_WEIGHT = 5;

/** Members of one struct. */
const MOST_MEMBERS = 100_000;

/** Parses tagged types. */
export class TagParser {
  private readonly context: ParserContext;
  /** Records that the body being read has defined. */
  private inside: RecordType[] = [];
  private readonly innerOf = new WeakMap<RecordType, readonly RecordType[]>();

  constructor(context: ParserContext) {
    this.context = context;
  }

  /** A struct or union; its word comes next. Attributes around it that are about variables go to `outer`. */
  record(outer: GatheredAttributes): RecordType {
    const { context } = this;
    const { tokens, scopes } = context;
    const union = tokens.next().text === "union";
    const attributes: GatheredAttributes = {};
    parseAttributes(context, attributes);
    const tag = tokens.peek().kind === TokenKind.IDENTIFIER ? tokens.next() : undefined;
    const keyword = union ? "union" : "struct";
    if (!tokens.at("{")) {
      if (tag === undefined) {
        errorAt(context, tokens.peek(), `${keyword} needs a tag or members`);
        return new RecordType(union, undefined);
      }
      // `struct tag;` alone declares a type of this block.
      const own = tokens.at(";") && !scopes.atFile ? scopes.ownTag(tag.name!) : scopes.findTag(tag.name!, keyword);
      if (own !== undefined) return this.ofKind(own, union, tag);
      const declared = new RecordType(union, tag.text);
      scopes.declareTag(tag.name!, declared);
      return declared;
    }
    let record: RecordType | undefined;
    if (tag !== undefined) {
      const own = scopes.ownTag(tag.name!);
      // The kernel's may be defined anew by the program.
      if (own !== undefined && !scopes.isOuter(own)) {
        record = this.ofKind(own, union, tag);
        if (record.contents !== undefined) {
          errorAt(context, tag, `${keyword} ${tag.text} is defined already`);
          record = new RecordType(union, tag.text);
        }
      }
    }
    record ??= new RecordType(union, tag?.text);
    if (tag !== undefined) scopes.declareTag(tag.name!, record);
    const skipped = tokens.skipBody();
    const members = skipped === undefined ? nested(context, () => this.members(record), RECORD_WEIGHT) : [];
    parseAttributes(context, attributes);
    for (const pushed of context.pushedAttributes) if (pushed.records) Object.assign(attributes, pushed.attributes);
    this.inside.push(record);
    if (attributes.preserveAccessIndex === true) this.preserve(record);
    if (attributes.declTags !== undefined) record.declTags = attributes.declTags;
    const layout = {
      ...(attributes.packed === true ? { packed: true } : {}),
      ...(attributes.align === undefined ? {} : { align: attributes.align }),
      ...(context.packing === undefined ? {} : { mostAlign: context.packing }),
    };
    if (skipped === undefined) record.define(layOut(union, members, layout));
    else this.deferRecord(record, skipped, layout);
    // What stands behind the brace and is about no type is about the variables that follow.
    for (const key of ["section", "used", "weak"] as const) {
      if (attributes[key] !== undefined) Object.assign(outer, { [key]: attributes[key] });
    }
    return record;
  }

  /** Passes over a definition at the file's level, to be read when it is first looked into. False when it must be read now. */
  passOver(definition: SkippedDefinition & Omit<SkippedBody, "offset">): boolean {
    const { context } = this;
    const { tokens, scopes } = context;
    const { name, kind, file, offset } = definition;
    const own = name === undefined ? undefined : scopes.ownTag(name);
    const isOwn = own !== undefined && !scopes.isOuter(own);
    const preserve = context.pushedAttributes.some(
      ({ records, attributes }) => records && attributes.preserveAccessIndex === true,
    );
    if (kind === "enum") {
      if (isOwn) return false;
      const type = new EnumType(name?.text);
      type.preserveAccessIndex = preserve;
      if (name !== undefined) scopes.declareTag(name, type);
      tokens.passOver(definition);
      this.deferEnum(type, { file, offset: offset!, names: definition.constants }, undefined, false);
      return true;
    }
    const union = kind === "union";
    if (name === undefined || (isOwn && !(own.kind === "record" && own.union === union))) return false;
    if (offset === undefined) {
      if (scopes.findTag(name, union ? "union" : "struct") === undefined)
        scopes.declareTag(name, new RecordType(union, name.text));
      tokens.passOver(definition);
      return true;
    }
    let record = new RecordType(union, name.text);
    if (isOwn && own.kind === "record") {
      if (own.isDefined) return false;
      record = own;
    }
    scopes.declareTag(name, record);
    record.preserveAccessIndex = preserve;
    tokens.passOver(definition);
    const { packing } = context;
    this.deferRecord(record, { file, offset }, packing === undefined ? {} : { mostAlign: packing });
    return true;
  }

  private deferRecord(record: RecordType, body: SkippedBody, layout: RecordAttributes): void {
    const place = surroundings(this.context);
    record.defer(() => layOut(record.union, this.skippedMembers(record, body, place), layout));
  }

  private deferEnum(
    type: EnumType,
    skipped: SkippedBody & { readonly names: readonly Name[] },
    fixed: IntegerType | undefined,
    packed: boolean,
  ): void {
    const { context } = this;
    const { scopes } = context;
    const place = surroundings(context);
    type.defer(() => {
      for (const name of skipped.names) scopes.undefer(name);
      elsewhere(context, skipped, place, () =>
        this.defineEnum(type, this.constants(context.tokens.peek()), fixed, packed),
      );
    });
    scopes.defer(skipped.names, () => void type.contents);
  }

  private ofKind(found: RecordType | EnumType, union: boolean, tag: Token): RecordType {
    if (found.kind === "record" && found.union === union) return found;
    errorAt(this.context, tag, `${typeText(found)} is no ${union ? "union" : "struct"}`);
    return new RecordType(union, tag.text);
  }

  /** Members of a body that was passed over, read as if where it stands. */
  private skippedMembers(record: RecordType, body: SkippedBody, place: Surroundings): MemberDeclaration[] {
    const { context } = this;
    const members = elsewhere(context, body, place, () => this.members(record, context.tokens.peek()));
    if (record.preserveAccessIndex) this.preserve(record);
    return members;
  }

  /** The attribute is also that of all records that are defined inside, as clang has it (`handleBPFPreserveAIRecord`). */
  private preserve(record: RecordType): void {
    record.preserveAccessIndex = true;
    for (const inner of this.innerOf.get(record) ?? []) this.preserve(inner);
  }

  private members(record: RecordType, open: Token = this.context.tokens.next()): MemberDeclaration[] {
    const around = this.inside;
    this.inside = [];
    const members = this.memberList(record, open);
    this.innerOf.set(record, this.inside);
    this.inside = around;
    return members;
  }

  private memberList(record: RecordType, open: Token): MemberDeclaration[] {
    const { context } = this;
    const { tokens } = context;
    const members: MemberDeclaration[] = [];
    const names = new Set<string>();
    while (tokens.accept("}") === undefined) {
      if (tokens.atEnd) {
        errorAt(context, open, `the members of ${typeText(record)} have no closing brace`);
        break;
      }
      if (members.length > MOST_MEMBERS) context.diagnostics.fatal(open.location, `more than ${MOST_MEMBERS} members`);
      if (tokens.accept(";") !== undefined) continue;
      if (tokens.at("_Static_assert") || tokens.at("static_assert")) {
        context.statements.staticAssert();
        continue;
      }
      this.memberDeclaration(record, members, names);
    }
    return members;
  }

  private memberDeclaration(record: RecordType, members: MemberDeclaration[], names: Set<string>): void {
    const { context } = this;
    const { tokens, declarations, diagnostics } = context;
    const before = tokens.peek();
    const specifiers = declarations.specifiers();
    const base = specifiers.type ?? INT;
    if (specifiers.storage !== undefined) errorAt(context, before, `a member cannot be ${specifiers.storage}`);
    if (tokens.at(";")) {
      tokens.next();
      const shape = shapeOf(base);
      // Without a name only structs and unions are members; a mere declaration of a type is none.
      if (shape.kind === "record" && (shape.tag === undefined || shape.contents !== undefined))
        members.push({ name: undefined, type: base, ...memberAttributes(specifiers.attributes) });
      return;
    }
    do {
      if (tokens.at(":")) {
        tokens.next();
        const width = this.bitWidth(base, undefined);
        members.push({ name: undefined, type: base, bitWidth: width });
        continue;
      }
      const declarator = declarations.declarator(base, specifiers.attributes);
      const { name, location } = declarator;
      let { type } = declarator;
      if (name === undefined) {
        errorAt(context, tokens.peek(), "a member needs a name");
        tokens.recover();
        return;
      }
      if (names.has(name.text)) errorAt(context, name, `${typeText(record)} has two members ${name.text}`);
      names.add(name.text);
      const shape = shapeOf(type);
      if (shape.kind === "function" || (!isComplete(type) && !(shape.kind === "array" && isComplete(shape.of)))) {
        diagnostics.error(location, `member ${name.text} has the type ${typeText(type)}, which has no size`);
        type = INT;
      }
      const bitWidth = tokens.accept(":") === undefined ? undefined : this.bitWidth(type, name);
      const attributes: GatheredAttributes = { ...declarator.attributes };
      parseAttributes(context, attributes);
      members.push({
        name: name.text,
        type,
        ...(bitWidth === undefined ? {} : { bitWidth }),
        ...memberAttributes(attributes),
      });
    } while (tokens.accept(",") !== undefined);
    if (tokens.expect(";", "behind the member") === undefined) tokens.recover();
  }

  private bitWidth(type: CType, name: Token | undefined): number {
    const { context } = this;
    const expr = context.expressions.conditional();
    const value = constantInteger(expr);
    const fail = (what: string): number => {
      context.diagnostics.error(name?.location ?? expr.location, what, { length: name?.text.length ?? 1 });
      return 1;
    };
    if (!isInteger(type)) return fail(`a bitfield cannot be of type ${typeText(type)}`);
    const room = shapeOf(type).kind === "bool" ? 1 : integerShape(type).bits;
    if (value === undefined) return fail("a bitfield's width is a constant");
    if (value < 0n || value > BigInt(room)) return fail(`a bitfield of ${typeText(type)} cannot have ${value} bits`);
    if (value === 0n && name !== undefined) return fail(`bitfield ${name.text} has no bits`);
    return Number(value);
  }

  /** An enum; its word comes next. */
  enumeration(): EnumType {
    const { context } = this;
    const { tokens, scopes } = context;
    tokens.next();
    const attributes: GatheredAttributes = {};
    parseAttributes(context, attributes);
    const tag = tokens.peek().kind === TokenKind.IDENTIFIER ? tokens.next() : undefined;
    let fixed: IntegerType | undefined;
    if (tokens.at(":")) {
      tokens.next();
      const { type } = context.declarations.specifiers();
      fixed = type !== undefined && isInteger(type) ? integerShape(type) : undefined;
    }
    if (!tokens.at("{")) {
      if (tag === undefined) {
        errorAt(context, tokens.peek(), "enum needs a tag or constants");
        return new EnumType(undefined);
      }
      const found = scopes.findTag(tag.name!, "enum");
      if (found?.kind === "enum") return found;
      if (found !== undefined) errorAt(context, tag, `${typeText(found)} is no enum`);
      const declared = new EnumType(tag.text);
      scopes.declareTag(tag.name!, declared);
      return declared;
    }
    const own = tag === undefined ? undefined : scopes.ownTag(tag.name!);
    let type = own?.kind === "enum" && !scopes.isOuter(own) ? own : new EnumType(tag?.text);
    if (type.contents !== undefined) {
      errorAt(context, tag!, `enum ${tag!.text} is defined already`);
      type = new EnumType(tag!.text);
    }
    if (tag !== undefined) scopes.declareTag(tag.name!, type);
    const skipped = tokens.skipEnum();
    if (skipped === undefined) {
      const read = this.constants(tokens.next());
      this.finishAttributes(type, attributes);
      this.defineEnum(type, read, fixed, attributes.packed === true);
      return type;
    }
    this.finishAttributes(type, attributes);
    this.deferEnum(type, skipped, fixed, attributes.packed === true);
    return type;
  }

  private finishAttributes(type: EnumType, attributes: GatheredAttributes): void {
    const { context } = this;
    parseAttributes(context, attributes);
    for (const pushed of context.pushedAttributes) if (pushed.records) Object.assign(attributes, pushed.attributes);
    if (attributes.preserveAccessIndex === true) type.preserveAccessIndex = true;
  }

  /** Reads constants up to the closing brace. */
  private constants(open: Token): readonly DeclaredConstant[] {
    const { context } = this;
    const { tokens, scopes } = context;
    const constants: DeclaredConstant[] = [];
    let next = 0n;
    while (tokens.accept("}") === undefined) {
      const name = tokens.next();
      if (name.kind !== TokenKind.IDENTIFIER) {
        errorAt(
          context,
          name.kind === TokenKind.END ? open : name,
          "an enum needs names of constants and a closing brace",
        );
        tokens.recover();
        break;
      }
      parseAttributes(context, {});
      if (tokens.accept("=") !== undefined) {
        const expr = context.expressions.conditional();
        const value = constantInteger(expr);
        if (value === undefined) context.diagnostics.error(expr.location, `the value of ${name.text} is not constant`);
        else next = value;
      }
      if (scopes.own(name.name!) !== undefined && scopes.own(name.name!)?.location !== 0)
        errorAt(context, name, `${name.text} is declared already`);
      constants.push({ token: name, name: name.text, value: next });
      // Until the enum is whole its constants are as wide as they need.
      const own: IntegerType =
        next >= -(1n << 31n) && next < 1n << 31n ? INT : next < 0n || next < 1n << 63n ? LONG : UNSIGNED_LONG;
      scopes.declare(name.name!, { kind: "constant", value: next, type: own, location: name.location });
      next++;
      if (tokens.accept(",") === undefined && !tokens.at("}")) {
        tokens.expect("}", "behind the constants");
        break;
      }
    }
    return constants;
  }

  private defineEnum(
    type: EnumType,
    constants: readonly DeclaredConstant[],
    fixed: IntegerType | undefined,
    packed: boolean,
  ): void {
    const { scopes } = this.context;
    const least = constants.reduce((min, { value }) => (value < min ? value : min), 0n);
    const most = constants.reduce((max, { value }) => (value > max ? value : max), 0n);
    const underlying = fixed ?? enumType(least, most, packed);
    type.define({ constants: constants.map(({ name, value }) => ({ name, value })), underlying });
    // Constants that fit are ints (C11 6.7.2.2p3); of wide enums all have the enum's type.
    const wide = least < -(1n << 31n) || most >= 1n << 31n;
    for (const { token, value } of constants) {
      scopes.declare(token.name!, {
        kind: "constant",
        value,
        type: wide || fixed ? type : INT,
        location: token.location,
      });
    }
  }
}

interface DeclaredConstant extends EnumConstant {
  readonly token: Token;
}

function enumType(least: bigint, most: bigint, packed: boolean): IntegerType {
  if (packed) {
    for (const bits of [8, 16] as const) {
      const edge = 1n << BigInt(bits - 1);
      const signed = least < 0n;
      if (signed ? least >= -edge && most < edge : most < edge * 2n) return small(bits, signed);
    }
  }
  if (least < 0n) return least >= -(1n << 31n) && most < 1n << 31n ? INT : LONG;
  return most < 1n << 32n ? UNSIGNED_INT : UNSIGNED_LONG;
}

function small(bits: 8 | 16, signed: boolean): IntegerType {
  const name = bits === 8 ? "char" : "short";
  return {
    kind: "integer",
    name: `${signed ? (bits === 8 ? "signed " : "") : "unsigned "}${name}`,
    bits,
    signed,
    rank: bits / 8,
  };
}

function memberAttributes(attributes: GatheredAttributes): Pick<MemberDeclaration, "align" | "packed"> {
  return {
    ...(attributes.align === undefined ? {} : { align: attributes.align }),
    ...(attributes.packed === true ? { packed: true } : {}),
  };
}
