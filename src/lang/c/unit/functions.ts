/** The functions of a file as functions of IR: made when they are first reached, their bodies lowered one after the other. */
import { BtfFuncLinkage } from "../../../btf/index.ts";
import { FunctionBuilder } from "../../../compiler/index.ts";
import type { Func, Module, ProgramDecl } from "../../../compiler/index.ts";
import { helperByName } from "../../../isa/index.ts";
import type { FunctionDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import type { Callee } from "../lower/context.ts";
import { signatureOf } from "../lower/signature.ts";
import type { BtfTypes } from "./btf-types.ts";
import { type Externs, KSYMS_SECTION } from "./externs.ts";

/** Arguments that fit registers. */
const MOST_ARGUMENTS = 5;

/** What LLVM calls the reading of packets, and the bits that are read. */
const packetLoads: Readonly<Record<string, 8 | 16 | 32>> = {
  "llvm.bpf.load.byte": 8,
  "llvm.bpf.load.half": 16,
  "llvm.bpf.load.word": 32,
};

/** Tag of a program, followed by the name of a function that runs when it throws. */
const EXCEPTION_CALLBACK = "exception_callback:";

interface Reached {
  readonly decl: FunctionDecl;
  readonly builder: FunctionBuilder;
  /** Functions that its body calls, with the first place. */
  readonly calls: Map<FunctionDecl, number>;
}

/** What functions ask of the file around them. */
export interface FunctionsHost {
  readonly module: Module;
  readonly diagnostics: Diagnostics;
  readonly types: BtfTypes;
  readonly externs: Externs;
  isProgram(func: FunctionDecl): boolean;
  program(func: FunctionDecl): ProgramDecl;
  lower(func: FunctionDecl, builder: FunctionBuilder): void;
  /** A function of the file by its name. */
  find(name: string): FunctionDecl | undefined;
}

/** All functions that programs reach. */
export class Functions {
  private readonly host: FunctionsHost;
  private readonly reached = new Map<FunctionDecl, Reached | undefined>();
  private readonly queue: Reached[] = [];
  private current: Reached | undefined;

  constructor(host: FunctionsHost) {
    this.host = host;
  }

  /** Makes the function and lowers it. What it calls waits for {@link Functions.finish}. */
  define(decl: FunctionDecl): void {
    this.reach(decl);
    const at = this.queue.findIndex((waiting) => waiting.decl === decl);
    if (at !== -1) this.lower(this.queue.splice(at, 1)[0]!);
  }

  /** Lowers the bodies of all functions that were reached. */
  finish(): void {
    this.lowerWaiting();
    this.checkRecursion();
  }

  /** Depth first, as clang does it: data is placed in the order of the code that names it. */
  private lowerWaiting(): void {
    for (const waiting of this.queue.splice(0)) {
      this.lower(waiting);
      this.lowerWaiting();
    }
  }

  private lower(reached: Reached): void {
    this.current = reached;
    this.host.lower(reached.decl, reached.builder);
    this.current = undefined;
  }

  /** What a call by a function's name is. Undefined after an error. */
  callee(decl: FunctionDecl, location: number): Callee | undefined {
    const { diagnostics, externs } = this.host;
    const { name, attributes } = decl;
    if (decl.body !== undefined) {
      if (this.host.isProgram(decl)) {
        diagnostics.error(location, `${name} is a program: programs cannot be called`, {
          length: name.length,
          hint: "move what both need to a function without SEC()",
        });
        return undefined;
      }
      const func = this.reach(decl);
      if (func === undefined) return undefined;
      if (this.current !== undefined && !this.current.calls.has(decl)) this.current.calls.set(decl, location);
      return { kind: "function", func };
    }
    const bits = packetLoads[attributes.assemblerName ?? ""];
    if (bits !== undefined) return { kind: "packet-load", bits };
    if (attributes.section === KSYMS_SECTION) {
      externs.func(decl);
      return { kind: "kfunc", name, weak: attributes.weak === true };
    }
    const helper = helperByName(decl.helper ?? name);
    if (helper !== undefined) return { kind: "helper", id: helper.id };
    this.undefinedFunction(decl, location);
    return undefined;
  }

  /** The IR function whose address is taken, or true for one of the kernel. Undefined after an error. */
  target(decl: FunctionDecl, location: number): Func | "kernel" | undefined {
    if (decl.body !== undefined) {
      if (!this.host.isProgram(decl)) return this.reach(decl);
      this.host.diagnostics.error(location, `${decl.name} is a program: its address says nothing to a program`, {
        length: decl.name.length,
      });
      return undefined;
    }
    if (decl.attributes.section === KSYMS_SECTION) {
      this.host.externs.func(decl);
      return "kernel";
    }
    if (helperByName(decl.helper ?? decl.name) !== undefined) {
      this.host.diagnostics.error(location, `${decl.name} is a helper of the kernel: it has no address`, {
        length: decl.name.length,
      });
    } else this.undefinedFunction(decl, location);
    return undefined;
  }

  private undefinedFunction(decl: FunctionDecl, location: number): void {
    this.host.diagnostics.error(location, `${decl.name} is declared and not defined`, {
      length: decl.name.length,
      hint: "give it a body, or declare it with __ksym when it is a function of the kernel",
      notes: decl.location > 0 ? [{ location: decl.location, message: "it is declared here" }] : [],
    });
  }

  private reach(decl: FunctionDecl): Func | undefined {
    if (this.reached.has(decl)) return this.reached.get(decl)?.builder.func;
    const builder = this.make(decl);
    const reached = builder === undefined ? undefined : { decl, builder, calls: new Map<FunctionDecl, number>() };
    this.reached.set(decl, reached);
    if (reached !== undefined) this.queue.push(reached);
    return builder?.func;
  }

  private make(decl: FunctionDecl): FunctionBuilder | undefined {
    const { module, diagnostics, types } = this.host;
    const { name, location } = decl;
    const role = this.host.isProgram(decl) ? "entry" : roleOf(decl);
    const { params, result } = signatureOf(decl.type);
    // Others may take the place of a weak function when objects are linked.
    const fixed = decl.attributes.inline === "never" || decl.attributes.weak === true;
    let inline = role === "static" ? decl.attributes.inline : role === "global" && fixed ? "never" : undefined;
    if (decl.type.variadic) inline = "always";
    if (params.length > MOST_ARGUMENTS && inline !== "always") {
      // `noinline` is a wish: so many arguments go nowhere else.
      if (role === "static") inline = "always";
      else {
        diagnostics.error(location, `${name} takes ${params.length} arguments, registers hold ${MOST_ARGUMENTS}`, {
          length: name.length,
          hint: "hand a struct over by its address, or make the function static __always_inline",
        });
        return undefined;
      }
    }
    const linkage = role === "static" ? BtfFuncLinkage.STATIC : BtfFuncLinkage.GLOBAL;
    const ids = inline === "always" ? {} : types.func(decl, linkage);
    const builder = new FunctionBuilder(module, {
      name,
      params: params.map(({ name: param, type }) => ({ name: param, type })),
      result,
      role,
      ...ids,
      ...(inline === undefined ? {} : { inline }),
      ...(role === "entry" ? { program: this.program(decl) } : {}),
    });
    return builder;
  }

  private program(decl: FunctionDecl): ProgramDecl {
    const program = this.host.program(decl);
    const tag = decl.attributes.declTags?.findLast((text) => text.startsWith(EXCEPTION_CALLBACK));
    if (tag === undefined) return program;
    const name = tag.slice(EXCEPTION_CALLBACK.length);
    const handler = this.host.find(name);
    if (handler?.body === undefined || handler.storage === "static" || this.host.isProgram(handler)) {
      this.host.diagnostics.error(
        decl.location,
        `the exception callback ${name} of ${decl.name} is no global function`,
        {
          length: decl.name.length,
        },
      );
      return program;
    }
    this.reach(handler);
    return { ...program, exceptionCallback: name };
  }

  /** Programs have no recursion: the kernel would refuse it. */
  private checkRecursion(): void {
    const { diagnostics } = this.host;
    const done = new Set<FunctionDecl>();
    const open = new Set<FunctionDecl>();
    const visit = (decl: FunctionDecl): void => {
      open.add(decl);
      for (const [callee, location] of this.reached.get(decl)?.calls ?? []) {
        if (open.has(callee)) {
          const what = callee === decl ? "calls itself" : `is called again while it runs, by ${decl.name}`;
          diagnostics.error(location, `${callee.name} ${what}: programs have no recursion`, {
            length: callee.name.length,
            hint: "use a loop, or bpf_loop()",
          });
        } else if (!done.has(callee)) visit(callee);
      }
      open.delete(decl);
      done.add(decl);
    };
    for (const decl of this.reached.keys()) if (!done.has(decl)) visit(decl);
  }
}

/** Functions of the file's own are checked with their callers, others on their own, by their prototype. */
function roleOf(decl: FunctionDecl): "static" | "global" {
  const { attributes, storage, inline } = decl;
  const isStatic = storage === "static" || inline || attributes.hidden === true || attributes.inline === "always";
  return isStatic ? "static" : "global";
}
