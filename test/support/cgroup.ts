/** A cgroup of their own for the tests of a file. */
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { cgroupMounts } from "../../src/kernel/linux/attach/cgroup-path.ts";

/** Why there can be no test cgroups here, or undefined. */
export function cgroupMissing(): string | undefined {
  return cgroupMounts().length > 0 ? undefined : "cgroup2 is not mounted (mount -t cgroup2 none /sys/fs/cgroup)";
}

/** Directory of the test process' cgroup, without processes; made before the tests of the calling file or `describe`, removed after them. */
export function useCgroup(): string {
  const path = join(cgroupMounts()[0] ?? "/sys/fs/cgroup", `skep-test-${process.pid}`);
  beforeAll(() => void mkdirSync(path));
  afterAll(() => rmdirSync(path));
  return path;
}
