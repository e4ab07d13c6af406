import { expect, test } from "vitest";
import { MapType, ProgType } from "../../../src/isa/index.ts";
import { openLinuxKernel } from "../../../src/kernel/index.ts";
import { bytesOf, mapSpec, numberOf, object, program } from "./support.ts";
import { readFileSync } from "node:fs";

const countInto = `
  r1 = 0
  *(u32 *)(r10 - 4) = r1
  r2 = r10
  r2 += -4
  r1 = MAP(counts)
  call bpf_map_lookup_elem#1
  if r0 == 0 goto out
  r1 = 1
  lock *(u64 *)(r0 + 0) += r1
out:
  r0 = 0
  exit`;

test("load, attach, ring", () => {
  using kernel = openLinuxKernel();
  using loaded = kernel.load(
    object(
      [program("count", countInto, { type: ProgType.TRACEPOINT })],
      [mapSpec("counts", MapType.ARRAY, { maxEntries: 1 })],
    ),
  );
  using link = kernel.attach(loaded.program("count"), {
    kind: "tracepoint",
    category: "syscalls",
    name: "sys_enter_openat",
  });
  for (let i = 0; i < 10; i++) readFileSync("/dev/null");
  void link;
  const n = numberOf(loaded.map("counts").lookup(bytesOf(0, 4))!);
  expect(n).toBeGreaterThanOrEqual(10);
  console.log(n, loaded.program("count").info());
});
