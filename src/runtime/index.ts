/** What a user holds: opened objects with their maps, events and globals, runs of compiled scripts, values and maps as text or JSON, symbols, the machine as the front end asks about it. */
export { AttachedProgram, attachProgram, LinuxAttachMachine, resolveAttachRequest } from "./attachment/index.ts";
export type { AttachMachine, AttachOptions, RefusedPlaces } from "./attachment/index.ts";
export { ElfBinary, globFiles, resolveBinaryPaths } from "./binary.ts";
export { splitCommand, TracedChild } from "./child.ts";
export type { ChildEnd } from "./child.ts";
export { LinuxFormatContext } from "./context.ts";
export { LinuxEnvironment, parseTracepointFormat } from "./environment.ts";
export type { LinuxEnvironmentOptions } from "./environment.ts";
export type { Compat, FormatContext } from "./format/context.ts";
export { jsonWriter } from "./format/json.ts";
export { MapPrinter } from "./format/map.ts";
export { printfWriter } from "./format/printf.ts";
export type { RecordWriter } from "./format/printf.ts";
export { Sink } from "./format/sink.ts";
export { strftime } from "./format/strftime.ts";
export { textWriter } from "./format/text.ts";
export type { ValueWriter } from "./format/text.ts";
export { FdOutput, OutputClosed } from "./output.ts";
export type { Buffering } from "./output.ts";
export type { OutputFormat } from "./printer.ts";
export { Symbolizer } from "./symbols/symbolizer.ts";
export { isAlive, TraceSession } from "./trace.ts";
export type { TraceOptions } from "./trace.ts";
export { bytesCodec, decodeValue, encodeValue } from "./values/codec.ts";
export type { Codec, Given } from "./values/codec.ts";
export { codecFor } from "./values/codec-for.ts";
export type { CodecOptions } from "./values/codec-for.ts";
export { formatValue } from "./values/format.ts";
export type { ValueStyle } from "./values/format.ts";
export type { Descriptor } from "./maps/base.ts";
export { MapHandle } from "./maps/base.ts";
export type { StorageTarget } from "./maps/descriptors.ts";
export { typedMap } from "./maps/factory.ts";
export type { AnyMap, TypedMapOptions } from "./maps/factory.ts";
export { LpmTrieMap } from "./maps/lpm.ts";
export type { LpmInput, LpmPrefix } from "./maps/lpm.ts";
export { PerCpuMap } from "./maps/per-cpu.ts";
export { BloomFilterMap, QueueMap } from "./maps/queue.ts";
export {
  CgroupArrayMap,
  CpuMap,
  DeviceMap,
  IdMap,
  MapOfMaps,
  ProgramArrayMap,
  ReferenceMap,
  SocketMap,
  XskMap,
} from "./maps/references.ts";
export type { RedirectTarget } from "./maps/references.ts";
export { ArenaMap, StructOpsMap } from "./maps/special.ts";
export { StackTraceMap } from "./maps/stacks.ts";
export type { BuildIdFrame } from "./maps/stacks.ts";
export { LocalStorageMap } from "./maps/storage.ts";
export type { StorageKey } from "./maps/storage.ts";
export { ArrayMap, TypedMap } from "./maps/typed-map.ts";
export type { AccessOptions, KeyCodec, SetOptions, UpdateMode } from "./maps/typed-map.ts";
export { EventBatch } from "./readers/batch.ts";
export type { Decode } from "./readers/batch.ts";
export { EventReader } from "./readers/event-reader.ts";
export type { ReaderOptions } from "./readers/event-reader.ts";
export { mergeEvents } from "./readers/merge.ts";
export type { NamedEvent } from "./readers/merge.ts";
export { decodeBytes, PerfBufferReader, PerfEventArrayMap, RingBufferMap, RingBufferReader } from "./readers/rings.ts";
export type { EventDecoder, PerfReaderOptions } from "./readers/rings.ts";
export { UserRingBufferMap, UserRingProducer } from "./readers/user-ring.ts";
export type { Reservation } from "./readers/user-ring.ts";
export { Collection } from "./collection/collection.ts";
export type { AttachAllOptions, Attachment, CollectionOptions, LeftOut } from "./collection/collection.ts";
export { eventTypes } from "./records/event-types.ts";
export { typeByCName } from "./records/c-names.ts";
export type { EventType, MapEvents } from "./records/event-types.ts";
export { open } from "./collection/open.ts";
export type { CSourceOptions } from "./c-source.ts";
export type { ExpectedNames, ObjectSource, OpenOptions } from "./collection/open.ts";
export { printedFormats } from "./collection/printed-formats.ts";
export type { PrintedFormats } from "./collection/printed-formats.ts";
export { Program } from "./collection/program.ts";
export type { EditableMap, EditableProgram, ObjectSpec } from "./collection/spec.ts";
export type { AnyObject, ObjectTypes, UntypedMap, UntypedVariables } from "./collection/types.ts";
export { PrintkReader } from "./printk.ts";
export type { PrintedLine } from "./printk.ts";
