/** Functions of the language: one row each. Aggregations are statements and live in aggregations.ts. */
import type { Value } from "../../../compiler/ir.ts";
import type { CallExpression, Expression, MapExpression } from "../ast.ts";
import { lineColumnAt } from "../../../base/index.ts";
import type { EventAction, ScriptPlace } from "../plan.ts";
import { parseFormat } from "../printf.ts";
import { SIGNALS } from "../table/constants.ts";
import { isAggregation, NONE, sizeOf, type Type } from "../types.ts";
import type { Body } from "./body.ts";
import { callFunction } from "./inline.ts";
import { countingCallback } from "./callbacks.ts";
import { constantOfExpression } from "./constants.ts";
import { bootTime, lowerBuiltin, writeBuiltin, writeUserSymbol } from "./builtins.ts";
import { hasKey, lowerExpression, lowerNumber, lowerPlace, typeOf } from "./expressions.ts";
import { ERRNO_TEXTS } from "./errno-texts.ts";
import { emitRecord, emitValues, layoutRecord } from "./events.ts";
import { deleteEntry, lowerKey, mapOf } from "./maps.ts";
import { asNumber, copyBytes, defaultSpace, inMemory, readGuarded, spaceOf, writeOperand } from "./memory.ts";
import { processId, threadId } from "./process-ids.ts";
import { stackLength, takeStack } from "./stacks.ts";
import { compareStart, findString, literalText, writeLiteral } from "./strings.ts";
import { bitsOf, direct, isScalarType, type Operand, type Place, scalar } from "./values.ts";

type CallRow = (body: Body, call: CallExpression, type: Type) => Operand;
/** Writes the value straight to where it is wanted. */
type CallWriter = (body: Body, call: CallExpression, type: Type, to: Value, offset: number, zeroTail: boolean) => void;

const NOTHING = (body: Body): Operand => scalar(NONE, body.int(0));

/** Functions whose value is memory. */
const WRITERS: Readonly<Record<string, CallWriter>> = {
  str: writeStr,
  buf: writeBuf,
  usym: (body, call, _type, to, offset) => writeUserSymbol(body, lowerNumber(body, call.args[0]!), to, offset),
  ntop: writeInet,
  strerror: writeErrorText,
  macaddr: (body, call, _type, to, offset) => writeBytesAt(body, call.args[0]!, 6, to, offset),
};

/** Functions whose value is a number, and those without a value. */
const ROWS: Readonly<Record<string, CallRow>> = {
  printf: (body, call) => formatted(body, call, "printf"),
  errorf: (body, call) => formatted(body, call, "errorf"),
  warnf: (body, call) => formatted(body, call, "warnf"),
  debugf: (body, call) => formatted(body, call, "debugf"),
  system: (body, call) => formatted(body, call, "system"),
  cat: (body, call) => formatted(body, call, "cat"),
  print: lowerPrint,
  clear: (body, call) => mapAction(body, call, "clear"),
  zero: (body, call) => mapAction(body, call, "zero"),
  time: (body, call) => {
    const format = call.args[0] ? wantLiteral(body, call, 0) : "%H:%M:%S\n";
    emitRecord(body, body.script.event({ kind: "time", format }), 8, () => {});
    return NOTHING(body);
  },
  join: lowerJoin,
  exit: (body, call) => {
    const code = call.args[0] ? lowerNumber(body, call.args[0]) : null;
    const event = body.script.event({ kind: "exit", codeOffset: code ? 8 : null });
    emitRecord(
      body,
      event,
      code ? 16 : 8,
      (record) => void (code && body.b.store(record, code, 64, { offset: 8 })),
      true,
    );
    body.onReturn(null);
    return NOTHING(body);
  },
  signal: lowerSignal,
  delete: lowerDelete,
  has_key: (body, call, type) => {
    const map = call.args[0] as MapExpression;
    return scalar(type, hasKey(body, map.name, call.args.slice(1)));
  },
  len: lowerLength,
  strncmp: (body, call, type) => {
    const count = Number(constantOf(body, call, 2));
    return scalar(type, compareStart(body, call.args[0]!, call.args[1]!, count));
  },
  strcontains: (body, call, type) => {
    const at = findString(body, call.args[0]!, call.args[1]!);
    return scalar(type, body.flag(body.b.icmp("sge", at, body.int(0))));
  },
  strstr: (body, call, type) => scalar(type, findString(body, call.args[0]!, call.args[1]!)),
  ksym: (body, call, type) => scalar(type, lowerNumber(body, call.args[0]!)),
  kaddr: (body, call, type) => {
    const name = wantLiteral(body, call, 0);
    const address = body.script.env.kernelSymbol(name);
    if (address === undefined) throw body.script.error(call.span, `Failed to resolve kernel symbol: ${name}`);
    return scalar(type, body.int(address));
  },
  uaddr: lowerUserAddress,
  cgroupid: (body, call, type) => {
    const path = wantLiteral(body, call, 0);
    const id = body.script.env.cgroupId(path);
    if (id === undefined) throw body.script.error(call.span, `cgroupid(): there is no cgroup ${path}`);
    return scalar(type, body.int(id));
  },
  cgroup_path: (body, call, type) => scalar(type, lowerNumber(body, call.args[0]!)),
  kptr: (body, call, type) => scalar(type, lowerNumber(body, call.args[0]!)),
  uptr: (body, call, type) => scalar(type, lowerNumber(body, call.args[0]!)),
  reg: (body, call, type) => {
    const name = wantLiteral(body, call, 0);
    const offset = body.script.registers.names.get(name);
    if (offset === undefined) {
      const known = [...body.script.registers.names.keys()].join(" ");
      throw body.script.error(call.span, `'${name}' is not a register of this architecture (known: ${known})`);
    }
    return scalar(type, body.b.load(body.context, 64, { offset }));
  },
  kstack: (body, _call, type) => takeStack(body, wantStack(type)),
  ustack: (body, _call, type) => takeStack(body, wantStack(type)),
  nsecs: (body, call, type) => scalar(type, clock(body, call)),
  strftime: (body, call, type) => scalar(type, lowerNumber(body, call.args[1]!)),
  pid: (body, call, type) => scalar(type, processId(body, namespaceOf(call))),
  tid: (body, call, type) => scalar(type, threadId(body, namespaceOf(call))),
  bswap: (body, call, type) => {
    const bits = bitsOf(type);
    const value = lowerNumber(body, call.args[0]!);
    return scalar(
      type,
      bits === 8 ? value : body.extend(body.b.bswap(value, bits), bits, type.kind === "int" && type.signed),
    );
  },
  sizeof: (body, call, type) => scalar(type, body.int(call.args[0] ? sizeOf(typeOf(call.args[0])) : 0)),
  fail: (body, call) => {
    throw body.script.error(call.span, literalText(call.args[0]!) ?? "fail()");
  },
};

/** Lowers a call. */
export function lowerCall(body: Body, call: CallExpression): Operand {
  body.at(call.span);
  const type = typeOf(call);
  const user = body.script.checked.functions.find((f) => f.definition.name === call.name);
  if (user) return callFunction(body, call, user);
  const row = ROWS[call.name];
  if (row) return row(body, call, type);
  if (WRITERS[call.name] && !isScalarType(type)) {
    const memory = body.memory(sizeOf(type), call.name);
    WRITERS[call.name]!(body, call, type, memory, 0, true);
    return direct(type, memory, 0, true);
  }
  // Every builtin may be written as a call without arguments.
  if (call.args.length === 0) {
    return lowerBuiltin(body, call.name, undefined, { kind: "identifier", name: call.name, span: call.span, type });
  }
  throw body.script.error(call.span, `${call.name}() is not supported by this version of skep`);
}

/** Writes a call's value straight to where it is wanted; false when there is no shorter way than a copy. */
export function writeCall(
  body: Body,
  call: CallExpression,
  type: Type,
  to: Value,
  offset: number,
  zeroTail: boolean,
): boolean {
  const writer = WRITERS[call.name];
  if (writer && sizeOf(typeOf(call)) <= sizeOf(type)) {
    writer(body, call, typeOf(call), to, offset, zeroTail);
    const size = sizeOf(typeOf(call));
    if (zeroTail && size < sizeOf(type)) body.zero(to, sizeOf(type) - size, offset + size);
    return true;
  }
  return call.args.length === 0 && writeBuiltin(body, call.name, type, to, offset, zeroTail);
}

/** Whose ids `pid(...)` and `tid(...)` give. */
function namespaceOf(call: CallExpression): "own" | "init" {
  const [word] = call.args;
  return word?.kind === "identifier" && word.name === "init" ? "init" : "own";
}

function wantLiteral(body: Body, call: CallExpression, index: number): string {
  const argument = call.args[index];
  const text = argument && literalText(argument);
  if (text === null || text === undefined)
    throw body.script.error(call.span, `${call.name}() expects a string literal`);
  return text;
}

/** The value of an argument that is a literal integer. */
export function constantOf(body: Body, call: CallExpression, index: number): bigint {
  const argument = call.args[index];
  const value = argument && constantOfExpression(argument);
  if (value === undefined) throw body.script.error(call.span, `${call.name}() expects an integer literal`);
  return value;
}

function wantStack(type: Type): Type & { kind: "stack" } {
  if (type.kind !== "stack") throw new TypeError(`a stack was checked as ${type.kind}`);
  return type;
}

function formatted(
  body: Body,
  call: CallExpression,
  kind: "printf" | "errorf" | "warnf" | "debugf" | "system" | "cat",
): Operand {
  const format = parseFormat(wantLiteral(body, call, 0)).pieces;
  emitValues(body, call.args.slice(1), (fields): EventAction => {
    // Complaints name their place in the script.
    if (kind === "errorf" || kind === "warnf") return { kind, format, fields, place: placeOf(body, call) };
    return { kind, format, fields };
  });
  return NOTHING(body);
}

function placeOf(body: Body, call: CallExpression): ScriptPlace {
  const { source } = body.script.checked;
  const { line, column } = lineColumnAt(source.text, call.span.start);
  return { file: source.name, line, column, endColumn: column + (call.span.end - call.span.start) };
}

function mapAction(body: Body, call: CallExpression, kind: "clear" | "zero"): Operand {
  const map = mapOf(body, (call.args[0] as MapExpression).name);
  emitRecord(body, body.script.event({ kind, map: map.name }), 8, () => {});
  return NOTHING(body);
}

function lowerPrint(body: Body, call: CallExpression): Operand {
  const [value] = call.args;
  if (value?.kind === "map") {
    const map = mapOf(body, value.name);
    if (value.key === null) {
      const top = call.args[1] ? Number(constantOf(body, call, 1)) : 0;
      const div = call.args[2] ? Number(constantOf(body, call, 2)) : 0;
      emitRecord(body, body.script.event({ kind: "print-map", map: map.name, top, div }), 8, () => {});
      return NOTHING(body);
    }
    if (isAggregation(map.value)) {
      const { fields, size } = layoutRecord([map.key!]);
      const key = lowerKey(body, map, value.key);
      const event = body.script.event({ kind: "print-map-entry", map: map.name, key: fields[0]! });
      emitRecord(body, event, size, (record) => body.copy(record, fields[0]!.offset, key, 0, map.keyBytes));
      return NOTHING(body);
    }
  }
  emitValues(body, [value!], (fields) => ({ kind: "print-value", field: fields[0]! }));
  return NOTHING(body);
}

/** Strings that `join` takes at most, as in bpftrace. */
const JOIN_ITEMS = 16;

function lowerJoin(body: Body, call: CallExpression): Operand {
  const { b } = body;
  const argument = call.args[0]!;
  const type = typeOf(argument);
  const separator = call.args[1] ? wantLiteral(body, call, 1) : " ";
  const space = spaceOf(body, type.kind === "pointer" ? type.space : "none");
  const argv = lowerNumber(body, argument);
  const itemSize = Math.max(8, Math.ceil(body.script.checked.config.maxStrlen / 8) * 8);
  const event = body.script.event({ kind: "join", separator, countOffset: 8, itemsOffset: 16, itemSize });
  emitRecord(body, event, 16 + JOIN_ITEMS * itemSize, (record) => {
    const count = body.cell(body.int(0));
    const end = b.block("joined");
    const pointer = b.alloca(8, 8);
    for (let i = 0; i < JOIN_ITEMS; i++) {
      body.probeRead(space, pointer, 0, 8, body.addressPlus(argv, i * 8));
      const address = b.load(pointer, 64);
      const next = b.block("item");
      b.branch(b.icmp("ne", address, body.int(0)), next, end);
      b.moveTo(next);
      body.probeReadString(space, record, 16 + i * itemSize, body.int(itemSize), address);
      count.set(body.int(i + 1));
    }
    b.jump(end);
    b.moveTo(end);
    b.store(record, count.get(), 64, { offset: 8 });
  });
  return NOTHING(body);
}

function lowerSignal(body: Body, call: CallExpression): Operand {
  const argument = call.args[0]!;
  const text = literalText(argument);
  let number: Value;
  if (typeof call.constant === "bigint") number = body.int(call.constant);
  else if (text === null) number = lowerNumber(body, argument);
  else {
    const name = text.toUpperCase().startsWith("SIG") ? text.toUpperCase() : `SIG${text.toUpperCase()}`;
    const known = SIGNALS[name];
    if (known === undefined) throw body.script.error(argument.span, `${text} is not a valid signal`);
    number = body.int(known);
  }
  body.helper("send_signal", [number], "i64", call.span);
  return NOTHING(body);
}

function lowerDelete(body: Body, call: CallExpression, type: Type): Operand {
  const target = call.args[0] as MapExpression;
  const map = mapOf(body, target.name);
  const key = call.args.length > 1 ? call.args.slice(1) : (target.key ?? []);
  const extra = map.layout === "bucketed" ? 8 : 0;
  const deleted = deleteEntry(body, map, () => lowerKey(body, map, key, extra));
  return scalar(type, deleted);
}

function lowerLength(body: Body, call: CallExpression, type: Type): Operand {
  const argument = call.args[0]!;
  if (argument.kind === "map" && argument.key === null) {
    const map = mapOf(body, argument.name);
    if (!map.key) return scalar(type, body.int(1));
    const { b } = body;
    const callback = countingCallback(body.script);
    const entries = body.helper(
      "for_each_map_elem",
      [b.mapref(map.kernelMap), b.funcref(callback), b.const(0, "ptr"), body.int(0)],
      "i64",
      call.span,
    );
    return scalar(type, entries);
  }
  const stack = typeOf(argument);
  // A variable holds a stack of this very run of the program, in which the stack does not change.
  if (stack.kind === "stack" && argument.kind !== "map") {
    return scalar(type, stackLength(body, stack));
  }
  throw body.script.error(argument.span, "len() of a stack in a map is not supported by this version of skep");
}

function lowerUserAddress(body: Body, call: CallExpression, type: Type): Operand {
  const name = wantLiteral(body, call, 0);
  const { target } = body.site;
  const path = "path" in target ? target.path : "";
  const binary = path ? body.script.env.binaries(path, body.script.env.pid)[0] : undefined;
  const symbol = binary?.variable?.(name) ?? binary?.find(name);
  if (!binary || !symbol || !("address" in target)) {
    throw body.script.error(call.span, `uaddr(): there is no symbol ${name} in ${path}`);
  }
  if (!binary.isRelocatable) return scalar(type, body.int(symbol.address));
  if (target.provider === "uretprobe") {
    throw body.script.error(call.span, `uaddr() in uretprobe: ${path} has no fixed addresses (use it in a uprobe)`);
  }
  // The probe fires at its own instruction, which tells where the process has the binary.
  const ip = body.b.load(body.context, 64, { offset: body.script.registers.ip });
  return scalar(type, body.b.binary("add", ip, body.int(symbol.address - target.address)));
}

/** Helpers by the word that `nsecs()` takes; `sw_tai` is boot time, moved to wall time by user space. */
const CLOCKS: ReadonlyMap<string, string> = new Map([
  ["monotonic", "ktime_get_ns"],
  ["tai", "ktime_get_tai_ns"],
]);

function clock(body: Body, call: CallExpression): Value {
  const [argument] = call.args;
  const word = argument?.kind === "identifier" ? argument.name : "boot";
  const name = CLOCKS.get(word);
  return name ? body.helper(name, [], "i64", call.span) : bootTime(body);
}

/** The bytes that an argument of `str` or `buf` stands for: an array or string as a place, else an address to read from. */
function sourceOf(body: Body, argument: Expression): Place | { address: Value; space: "kernel" | "user" } {
  const operand = lowerPlace(body, argument);
  const type = typeOf(argument);
  if (operand.form === "place" && !isScalarType(operand.type)) return operand;
  const loaded = operand.form === "place" ? readGuarded(body, operand) : operand;
  const space = type.kind === "pointer" ? spaceOf(body, type.space) : defaultSpace(body);
  return { address: asNumber(body, loaded), space };
}

function writeStr(body: Body, call: CallExpression, type: Type, to: Value, offset: number, zeroTail: boolean): void {
  const argument = call.args[0]!;
  const known = literalText(call);
  const size = sizeOf(type);
  if (known !== null) {
    writeLiteral(body, known, size, to, offset, zeroTail);
    return;
  }
  const source = sourceOf(body, argument);
  const limit = call.args[1] ? limitedSize(body, call.args[1], size) : body.int(size);
  if ("form" in source && (source.access === "direct" || source.access === "context")) {
    writeOperand(body, { ...source, type: { kind: "string", size: sizeOf(source.type) } }, type, to, offset, zeroTail);
    terminate(body, limit, size, to, offset, zeroTail);
    return;
  }
  if (zeroTail) body.zero(to, size, offset);
  const { b } = body;
  const address =
    "form" in source
      ? body.addressPlus(source.access === "trusted" ? b.ptrtoint(source.base) : source.base, source.offset)
      : source.address;
  const space = "form" in source ? (source.access === "user" ? "user" : "kernel") : source.space;
  // An array in a struct may be full, without a NUL: it is never read beyond its end.
  const room = "form" in source && source.type.kind === "array" ? Math.min(size, sizeOf(source.type) + 1) : size;
  const bytes = call.args[1] ? limit : body.int(room);
  body.probeReadString(space, to, offset, bytes, address);
}

/** Bytes to read for a length that the script gives, which counts the NUL: never more than there is room, and room for a NUL. */
function limitedSize(body: Body, length: Expression, size: number): Value {
  const { b } = body;
  const constant = constantOfExpression(length);
  if (constant !== undefined)
    return body.int(constant < BigInt(size) && constant > 0n ? constant : constant ? size : 1);
  const number = lowerNumber(body, length);
  // Nothing is no length to read: the text is empty then.
  const wanted = b.binary("add", number, body.flag(b.icmp("eq", number, body.int(0))));
  const cell = body.cell(body.int(size));
  body.ifElse(b.icmp("ult", wanted, body.int(size)), () => cell.set(wanted));
  return cell.get();
}

/** Cuts a string that was copied whole to a length known when compiled, or to one computed now. */
function terminate(body: Body, limit: Value, size: number, to: Value, offset: number, zeroTail: boolean): void {
  const { b } = body;
  if (limit.kind === "const") {
    const bytes = Number(limit.value);
    if (bytes >= size) b.store(to, body.int(0), 8, { offset: offset + size - 1 });
    else if (zeroTail) body.zero(to, size - bytes + 1, offset + bytes - 1);
    else b.store(to, body.int(0), 8, { offset: offset + bytes - 1 });
    return;
  }
  body.ifElse(b.icmp("ult", b.binary("sub", limit, body.int(1)), body.int(size)), () => {
    b.store(b.ptradd(b.ptradd(to, offset), b.binary("sub", limit, body.int(1))), body.int(0), 8);
  });
}

function writeBuf(body: Body, call: CallExpression, type: Type, to: Value, offset: number, zeroTail: boolean): void {
  const { b } = body;
  const capacity = sizeOf(type) - 4;
  const source = sourceOf(body, call.args[0]!);
  const given = call.args[1] ? constantOfExpression(call.args[1]) : BigInt(capacity);
  if (zeroTail) body.zero(to, sizeOf(type), offset);
  const at = offset + 4;
  if ("form" in source && (source.access === "direct" || source.access === "context")) {
    const length = Math.min(Number(given ?? capacity), capacity, sizeOf(source.type));
    b.store(to, body.int(length), 32, { offset });
    copyBytes(body, source, to, at, length);
    return;
  }
  const address =
    "form" in source
      ? body.addressPlus(source.access === "trusted" ? b.ptrtoint(source.base) : source.base, source.offset)
      : source.address;
  const space = "form" in source ? (source.access === "user" ? "user" : "kernel") : source.space;
  let length: Value;
  if (given !== undefined) length = body.int(given < BigInt(capacity) && given >= 0n ? given : BigInt(capacity));
  else {
    const wanted = lowerNumber(body, call.args[1]!);
    const cell = body.cell(body.int(capacity));
    body.ifElse(b.icmp("ult", wanted, body.int(capacity)), () => cell.set(wanted));
    length = cell.get();
  }
  b.store(to, length, 32, { offset });
  body.helper(space === "user" ? "probe_read_user" : "probe_read_kernel", [
    b.ptradd(to, at),
    length,
    b.inttoptr(address),
  ]);
}

/** Copies `size` bytes from an array, or from where a pointer or number points. */
function writeBytesAt(body: Body, argument: Expression, size: number, to: Value, offset: number): void {
  const source = sourceOf(body, argument);
  if ("form" in source) copyBytes(body, source, to, offset, Math.min(size, sizeOf(source.type)));
  else body.probeRead(source.space, to, offset, size, source.address);
}

/** Writes the text of an errno, given as it is or negated; numbers without one have an empty text. */
function writeErrorText(
  body: Body,
  call: CallExpression,
  type: Type,
  to: Value,
  offset: number,
  zeroTail: boolean,
): void {
  const { b } = body;
  const size = sizeOf(type);
  const known = constantOfExpression(call.args[0]!);
  if (known !== undefined) {
    writeLiteral(body, ERRNO_TEXTS[Number(known)] ?? `Unknown error ${known}`, size, to, offset, zeroTail);
    return;
  }
  const map = body.script.textTable("errno", ERRNO_TEXTS, size);
  const number = lowerNumber(body, call.args[0]!);
  body.ifElse(
    b.icmp("ult", number, body.int(ERRNO_TEXTS.length)),
    () => {
      const text = b.ptradd(b.mapvalue(map), b.binary("mul", number, body.int(size)));
      body.copy(to, offset, text, 0, size);
    },
    () => body.zero(to, size, offset),
    "then",
  );
}

/** Address families of `struct sockaddr`. */
const AF_INET = 2;
const AF_INET6 = 10;

function writeInet(body: Body, call: CallExpression, _type: Type, to: Value, offset: number): void {
  const { b } = body;
  const address = call.args[1] ?? call.args[0]!;
  const type = typeOf(address);
  const long = type.kind !== "int" && type.kind !== "pointer" && sizeOf(type) === 16;
  const family = call.args[1] ? lowerNumber(body, call.args[0]!) : body.int(long ? AF_INET6 : AF_INET);
  b.store(to, family, 32, { offset });
  if (type.kind === "int" || type.kind === "bool") {
    const number = lowerNumber(body, address);
    body.zero(to, 16, offset + 4);
    b.store(to, number, 32, { offset: offset + 4 });
    return;
  }
  if (type.kind === "pointer") {
    writeBytesAt(body, address, 16, to, offset + 4);
    return;
  }
  const size = Math.min(16, sizeOf(type));
  if (size < 16) body.zero(to, 16 - size, offset + 4 + size);
  const operand = lowerExpression(body, address);
  if (operand.form === "place") copyBytes(body, inMemory(body, operand), to, offset + 4, size);
}
