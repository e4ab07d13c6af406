/** Names, and the functions that they are of. */
import { operators, shortExpansions, shorts, specials } from "./tables.ts";
import {
  type Context,
  type NameState,
  type Node,
  NotMangled,
  bracketed,
  constant,
  emptyState,
  join,
  lastNames,
  lastPart,
  packs,
  piece,
} from "./text.ts";
import { TypeParser } from "./types.ts";

/** Reads names: all that there is to read. */
export class NameParser extends TypeParser {
  protected override encoding(hasResult: boolean, state: NameState = emptyState()): Node {
    return this.enter(() => {
      const special = this.special();
      if (special !== undefined) return special;
      this.templateArguments = undefined;
      const name = this.name(state);
      const next = this.peek();
      if (next === "" || next === "E" || next === ".") return name;
      const result = state.isTemplate && !state.hasNoResult ? this.type() : undefined;
      const parameters = this.parameters();
      const { qualifiers } = state;
      const items = this.templateArguments;
      return (given) => {
        const context = items === undefined ? given : { ...given, scope: { items, outer: given.scope } };
        const call = `${join(name(given))}(${parameters(context)})${qualifiers}`;
        if (result === undefined || !hasResult) return piece(call);
        const { left, right } = result(context);
        return piece(`${left}${right === "" ? " " : ""}${call}${right}`);
      };
    });
  }

  protected override parameters(): (context: Context) => string {
    const nodes: Node[] = [];
    while (!["", "E", ".", "Q"].includes(this.peek())) {
      if ((this.peek() === "R" || this.peek() === "O") && this.peek(1) === "E") break;
      nodes.push(this.type());
    }
    if (nodes.length === 0) throw new NotMangled();
    return (context) => {
      const shown = nodes.map((node) => join(node(context))).filter((text) => text !== "");
      return shown.length === 1 && shown[0] === "void" ? "" : shown.join(", ");
    };
  }

  private special(): Node | undefined {
    const { at } = this;
    const found = specials.find(([code]) => this.take(code));
    if (found === undefined) return undefined;
    const [code, prefix, kind] = found;
    const of =
      (node: Node): Node =>
      (context) =>
        piece(prefix + join(node(context)));
    switch (kind) {
      case "type":
        return of(this.type());
      case "name":
        return of(this.name());
      case "encoding":
        return of(this.encoding(false));
      case "thunk":
        // h <number> _ or v <number> _ <number> _
        this.at = at + 1;
        if (code === "Tc") {
          this.at = at + 2;
          this.callOffset();
        }
        this.callOffset();
        return of(this.encoding(false));
      case "construction": {
        const derived = this.type();
        this.number();
        this.expect("_");
        const base = this.type();
        return (context) => piece(`${prefix}${join(base(context))}-in-${join(derived(context))}`);
      }
      case "temporary": {
        const name = this.name();
        const index = this.peek() === "_" || this.peek() === "" ? 0 : this.base36() + 1;
        this.take("_");
        return (context) => piece(`reference temporary #${index} for ${join(name(context))}`);
      }
    }
  }

  private callOffset(): void {
    const match = /^(?:hn?\d+_|vn?\d+_n?\d+_)/.exec(this.text.slice(this.at));
    if (match === null) throw new NotMangled();
    this.at += match[0].length;
  }

  private base36(): number {
    const digits = /^[0-9A-Z]+/.exec(this.text.slice(this.at, this.at + 8));
    if (digits === null) throw new NotMangled();
    this.at += digits[0].length;
    return Number.parseInt(digits[0], 36);
  }

  protected override name(state?: NameState): Node {
    return this.enter(() => {
      if (this.peek() === "N") return this.nested(state);
      if (this.peek() === "Z") return this.local(state);
      if (this.peek() === "S" && this.peek(1) !== "t") {
        const found = this.substitution(false);
        if (this.peek() !== "I") return found;
        return this.withArguments(found, state);
      }
      const unscoped = this.unscoped(state);
      if (this.peek() !== "I") return unscoped;
      this.keep(unscoped);
      return this.withArguments(unscoped, state);
    });
  }

  private withArguments(name: Node, state: NameState | undefined): Node {
    const items = this.templateList(state !== undefined);
    if (state !== undefined) state.isTemplate = true;
    return (context) => piece(bracketed(join(name(context)), items(context)));
  }

  private unscoped(state: NameState | undefined): Node {
    const isStd = this.take("St");
    const name = this.unqualified(undefined, state);
    return isStd ? (context) => piece(`std::${join(name(context))}`) : name;
  }

  private local(state: NameState | undefined): Node {
    this.expect("Z");
    const outer = this.templateArguments;
    const scope = this.encoding(false);
    this.expect("E");
    const own = this.templateArguments;
    let name: Node;
    if (this.take("s")) {
      this.discriminator();
      name = constant("string literal");
    } else {
      let prefix = "";
      if (this.take("d")) {
        prefix = `{default arg#${this.peek() === "_" ? 1 : this.number() + 2}}::`;
        this.expect("_");
      }
      const last = this.name(state);
      // Parameters of the function around it may stand in it.
      name = (context) => {
        const inside = own === undefined ? context : { ...context, scope: { items: own, outer: context.scope } };
        return piece(prefix + join(last(inside)));
      };
      this.discriminator();
    }
    // Parameters of the scope end with it, unless this is the function whose parameters follow.
    if (state === undefined) this.templateArguments = outer;
    return (context) => piece(`${join(scope(context))}::${join(name(context))}`);
  }

  private discriminator(): void {
    const match = /^(?:__\d+_|_\d)/.exec(this.text.slice(this.at));
    if (match !== null) this.at += match[0].length;
  }

  private nested(state: NameState | undefined): Node {
    this.expect("N");
    let qualifiers = "";
    for (; "rVK".includes(this.peek()) && this.peek() !== ""; this.at++)
      qualifiers = `${{ r: " __restrict", V: " volatile", K: " const" }[this.peek() as "r"]}${qualifiers}`;
    if (this.take("R")) qualifiers += " &";
    else if (this.take("O")) qualifiers += " &&";
    if (state !== undefined) state.qualifiers = qualifiers;
    let scope: Node | undefined;
    /** Text of the last part, which constructors repeat. */
    let last: Node | undefined;
    const append = (part: Node): Node => {
      const before = scope;
      return before === undefined ? part : (context) => piece(`${join(before(context))}::${join(part(context))}`);
    };
    while (!this.take("E")) {
      const next = this.peek();
      if (next === "S" && this.peek(1) !== "t") {
        scope = this.substitution(true);
        last = lastPart(scope);
        if (this.peek() === "E") continue;
      } else if (next === "S") {
        this.expect("St");
        scope = constant("std");
        last = scope;
        continue;
      } else if (next === "T") {
        scope = this.keep(this.templateParameter());
        last = scope;
      } else if (next === "I") {
        if (scope === undefined) throw new NotMangled();
        const name = scope;
        scope = this.withArguments(name, state);
        if (this.peek() !== "E") this.keep(scope);
        if (state !== undefined && this.peek() !== "E") state.isTemplate = false;
      } else if (next === "D" && /[tT]/.test(this.peek(1))) {
        scope = this.keep(this.decltype());
        last = scope;
      } else if (next === "M") {
        this.at++;
      } else {
        if (state !== undefined) state.hasNoResult = false;
        const part: Node = this.unqualified(last, state);
        scope = append(part);
        last = part;
        if (this.peek() !== "E") this.keep(scope);
      }
    }
    if (scope === undefined) throw new NotMangled();
    return scope;
  }

  protected override unqualified(last: Node | undefined, state: NameState | undefined): Node {
    return this.enter(() => {
      this.take("L");
      const next = this.peek();
      let name: Node;
      if (/\d/.test(next)) name = constant(this.source());
      else if (next === "C" && /[1-5I]/.test(this.peek(1))) name = this.constructorName(last, "", state);
      else if (next === "D" && /[0-5]/.test(this.peek(1))) name = this.constructorName(last, "~", state);
      else if (next === "D" && this.peek(1) === "C") name = this.binding();
      else if (next === "U" && this.peek(1) === "t") name = this.unnamed();
      else if (next === "U" && this.peek(1) === "l") name = this.lambda();
      else name = this.operator(state);
      while (this.take("B")) {
        const [before, tag] = [name, this.source()];
        name = (context) => piece(`${join(before(context))}[abi:${tag}]`);
      }
      return name;
    });
  }

  protected override source(): string {
    const length = this.number();
    const name = this.text.slice(this.at, this.at + length);
    if (name.length !== length || length === 0) throw new NotMangled();
    this.at += length;
    return /^_GLOBAL_[._$]N/.test(name) ? "(anonymous namespace)" : name;
  }

  private constructorName(last: Node | undefined, mark: string, state: NameState | undefined): Node {
    if (last === undefined) throw new NotMangled();
    this.at += 1;
    const inherits = this.take("I");
    this.at += 1;
    if (inherits) this.type();
    if (state !== undefined) state.hasNoResult = true;
    return (context) => piece(mark + join(last(context)).replace(/(?:\[abi:\w+\])+$/, ""));
  }

  private binding(): Node {
    this.expect("DC");
    const names: string[] = [];
    while (!this.take("E")) names.push(this.source());
    return constant(`[${names.join(", ")}]`);
  }

  private ordinal(): number {
    if (this.take("_")) return 1;
    const index = this.number() + 2;
    this.expect("_");
    return index;
  }

  private unnamed(): Node {
    this.expect("Ut");
    return constant(`{unnamed type#${this.ordinal()}}`);
  }

  private lambda(): Node {
    this.expect("Ul");
    const parameters = this.parameters();
    this.expect("E");
    const index = this.ordinal();
    return (context) => piece(`{lambda(${parameters({ ...context, isLambda: true })})#${index}}`);
  }

  private operator(state: NameState | undefined): Node {
    if (this.take("cv")) {
      if (state !== undefined) state.hasNoResult = true;
      const type = this.type();
      return (context) => piece(`operator ${join(type(context))}`);
    }
    if (this.take("li")) return constant(`operator"" ${this.source()}`);
    const code = this.text.slice(this.at, this.at + 2);
    const sign = operators.get(code);
    if (sign === undefined) throw new NotMangled();
    this.at += 2;
    return constant(`operator${/^[a-z]/.test(sign.text) ? " " : ""}${sign.text}`);
  }

  protected override substitution(isPrefix: boolean): Node {
    this.expect("S");
    const next = this.peek();
    const short = shorts.get(next);
    if (short !== undefined) {
      this.at++;
      const isFull = isPrefix && /[CD]/.test(this.peek()) && this.peek(1) !== "t" && this.peek(1) !== "T";
      const [text, lastName] = isFull ? shortExpansions.get(next)! : [short, ""];
      const node = constant(text);
      if (isFull) lastNames.set(node, constant(lastName));
      return this.tagged(node);
    }
    let index = 0;
    if (next !== "_") index = this.base36() + 1;
    this.expect("_");
    const found = this.substitutions[index];
    if (found === undefined) throw new NotMangled();
    return found;
  }

  private tagged(node: Node): Node {
    if (!this.take("B")) return node;
    const tag = this.source();
    return this.keep((context) => piece(`${join(node(context))}[abi:${tag}]`));
  }

  protected override templateList(isOuter: boolean): (context: Context) => string[] {
    return this.enter(() => {
      this.expect("I");
      const items: Node[] = [];
      while (!this.take("E")) items.push(this.templateArgument());
      if (isOuter) this.templateArguments = items;
      return (context) => items.map((item) => join(item(context)));
    });
  }

  private templateArgument(): Node {
    if (this.take("J")) {
      const items: Node[] = [];
      while (!this.take("E")) items.push(this.templateArgument());
      const pack: Node = (context) => {
        const { pack: place } = context;
        const inside = { ...context, pack: undefined };
        if (place !== undefined) {
          place.length ??= items.length;
          return items[place.index]?.(inside) ?? piece("");
        }
        const shown = items.map((item) => join(item(inside))).filter((text) => text !== "");
        return piece(shown.join(", "));
      };
      packs.add(pack);
      return pack;
    }
    if (this.take("X")) {
      const value = this.expression();
      this.expect("E");
      return (context) => piece(value(context));
    }
    if (this.peek() === "L") {
      const value = this.literal();
      return (context) => piece(value(context));
    }
    return this.type();
  }

  protected override templateParameter(): Node {
    this.expect("T");
    if (this.peek() === "L") throw new NotMangled();
    let index = 0;
    if (this.peek() !== "_") index = this.number() + 1;
    this.expect("_");
    return ({ pack, scope, isLambda }) => {
      if (isLambda) return piece(`auto:${index + 1}`);
      const found = scope?.items[index];
      if (found === undefined) throw new NotMangled();
      return found({ pack: packs.has(found) ? pack : undefined, scope: scope!.outer, isLambda: false });
    };
  }
}
