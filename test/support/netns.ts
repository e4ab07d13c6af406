/** A network namespace of their own for the tests of a file: devices, addresses and filters vanish with it. */
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { afterAll, beforeAll } from "vitest";
import { syscall3 } from "../../src/kernel/linux/sys.ts";

const CLONE_NEWNET = 0x4000_0000;

/** Runs a program to its end in the namespace that tests are in now. Throws with what it said when it fails; returns its output. */
export function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (error !== undefined || status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr}${stdout}`);
  return stdout;
}

/**
 * The tests of the calling file, or of the `describe` that it is called in, are in a fresh network namespace: what they call
 * synchronously, and the processes that they start. It has `lo`, up, and a pair of connected devices `v0` (10.1.0.1/24) and `v1`, up,
 * of which each knows the other's address without asking.
 */
export function useNetworkNamespace(): void {
  let before = -1;
  beforeAll(() => {
    before = openSync("/proc/thread-self/ns/net", "r");
    const result = syscall3("unshare", CLONE_NEWNET);
    if (result < 0) throw new Error(`unshare(CLONE_NEWNET): errno ${-result}`);
    run("ip", "link", "set", "lo", "up");
    run(
      "ip",
      "link",
      "add",
      "v0",
      "address",
      "02:00:00:00:00:01",
      "type",
      "veth",
      "peer",
      "name",
      "v1",
      "address",
      "02:00:00:00:00:02",
    );
    run("ip", "address", "add", "10.1.0.1/24", "dev", "v0");
    for (const device of ["v0", "v1"]) run("ip", "link", "set", device, "up");
    run("ip", "neighbour", "add", "10.1.0.2", "lladdr", "02:00:00:00:00:02", "dev", "v0");
  });
  afterAll(() => {
    syscall3("setns", before, CLONE_NEWNET);
    closeSync(before);
  });
}

/** Sends `count` datagrams from `v0` to `v1`. */
export function sendPackets(count: number): void {
  run("bash", "-c", `for i in $(seq ${count}); do echo packet >/dev/udp/10.1.0.2/9; done`);
}
