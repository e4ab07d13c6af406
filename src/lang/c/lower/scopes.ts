/** Variables with a `cleanup` attribute: which of them are alive where, also at the ends of jumps. */
import type { FunctionDecl, VariableDecl } from "../ast.ts";
import type { Body } from "./body.ts";
import { callCleanup } from "./calls.ts";
import { type Node, childrenOf } from "./walk.ts";

/** The clean-ups of one function. */
export class Scopes {
  /** Variables that are to be cleaned up, outermost first. */
  readonly open: VariableDecl[] = [];
  private readonly atLabel = new Map<string, readonly VariableDecl[]>();

  constructor(decl: FunctionDecl) {
    if (decl.body !== undefined) this.gather(decl.body);
  }

  /** What a jump to a label leaves, innermost first. */
  private leftBy(label: string): VariableDecl[] {
    const there = this.atLabel.get(label) ?? [];
    let shared = 0;
    while (shared < there.length && there[shared] === this.open[shared]) shared++;
    return this.open.slice(shared).toReversed();
  }

  /** Cleans up and forgets what was opened since. */
  close(body: Body, depth: number): void {
    if (!body.b.terminated) this.clean(body, this.open.slice(depth).toReversed());
    this.open.length = depth;
  }

  /** Cleans up what a jump leaves; the scopes stay open for the code behind it. */
  leave(body: Body, depth: number): void {
    this.clean(body, this.open.slice(depth).toReversed());
  }

  /** Cleans up what a jump to a label leaves. */
  leaveFor(body: Body, label: string): void {
    this.clean(body, this.leftBy(label));
  }

  private clean(body: Body, variables: readonly VariableDecl[]): void {
    for (const variable of variables)
      callCleanup(body, variable.attributes.cleanup!, body.local(variable), variable.location);
  }

  /** Notes for each label which clean-ups are open there. The list of a scope grows with the declarations in it, in their order. */
  private gather(body: Node): void {
    const work: { readonly node: Node; readonly open: VariableDecl[] }[] = [{ node: body, open: [] }];
    for (let item = work.pop(); item !== undefined; item = work.pop()) {
      const { node, open } = item;
      if (node.kind === "declaration") {
        if (node.variable.attributes.cleanup !== undefined) open.push(node.variable);
      } else if (node.kind === "label") this.atLabel.set(node.label, [...open]);
      const scope = (node.kind === "compound" && "statements" in node) || node.kind === "for";
      const inner = scope ? [...open] : open;
      for (const child of childrenOf(node).toReversed()) work.push({ node: child, open: inner });
    }
  }
}
