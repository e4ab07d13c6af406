// Debian kernels for the test VM: downloads a package with apt into a cache (nothing is installed), cuts the uncompressed
// vmlinux out of its bzImage, and finds modules in load order.
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";

/**
 * Kernel series and the Debian suites that carry them. A package name is never pinned: mirrors drop old ones.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const kernelSuites = {
  "5.10": ["bullseye", "bullseye-security"],
  6.1: ["bookworm", "bookworm-security"],
  6.12: ["trixie", "trixie-security"],
  7.2: ["trixie-backports"],
};

/** Changes when what a kernel directory holds changes. */
const layout = 1;

/** Thrown when the VM cannot be made or run on this machine; the message says what to do. */
export class VmError extends Error {}

/** Directory of everything that is downloaded or built for VMs. */
export function cacheDirectory() {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "skep-vm");
}

/**
 * The unpacked kernel of a series, downloaded on first use.
 * @param {string} series such as "6.1"
 * @returns {{ series: string, directory: string, vmlinux: string, tree: string }} `tree` holds boot/ and lib/modules/
 */
export function kernel(series) {
  const suites = kernelSuites[series];
  if (!suites) throw new VmError(`kernel ${series}: not known (one of ${Object.keys(kernelSuites).join(", ")})`);
  const cache = cacheDirectory();
  const directory = join(cache, `kernel-${series}-${layout}`);
  if (!existsSync(directory)) {
    mkdirSync(cache, { recursive: true });
    const work = mkdtempSync(join(cache, "fetching-"));
    try {
      const made = join(work, "kernel");
      unpack(download(series, suites, work), made);
      try {
        renameSync(made, directory);
      } catch (error) {
        // Another process fetched the same kernel meanwhile.
        if (!existsSync(directory)) throw error;
      }
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  return { series, directory, vmlinux: join(directory, "vmlinux"), tree: join(directory, "tree") };
}

/**
 * Downloads the newest kernel package of a series, with an apt configuration of its own.
 * @param {string} series
 * @param {readonly string[]} suites
 * @param {string} work
 * @returns {string[]} paths of the packages
 */
function download(series, suites, work) {
  for (const folder of ["lists/partial", "cache/archives/partial", "packages"])
    mkdirSync(join(work, folder), { recursive: true });
  const configured = execFileSync("apt-get", ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], {
    encoding: "utf8",
  })
    .split("\n")
    .filter(Boolean);
  /** @param {string} archive @param {string} otherwise */
  const mirror = (archive, otherwise) =>
    configured.find((uri) => uri.replace(/\/$/, "").endsWith(`/${archive}`)) ?? otherwise;
  const main = mirror("debian", "http://deb.debian.org/debian/");
  const security = mirror("debian-security", "http://deb.debian.org/debian-security/");
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  writeFileSync(
    join(work, "sources.list"),
    suites
      .map((suite) => `deb [signed-by=${keyring}] ${suite.endsWith("-security") ? security : main} ${suite} main\n`)
      .join(""),
  );
  writeFileSync(
    join(work, "apt.conf"),
    [
      `Dir::Etc::sourcelist "${work}/sources.list";`,
      `Dir::Etc::sourceparts "-";`,
      `Dir::State::lists "${work}/lists";`,
      `Dir::Cache "${work}/cache";`,
      `Acquire::Languages "none";`,
      `Acquire::Retries "3";`,
      `APT::Sandbox::User "root";`,
    ].join("\n"),
  );
  const env = { ...process.env, APT_CONFIG: join(work, "apt.conf") };
  /** @param {string} tool @param {string[]} args */
  const apt = (tool, ...args) => {
    const result = spawnSync(tool, args, { env, cwd: join(work, "packages"), encoding: "utf8", maxBuffer: 1 << 28 });
    if (result.status !== 0) {
      throw new VmError(
        `kernel ${series}: ${tool} ${args.join(" ")} failed: ${result.error?.message ?? result.stderr.trim()}`,
      );
    }
    return result.stdout;
  };
  apt("apt-get", "-qq", "update");
  const wanted = new RegExp(`^linux-image-${series.replaceAll(".", "\\.")}[.-][0-9][0-9.+a-z~-]*-cloud-amd64$`);
  const candidates = apt("apt-cache", "pkgnames", `linux-image-${series}`)
    .split("\n")
    .filter((name) => wanted.test(name) && !/-(rt|unsigned|dbg)/.test(name))
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const newest = candidates.at(-1);
  if (!newest)
    throw new VmError(`kernel ${series}: no linux-image-${series}*-cloud-amd64 in ${suites.join(", ")} of ${main}`);
  // Since 7.x the image package only depends on a binary and a modules package.
  const parts = [...apt("apt-cache", "depends", newest).matchAll(/^ *Depends: (linux-(?:binary|modules)-\S+)$/gm)].map(
    (match) => match[1] ?? "",
  );
  apt("apt-get", "-qq", "download", newest, ...parts);
  return readdirSync(join(work, "packages")).map((name) => join(work, "packages", name));
}

/**
 * Makes a kernel directory of packages: vmlinux, tree/boot/config-* where the packages have it, tree/lib/modules/*, packages.
 * @param {string[]} packages
 * @param {string} directory
 */
function unpack(packages, directory) {
  const whole = join(directory, "whole");
  const tree = join(directory, "tree");
  mkdirSync(whole, { recursive: true });
  for (const path of packages) execFileSync("dpkg", ["-x", path, whole]);
  mkdirSync(join(tree, "boot"), { recursive: true });
  mkdirSync(join(tree, "lib"), { recursive: true });
  const files = readdirSync(whole, { recursive: true, encoding: "utf8" });
  const image = files.find((path) => /(^|\/)vmlinuz[^/]*$/.test(path));
  const config = files.find((path) => /(^|\/)config-[^/]*$/.test(path));
  const modules = files.find((path) => /(^|\/)lib\/modules$/.test(path));
  if (!image || !modules)
    throw new VmError(`${packages.map((path) => basename(path)).join(", ")}: no image or no modules inside`);
  writeFileSync(join(directory, "vmlinux"), extractVmlinux(readFileSync(join(whole, image))));
  // The packages of 7.x have none.
  if (config) renameSync(join(whole, config), join(tree, "boot", basename(config)));
  renameSync(join(whole, modules), join(tree, "lib/modules"));
  writeFileSync(join(directory, "packages"), packages.map((path) => `${basename(path)}\n`).join(""));
  rmSync(whole, { recursive: true });
}

/** What a compressed stream begins with, and the program that expands it. */
const compressions = [
  { magic: "1f8b", name: "gzip", sizeInside: true },
  { magic: "02214c18", name: "lz4", sizeInside: false },
  { magic: "28b52ffd", name: "zstd", sizeInside: false },
  { magic: "fd377a58", name: "xz", sizeInside: false },
];

/**
 * @param {Buffer} bytes gzip, lz4, zstd or xz
 * @param {string} what named in errors
 */
function decompress(bytes, what) {
  const magic = bytes.toString("hex", 0, 4);
  const format = compressions.find((candidate) => magic.startsWith(candidate.magic));
  if (!format) throw new VmError(`${what}: unknown compression, begins with ${magic}`);
  if (format.name === "gzip") return gunzipSync(bytes);
  const flags = format.name === "xz" ? ["--single-stream"] : ["-q"];
  const result = spawnSync(format.name, ["-dc", ...flags], { input: bytes, maxBuffer: 1 << 30 });
  if (result.error || result.stdout.length === 0) {
    throw new VmError(
      `${what}: ${format.name}: ${result.error?.message ?? String(result.stderr)} (apt-get install ${format.name === "xz" ? "xz-utils" : format.name})`,
    );
  }
  return result.stdout;
}

/**
 * The ELF kernel inside a bzImage. QEMU boots it directly (PVH), which saves decompressing it under emulation.
 * Offsets are those of the x86 boot protocol: setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c.
 * @param {Buffer} image
 */
export function extractVmlinux(image) {
  const setupSectors = image[0x1f1] || 4;
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c));
  const magic = payload.toString("hex", 0, 4);
  const sizeInside = compressions.find((candidate) => magic.startsWith(candidate.magic))?.sizeInside;
  // The kernel's build appends the size to streams that do not end with it, as gzip does.
  const vmlinux = decompress(sizeInside ? payload : payload.subarray(0, -4), "vmlinuz");
  const size = payload.readUInt32LE(payload.length - 4);
  if (vmlinux.length !== size) throw new VmError(`vmlinuz: ${vmlinux.length} bytes unpacked, its trailer says ${size}`);
  return vmlinux;
}

/** @param {string} file */
const moduleName = (file) =>
  basename(file)
    .replace(/\.ko(\..*)?$/, "")
    .replaceAll("-", "_");

/**
 * The named modules and what they depend on, in load order, uncompressed. Modules that are built in are left out.
 * @param {string} tree
 * @param {readonly string[]} names
 * @returns {{ name: string, bytes: Buffer }[]}
 */
export function modulesInLoadOrder(tree, names) {
  const top = join(tree, "lib/modules");
  const files = readdirSync(top, { recursive: true, encoding: "utf8" });
  const paths = new Map(
    files.filter((file) => /\.ko(\.(xz|zst|gz))?$/.test(file)).map((file) => [moduleName(file), join(top, file)]),
  );
  const builtinList = files.find((file) => basename(file) === "modules.builtin");
  // The packages of 7.x have no such list: what is no file there is taken as built in, and mounting the root tells if it is not.
  const builtin =
    builtinList && new Set(readFileSync(join(top, builtinList), "utf8").split("\n").filter(Boolean).map(moduleName));
  /** @type {Map<string, Buffer>} */
  const ordered = new Map();
  /** @param {string} wanted @param {string} by */
  const add = (wanted, by) => {
    const name = moduleName(wanted);
    const path = paths.get(name);
    if (ordered.has(name) || (!path && (!builtin || builtin.has(name)))) return;
    if (!path) throw new VmError(`module ${name}, needed by ${by}: neither in the kernel package nor built in`);
    const raw = readFileSync(path);
    const bytes = path.endsWith(".ko") ? raw : decompress(raw, path);
    // .modinfo has one "depends=a,b" string.
    const at = bytes.indexOf("\0depends=", 0, "latin1");
    const text = at < 0 ? "" : bytes.toString("latin1", at + "\0depends=".length, bytes.indexOf(0, at + 1));
    for (const dependency of text.split(",").filter(Boolean)) add(dependency, name);
    ordered.set(name, bytes);
  };
  for (const name of names) add(name, "the test VM");
  return [...ordered].map(([name, bytes]) => ({ name, bytes }));
}
