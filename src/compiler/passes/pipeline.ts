/** The order of passes. */
import { removeDeadBlocks } from "../analysis.ts";
import type { Func, Module } from "../ir.ts";
import type { KernelTarget } from "../target.ts";
import { simplifyCfg } from "./cfg.ts";
import { foldConstantData } from "./constant-data.ts";
import { removeDead } from "./dce.ts";
import { removeDeadStores } from "./dse.ts";
import { fold } from "./fold.ts";
import { mergeExpressions } from "./gvn.ts";
import { answerIsConstant, asksForConstants } from "./is-constant.ts";
import { initialiseInputs } from "./initialise.ts";
import { checkCalls, inlineCalls, removeUnreferenced } from "./inline.ts";
import { hoistInvariants, unrollLoops } from "./loops.ts";
import { lower } from "./lower.ts";
import { mergeStores } from "./merge-stores.ts";
import { promote } from "./promote.ts";
import { propagateConstants } from "./sccp.ts";

/** A named step over one function; returns true when it changed anything. */
type Step = readonly [name: string, run: (func: Func, module: Module) => boolean];

const DATA: Step = ["data", foldConstantData];
const MERGE: Step = ["merge", mergeStores];
const PROMOTE: Step = ["promote", promote];
const FOLD: Step = ["fold", fold];
const CONSTANTS: Step = ["constants", propagateConstants];
const CFG: Step = ["cfg", simplifyCfg];
const EXPRESSIONS: Step = ["expressions", mergeExpressions];
const STORES: Step = ["stores", removeDeadStores];
const HOIST: Step = ["hoist", hoistInvariants];
const UNROLL: Step = ["unroll", unrollLoops];
const ANSWER: Step = ["is-constant", answerIsConstant];
const DEAD: Step = ["dead", removeDead];

const FIRST: readonly Step[] = [CFG, DATA, PROMOTE, FOLD, CONSTANTS, CFG, DEAD];
const ROUND: readonly Step[] = [DATA, PROMOTE, FOLD, EXPRESSIONS, CONSTANTS, FOLD, STORES, DEAD, CFG];
const LOOPS: readonly Step[] = [UNROLL, CONSTANTS, CFG, HOIST];
/** Rounds stop when nothing changes; this bounds them. */
const MAX_ROUNDS = 4;

/** What became of a function so far. */
interface History {
  /** How many steps changed it. */
  changes: number;
  /** The count of changes at which a step found nothing to do. */
  readonly idle: Map<Step[1], number>;
}

/** Optimises a module in place and lowers it for a target. `after` is called with a pass's name when it is through. */
export function optimise(
  module: Module,
  level: 0 | 1 | 2,
  target: KernelTarget,
  options: { after?: (pass: string) => void; inlineAll?: boolean } = {},
): void {
  const after = (pass: string): void => options.after?.(pass);
  const history = new Map<Func, History>();
  /** Runs steps over functions and returns those that changed. A step that found nothing waits until another has changed something. */
  const run = (steps: readonly Step[], funcs: readonly Func[]): Func[] => {
    const changed = new Set<Func>();
    for (const [name, step] of steps) {
      for (const func of funcs) {
        let known = history.get(func);
        if (!known) history.set(func, (known = { changes: 0, idle: new Map() }));
        if (known.idle.get(step) === known.changes) continue;
        if (step(func, module)) {
          known.changes++;
          changed.add(func);
        } else known.idle.set(step, known.changes);
      }
      after(name);
    }
    return funcs.filter((f) => changed.has(f));
  };
  for (const func of module.funcs) removeDeadBlocks(func);
  removeUnreferenced(module);
  after("dead-blocks");
  if (level >= 1) run(FIRST, module.funcs);
  if (inlineCalls(module, options.inlineAll ? "all" : level >= 2 ? "profitable" : "marked")) history.clear();
  checkCalls(module);
  after("inline");
  if (level >= 1) {
    let active: readonly Func[] = module.funcs;
    for (let i = level === 1 ? 1 : MAX_ROUNDS; i > 0 && active.length > 0; i--) active = run(ROUND, active);
    if (level === 2) {
      // Inner loops written out may make outer ones short enough.
      for (let i = 0; i < MAX_ROUNDS && (active = run(LOOPS, module.funcs)).length > 0; i++) run(ROUND, active);
    }
  }
  run(level >= 1 ? [ANSWER, ...ROUND] : [ANSWER], module.funcs.filter(asksForConstants));
  const lowered = module.funcs.filter((func) => lower(func, module, target));
  for (const func of lowered) history.delete(func);
  after("lower");
  if (level >= 1) run(ROUND, lowered);
  for (const func of module.funcs) {
    // What is zeroed here may be a block of memory again, on a function whose variables escape.
    if (initialiseInputs(func, module)) lower(func, module, target);
  }
  after("initialise");
  if (level >= 1) run([MERGE], module.funcs);
  for (const func of module.funcs) removeDeadBlocks(func);
}
