/** The builtin values: one row each. */
import type { Value } from "../../../compiler/ir.ts";
import type { IdentifierExpression } from "../ast.ts";
import { type Field, sizeOf, type Type, U32, U64 } from "../types.ts";
import type { Body } from "./body.ts";
import { typeOf } from "./expressions.ts";
import { dereference, isFollowed, loadPlace, memberPlace, readGuarded, writeOperand } from "./memory.ts";
import { processId, threadId } from "./process-ids.ts";
import { START_TIME } from "./script.ts";
import { takeStack } from "./stacks.ts";
import { writeLiteral } from "./strings.ts";
import { bitsOf, direct, isScalarType, isSigned, type Operand, type Place, scalar } from "./values.ts";

/** What a row gets: the number of `argN`, and the type that the checker found. */
interface BuiltinUse {
  readonly index: number;
  readonly type: Type;
  readonly expression: IdentifierExpression;
}

type Builtin = (body: Body, use: BuiltinUse) => Operand;

const COMM: Type = { kind: "string", size: 16 };

/** A row that is one helper call without arguments. */
function helper(name: string, type: Type = U64): Builtin {
  return (body, use) => {
    const value = body.helper(name, []);
    return scalar(use.type.kind === "none" ? type : use.type, type === U32 ? body.b.zext(value, 32) : value);
  };
}

function highHalf(name: string): Builtin {
  return (body, use) => scalar(use.type, body.b.binary("lshr", body.helper(name, []), body.int(32)));
}

function lowHalf(name: string): Builtin {
  return (body, use) => scalar(use.type, body.b.zext(body.helper(name, []), 32));
}

const BUILTINS: Readonly<Record<string, Builtin>> = {
  pid: (body, use) => scalar(use.type, processId(body)),
  tid: (body, use) => scalar(use.type, threadId(body)),
  uid: lowHalf("get_current_uid_gid"),
  gid: highHalf("get_current_uid_gid"),
  username: lowHalf("get_current_uid_gid"),
  cgroup: helper("get_current_cgroup_id"),
  cpu: helper("get_smp_processor_id", U32),
  numaid: helper("get_numa_node_id", U32),
  rand: helper("get_prandom_u32", U32),
  jiffies: helper("jiffies64"),
  nsecs: (body, use) => scalar(use.type, bootTime(body)),
  elapsed: (body, use) => {
    const start = body.b.load(body.b.mapvalue(START_TIME), 64);
    return scalar(use.type, body.b.binary("sub", body.helper("ktime_get_ns", []), start));
  },
  ncpus: (body, use) => scalar(use.type, body.int(body.script.env.possibleCpus)),
  cpid: (body, use) => scalar(use.type, body.int(body.script.env.pid ?? 0)),
  has_cpid: (body, use) => scalar(use.type, body.int(body.script.env.pid === undefined ? 0 : 1)),
  comm: (body) => {
    const memory = body.memory(16, "comm");
    writeComm(body, memory, 0, true);
    return direct(COMM, memory, 0, true);
  },
  curtask: (body, use) => currentTask(body, use.type),
  ppid: (body, use) => scalar(use.type, parentPid(body, use)),
  ctx: (body, use) => scalar(use.type, body.b.ptrtoint(body.context)),
  kstack: (body, use) => takeStack(body, stackType(use)),
  ustack: (body, use) => takeStack(body, stackType(use)),
  probe: (body, use) => scalar(use.type, probeName(body)),
  arg: (body, use) => scalar(use.type, argument(body, use)),
  retval: (body, use) => {
    const { registers } = body.script;
    const value = body.b.load(body.context, 64, { offset: registers.result });
    return scalar(use.type, use.type.kind === "int" ? body.extend(value, bitsOf(use.type), use.type.signed) : value);
  },
  func: (body, use) => functionName(body, use.type),
};

/** Index of the probe's name: by system call, by attachment, or one for the whole program. */
function probeName(body: Body): Value {
  if (body.probeNameIndex) return body.probeNameIndex;
  if (body.site.cookies) return body.helper("get_attach_cookie", [body.context]);
  return body.int(body.script.probeName(body.site.target.name));
}

/** Lowers a builtin. */
export function lowerBuiltin(
  body: Body,
  name: string,
  index: number | undefined,
  expression: IdentifierExpression,
): Operand {
  body.at(expression.span);
  if (name === "args") throw body.script.error(expression.span, "args is read by its fields, such as args.NAME");
  const row = BUILTINS[/^arg\d+$/.test(name) ? "arg" : name];
  if (!row) throw body.script.error(expression.span, `${name} is not supported by this version of skep`);
  return row(body, { index: index ?? Number(/\d+$/.exec(name)?.[0] ?? 0), type: typeOf(expression), expression });
}

/** Writes a builtin that is memory straight to where it is wanted; false when there is no shorter way than a copy. */
export function writeBuiltin(
  body: Body,
  name: string,
  type: Type,
  to: Value,
  offset: number,
  zeroTail: boolean,
): boolean {
  if (name !== "comm" || type.kind !== "string" || type.size < 16) return false;
  writeComm(body, to, offset, zeroTail);
  if (zeroTail && type.size > 16) body.zero(to, type.size - 16, offset + 16);
  return true;
}

/** Nanoseconds since boot with suspend; without before Linux 5.8. */
export function bootTime(body: Body): Value {
  return body.helper(body.script.hasHelper("ktime_get_boot_ns") ? "ktime_get_boot_ns" : "ktime_get_ns", []);
}

/**
 * Writes the 16 bytes of the task's name. Kernels from 5.17 to 6.3 leave the bytes behind the NUL as they were (`strscpy`), others
 * clear them (`strncpy` before, `strscpy_pad` after).
 */
function writeComm(body: Body, to: Value, offset: number, zeroTail: boolean): void {
  if (zeroTail && body.script.atLeast(5, 17) && !body.script.atLeast(6, 5)) body.zero(to, 16, offset);
  body.helper("get_current_comm", [body.b.ptradd(to, offset), body.int(16)]);
}

function stackType(use: BuiltinUse): Type & { kind: "stack" } {
  if (use.type.kind !== "stack") throw new TypeError(`${use.expression.name}: checked as ${use.type.kind}`);
  return use.type;
}

/** `struct task_struct *` of the current thread, as the verifier knows it where it can. */
export function currentTask(body: Body, type: Type): Operand {
  const { b, script } = body;
  const task = type.kind === "pointer" && type.to.kind === "struct" && type.to.name === "task_struct";
  if (task && script.env.btf && script.hasHelper("get_current_task_btf")) {
    const pointer = body.helper("get_current_task_btf", [], "ptr");
    return scalar(type, b.ptrtoint(pointer), pointer);
  }
  return scalar(type, body.helper("get_current_task", []));
}

/** A field of the kernel's `struct task_struct`, by path through embedded structs; undefined without BTF. */
function taskField(body: Body, path: string): { byteOffset: number } | undefined {
  const { btf } = body.script.env;
  const task = btf?.structByName("task_struct");
  const field = task && btf?.memberPath(task.id, path);
  return field && { byteOffset: field.bitOffset / 8 };
}

const TASK_POINTER: Type = {
  kind: "pointer",
  space: "kernel",
  to: {
    kind: "struct",
    keyword: "struct",
    name: "task_struct",
    size: 0,
    layout: { field: () => undefined, fields: () => [] },
  },
};

function parentPid(body: Body, use: BuiltinUse): Value {
  const parent = taskField(body, "real_parent");
  const tgid = taskField(body, "tgid");
  if (!parent || !tgid)
    throw body.script.error(use.expression.span, "ppid needs the kernel's types (/sys/kernel/btf/vmlinux)");
  const at = (pointer: Operand, field: { byteOffset: number }, type: Type): Operand => {
    const task = dereference(body, pointer, (TASK_POINTER as Type & { kind: "pointer" }).to, "kernel");
    return readGuarded(body, { ...task, type, offset: field.byteOffset });
  };
  const pointer = at(currentTask(body, TASK_POINTER), parent, TASK_POINTER);
  const pid = at(pointer, tgid, U32);
  return pid.form === "scalar" ? pid.value : body.int(0);
}

function argument(body: Body, use: BuiltinUse): Value {
  const { b, site, script } = body;
  const { index } = use;
  if (site.context === "raw-tracepoint") return b.load(body.context, 64, { offset: index * 8 });
  if (site.context === "raw-tracepoint-btf") return asAddress(body, b.load(body.context, 64, { offset: index * 8 }));
  const { args, sp, stackArgs } = script.registers;
  if (index < args.length) return b.load(body.context, 64, { offset: args[index]! });
  const stack = b.load(body.context, 64, { offset: sp });
  const buffer = b.alloca(8, 8);
  const user = site.target.provider === "uprobe";
  const address = body.addressPlus(stack, stackArgs + (index - args.length) * 8);
  body.probeRead(user ? "user" : "kernel", buffer, 0, 8, address);
  return b.load(buffer, 64);
}

/** A number that may be a pointer to the verifier, as a plain number to the script. */
function asAddress(body: Body, value: Value): Value {
  return value.type === "ptr" ? body.b.ptrtoint(value) : value;
}

/** Address of the probed function, and for user space the process it is in. */
function functionName(body: Body, type: Type): Operand {
  const { b, site, script } = body;
  if (type.kind === "string") {
    const memory = body.memory(type.size, "func");
    const { target } = site;
    const name = "func" in target ? target.func : "symbol" in target ? target.symbol : target.name;
    writeLiteral(body, name, type.size, memory, 0, true);
    return direct(type, memory, 0, true);
  }
  const user = type.kind === "usym";
  const canAsk = user ? script.atLeast(6, 7) : script.hasHelper("get_func_ip");
  const address = canAsk
    ? body.helper("get_func_ip", [body.context])
    : b.load(body.context, 64, { offset: script.registers.ip });
  if (!user) return scalar(type, address);
  const memory = body.memory(16, "usym");
  writeUserSymbol(body, address, memory, 0);
  return direct(type, memory);
}

/** Writes a user symbol: address, process id, zero. */
export function writeUserSymbol(body: Body, address: Value, to: Value, offset: number): void {
  const { b } = body;
  b.store(to, address, 64, { offset });
  b.store(to, processId(body), 64, { offset: offset + 8 });
}

/** A field of `args`: of the record, of the registers of a system call, or of a raw tracepoint's arguments. */
export function lowerArgsField(body: Body, field: Field): Operand {
  const { b, site } = body;
  const context: Place = { form: "place", type: field.type, access: "context", base: body.context, offset: 0 };
  switch (site.context) {
    case "syscall-task":
    case "syscall-raw":
      return syscallField(body, field);
    case "raw-tracepoint-btf": {
      const { type } = field;
      if (isFollowed(body, type)) {
        const pointer = b.load(body.context, 64, { offset: field.byteOffset, type: "ptr" });
        return scalar(type, b.ptrtoint(pointer), pointer);
      }
      return narrow(body, type, b.load(body.context, 64, { offset: field.byteOffset }));
    }
    default:
      break;
  }
  if (field.dataLocation) return dataLocation(body, field);
  return memberPlace(context, field);
}

/** A register's value as a field's type. */
function narrow(body: Body, type: Type, value: Value): Operand {
  return scalar(type, isScalarType(type) ? body.extend(value, bitsOf(type), isSigned(type)) : value);
}

/** First byte of the arguments in the record of a system call: behind the common fields and the number. */
const SYSCALL_ARGS_OFFSET = 16;

function syscallField(body: Body, field: Field): Operand {
  const { b, script, site } = body;
  const { registers } = script;
  if (field.byteOffset === 8 && field.name === "__syscall_nr") return scalar(field.type, body.syscallNumber!);
  if (site.syscalls!.side === "exit") {
    const value = b.load(body.context, 64, { offset: 8 });
    return narrow(body, field.type, value);
  }
  if (field.byteOffset < SYSCALL_ARGS_OFFSET) return commonField(body, field);
  const index = (field.byteOffset - SYSCALL_ARGS_OFFSET) / 8;
  return narrow(body, field.type, readRegister(body, registers.syscallArgs[index]!, 64));
}

/** The fields that every record has, made up where there is no record. */
function commonField(body: Body, field: Field): Operand {
  if (field.name === "common_pid") {
    return scalar(field.type, body.b.zext(body.helper("get_current_pid_tgid", []), 32));
  }
  return scalar(field.type, body.int(0));
}

/** A register of the `struct pt_regs` that a raw system call tracepoint has as its first argument. */
export function readRegister(body: Body, offset: number, bits: 32 | 64): Value {
  const { b, site } = body;
  if (site.context === "syscall-task") {
    body.taskRegisters ??= body.helper("task_pt_regs", [body.helper("get_current_task_btf", [], "ptr")], "ptr");
    return b.load(body.taskRegisters, bits, { offset, faultable: true });
  }
  const place: Place = {
    form: "place",
    type: { kind: "int", size: (bits / 8) as 4 | 8, signed: false },
    access: "kernel",
    base: b.load(body.context, 64),
    offset,
  };
  const loaded = loadPlace(body, place);
  return loaded.form === "scalar" ? loaded.value : body.int(0);
}

/** `__data_loc` fields: the 32 bits in the record say where the data lies in it, or behind the field. */
function dataLocation(body: Body, field: Field): Operand {
  const { b } = body;
  const location = b.load(body.context, 32, { offset: field.byteOffset });
  let base = b.binary("add", b.ptrtoint(body.context), b.binary("and", location, body.int(0xffff)));
  if (field.dataLocation === "rel") base = b.binary("add", base, body.int(field.byteOffset + 4));
  const { type } = field;
  if (type.kind === "string") {
    const memory = body.memory(sizeOf(type), field.name);
    writeOperand(body, { form: "place", type, access: "kernel", base, offset: 0 }, type, memory, 0, true);
    return direct(type, memory, 0, true);
  }
  if (type.kind === "pointer" || type.kind === "int") return scalar(type, base);
  return { form: "place", type, access: "kernel", base, offset: 0 };
}
