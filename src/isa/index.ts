/** eBPF instructions and the numbers of the UAPI. */
export { BpfCmd } from "./uapi/commands.ts";
export { ProgType } from "./uapi/program-types.ts";
export { AttachType } from "./uapi/attach-types.ts";
export { MapType } from "./uapi/map-types.ts";
export { LinkType } from "./uapi/link-types.ts";
export {
  MapFlags,
  PerfEventFlags,
  RingbufFlags,
  RingbufHeader,
  RingbufQuery,
  StackFlags,
  UpdateFlags,
} from "./uapi/map-flags.ts";
export {
  AttachFlags,
  CgroupIterOrder,
  LogLevel,
  NetfilterFlags,
  PerfLinkType,
  ProbeMultiFlags,
  ProgFlags,
  QueryFlags,
  StatsType,
  TaskFdType,
  TestRunFlags,
} from "./uapi/load-flags.ts";
export {
  MAX_CALL_FRAMES,
  MAX_INSNS_UNPRIVILEGED,
  MAX_INSNS_VERIFIED,
  MAX_STACK_BYTES,
  MAX_TAIL_CALLS,
  OBJ_NAME_LENGTH,
  PERF_MAX_STACK_DEPTH,
  TAG_SIZE,
} from "./uapi/limits.ts";
export {
  ATTACH_TYPE_SINCE,
  COMMAND_SINCE,
  LINK_TYPE_SINCE,
  MAP_TYPE_SINCE,
  PROG_TYPE_SINCE,
} from "./uapi/first-version.ts";
export { allHelpers, helperById, helperByName, helperNames } from "./helpers.ts";
export type { Helper, HelperArg, HelperArgKind, HelperReturn, HelperReturnKind } from "./helpers.ts";
export {
  Alu,
  AluOffset,
  Atomic,
  Class,
  INSN_SIZE,
  Jmp,
  LD_IMM64,
  Mode,
  OPCODE_FORMS,
  PseudoCall,
  PseudoImm64,
  Reg,
  SIZE_BYTES,
  Size,
  Source,
} from "./opcodes.ts";
export type { OpcodeForm } from "./opcodes.ts";
export {
  addrSpaceCast,
  alu32Imm,
  alu32Reg,
  alu64Imm,
  alu64Reg,
  atomic,
  bswap,
  callHelper,
  callKfunc,
  callLocal,
  endian,
  exit,
  invalidReason,
  isAtomicOp,
  jump,
  jump32Imm,
  jump32Reg,
  jumpImm,
  jumpLong,
  jumpReg,
  ldImm64,
  ldImm64Pseudo,
  ldMapFd,
  ldMapValue,
  load,
  loadSx,
  mayGoto,
  mov64Imm,
  mov64Reg,
  movsx64,
  slotsOf,
  store,
  storeImm,
} from "./instruction.ts";
export type { AluOp, Insn, JmpOp, MemSize } from "./instruction.ts";
export { encode } from "./encode.ts";
export type { ByteOrder } from "./encode.ts";
export { decode } from "./decode.ts";
export type { DecodeOptions } from "./decode.ts";
export { InsnWriter } from "./writer.ts";
export type { Label } from "./writer.ts";
export { disassemble, disassembleInsn, jumpLabels, targetOf } from "./disassemble.ts";
export type { DisassembleOptions, InsnTextOptions } from "./disassemble.ts";
export { assemble } from "./assemble.ts";
export type { AssembleOptions } from "./assemble.ts";
export type { Dialect } from "./text.ts";
export {
  CBPF_MAX_INSNS,
  CBPF_MEMORY_WORDS,
  CbpfClass,
  CbpfMisc,
  CbpfMode,
  CbpfSize,
  CbpfSource,
  SKF_AD_NAMES,
  SKF_AD_OFF,
  cbpfFromDecimal,
  cbpfToC,
  cbpfToDecimal,
  decodeCbpf,
  disassembleCbpf,
  disassembleCbpfInsn,
  encodeCbpf,
} from "./cbpf.ts";
export type { CbpfInsn } from "./cbpf.ts";
