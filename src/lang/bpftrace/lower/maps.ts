/** The script's maps: which kernel map each becomes, and how programs reach their entries. */
import { UnsupportedError } from "../../../base/index.ts";
import { addMap } from "../../../compiler/builder.ts";
import type { Value } from "../../../compiler/ir.ts";
import { MapType, UpdateFlags } from "../../../isa/index.ts";
import type { Expression, MapExpression } from "../ast.ts";
import type { MapInfo } from "../checked.ts";
import { histBuckets, isAggregation, lhistBuckets, sizeOf, type Type } from "../types.ts";
import type { Body } from "./body.ts";
import { lowerInto } from "./expressions.ts";
import { idsInMemory } from "./process-ids.ts";
import type { ScriptContext, ScriptMap } from "./script.ts";
import { bitsOf, direct, isScalarType, isSigned, type Operand, type Place, scalar } from "./values.ts";

/** Bytes of a hash's key before Linux 5.11 (linux: MAX_BPF_STACK). */
const MAX_OLD_KEY = 512;

/** Kernel map types by the words of `let @m = KIND(N);`. */
const DECLARED_KINDS: ReadonlyMap<string, number> = new Map([
  ["hash", MapType.HASH],
  ["lruhash", MapType.LRU_HASH],
  ["percpuhash", MapType.PERCPU_HASH],
  ["percpulruhash", MapType.LRU_PERCPU_HASH],
  ["percpuarray", MapType.PERCPU_ARRAY],
]);

/** Rounds up to a multiple of 8. */
export function align8(size: number): number {
  return Math.ceil(size / 8) * 8;
}

/** Number of buckets of a histogram type. */
export function bucketCount(type: Type): number {
  if (type.kind === "hist") return histBuckets(type.bits);
  if (type.kind === "lhist") return lhistBuckets(type.min, type.max, type.step);
  throw new TypeError(`${type.kind} has no buckets`);
}

/** Adds a kernel map for every map of the script. */
export function planMaps(script: ScriptContext): void {
  const maps = [...script.checked.maps.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const map of maps) script.maps.set(map.name, planMap(script, map));
}

function planMap(script: ScriptContext, info: MapInfo): ScriptMap {
  const { key, value } = info;
  const kernelMap = `AT_${info.name.slice(1)}`;
  const histogram = value.kind === "hist" || value.kind === "lhist";
  const layout = key ? (histogram ? "bucketed" : "keyed") : histogram ? "buckets" : "scalar";
  const declaredType = info.declared ? DECLARED_KINDS.get(info.declared.kind) : undefined;
  const declaredPerCpu = declaredType === MapType.PERCPU_HASH || declaredType === MapType.LRU_PERCPU_HASH;
  const perCpu = isAggregation(value) || (key !== null && declaredPerCpu);
  const keyBytes = key ? sizeOf(key) : 4;
  const presentOffset = layout === "scalar" ? presentOffsetOf(value) : null;
  const lru = declaredType === MapType.LRU_HASH || declaredType === MapType.LRU_PERCPU_HASH;
  const keySize = layout === "bucketed" ? align8(keyBytes) + 8 : keyBytes;
  if (keySize > MAX_OLD_KEY && !script.atLeast(5, 11)) {
    throw new UnsupportedError(
      `map ${info.name}`,
      `its keys have ${keySize} bytes, which needs Linux 5.11; before, they have ${MAX_OLD_KEY} at most: shorten text with str(p, 64) or config = { max_strlen = 64 }`,
    );
  }
  addMap(script.module, {
    name: kernelMap,
    type: key
      ? lru
        ? perCpu
          ? MapType.LRU_PERCPU_HASH
          : MapType.LRU_HASH
        : perCpu
          ? MapType.PERCPU_HASH
          : MapType.HASH
      : perCpu
        ? MapType.PERCPU_ARRAY
        : MapType.ARRAY,
    keySize,
    valueSize: histogram
      ? 8 * (key ? 1 : bucketCount(value))
      : layout === "scalar"
        ? align8(presentOffset === null ? sizeOf(value) : presentOffset + 1)
        : Math.max(1, sizeOf(value)),
    maxEntries: key ? (info.declared?.maxEntries ?? script.checked.config.maxMapKeys) : 1,
    flags: 0,
  });
  return { name: info.name, kernelMap, key, value, perCpu, layout, presentOffset, keyBytes };
}

/** Where the byte lies that tells whether a scalar was assigned; null where the value itself tells. */
function presentOffsetOf(value: Type): number | null {
  switch (value.kind) {
    case "count":
    case "min":
    case "max":
    case "avg":
    case "stats":
    case "tseries":
      return null;
    default:
      return sizeOf(value);
  }
}

/** The script's map that an expression names. */
export function mapOf(body: Body, name: string): ScriptMap {
  const map = body.script.maps.get(name.startsWith("@") ? name : `@${name}`);
  if (!map) throw new RangeError(`map @${name}: not checked`);
  return map;
}

/** Writes the key of `@m[...]` to the frame; `extra` bytes are left behind it for a bucket. */
export function lowerKey(body: Body, map: ScriptMap, key: readonly Expression[], extra = 0): Value {
  const type = map.key!;
  const [first] = key;
  const process = first?.kind === "identifier" && first.resolved?.kind === "builtin" && first.resolved.name === "pid";
  // The process is the upper half of what the helper gives: where it lies, it is a key.
  if (process && key.length === 1 && extra === 0 && sizeOf(type) === 4 && !body.bound.has(first))
    return body.b.ptradd(idsInMemory(body), 4);
  const room = extra > 0 ? align8(map.keyBytes) + extra : map.keyBytes;
  const memory = body.memory(room, "key");
  const single = key.length === 1 ? key[0]! : null;
  if (single) lowerInto(body, single, type, memory, 0, true);
  else {
    const { span } = key[0]!;
    lowerInto(body, { kind: "tuple", items: key, span, type }, type, memory, 0, true);
  }
  if (extra > 0) body.zero(memory, align8(map.keyBytes) - map.keyBytes, map.keyBytes);
  return memory;
}

/** A key of one u32 zero, as arrays of one element want it. */
export function zeroKey(body: Body): Value {
  const key = body.b.alloca(4, 4, "zero");
  body.b.store(key, body.int(0), 32);
  return key;
}

/** Looks an entry up: a pointer to its value, or null. */
export function lookup(body: Body, map: ScriptMap, key: Value): Value {
  return body.helper("map_lookup_elem", [body.b.mapref(map.kernelMap), key], "ptr");
}

/** True when a pointer is not null. */
export function notNull(body: Body, pointer: Value): Value {
  return body.b.icmp("ne", pointer, body.b.const(0, "ptr"));
}

/**
 * Runs `found` where a lookup found the entry, else `missing`. From Linux 6.14 on the verifier knows that an array has its elements
 * (`get_constant_map_key`), so that nothing is asked.
 */
export function ifFound(body: Body, map: ScriptMap, pointer: Value, found: () => void, missing?: () => void): void {
  if (!map.key && body.script.atLeast(6, 14)) found();
  else body.ifElse(notNull(body, pointer), found, missing, "then");
}

/** Creates or replaces an entry. */
export function update(body: Body, map: ScriptMap, key: Value, value: Value, flags: number = UpdateFlags.ANY): Value {
  return body.helper("map_update_elem", [body.b.mapref(map.kernelMap), key, value, body.int(flags)]);
}

/** The key of a map expression in memory: of its brackets, or the zero of an array. */
export function keyOf(body: Body, map: ScriptMap, expression: MapExpression): Value {
  return map.key ? lowerKey(body, map, expression.key ?? []) : zeroKey(body);
}

/** Marks a scalar as assigned. */
export function markPresent(body: Body, map: ScriptMap, pointer: Value): void {
  if (map.presentOffset !== null && !map.key) body.b.store(pointer, body.int(1), 8, { offset: map.presentOffset });
}

/** The value of a plain map entry, 0 or empty when there is none. */
export function readEntry(body: Body, map: ScriptMap, expression: MapExpression): Operand {
  const { b } = body;
  const { value: type } = map;
  if (!map.key && !map.perCpu) {
    const pointer = b.mapvalue(map.kernelMap);
    return isScalarType(type) ? scalar(type, loadValue(body, type, pointer)) : copyOut(body, type, pointer);
  }
  const pointer = lookup(body, map, keyOf(body, map, expression));
  return readFound(body, type, pointer);
}

/** The value behind the result of a lookup; 0 or empty when it is null. */
export function readFound(body: Body, type: Type, pointer: Value): Operand {
  if (isScalarType(type)) {
    const cell = body.cell(body.int(0));
    body.ifElse(notNull(body, pointer), () => cell.set(loadValue(body, type, pointer)));
    return scalar(type, cell.get());
  }
  const size = sizeOf(type);
  const memory = body.memory(size, "value");
  body.ifElse(
    notNull(body, pointer),
    () => body.copy(memory, 0, pointer, 0, size),
    () => body.zero(memory, size),
    "then",
  );
  return direct(type, memory, 0, true);
}

function loadValue(body: Body, type: Type, pointer: Value): Value {
  return body.b.load(pointer, bitsOf(type), { signed: isSigned(type) });
}

/** A copy in the frame: the entry may change while the value is in use. */
function copyOut(body: Body, type: Type, pointer: Value): Place {
  const size = sizeOf(type);
  const memory = body.memory(size, "value");
  body.copy(memory, 0, pointer, 0, size);
  return direct(type, memory, 0, true);
}

/** `@m[k] = value` of a plain map. */
export function assignEntry(body: Body, map: ScriptMap, target: MapExpression, value: Expression): void {
  const { b } = body;
  if (!map.key && !map.perCpu) {
    const pointer = b.mapvalue(map.kernelMap);
    if (isScalarType(map.value) || !mentionsMap(value, target.name)) {
      lowerInto(body, value, map.value, pointer, 0, true);
    } else {
      const memory = body.memory(sizeOf(map.value), "value");
      lowerInto(body, value, map.value, memory, 0, true);
      body.copy(pointer, 0, memory, 0, sizeOf(map.value));
    }
    markPresent(body, map, pointer);
    return;
  }
  const key = keyOf(body, map, target);
  const memory = body.memory(sizeOf(map.value), "value");
  lowerInto(body, value, map.value, memory, 0, true);
  update(body, map, key, memory);
}

/** True when an expression reads a map. */
function mentionsMap(expression: unknown, name: string): boolean {
  if (expression === null || typeof expression !== "object") return false;
  if (Array.isArray(expression)) return expression.some((item) => mentionsMap(item, name));
  const node = expression as { kind?: unknown; name?: unknown };
  if (node.kind === "map" && node.name === name) return true;
  return Object.entries(node).some(([key, item]) => !SKIPPED_PROPERTIES.has(key) && mentionsMap(item, name));
}

/** Properties of expressions that hold no expressions, some of them cyclic. */
const SKIPPED_PROPERTIES: ReadonlySet<string> = new Set(["type", "resolved", "span", "nameSpan", "operatorSpan"]);

/** Atomic operations by the operators of compound assignment; subtraction adds the negative. */
const ATOMIC_OPERATORS: ReadonlyMap<string, "add" | "and" | "or" | "xor"> = new Map([
  ["+", "add"],
  ["-", "add"],
  ["&", "and"],
  ["|", "or"],
  ["^", "xor"],
]);

/**
 * `@m[k] op= delta` and `++`, for integers. Atomic where an instruction for it exists, so that no update of another CPU is lost.
 * `want`: which value the expression has: the one before, the one after, or none.
 */
export function modifyEntry(
  body: Body,
  map: ScriptMap,
  target: MapExpression,
  operator: string,
  delta: Value,
  compute: (old: Value) => Value,
  want: "old" | "new" | "none",
): Value | null {
  const { b } = body;
  const bits = bitsOf(map.value);
  const signed = isSigned(map.value);
  const atomic = ATOMIC_OPERATORS.get(operator);
  const canFetch = body.script.atLeast(5, 12);
  const useAtomic =
    atomic !== undefined && (bits === 64 || bits === 32) && (atomic === "add" || canFetch) && !map.perCpu;
  const operand = operator === "-" ? b.binary("sub", body.int(0), delta) : delta;
  const inPlace = (pointer: Value): Value | null => {
    if (!useAtomic) {
      const old = b.load(pointer, bits, { signed });
      const after = body.extend(compute(old), bits, signed);
      b.store(pointer, after, bits);
      return want === "old" ? old : after;
    }
    if (want !== "none" && canFetch) {
      const fetched = b.atomic(atomic, pointer, [operand], bits as 32 | 64, { fetch: true });
      const old = body.extend(fetched.type === "i32" ? b.zext(fetched, 32) : fetched, bits, signed);
      return want === "old" ? old : body.extend(compute(old), bits, signed);
    }
    const old = want === "none" ? null : b.load(pointer, bits, { signed });
    b.atomic(atomic, pointer, [operand], bits as 32 | 64);
    return old === null || want === "old" ? old : body.extend(compute(old), bits, signed);
  };
  if (!map.key && !map.perCpu) {
    const pointer = b.mapvalue(map.kernelMap);
    const result = inPlace(pointer);
    markPresent(body, map, pointer);
    return result;
  }
  const key = keyOf(body, map, target);
  const cell = want === "none" ? null : body.cell(body.int(0));
  const keep = (value: Value | null): void => {
    if (cell && value) cell.set(value);
  };
  const found = lookup(body, map, key);
  body.ifElse(
    notNull(body, found),
    () => keep(inPlace(found)),
    () => {
      const memory = body.memory(sizeOf(map.value), "value");
      const first = body.extend(compute(body.int(0)), bits, signed);
      b.store(memory, first, bits);
      const failed = update(body, map, key, memory, map.perCpu ? UpdateFlags.ANY : UpdateFlags.NOEXIST);
      keep(want === "old" ? body.int(0) : first);
      if (map.perCpu) return;
      // Another CPU created the entry in between: then this update goes on top of it.
      body.ifElse(b.icmp("ne", failed, body.int(0)), () => {
        const again = lookup(body, map, key);
        body.ifElse(notNull(body, again), () => keep(inPlace(again)));
      });
    },
    "then",
  );
  return cell?.get() ?? null;
}

/** Deletes an entry: 1 when there was one. */
export function deleteEntry(body: Body, map: ScriptMap, keyMemory: () => Value): Value {
  const { b } = body;
  if (!map.key) {
    if (!map.perCpu) {
      const pointer = b.mapvalue(map.kernelMap);
      const present = map.presentOffset === null ? body.int(1) : b.load(pointer, 8, { offset: map.presentOffset });
      const spec = body.script.module.maps.find((m) => m.name === map.kernelMap)!;
      body.zero(pointer, spec.valueSize);
      return present;
    }
    const spec = body.script.module.maps.find((m) => m.name === map.kernelMap)!;
    const key = zeroKey(body);
    forEachCpu(body, map, key, (pointer) => body.zero(pointer, spec.valueSize));
    return body.int(1);
  }
  const key = keyMemory();
  if (map.layout === "bucketed") {
    const found = body.cell(body.int(0));
    const at = align8(map.keyBytes);
    body.countedLoop(body.int(bucketCount(map.value)), (index) => {
      b.store(key, index, 64, { offset: at });
      const result = body.helper("map_delete_elem", [b.mapref(map.kernelMap), key]);
      body.ifElse(b.icmp("eq", result, body.int(0)), () => found.set(body.int(1)));
    });
    return found.get();
  }
  const result = body.helper("map_delete_elem", [b.mapref(map.kernelMap), key]);
  return body.flag(b.icmp("eq", result, body.int(0)));
}

/** Visits the value of an entry on every CPU; before Linux 5.19 only on this one. */
export function forEachCpu(body: Body, map: ScriptMap, key: Value, visit: (pointer: Value) => void): void {
  const { b, script } = body;
  if (!script.hasHelper("map_lookup_percpu_elem")) {
    const pointer = lookup(body, map, key);
    body.ifElse(notNull(body, pointer), () => visit(pointer));
    return;
  }
  body.countedLoop(body.int(script.env.possibleCpus), (cpu, stop) => {
    const pointer = body.helper("map_lookup_percpu_elem", [b.mapref(map.kernelMap), key, cpu], "ptr");
    const yes = b.block("cpu");
    const no = b.block("missing");
    b.branch(notNull(body, pointer), yes, no, "then");
    b.moveTo(no);
    stop();
    b.moveTo(yes);
    visit(pointer);
  });
}
