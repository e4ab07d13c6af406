// Boots a kernel under QEMU (software emulation) with the host's / below an overlay, runs one command, returns how it ended.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { initramfs } from "./initramfs.mjs";
import { VmError, kernel, modulesInLoadOrder } from "./kernel.mjs";

const emulator = "qemu-system-x86_64";
/** Where Debian puts it: 12 with QEMU, later releases in a package of its own. */
const fileServers = ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd"];

/**
 * Kernel parameters: no console chatter, no self tests and watchdogs that emulation makes slow, and a panic ends the VM at once.
 */
const parameters = [
  "console=ttyS0",
  "loglevel=4",
  "oops=panic",
  "panic=-1",
  "cryptomgr.notests",
  "nowatchdog",
  "rcupdate.rcu_expedited=1",
  "rcupdate.rcu_cpu_stall_suppress=1",
  "tsc=reliable",
];

/** Environment that makes no sense in the guest, which has no network; loading certificates is slow under emulation. */
const dropped = /^(NODE_EXTRA_CA_CERTS|SSL_CERT_.*|VITEST.*|NODE_OPTIONS|NOTIFY_SOCKET|XDG_RUNTIME_DIR)$/;

/** Why no VM can run here, or undefined. */
export function vmSkipReason() {
  if (process.platform !== "linux" || process.arch !== "x64")
    return `the test VM needs Linux on x86-64, this is ${process.platform} ${process.arch}`;
  if (process.getuid?.() !== 0) return "the test VM needs root, to serve / by virtiofs";
  if (spawnSync(emulator, ["--version"]).status !== 0)
    return `the test VM needs ${emulator} (apt-get install qemu-system-x86)`;
  if (!fileServers.some((path) => existsSync(path)))
    return "the test VM needs virtiofsd (apt-get install qemu-system-common or virtiofsd)";
  for (const [tool, from] of [
    ["gcc", "gcc libc6-dev"],
    ["dpkg", "dpkg"],
    ["apt-get", "apt"],
  ]) {
    if (spawnSync(String(tool), ["--version"]).status !== 0)
      return `the test VM needs ${tool} (apt-get install ${from})`;
  }
  return undefined;
}

/** Version of QEMU as a number, 7.2 as 702. */
function emulatorVersion() {
  const match = /version (\d+)\.(\d+)/.exec(spawnSync(emulator, ["--version"], { encoding: "utf8" }).stdout ?? "");
  return match ? Number(match[1]) * 100 + Number(match[2]) : 0;
}

/**
 * @typedef {object} VmOptions
 * @property {string} series kernel series such as "6.1"
 * @property {readonly string[]} command program and arguments, found by PATH
 * @property {string} [directory] working directory, default that of this process
 * @property {Record<string, string | undefined>} [env] added to this process's environment
 * @property {readonly string[]} [modules] kernel modules to load, with what they depend on
 * @property {string} [append] more kernel parameters
 * @property {number} [timeoutMs] of the whole VM, default 120000
 * @property {number} [memoryMib] default 1024
 * @property {number} [cpus] default 2
 * @property {(chunk: Buffer) => void} onStdout
 * @property {(chunk: Buffer) => void} onStderr
 */

/**
 * Boots, runs, and resolves to the command's exit status: 128 + signal when one ended it, 126 and 127 as a shell has them, 124 when
 * the time is up. Throws {@link VmError} when the VM failed.
 * @param {VmOptions} options
 * @returns {Promise<{ status: number, bootMs: number, totalMs: number }>}
 */
export async function runVm(options) {
  const reason = vmSkipReason();
  if (reason) throw new VmError(reason);
  const image = kernel(options.series);
  const initrd = initramfs(image);
  const directory = mkdtempSync(join(tmpdir(), "skep-vm-"));
  /** @type {Set<import("node:child_process").ChildProcess>} */
  const children = new Set();
  const cleanUp = () => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  };
  process.once("exit", cleanUp);
  try {
    return await boot(options, image, initrd, directory, children);
  } finally {
    process.removeListener("exit", cleanUp);
    cleanUp();
  }
}

/**
 * Starts a child that the kernel kills when this process dies, however it dies.
 * @param {Set<import("node:child_process").ChildProcess>} children
 * @param {string} program
 * @param {string[]} args
 * @param {import("node:child_process").StdioOptions} stdio
 */
function start(children, program, args, stdio) {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...args], { stdio });
  children.add(child);
  return child;
}

/**
 * @param {import("node:stream").Readable | null | undefined} stream
 * @returns {() => string} what came so far, the last 64 KiB
 */
function collect(stream) {
  let text = "";
  stream?.on("data", (chunk) => (text = (text + String(chunk)).slice(-65536)));
  return () => text;
}

/** @param {import("node:child_process").ChildProcess} child @param {string} what */
function ended(child, what) {
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(new VmError(`${what}: ${error.message}`)));
    // "close" comes after the last byte of every stream.
    child.once("close", resolve);
  });
}

/**
 * @param {Set<import("node:child_process").ChildProcess>} children
 * @param {string} socket
 */
async function serveRoot(children, socket) {
  const program = fileServers.find((path) => existsSync(path)) ?? "";
  const help = spawnSync(program, ["--help"], { encoding: "utf8" });
  const rewrittenInRust = `${help.stdout}${help.stderr}`.includes("--shared-dir");
  const args = rewrittenInRust
    ? ["--shared-dir=/", "--cache=always", "--no-announce-submounts", "--sandbox=chroot"]
    : ["-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot", "--thread-pool-size=0"];
  const child = start(children, program, [`--socket-path=${socket}`, ...args], ["ignore", "pipe", "pipe"]);
  const said = [collect(child.stdout), collect(child.stderr)];
  let over = false;
  ended(child, program).then(
    () => (over = true),
    () => (over = true),
  );
  for (const deadline = Date.now() + 10_000; !existsSync(socket); await sleep(5)) {
    if (over || Date.now() > deadline)
      throw new VmError(`${program} did not start: ${said.map((text) => text()).join("")}`);
  }
}

/**
 * @param {VmOptions} options
 * @param {{ vmlinux: string, tree: string }} image
 * @param {string} initrd
 * @param {string} directory
 * @param {Set<import("node:child_process").ChildProcess>} children
 */
async function boot(options, image, initrd, directory, children) {
  const startedAt = performance.now();
  const { memoryMib = 1024, cpus = 2, timeoutMs = 120_000 } = options;
  const record = join(directory, "record");
  const extra = modulesInLoadOrder(image.tree, options.modules ?? []).map(({ name, bytes }) => {
    const path = join(directory, `${name}.ko`);
    writeFileSync(path, bytes);
    return path;
  });
  const environment = Object.entries({ ...process.env, ...options.env, SKEP_VM: options.series })
    .filter(([name, value]) => value !== undefined && !dropped.test(name))
    .map(([name, value]) => `${name}=${value}`);
  const strings = [
    options.directory ?? process.cwd(),
    image.tree,
    extra.length,
    ...extra,
    options.command.length,
    ...options.command,
    ...environment,
  ];
  writeFileSync(record, strings.map((text) => `${text}\0`).join(""));

  const socket = join(directory, "root.sock");
  await serveRoot(children, socket);

  // Before 8.1, with one thread a virtual CPU, a CPU may run stale translated code after another patched it: attaching a kprobe
  // then crashes the guest. cx16 off: the emulated cmpxchg16b faults in the kernel's slab allocator.
  const thread = emulatorVersion() >= 801 ? "multi" : "single";
  const consoles = [
    { id: "stdout", port: 0x5c0, fd: 3 },
    { id: "stderr", port: 0x5c1, fd: 4 },
    { id: "control", port: 0x5c2, fd: 5 },
  ];
  const qemu = start(
    children,
    emulator,
    [
      ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
      ["-machine", "q35,memory-backend=memory", "-accel", `tcg,thread=${thread}`, "-cpu", "max,cx16=off"],
      ["-smp", String(cpus), "-m", String(memoryMib)],
      ["-object", `memory-backend-memfd,id=memory,size=${memoryMib}M,share=on`],
      ["-kernel", image.vmlinux, "-initrd", initrd],
      ["-append", [...parameters, `skep.record=${record}`, options.append ?? ""].join(" ")],
      ["-chardev", `socket,id=root,path=${socket}`],
      ["-device", "vhost-user-fs-pci,chardev=root,tag=root,queue-size=1024"],
      ["-device", "isa-debug-exit,iobase=0x5c8,iosize=4"],
      ["-serial", "stdio"],
      // A "pipe" of Node is one end of a socket pair.
      ...consoles.map(({ id, fd }) => ["-chardev", `socket,id=${id},fd=${fd}`]),
      ...consoles.map(({ id, port }) => ["-device", `isa-debugcon,iobase=${port},chardev=${id}`]),
    ].flat(),
    ["ignore", "pipe", "pipe", "pipe", "pipe", "pipe"],
  );
  const [, kernelConsole, complaints, stdout, stderr, control] = /** @type {import("node:stream").Readable[]} */ (
    qemu.stdio
  );
  const consoleText = collect(kernelConsole);
  const complaintText = collect(complaints);
  const controlText = collect(control);
  let bootMs = 0;
  control?.once("data", () => (bootMs = performance.now() - startedAt));
  stdout?.on("data", options.onStdout);
  stderr?.on("data", options.onStderr);
  let timeUp = false;
  const timer = setTimeout(() => {
    timeUp = true;
    qemu.kill("SIGKILL");
  }, timeoutMs);
  try {
    await ended(qemu, emulator);
  } finally {
    clearTimeout(timer);
    children.delete(qemu);
  }
  const totalMs = performance.now() - startedAt;
  const exit = /^exit (\d+)$/m.exec(controlText());
  if (exit) {
    // A module that did not load explains what fails later.
    const warnings = controlText().match(/^warn .*$/gm);
    if (warnings) options.onStderr(Buffer.from(warnings.map((line) => `test VM: ${line}\n`).join("")));
    return { status: Number(exit[1]), bootMs, totalMs };
  }
  const evidence = `${complaintText()}${controlText()}${consoleText().split("\n").slice(-60).join("\n")}`;
  if (timeUp) {
    options.onStderr(Buffer.from(`test VM: time limit of ${timeoutMs / 1000} s\n${evidence}\n`));
    return { status: 124, bootMs, totalMs };
  }
  throw new VmError(`kernel ${options.series}: the VM ended without a result\n${evidence}`);
}
