/** What names mean: scopes of the program, and around them what the kernel and the compiler declare. */
import type { FunctionDecl, VariableDecl } from "../ast.ts";
import type { Name } from "../names.ts";
import type { CType, EnumType, RecordType } from "../types/types.ts";

/** What an ordinary identifier stands for. */
export type Binding =
  | { readonly kind: "typedef"; readonly type: CType; readonly location: number }
  | { readonly kind: "constant"; readonly value: bigint; readonly type: CType; readonly location: number }
  | VariableDecl
  | FunctionDecl;

/** Declarations that are there without being written: the kernel's types, helpers. */
export interface OuterDeclarations {
  ordinary(name: string): Binding | undefined;
  record(union: boolean, tag: string): RecordType | undefined;
  enumeration(tag: string): EnumType | undefined;
  /** Names that come close to one that does not exist. */
  nearest(name: string): readonly string[];
  /** What stands behind the `#define` of a macro that kernel headers have; for names that nothing else declares. */
  macro?(name: string): string | undefined;
  /** Accesses to the kernel's records are recorded for CO-RE from now on, as the records of `vmlinux.h` ask for. */
  recordAccesses?(): void;
  /** Why there is no record of a tag, when its name says what it would be. */
  whyNoRecord?(tag: string): string | undefined;
}

/** What the scope of a file declares. */
export interface Declared {
  readonly ordinary: ReadonlyMap<Name, Binding>;
  readonly tags: ReadonlyMap<Name, RecordType | EnumType>;
}

interface Scope {
  readonly ordinary: Map<Name, Binding>;
  readonly tags: Map<Name, RecordType | EnumType>;
}

/** The scopes at a place of the program, the file's first. */
export class Scopes {
  private readonly outer: OuterDeclarations | undefined;
  /** Constants whose enums have not been read yet. */
  private readonly deferred = new Map<Name, () => void>();
  /** Tagged types that came from outside: the program may define its own of the name. */
  private readonly outerTags = new Set<RecordType | EnumType>();
  private readonly scopes: Scope[] = [{ ordinary: new Map(), tags: new Map() }];

  constructor(outer: OuterDeclarations | undefined) {
    this.outer = outer;
  }

  /** All that has been declared in the file's scope so far. */
  file(): Declared {
    for (const read of new Set(this.deferred.values())) read();
    return this.scopes[0]!;
  }

  get atFile(): boolean {
    return this.scopes.length === 1;
  }

  enter(): void {
    this.scopes.push({ ordinary: new Map(), tags: new Map() });
  }

  leave(): void {
    this.scopes.pop();
  }

  /** Runs a part that stands at the level of the file, from within whatever is being read. */
  outside<T>(part: () => T): T {
    const inner = this.scopes.splice(1);
    try {
      return part();
    } finally {
      this.scopes.push(...inner);
    }
  }

  /** Declares constants of the file's scope that `read` declares when one of them is first asked for. */
  defer(names: readonly Name[], read: () => void): void {
    for (const name of names) this.deferred.set(name, read);
  }

  /** Declares what was deferred under a name. */
  private settle(name: Name): Binding | undefined {
    const read = this.deferred.get(name);
    if (read === undefined) return undefined;
    read();
    return this.scopes[0]!.ordinary.get(name);
  }

  /** A constant is about to be declared, now. */
  undefer(name: Name): void {
    this.deferred.delete(name);
  }

  declare(name: Name, binding: Binding): void {
    this.scopes.at(-1)!.ordinary.set(name, binding);
  }

  /** Declares in the file's scope: functions that a block declares. */
  declareInFile(name: Name, binding: Binding): void {
    this.scopes[0]!.ordinary.set(name, binding);
  }

  declareTag(name: Name, type: RecordType | EnumType): void {
    this.scopes.at(-1)!.tags.set(name, type);
  }

  /** What the innermost scope alone says. */
  own(name: Name): Binding | undefined {
    return this.scopes.at(-1)!.ordinary.get(name) ?? (this.atFile ? this.settle(name) : undefined);
  }

  ownTag(name: Name): RecordType | EnumType | undefined {
    return this.scopes.at(-1)!.tags.get(name);
  }

  /** True for a type that the program has not declared itself. */
  isOuter(type: RecordType | EnumType): boolean {
    return this.outerTags.has(type);
  }

  /** What the program itself says in the file's scope. */
  inFile(name: Name): Binding | undefined {
    return this.scopes[0]!.ordinary.get(name) ?? this.settle(name);
  }

  find(name: Name): Binding | undefined {
    for (let i = this.scopes.length - 1; i >= 0; i--) {
      const found = this.scopes[i]!.ordinary.get(name);
      if (found !== undefined) return found;
    }
    const settled = this.settle(name);
    if (settled !== undefined) return settled;
    const found = this.outer?.ordinary(name.text);
    // Once asked for, it is as good as written at the top of the file.
    if (found !== undefined) this.declareInFile(name, found);
    return found;
  }

  findTag(name: Name, keyword: "struct" | "union" | "enum"): RecordType | EnumType | undefined {
    for (let i = this.scopes.length - 1; i >= 0; i--) {
      const found = this.scopes[i]!.tags.get(name);
      if (found !== undefined) return found;
    }
    const found =
      keyword === "enum" ? this.outer?.enumeration(name.text) : this.outer?.record(keyword === "union", name.text);
    if (found === undefined) return undefined;
    this.scopes[0]!.tags.set(name, found);
    this.outerTags.add(found);
    return found;
  }

  /** Names in sight. */
  *names(): Generator<string> {
    for (const scope of this.scopes) for (const name of scope.ordinary.keys()) yield name.text;
    for (const name of this.deferred.keys()) yield name.text;
  }

  /** The program wants the kernel's types as `vmlinux.h` has them. */
  recordKernelAccesses(): void {
    this.outer?.recordAccesses?.();
  }

  /** The definition of a macro that is there without being written. */
  outerMacro(name: string): string | undefined {
    return this.outer?.macro?.(name);
  }

  /** Why there is no record of a tag, when that is known. */
  whyNoRecord(tag: string | undefined): string | undefined {
    return tag === undefined ? undefined : this.outer?.whyNoRecord?.(tag);
  }

  nearestOutside(name: string): readonly string[] {
    return this.outer?.nearest(name) ?? [];
  }
}
