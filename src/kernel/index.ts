/** What runs objects: the running Linux kernel behind the `Kernel` interface. */
export type {
  EntryChunk,
  Kernel,
  KernelMap,
  KernelProgram,
  Link,
  LoadOptions,
  LoadedObject,
  Owner,
  ProgramInfo,
  RecordHandler,
  RingReader,
} from "./kernel.ts";
export { LinuxKernel, openLinuxKernel } from "./linux/index.ts";
export type { LinuxKernelOptions } from "./linux/index.ts";
