/** Expressions in template arguments and types, as far as they stand in names of functions. */
import { Cursor } from "./cursor.ts";
import { operators } from "./tables.ts";
import {
  type Context,
  type Node,
  NotMangled,
  type PackPlace,
  bracketed,
  emptyState,
  expanded,
  join,
  piece,
  withoutParameters,
} from "./text.ts";

/** Reads expressions. */
export abstract class ExpressionParser extends Cursor {
  protected override literal(): (context: Context) => string {
    this.expect("L");
    if (this.take("_Z") || this.take("Z")) {
      const outer = this.templateArguments;
      const name = this.encoding(false);
      this.templateArguments = outer;
      this.expect("E");
      return (context) => join(name(context));
    }
    const code = this.peek();
    const type = this.type();
    const digits = /^n?[0-9a-z]*/.exec(this.text.slice(this.at))![0];
    this.at += digits.length;
    this.expect("E");
    const value = digits.startsWith("n") ? `-${digits.slice(1)}` : digits;
    const suffix = { i: "", j: "u", l: "l", m: "ul", x: "ll", y: "ull" }[code];
    if (suffix !== undefined) return () => value + suffix;
    if (code === "b" && (value === "0" || value === "1")) return () => (value === "1" ? "true" : "false");
    return (context) => `(${join(type(context))})${value}`;
  }

  /** What an operator is applied to: names as they are, the rest in parentheses. */
  private operand(): (context: Context) => string {
    const start = this.at;
    const value = this.expression();
    const text = this.text.slice(start, this.at);
    const isName = /^(?:\d|fp|L_Z|sr)/.test(text) && !/^(?:\d|sr).*I.*E$/.test(text);
    return isName ? value : (context) => `(${value(context)})`;
  }

  protected override expression(): (context: Context) => string {
    return this.enter(() => {
      const next = this.peek();
      if (next === "L") return this.literal();
      if (next === "T") {
        const parameter = this.templateParameter();
        return (context) => join(parameter(context));
      }
      if (/\d/.test(next)) {
        const name = this.name();
        return (context) => join(name(context));
      }
      const code = this.text.slice(this.at, this.at + 2);
      switch (code) {
        case "ad":
          if (this.text.startsWith("L_Z", this.at + 2)) return this.functionAddress();
          break;
        case "sZ":
          this.at += 2;
          return this.packLength();
        case "fp":
          return this.functionParameter();
        case "sr":
          return this.scoped();
        case "st": {
          this.at += 2;
          const type = this.type();
          return (context) => `sizeof (${join(type(context))})`;
        }
        case "cl": {
          this.at += 2;
          const callee = this.operand();
          const items: ((context: Context) => string)[] = [];
          while (!this.take("E")) items.push(this.expression());
          return (context) => `${callee(context)}(${items.map((item) => item(context)).join(", ")})`;
        }
        case "dt":
        case "pt": {
          this.at += 2;
          const object = this.operand();
          const member = this.unqualified(undefined, undefined);
          const items = this.peek() === "I" ? this.templateList(false) : undefined;
          return (context) => {
            const name = join(member(context));
            const text = items === undefined ? name : bracketed(name, items(context));
            return `${object(context)}${code === "dt" ? "." : "->"}${text}`;
          };
        }
        case "sp": {
          this.at += 2;
          const value = this.expression();
          return (context) => expanded(value, context);
        }
      }
      const sign = operators.get(code);
      if (sign === undefined || sign.operands === 0) throw new NotMangled();
      this.at += 2;
      const items = Array.from({ length: sign.operands }, () => this.operand());
      return (context) => {
        const [first = "", second = "", third = ""] = items.map((item) => item(context));
        if (items.length === 1) return `${sign.text}${first}`;
        if (items.length === 3) return `${first}?${second} : ${third}`;
        const whole = `${first}${sign.text}${second}`;
        return sign.text === ">" ? `(${whole})` : whole;
      };
    });
  }

  /** Of functions whose address is taken the name is enough, unless it is a template's. */
  private functionAddress(): (context: Context) => string {
    this.expect("adL_Z");
    const outer = this.templateArguments;
    const state = emptyState();
    const name = this.encoding(true, state);
    this.templateArguments = outer;
    this.expect("E");
    return (context) => {
      const text = join(name(context));
      return state.isTemplate ? `&(${text})` : `&${withoutParameters(text)}`;
    };
  }

  /** `sizeof...` of a parameter. */
  private packLength(): (context: Context) => string {
    const parameter = this.templateParameter();
    return (context) => {
      const place: PackPlace = { index: 0, length: undefined };
      parameter({ ...context, pack: place });
      return String(place.length ?? 1);
    };
  }

  private functionParameter(): (context: Context) => string {
    this.expect("fp");
    if (this.take("T")) return () => "this";
    while (/[rVK]/.test(this.peek())) this.at++;
    const index = this.peek() === "_" ? 1 : this.number() + 2;
    this.expect("_");
    return () => `{parm#${index}}`;
  }

  private simpleId(): Node {
    const name = this.unqualified(undefined, undefined);
    if (this.peek() !== "I") return name;
    const items = this.templateList(false);
    return (context) => piece(bracketed(join(name(context)), items(context)));
  }

  /** `sr`, a type and a name in it; or parts of a name up to `E`, and the last one. */
  private scoped(): (context: Context) => string {
    this.expect("sr");
    const parts: Node[] = [];
    const isNested = this.take("N");
    if (isNested || !/\d/.test(this.peek())) parts.push(this.type());
    if (isNested || parts.length === 0) {
      while (/\d/.test(this.peek())) parts.push(this.simpleId());
      if (this.take("E")) parts.push(this.simpleId());
    } else parts.push(this.simpleId());
    return (context) => parts.map((part) => join(part(context))).join("::");
  }
}
