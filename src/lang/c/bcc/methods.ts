/** Methods of tables as calls of helpers. */
import type { Expr, FunctionDecl } from "../ast.ts";
import type { Diagnostics } from "../diagnostics.ts";
import { isInteger } from "../types/compatible.ts";
import { sizeOf } from "../types/layout.ts";
import { type CType, INT, UNSIGNED_LONG_LONG, VOID, pointerTo, shapeOf, typeText } from "../types/types.ts";
import {
  VOID_POINTER,
  addressOf,
  assign,
  binary,
  callHelper,
  cast,
  convert,
  declare,
  dereference,
  integer,
  load,
  local,
  not,
  statement,
  statements,
  variable,
  voidAddress,
  when,
} from "./build.ts";
import type { MethodCall } from "./calls.ts";
import { kindsWith, methodsOf } from "./table-kinds.ts";
import { MapType } from "../../../isa/index.ts";
import type { Table } from "./tables.ts";

/** Flags of updates (`BPF_ANY` and others of the UAPI). */
const Update = { ANY: 0, NOEXIST: 1 } as const;
/** `BPF_F_CURRENT_CPU`: the low half of flags names the CPU. */
const CURRENT_CPU = 0xffffffffn;
/** Flags of `perf_submit_skb` hold the bytes of the packet from this bit on. */
const PACKET_SHIFT = 32;

/** What methods need of the pass that they are part of. */
export interface MethodsHost {
  readonly diagnostics: Diagnostics;
  /** The function that calls. */
  readonly func: FunctionDecl;
  /** A part of the call as it is to be. */
  expr(expr: Expr): Expr;
  /** An argument that points to what a helper reads: foreign memory is copied first. */
  pointer(arg: Expr, to: CType): Expr;
}

/** A call being made. */
interface Making {
  readonly host: MethodsHost;
  readonly table: Table;
  readonly call: Expr & { readonly kind: "call" };
  /** The map's address. */
  readonly map: Expr;
  readonly location: number;
}

type Maker = (making: Making) => Expr;

function helperCall({ host, location }: Making, name: string, args: readonly Expr[]): Expr {
  return callHelper(host.diagnostics, name, args, location);
}

function flags(making: Making, value: bigint | number): Expr {
  return integer(value, UNSIGNED_LONG_LONG, making.location);
}

/** An argument, rebuilt. */
function arg({ host, call }: Making, index: number): Expr {
  return host.expr(call.args[index]!);
}

function keyOf(making: Making): Expr {
  const { host, call, table } = making;
  return host.pointer(call.args[0]!, table.key);
}

function leafOf(making: Making, index: number = 1): Expr {
  const { host, call, table } = making;
  return host.pointer(call.args[index]!, table.leaf);
}

function lookupAt(making: Making, key: Expr): Expr {
  const found = helperCall(making, "bpf_map_lookup_elem", [making.map, key]);
  return cast(found, pointerTo(making.table.leaf), "pointer");
}

function updateAt(making: Making, key: Expr, leaf: Expr, how: number): Expr {
  return helperCall(making, "bpf_map_update_elem", [making.map, key, leaf, flags(making, how)]);
}

const lookup: Maker = (making) => lookupAt(making, keyOf(making));

/** Looks up, and inserts what is given when there is nothing. */
function lookupOrInsert(making: Making, orReturn: boolean): Expr {
  const { location, host, table } = making;
  const key = local("key", VOID_POINTER, location, convert(keyOf(making), VOID_POINTER));
  const keyValue = (): Expr => load(variable(key, location));
  const leaf = local("leaf", pointerTo(table.leaf), location, lookupAt(making, keyValue()));
  const found = (): Expr => load(variable(leaf, location));
  const { result } = host.func.type;
  const giveUp = when(not(found()), [
    {
      kind: "return",
      value: shapeOf(result).kind === "void" ? undefined : convert(integer(0, INT, location), result),
      location,
    },
  ]);
  const insert = [
    statement(updateAt(making, keyValue(), leafOf(making), Update.NOEXIST)),
    statement(assign(variable(leaf, location), lookupAt(making, keyValue()))),
    ...(orReturn ? [giveUp] : []),
  ];
  return statements([declare(key), declare(leaf), when(not(found()), insert)], found(), location);
}

/** Counts up what the key leads to; the key comes by value. */
function count(making: Making, atomic: boolean): Expr {
  const { location, host, table, call } = making;
  const { leaf } = table;
  const size = sizeOf(leaf);
  if (!isInteger(leaf) || (atomic && size !== 4 && size !== 8)) {
    host.diagnostics.error(
      location,
      `${table.name} holds ${typeText(leaf)}: only ${atomic ? "integers of 4 or 8 bytes" : "integers"} can be counted up`,
    );
    return integer(0, INT, location);
  }
  const body = [];
  const keyPlace = placeOf(call.args[0]!) ?? undefined;
  let key: Expr;
  if (keyPlace === undefined) {
    const copy = local("key", table.key, location, arg(making, 0));
    body.push(declare(copy));
    key = variable(copy, location);
  } else key = keyPlace;
  const by = local(
    "by",
    leaf,
    location,
    call.args[1] === undefined ? integer(1, leaf, location) : convert(arg(making, 1), leaf),
  );
  const amount = (): Expr => load(variable(by, location));
  const found = local("leaf", pointerTo(leaf), location, lookupAt(making, voidAddress(key)));
  const place = (): Expr => load(variable(found, location));
  const add: Expr = atomic
    ? {
        kind: "builtin",
        name: "__sync_fetch_and_add",
        args: [place(), amount()],
        type: leaf,
        location,
      }
    : {
        kind: "assign",
        operator: "+",
        target: dereference(place()),
        value: amount(),
        computeType: leaf,
        type: leaf,
        location,
      };
  const first = local("first", leaf, location, amount());
  // Entries of other maps are there from the start, or belong to whoever made room for them.
  const insert =
    table.mapType === MapType.HASH
      ? [
          declare(first),
          statement(updateAt(making, voidAddress(key), voidAddress(variable(first, location)), Update.NOEXIST)),
        ]
      : undefined;
  const found0 = binary("!=", place(), cast(integer(0, INT, location), pointerTo(leaf), "integer-to-pointer"), INT);
  body.push(declare(by), declare(found), when(found0, [statement(add)], insert));
  return statements(body, undefined, location);
}

/** The variable of a block whose value an argument is, as it stands: its own bytes can be the key. */
function placeOf(value: Expr): Expr | undefined {
  if (value.kind !== "cast" || value.cast !== "load") return undefined;
  const { operand } = value;
  const isLocal = operand.kind === "variable" && ["local", "parameter"].includes(operand.variable.storage);
  return isLocal ? operand : undefined;
}

/** What the records are that a pointer argument points to; undefined for bytes. */
function recordsOf(value: Expr): CType | undefined {
  let at = value;
  while (at.kind === "cast" && (at.cast === "pointer" || at.cast === "none")) at = at.operand;
  const pointer = shapeOf(at.type);
  if (pointer.kind !== "pointer") return undefined;
  const { kind } = shapeOf(pointer.to);
  return kind === "void" || kind === "function" || sizeOf(pointer.to) === undefined ? undefined : pointer.to;
}

function remember({ table, call }: Making, index: number): void {
  const type = recordsOf(call.args[index]!);
  if (type === undefined) return;
  const bare = type.kind === "qualified" ? type.of : type;
  // Structs say more than bytes of one: a later call with a plain buffer takes nothing away.
  if (shapeOf(bare).kind === "record" || table.event === undefined) table.event = bare;
}

const perfSubmit: Maker = (making) => {
  remember(making, 1);
  const args = [arg(making, 0), making.map, flags(making, CURRENT_CPU), arg(making, 1), arg(making, 2)];
  return helperCall(making, "bpf_perf_event_output", args);
};

const perfSubmitPacket: Maker = (making) => {
  remember(making, 2);
  const length = binary("<<", cast(arg(making, 1), UNSIGNED_LONG_LONG, "integer"), flags(making, PACKET_SHIFT));
  const how = binary("|", length, flags(making, CURRENT_CPU));
  return helperCall(making, "bpf_perf_event_output", [arg(making, 0), making.map, how, arg(making, 2), arg(making, 3)]);
};

/** A helper that takes the map first and then what is given. */
function mapFirst(name: string): Maker {
  return (making) => helperCall(making, name, [making.map, ...making.call.args.map((_, i) => arg(making, i))]);
}

/** A helper that takes the context, the map, and then what is given. */
function mapSecond(name: string): Maker {
  return (making) => {
    const [context, ...rest] = making.call.args.map((_, i) => arg(making, i));
    return helperCall(making, name, [context!, making.map, ...rest]);
  };
}

/** A helper of ring buffers that finds the buffer by the record. */
function byRecord(name: string): Maker {
  return (making) => {
    remember(making, 0);
    return helperCall(making, name, [arg(making, 0), arg(making, 1)]);
  };
}

const makers: Readonly<Record<string, Maker>> = {
  lookup,
  lookup_or_try_init: (making) => lookupOrInsert(making, false),
  lookup_or_init: (making) => lookupOrInsert(making, true),
  update: (making) => updateAt(making, keyOf(making), leafOf(making), Update.ANY),
  insert: (making) => {
    if (making.table.mapType === MapType.ARRAY)
      making.host.diagnostics.warning(
        making.location,
        `all elements of array ${making.table.name} exist: insert() changes nothing`,
      );
    return updateAt(making, keyOf(making), leafOf(making), Update.NOEXIST);
  },
  delete: (making) => helperCall(making, "bpf_map_delete_elem", [making.map, keyOf(making)]),
  increment: (making) => count(making, false),
  atomic_increment: (making) => count(making, true),
  get_stackid: mapSecond("bpf_get_stackid"),
  call: mapSecond("bpf_tail_call"),
  perf_submit: perfSubmit,
  perf_submit_skb: perfSubmitPacket,
  ringbuf_output: (making) => {
    remember(making, 0);
    return mapFirst("bpf_ringbuf_output")(making);
  },
  ringbuf_reserve: (making) =>
    helperCall(making, "bpf_ringbuf_reserve", [making.map, arg(making, 0), flags(making, 0)]),
  ringbuf_submit: byRecord("bpf_ringbuf_submit"),
  ringbuf_discard: (making) => helperCall(making, "bpf_ringbuf_discard", [arg(making, 0), arg(making, 1)]),
  ringbuf_query: mapFirst("bpf_ringbuf_query"),
  perf_read: mapFirst("bpf_perf_event_read"),
  perf_counter_value: mapFirst("bpf_perf_event_read_value"),
  check_current_task: mapFirst("bpf_current_task_under_cgroup"),
  redirect_map: mapFirst("bpf_redirect_map"),
  push: (making) => helperCall(making, "bpf_map_push_elem", [making.map, leafOf(making, 0), arg(making, 1)]),
  pop: mapFirst("bpf_map_pop_elem"),
  peek: mapFirst("bpf_map_peek_elem"),
  sk_storage_get: mapFirst("bpf_sk_storage_get"),
  sk_storage_delete: mapFirst("bpf_sk_storage_delete"),
  inode_storage_get: mapFirst("bpf_inode_storage_get"),
  inode_storage_delete: mapFirst("bpf_inode_storage_delete"),
  task_storage_get: mapFirst("bpf_task_storage_get"),
  task_storage_delete: mapFirst("bpf_task_storage_delete"),
  sock_map_update: mapSecond("bpf_sock_map_update"),
  sock_hash_update: mapSecond("bpf_sock_hash_update"),
  msg_redirect_hash: mapSecond("bpf_msg_redirect_hash"),
  sk_redirect_hash: mapSecond("bpf_sk_redirect_hash"),
  get_local_storage: mapFirst("bpf_get_local_storage"),
};

/** A call of a table's method as what it does. */
export function lowerMethod(
  host: MethodsHost,
  call: Expr & { readonly kind: "call" },
  { variable: of, method }: MethodCall,
  table: Table,
): Expr {
  const { location } = call;
  const make = Object.hasOwn(makers, method) ? makers[method] : undefined;
  if (make === undefined || !methodsOf(table.kind).includes(method)) {
    const kinds = kindsWith(method);
    host.diagnostics.error(location, `${table.name} is of kind "${table.kind}": it has no ${method}()`, {
      length: table.name.length,
      hint:
        kinds.length === 0
          ? `it has ${methodsOf(table.kind).join(", ")}`
          : `tables of kind ${kinds.map((kind) => `"${kind}"`).join(", ")} have it`,
    });
    return integer(0, INT, location);
  }
  const map = cast(addressOf(variable(of, location)), VOID_POINTER, "pointer");
  const made = make({ host, table, call, map, location });
  const { type } = call;
  if (shapeOf(type).kind === "void") return cast(made, VOID, "void");
  const [from, to] = [shapeOf(made.type).kind, shapeOf(type).kind];
  if (from === "void") return made;
  return from === "record" || to === "record" ? made : convert(made, type);
}
