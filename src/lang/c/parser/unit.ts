/** Translation units: declarations and definitions of functions and variables (C11 6.9). */
import type { Attributes, FunctionDecl, TranslationUnit, VariableDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import type { NameTable } from "../names.ts";
import type { Preprocessor } from "../preprocessor/preprocessor.ts";
import { type Token, TokenKind } from "../preprocessor/token.ts";
import { compatible, composite } from "../types/compatible.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, type FunctionType, INT, qualified, qualifiersOf, shapeOf, typeText } from "../types/types.ts";
import { type GatheredAttributes, mergeAttributes } from "./attributes.ts";
import { type ParserContext, elsewhere, errorAt, surroundings } from "./context.ts";
import { type Declarator, DeclarationParser, type Specifiers, keywordOf } from "./declarations.ts";
import { rvalue } from "./conversions.ts";
import { ExpressionParser } from "./expressions.ts";
import { InitializerParser } from "./initializers.ts";
import { type Declared, type OuterDeclarations, Scopes } from "./scope.ts";
import { StatementParser } from "./statements.ts";
import { TokenStream } from "./token-stream.ts";

/** Parses the tokens of a preprocessor to a checked program. Errors are among the diagnostics; what was read is returned all the same. */
export function parseUnit(
  preprocessor: Preprocessor,
  diagnostics: Diagnostics,
  names: NameTable,
  outer?: OuterDeclarations,
): TranslationUnit {
  return new UnitParser(preprocessor, diagnostics, names, outer).parse();
}

/** The parser of one file. */
export class UnitParser {
  private readonly context: ParserContext;
  private readonly functions: FunctionDecl[] = [];
  private readonly variables: VariableDecl[] = [];
  private readonly pragmas: { text: string; location: number }[] = [];
  private readonly fileAsm: { text: string; location: number }[] = [];
  /** `#pragma pack(push)`. */
  private readonly packings: (number | undefined)[] = [];

  constructor(
    preprocessor: Preprocessor,
    diagnostics: Diagnostics,
    names: NameTable,
    outer: OuterDeclarations | undefined,
  ) {
    // The parts know each other through the context, which is whole before any of them runs.
    const context = {
      tokens: new TokenStream(preprocessor, diagnostics, (token) => this.pragma(token)),
      scopes: new Scopes(outer),
      names,
      diagnostics,
      currentFunction: undefined,
      packing: undefined,
      pushedAttributes: [],
      unroll: false,
      depth: 0,
      nextAnonymous: 0,
    } as unknown as { -readonly [Key in keyof ParserContext]: ParserContext[Key] };
    context.declarations = new DeclarationParser(context);
    context.expressions = new ExpressionParser(context);
    context.initializers = new InitializerParser(context);
    context.statements = new StatementParser(context, this);
    this.context = context;
  }

  parse(): TranslationUnit {
    const { tokens, diagnostics } = this.context;
    for (;;) {
      while (this.passOver());
      if (tokens.atEnd) break;
      const before = tokens.peek();
      const { taken } = tokens;
      this.externalDeclaration();
      // Whatever happens, something is read.
      if (tokens.taken === taken) {
        diagnostics.error(before.location, `${before.text} is unexpected here`, {
          length: Math.max(1, before.text.length),
        });
        tokens.next();
      }
    }
    for (const variable of this.variables) this.complete(variable);
    return { functions: this.functions, variables: this.variables, pragmas: this.pragmas, fileAsm: this.fileAsm };
  }

  /** Passes over a definition of a large header, to be read when it is needed. False when there is none, or it must be read now. */
  private passOver(): boolean {
    const { context } = this;
    const { tokens, scopes, declarations } = context;
    const definition = tokens.definitionAhead();
    if (definition === undefined) return false;
    const { kind, name, file, offset } = definition;
    if (kind !== "typedef") return declarations.passOver(definition);
    if (name === undefined || offset === undefined || scopes.own(name) !== undefined) return false;
    tokens.passOver(definition);
    const place = surroundings(context);
    scopes.defer([name], () => {
      scopes.undefer(name);
      elsewhere(context, { file, offset }, place, () => this.externalDeclaration());
    });
    return true;
  }

  /** Parses, and gives what the file declares instead of what it defines. */
  declarations(): Declared {
    this.parse();
    return this.context.scopes.file();
  }

  /** Tentative definitions of arrays without a size have one element. */
  private complete(variable: VariableDecl): void {
    const shape = shapeOf(variable.type);
    if (variable.storage === "extern") return;
    if (shape.kind === "array" && shape.count === undefined)
      variable.type = qualified({ ...shape, count: 1 }, qualifiersOf(variable.type));
    else if (sizeOf(variable.type) === undefined)
      this.context.diagnostics.error(
        variable.location,
        `${variable.name} has the type ${typeText(variable.type)}, which is not defined`,
      );
  }

  private pragma(token: Token): void {
    const { context } = this;
    const { text } = token;
    const pack = /^pack\s*\(\s*(?:(push|pop)\s*(?:,\s*(?:\w+\s*,\s*)?)?)?(\d+)?\s*\)$/.exec(text);
    if (pack !== null) {
      if (pack[1] === "pop") context.packing = this.packings.pop();
      else {
        if (pack[1] === "push") this.packings.push(context.packing);
        if (pack[2] !== undefined) context.packing = Number(pack[2]) || undefined;
        else if (pack[1] === undefined) context.packing = undefined;
      }
    } else if (/^(?:unroll\b|GCC\s+unroll\b|clang\s+loop\s+unroll(?:_count)?\s*\((?!\s*disable))/.test(text))
      context.unroll = true;
    else if (/^clang\s+attribute\s+push\b/.test(text)) {
      const attributes: Attributes = /preserve_access_index/.test(text) ? { preserveAccessIndex: true } : {};
      context.pushedAttributes.push({ attributes, records: /apply_to\s*=\s*(?:record|any\(record)/.test(text) });
    } else if (/^(?:GCC|clang)\s+diagnostic\b/.test(text)) {
      const words = /diagnostic\s+(\w+)(?:\s+"-W([^"]*)")?/.exec(text);
      if (words !== null) context.diagnostics.pragma(words[1]!, words[2]);
    } else if (/^clang\s+attribute\s+pop\b/.test(text)) context.pushedAttributes.pop();
    else if (/^skep\s+kernel_types\b/.test(text)) context.scopes.recordKernelAccesses();
    else this.pragmas.push({ text, location: token.location });
  }

  private externalDeclaration(): void {
    const { context } = this;
    const { tokens, statements } = context;
    if (tokens.accept(";") !== undefined) return;
    if (tokens.at("}")) {
      errorAt(context, tokens.next(), "} closes nothing");
      return;
    }
    const word = keywordOf(tokens.peek());
    if (word === "_Static_assert") statements.staticAssert();
    else if (word === "asm") {
      const made = statements.asm(tokens.next());
      this.fileAsm.push({ text: made.template, location: made.location });
      tokens.accept(";");
    } else this.declaration(true);
  }

  /** A declaration within a function. Gives the variables that it makes there. */
  localDeclaration(): VariableDecl[] {
    return this.declaration(false);
  }

  private declaration(atFile: boolean): VariableDecl[] {
    const { context } = this;
    const { tokens, declarations } = context;
    const made: VariableDecl[] = [];
    const specifiers = declarations.specifiers();
    // A type alone.
    if (tokens.accept(";") !== undefined) return made;
    for (let first = true; ; first = false) {
      const declarator = declarations.declarator(specifiers.type ?? INT, specifiers.attributes);
      if (declarator.name === undefined) {
        const token = tokens.peek();
        errorAt(
          context,
          token,
          token.kind === TokenKind.END
            ? "a name is missing at the end of the file"
            : `a name is missing before ${token.text}`,
        );
        tokens.recover();
        return made;
      }
      const { name } = declarator;
      if (specifiers.storage === "typedef") this.declareTypedef(name, declarator);
      else if (declarator.type.kind === "function") {
        const func = this.declareFunction(name, declarator, specifiers);
        if (first && tokens.at("{")) {
          if (!atFile)
            errorAt(context, tokens.peek(), "a function within a function cannot be", {
              hint: "define it as a static function of the file, and pass what it needs",
            });
          this.define(func, declarator);
          return made;
        }
      } else {
        const variable = this.declareVariable(name, declarator, specifiers, atFile);
        if (variable !== undefined) made.push(variable);
      }
      if (tokens.accept(",") === undefined) break;
    }
    if (tokens.expect(";", "behind the declaration") === undefined) tokens.recover();
    return made;
  }

  private declareTypedef(name: Token, declarator: Declarator): void {
    const { context } = this;
    const { scopes } = context;
    const { align } = declarator.attributes;
    const type: CType = {
      kind: "typedef",
      name: name.text,
      to: declarator.type,
      ...(align === undefined ? {} : { align }),
    };
    const before = scopes.own(name.name!);
    if (before !== undefined && before.location > 0) {
      if (before.kind === "typedef" && compatible(before.type, type)) return;
      this.conflict(name, before.location);
    }
    scopes.declare(name.name!, { kind: "typedef", type, location: name.location });
  }

  private conflict(name: Token, before: number): void {
    const notes = before > 0 ? [{ location: before, message: "it was declared here" }] : [];
    errorAt(this.context, name, `${name.text} is declared already, as something else`, { notes });
  }

  private declareFunction(name: Token, declarator: Declarator, specifiers: Specifiers): FunctionDecl {
    const { context } = this;
    const { scopes } = context;
    const type = declarator.type as FunctionType;
    const before = scopes.atFile ? scopes.own(name.name!) : scopes.inFile(name.name!);
    if (before?.kind === "function" && before.location > 0) {
      if (!compatible(before.type, type)) this.conflict(name, before.location);
      before.type = composite(before.type, type) as FunctionType;
      before.attributes = mergeAttributes(before.attributes, declarator.attributes);
      if (specifiers.storage === "static") before.storage = "static";
      return before;
    }
    if (before !== undefined && before.location > 0) this.conflict(name, before.location);
    const func: FunctionDecl = {
      kind: "function",
      name: name.text,
      type,
      storage: specifiers.storage === "static" ? "static" : "extern",
      inline: specifiers.inline,
      location: name.location,
      attributes: declarator.attributes,
      params: [],
      body: undefined,
      used: false,
    };
    this.functions.push(func);
    if (scopes.atFile) scopes.declare(name.name!, func);
    else {
      scopes.declare(name.name!, func);
      scopes.declareInFile(name.name!, func);
    }
    return func;
  }

  private define(func: FunctionDecl, declarator: Declarator): void {
    const { context } = this;
    const { scopes, statements } = context;
    const name = declarator.name!;
    if (func.body !== undefined)
      errorAt(context, name, `${name.text} is defined already`, {
        notes: [{ location: func.body.location, message: "it is defined here" }],
      });
    func.type = declarator.type as FunctionType;
    // A function that is inlined may ignore what it is given beyond its parameters: checkers of formats do.
    if (func.type.variadic && func.storage !== "static")
      errorAt(context, name, `${name.text} takes any number of arguments: a function of eBPF takes up to five`, {
        hint: "pass an array and its size, or make it a macro",
      });
    const result = shapeOf(func.type.result);
    if (result.kind === "record" && result.contents === undefined)
      errorAt(context, name, `${typeText(result)} is not defined`);
    scopes.enter();
    func.params = (declarator.params ?? []).map((param): VariableDecl => {
      const variable: VariableDecl = {
        kind: "variable",
        name: param.name?.text ?? "",
        type: param.type,
        storage: "parameter",
        location: param.location,
        attributes: param.attributes,
        initializer: undefined,
        addressTaken: false,
        used: false,
      };
      if (param.name !== undefined) {
        if (scopes.own(param.name.name!) !== undefined)
          errorAt(context, param.name, `two parameters are named ${param.name.text}`);
        scopes.declare(param.name.name!, variable);
      }
      if (sizeOf(param.type) === undefined)
        context.diagnostics.error(
          param.location,
          `a parameter has the type ${typeText(param.type)}, which is not defined`,
        );
      return variable;
    });
    func.body = statements.body(func);
    scopes.leave();
  }

  private declareVariable(
    name: Token,
    declarator: Declarator,
    specifiers: Specifiers,
    atFile: boolean,
  ): VariableDecl | undefined {
    const { context } = this;
    const { scopes, tokens, diagnostics } = context;
    const before = scopes.own(name.name!);
    const isExtern = specifiers.storage === "extern";
    let type: CType = declarator.type;
    const attributes: GatheredAttributes = { ...declarator.attributes };
    // The kernel's symbols may have no type at all.
    if (shapeOf(type).kind === "void" && !isExtern) {
      errorAt(context, name, `${name.text} cannot be of type void`);
      type = INT;
    }
    const storage = isExtern ? "extern" : specifiers.storage === "static" ? "static" : atFile ? "global" : "local";
    let variable: VariableDecl;
    if (before?.kind === "variable" && before.location > 0 && (atFile || (isExtern && before.storage === "extern"))) {
      variable = before;
      if (!compatible(before.type, type)) this.conflict(name, before.location);
      before.type = composite(before.type, type);
      before.attributes = mergeAttributes(before.attributes, attributes);
      if (!isExtern && before.storage === "extern") (before as { storage: VariableDecl["storage"] }).storage = storage;
    } else {
      if (before !== undefined && before.location > 0) this.conflict(name, before.location);
      const { location } = name;
      variable = {
        kind: "variable",
        name: name.text,
        type,
        storage,
        location,
        attributes,
        initializer: undefined,
        addressTaken: false,
        used: false,
        ...(storage === "static" && !atFile ? { within: context.currentFunction?.name ?? "" } : {}),
      };
      scopes.declare(name.name!, variable);
      // Of a block's static and extern variables the file holds the memory.
      if (atFile || storage !== "local") this.variables.push(variable);
    }
    if (tokens.accept("=") !== undefined) {
      if (variable.initializer !== undefined) errorAt(context, name, `${name.text} has two initialisers`);
      if (specifiers.type === undefined) {
        const value = rvalue(context.expressions.assignment());
        variable.type = value.type;
        variable.initializer = { kind: "value", value };
      } else context.initializers.initialize(variable);
      if (isExtern && atFile) (variable as { storage: VariableDecl["storage"] }).storage = "global";
    } else if (specifiers.type === undefined) errorAt(context, name, `${name.text}: __auto_type needs an initialiser`);
    if (!atFile && storage === "local" && sizeOf(variable.type) === undefined)
      diagnostics.error(name.location, `${name.text} has the type ${typeText(variable.type)}, which has no size`, {
        length: name.text.length,
      });
    return storage === "local" ? variable : undefined;
  }
}
