/** BCC's own Python code, run beside ours: its module with its library stubbed, since printing needs none of that. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where Debian's package `python3-bpfcc` puts the module. */
const INSTALLED = "/usr/lib/python3/dist-packages";

let unpacked: string | undefined;

/** Fetches the package, without installing it. */
function unpack(): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), "skep-bpfcc-"));
  const run = (command: string, args: string[]): boolean =>
    spawnSync(command, args, { cwd: directory, stdio: "ignore", timeout: 60_000 }).status === 0;
  try {
    if (!run("apt-get", ["download", "python3-bpfcc"])) return undefined;
    const file = readdirSync(directory).find((name) => name.endsWith(".deb"));
    if (file === undefined || !run("dpkg", ["-x", file, directory])) return undefined;
    unpacked = directory;
    return join(directory, INSTALLED);
  } finally {
    if (unpacked === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

/** Directory of the module, or why there is none. */
export function findModule(): { readonly path: string } | { readonly reason: string } {
  if (spawnSync("python3", ["--version"]).error)
    return { reason: "python3 is not installed (apt-get install python3)" };
  if (existsSync(join(INSTALLED, "bcc/table.py"))) return { path: INSTALLED };
  const path = unpack();
  return path === undefined
    ? { reason: "BCC's Python module is not installed and cannot be fetched (apt-get install python3-bpfcc)" }
    : { path };
}

/** Removes what was fetched. */
export function forgetModule(): void {
  if (unpacked !== undefined) rmSync(unpacked, { recursive: true, force: true });
  unpacked = undefined;
}

/** Stands for libbcc, which LLVM hangs on: whatever is asked of it is there and does nothing. */
const STUB = `
import ctypes, sys
class Anything:
    def __getattr__(self, name): return Anything()
    def __call__(self, *args, **kwargs): return Anything()
    def __setattr__(self, name, value): pass
real = ctypes.CDLL
class Library:
    def __new__(cls, name, *args, **kwargs):
        return Anything() if name and "bcc" in str(name) else real(name, *args, **kwargs)
ctypes.CDLL = Library
sys.path.insert(0, sys.argv[1])
import bcc.table as table
from bcc.table import *
`;

/** Runs Python with `bcc.table` as `table`; its standard output. Throws with what it said when it fails. */
export function runPython(module: string, script: string, input = ""): string {
  const { stdout, stderr, status } = spawnSync("python3", ["-c", `${STUB}\n${script}`, module], {
    encoding: "utf8",
    input,
    timeout: 60_000,
    maxBuffer: 64 << 20,
    env: { ...process.env, TZ: "UTC" },
  });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}
