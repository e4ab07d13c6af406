/** A mangled name as it is read: a position, what may be referred to later, and limits against names that are made to be expensive. */
import { type Context, type NameState, type Node, NotMangled } from "./text.ts";

/** Parts that one name may have, and how deep they may be in each other. */
const MOST_STEPS = 20_000;
const MOST_DEPTH = 200;

/** What the parsers of names, types and expressions share; each is in terms of the others. */
export abstract class Cursor {
  protected readonly text: string;
  protected at: number = 0;
  private steps = 0;
  private depth = 0;
  protected readonly substitutions: Node[] = [];
  /** Of the function that is being read; undefined when it has none. */
  protected templateArguments: readonly Node[] | undefined;

  constructor(text: string) {
    this.text = text;
  }

  protected abstract encoding(hasResult: boolean, state?: NameState): Node;
  protected abstract name(state?: NameState): Node;
  protected abstract unqualified(last: Node | undefined, state: NameState | undefined): Node;
  protected abstract source(): string;
  protected abstract parameters(): (context: Context) => string;
  protected abstract substitution(isPrefix: boolean): Node;
  protected abstract templateList(isOuter: boolean): (context: Context) => string[];
  protected abstract templateParameter(): Node;
  protected abstract type(): Node;
  protected abstract decltype(): Node;
  protected abstract literal(): (context: Context) => string;
  protected abstract expression(): (context: Context) => string;

  protected peek(offset = 0): string {
    return this.text[this.at + offset] ?? "";
  }

  protected take(text: string): boolean {
    if (!this.text.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  protected expect(text: string): void {
    if (!this.take(text)) throw new NotMangled();
  }

  protected enter<T>(read: () => T): T {
    if (++this.steps > MOST_STEPS || ++this.depth > MOST_DEPTH) throw new NotMangled();
    const result = read();
    this.depth--;
    return result;
  }

  protected number(): number {
    const digits = /^\d+/.exec(this.text.slice(this.at, this.at + 10));
    if (digits === null) throw new NotMangled();
    this.at += digits[0].length;
    return Number(digits[0]);
  }

  protected keep(node: Node): Node {
    this.substitutions.push(node);
    return node;
  }
}
