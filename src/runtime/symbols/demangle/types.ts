/** Types in mangled names. */
import { ExpressionParser } from "./expressions.ts";
import { builtinTypes } from "./tables.ts";
import { type Context, type Node, NotMangled, bracketed, constant, expanded, join, piece } from "./text.ts";

/** Reads types. */
export abstract class TypeParser extends ExpressionParser {
  protected override type(): Node {
    return this.enter(() => {
      const next = this.peek();
      const builtin = builtinTypes.get(next);
      if (builtin !== undefined) {
        this.at++;
        return constant(builtin);
      }
      if ("rVK".includes(next) && next !== "") return this.qualified();
      switch (next) {
        case "P":
          return this.pointed("*");
        case "R":
          return this.pointed("&");
        case "O":
          return this.pointed("&&");
        case "C":
          return this.suffixed(" _Complex");
        case "G":
          return this.suffixed(" _Imaginary");
        case "F":
          return this.keep(this.functionType(""));
        case "A":
          return this.keep(this.arrayType());
        case "M":
          return this.keep(this.memberPointer());
        case "D":
          return this.extendedType();
        case "U":
          if (this.peek(1) !== "l" && this.peek(1) !== "t") return this.vendorQualified();
          return this.keep(this.name());
        case "u":
          this.at++;
          return this.keep(constant(this.source()));
        case "T":
          return this.parameterType();
        case "S":
          return this.substitutedType();
        default:
          return this.keep(this.name());
      }
    });
  }

  private parameterType(): Node {
    if (/[sue]/.test(this.peek(1))) this.at += 2;
    const parameter = this.keep(this.templateParameter());
    if (this.peek() !== "I") return parameter;
    const items = this.templateList(false);
    return this.keep((context) => piece(bracketed(join(parameter(context)), items(context))));
  }

  private substitutedType(): Node {
    if (this.peek(1) === "t") return this.keep(this.name());
    const found = this.substitution(false);
    if (this.peek() !== "I") return found;
    const items = this.templateList(false);
    return this.keep((context) => piece(bracketed(join(found(context)), items(context))));
  }

  private qualified(): Node {
    let text = "";
    for (; "rVK".includes(this.peek()) && this.peek() !== ""; this.at++)
      text = `${{ r: " __restrict", V: " volatile", K: " const" }[this.peek() as "r"]}${text}`;
    if (this.peek() === "F" || (this.peek() === "D" && /[oOxw]/.test(this.peek(1))))
      return this.keep(this.functionType(text));
    const type = this.type();
    return this.keep((context) => {
      const of = type(context);
      if (of.left === "" && of.right === "") return of;
      return { ...of, left: of.left.endsWith(text) ? of.left : of.left + text };
    });
  }

  private pointed(mark: string): Node {
    this.at++;
    const type = this.type();
    return this.keep((context) => {
      const of = type(context);
      if (of.left === "" && of.right === "") return of;
      if (of.wraps !== undefined) {
        const space = of.wraps === "array" || !/[ *(]$/.test(of.left) ? " " : "";
        return piece(`${of.left}${space}(${mark}`, `)${of.wraps === "array" ? " " : ""}${of.right.trimStart()}`);
      }
      // References to references are the weaker of the two.
      if (mark.startsWith("&") && of.left.endsWith("&")) {
        const bare = of.left.replace(/&+$/, "");
        const isRvalue = mark === "&&" && of.left.endsWith("&&");
        return piece(`${bare}${isRvalue ? "&&" : "&"}`, of.right);
      }
      return piece(of.left + mark, of.right);
    });
  }

  private suffixed(text: string): Node {
    this.at++;
    const type = this.type();
    return this.keep((context) => piece(join(type(context)) + text));
  }

  private vendorQualified(): Node {
    this.expect("U");
    const name = this.source();
    const items = this.peek() === "I" ? this.templateList(false) : undefined;
    const type = this.type();
    return this.keep((context) => {
      const text = items === undefined ? name : bracketed(name, items(context));
      return piece(`${join(type(context))} ${text}`);
    });
  }

  private functionType(qualifiers: string): Node {
    let exception = "";
    if (this.take("Do")) exception = " noexcept";
    else if (this.take("DO")) {
      this.expression();
      this.expect("E");
      exception = " noexcept(...)";
    }
    this.take("Dx");
    this.expect("F");
    this.take("Y");
    const result = this.type();
    const parameters = this.parameters();
    let reference = "";
    if (this.take("RE")) reference = " &";
    else if (this.take("OE")) reference = " &&";
    else this.expect("E");
    return (context) => {
      const of = result(context);
      return {
        left: of.right === "" ? `${of.left} ` : of.left,
        right: `(${parameters(context)})${qualifiers}${reference}${exception}${of.right}`,
        wraps: "function",
      };
    };
  }

  private arrayType(): Node {
    this.expect("A");
    let count: (context: Context) => string = () => "";
    if (/\d/.test(this.peek())) {
      const digits = String(this.number());
      count = () => digits;
    } else if (this.peek() !== "_") count = this.expression();
    this.expect("_");
    const type = this.type();
    return (context) => {
      const of = type(context);
      const outer = `[${count(context)}]`;
      if (of.wraps === "array") return { left: of.left, right: ` ${outer}${of.right.trimStart()}`, wraps: "array" };
      return { left: of.left, right: ` ${outer}${of.right}`, wraps: "array" };
    };
  }

  private memberPointer(): Node {
    this.expect("M");
    const record = this.type();
    const member = this.type();
    return (context) => {
      const of = member(context);
      const scope = join(record(context));
      if (of.wraps === undefined) return piece(`${of.left} ${scope}::*`, of.right);
      return piece(`${of.left.trimEnd()} (${scope}::*`, `)${of.wraps === "array" ? " " : ""}${of.right.trimStart()}`);
    };
  }

  private extendedType(): Node {
    const code = this.text.slice(this.at, this.at + 2);
    const builtin = builtinTypes.get(code);
    if (builtin !== undefined) {
      this.at += 2;
      return constant(builtin);
    }
    switch (code) {
      case "Dp":
        return this.expansion();
      case "Dt":
      case "DT":
        return this.keep(this.decltype());
      case "Do":
      case "DO":
      case "Dx":
        return this.keep(this.functionType(""));
      case "Dv": {
        this.at += 2;
        let count: (context: Context) => string;
        if (/\d/.test(this.peek())) {
          const digits = String(this.number());
          count = () => digits;
        } else {
          this.expect("_");
          count = this.expression();
        }
        this.expect("_");
        const type = this.type();
        return this.keep((context) => piece(`${join(type(context))} __vector(${count(context)})`));
      }
      case "DF": {
        this.at += 2;
        const bits = this.number();
        const isExtended = this.take("x");
        if (!isExtended) this.expect("_");
        return constant(`_Float${bits}${isExtended ? "x" : ""}`);
      }
      default:
        throw new NotMangled();
    }
  }

  private expansion(): Node {
    this.expect("Dp");
    const type = this.type();
    return this.keep((context) => piece(expanded((inside) => join(type(inside)), context)));
  }

  protected override decltype(): Node {
    this.at += 2;
    const value = this.expression();
    this.expect("E");
    return (context) => piece(`decltype (${value(context)})`);
  }
}
