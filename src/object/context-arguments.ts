/**
 * `__arg_ctx`: a global function says by a tag that an argument is the program's context. Kernels before 6.8 do not read the tag; they
 * know the context by the name of its type. For them each program gets functions of its own in BTF whose tagged arguments have that type.
 */
import { Btf, BtfEditor, BtfFuncLinkage, BtfKind, FUNC_INFO_SIZE } from "../btf/index.ts";
import { ProgType } from "../isa/index.ts";
import type { BpfObject, ProgramSpec } from "./spec.ts";

const TAG = "arg:ctx";

/** Names of the context's type, of program types that have one. */
const contexts: ReadonlyMap<number, string> = new Map([
  [ProgType.CGROUP_DEVICE, "bpf_cgroup_dev_ctx"],
  [ProgType.CGROUP_SKB, "__sk_buff"],
  [ProgType.CGROUP_SOCK, "bpf_sock"],
  [ProgType.CGROUP_SOCK_ADDR, "bpf_sock_addr"],
  [ProgType.CGROUP_SOCKOPT, "bpf_sockopt"],
  [ProgType.CGROUP_SYSCTL, "bpf_sysctl"],
  [ProgType.FLOW_DISSECTOR, "__sk_buff"],
  [ProgType.KPROBE, "bpf_user_pt_regs_t"],
  [ProgType.LWT_IN, "__sk_buff"],
  [ProgType.LWT_OUT, "__sk_buff"],
  [ProgType.LWT_SEG6LOCAL, "__sk_buff"],
  [ProgType.LWT_XMIT, "__sk_buff"],
  [ProgType.NETFILTER, "bpf_nf_ctx"],
  [ProgType.PERF_EVENT, "bpf_perf_event_data"],
  [ProgType.RAW_TRACEPOINT, "bpf_raw_tracepoint_args"],
  [ProgType.RAW_TRACEPOINT_WRITABLE, "bpf_raw_tracepoint_args"],
  [ProgType.SCHED_ACT, "__sk_buff"],
  [ProgType.SCHED_CLS, "__sk_buff"],
  [ProgType.SK_LOOKUP, "bpf_sk_lookup"],
  [ProgType.SK_MSG, "sk_msg_md"],
  [ProgType.SK_REUSEPORT, "sk_reuseport_md"],
  [ProgType.SK_SKB, "__sk_buff"],
  [ProgType.SOCK_OPS, "bpf_sock_ops"],
  [ProgType.SOCKET_FILTER, "__sk_buff"],
  [ProgType.XDP, "xdp_md"],
]);

/** Registers of the machine, as kprobes and perf events may take them for their context. */
const registers: ReadonlySet<string> = new Set(["pt_regs", "user_pt_regs", "user_regs_struct"]);

/** A tagged argument of a global function. */
interface TaggedArgument {
  readonly funcId: number;
  readonly index: number;
}

/**
 * The object with contexts that kernels before 6.8 know. The object itself when nothing is tagged. Types that are no context are left to
 * the verifier. Pairs with `bpf_program_fixup_func_info` of libbpf.
 */
export function nameContextArguments(object: BpfObject): BpfObject {
  if (object.btf === undefined) return object;
  const btf = Btf.parse(object.btf, { section: ".BTF" });
  const tagged = taggedArguments(btf);
  if (tagged.length === 0) return object;
  const editor = new BtfEditor(object.btf);
  const programs = object.programs.map((program) => {
    const funcInfo = renamed(program, btf, editor, tagged);
    return funcInfo === undefined ? program : { ...program, funcInfo };
  });
  return { ...object, programs, btf: editor.finish() };
}

function taggedArguments(btf: Btf): TaggedArgument[] {
  const found: TaggedArgument[] = [];
  for (const id of btf.idsByKind(BtfKind.DECL_TAG)) {
    const tag = btf.typeById(id);
    if (tag.kind !== BtfKind.DECL_TAG || tag.name !== TAG) continue;
    const func = btf.typeById(tag.typeId);
    if (func.kind !== BtfKind.FUNC || func.linkage !== BtfFuncLinkage.GLOBAL) continue;
    const count = btf.funcProto(tag.typeId)?.parameters.length ?? 0;
    if (tag.componentIndex >= 0 && tag.componentIndex < count)
      found.push({ funcId: tag.typeId, index: tag.componentIndex });
  }
  return found;
}

/** The program's function records with copies of functions whose arguments were wrong; undefined when none was. */
function renamed(
  program: ProgramSpec,
  btf: Btf,
  editor: BtfEditor,
  tagged: readonly TaggedArgument[],
): Uint8Array | undefined {
  const context = contexts.get(program.type);
  if (context === undefined) return undefined;
  const funcInfo = program.funcInfo.slice();
  const records = new DataView(funcInfo.buffer);
  let pointerId = 0;
  for (let at = 0; at + FUNC_INFO_SIZE <= funcInfo.length; at += FUNC_INFO_SIZE) {
    const funcId = records.getUint32(at + 4, true);
    const wrong = tagged.filter(
      (argument) => argument.funcId === funcId && isOtherwiseNamed(program, btf, argument, context),
    );
    if (wrong.length === 0) continue;
    if (pointerId === 0) {
      const structId = editor.append(BtfKind.STRUCT, editor.string(context), 0);
      pointerId = editor.append(BtfKind.PTR, 0, structId);
    }
    records.setUint32(at + 4, copyFunction(btf, editor, funcId, wrong, pointerId), true);
  }
  return pointerId === 0 ? undefined : funcInfo;
}

function copyFunction(
  btf: Btf,
  editor: BtfEditor,
  funcId: number,
  wrong: readonly TaggedArgument[],
  pointerId: number,
): number {
  const [funcName, , protoId] = editor.wordsOf(funcId);
  const parameters = editor.wordsOf(protoId!).slice(3);
  for (const { index } of wrong) parameters[index * 2 + 1] = pointerId;
  const { returnTypeId } = btf.funcProto(funcId)!;
  const newProtoId = editor.append(BtfKind.FUNC_PROTO, 0, returnTypeId, [...parameters], parameters.length / 2);
  const newFuncId = editor.append(BtfKind.FUNC, funcName!, newProtoId, [], BtfFuncLinkage.GLOBAL);
  for (const { index } of wrong) editor.append(BtfKind.DECL_TAG, editor.string(TAG), newFuncId, [index]);
  return newFuncId;
}

/** Whether an argument points to what may be the context under another name than the kernel looks for. */
function isOtherwiseNamed(program: ProgramSpec, btf: Btf, { funcId, index }: TaggedArgument, context: string): boolean {
  const parameter = btf.typeById(btf.stripModifiers(btf.funcProto(funcId)!.parameters[index]!.typeId));
  if (parameter.kind !== BtfKind.PTR) return false;
  const takesRegisters = program.type === ProgType.KPROBE || program.type === ProgType.PERF_EVENT;
  if (takesRegisters && isTypedefNamed(btf, parameter.typeId, "bpf_user_pt_regs_t")) return false;
  const pointee = btf.typeById(btf.stripModifiers(parameter.typeId));
  if (pointee.kind === BtfKind.UNKN) return true;
  if (pointee.kind === BtfKind.STRUCT) return pointee.name !== context && takesRegisters && registers.has(pointee.name);
  const isRaw = program.type === ProgType.RAW_TRACEPOINT || program.type === ProgType.RAW_TRACEPOINT_WRITABLE;
  return isRaw && pointee.kind === BtfKind.INT && pointee.size === 8;
}

/** Looks through qualifiers, not through the typedef. */
function isTypedefNamed(btf: Btf, typeId: number, name: string): boolean {
  const qualifiers: readonly number[] = [BtfKind.CONST, BtfKind.VOLATILE, BtfKind.RESTRICT, BtfKind.TYPE_TAG];
  let type = btf.typeById(typeId);
  while (qualifiers.includes(type.kind)) type = btf.typeById((type as { readonly typeId: number }).typeId);
  return type.kind === BtfKind.TYPEDEF && type.name === name;
}
