// Where the corpus of foreign BPF programs comes from, and where it is kept. Nothing of it is in this repository.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Thrown when a source cannot be had on this machine; the message says what was tried. */
export class SourceError extends Error {}

/** Directory of everything that is fetched or built for conformance. */
export function cacheDirectory() {
  return (
    process.env["SKEP_CONFORMANCE"] ||
    join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "skep-conformance")
  );
}

/** @param {string} command @param {readonly string[]} args @param {import("node:child_process").SpawnSyncOptions} [options] */
function run(command, args, options = {}) {
  const result = spawnSync(command, args, { maxBuffer: 1 << 28, ...options, encoding: "utf8" });
  if (result.status !== 0)
    throw new SourceError(
      `${command} ${args.join(" ")}: ${result.error?.message ?? (result.stderr.trim() || `ended with ${result.status}`)}`,
    );
  return result.stdout;
}

/**
 * Makes `name` in the cache once: `make` fills a directory that becomes it when all went well.
 * @param {string} name
 * @param {(directory: string) => void} make
 */
export function once(name, make) {
  const cache = cacheDirectory();
  const directory = join(cache, name);
  if (existsSync(directory)) return directory;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "making-"));
  try {
    make(work);
    renameSync(work, directory);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return directory;
}

/**
 * A repository's files: of a checkout or a bare repository that the environment names, else cloned.
 * @param {string} variable environment variable that holds a path
 * @param {string} url
 * @param {string} directory filled
 * @param {readonly string[]} paths only these, and not what matches `without`
 * @param {string} [without]
 */
function repository(variable, url, directory, paths, without) {
  let from = process.env[variable];
  if (!from) {
    from = join(directory, "clone.git");
    run("git", ["clone", "-q", "--depth", "1", "--bare", url, from]);
  }
  const exclude = without ? [`:(exclude)${without}`] : [];
  const tar = execFileSync("git", ["-C", from, "archive", "HEAD", "--", ...paths, ...exclude], { maxBuffer: 1 << 28 });
  execFileSync("tar", ["-x", "-C", directory], { input: tar });
  rmSync(join(directory, "clone.git"), { recursive: true, force: true });
}

/** An apt of its own, so that neither the machine's lists nor its packages change. @param {string} work @param {readonly string[]} lines */
function privateApt(work, lines) {
  for (const folder of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(work, folder), { recursive: true });
  writeFileSync(join(work, "sources.list"), lines.map((line) => `${line}\n`).join(""));
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
  run("apt-get", ["-qq", "update"], { env });
  return env;
}

const SIGNED = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";

/** The tree of libbpf-tools: `$SKEP_BCC` (a git repository), Debian's newest source package, or a clone of the project. */
export function libbpfTools() {
  return join(
    once("bcc", (directory) => {
      const url = "https://github.com/iovisor/bcc";
      // The headers of kernel types are large, and clang reads the ones of the kernel that is tested instead.
      const headers = "libbpf-tools/**/vmlinux*.h";
      if (process.env["SKEP_BCC"]) return repository("SKEP_BCC", url, directory, ["libbpf-tools"], headers);
      const tried = [];
      for (const attempt of [debianBcc, () => repository("SKEP_BCC", url, directory, ["libbpf-tools"], headers)]) {
        try {
          return attempt(directory);
        } catch (error) {
          if (!(error instanceof Error)) throw error;
          tried.push(error.message);
        }
      }
      throw new SourceError(`no source of libbpf-tools (SKEP_BCC=PATH names a repository):\n${tried.join("\n")}`);
    }),
    "libbpf-tools",
  );
}

/** @param {string} directory */
function debianBcc(directory) {
  const work = join(directory, "apt");
  const env = privateApt(work, [`deb-src ${SIGNED} http://deb.debian.org/debian sid main`]);
  run("apt-get", ["-qq", "source", "--download-only", "bpfcc"], { env, cwd: work });
  const archive = readdirSync(work).find((name) => name.includes(".orig.tar"));
  if (!archive) throw new SourceError("bpfcc: no source archive");
  run("tar", [
    "-x",
    "-f",
    join(work, archive),
    "-C",
    directory,
    "--strip-components=1",
    "--wildcards",
    "*/libbpf-tools",
  ]);
  rmSync(work, { recursive: true });
}

/** Debian's suites, as lines of an apt configuration. @param {readonly string[]} suites */
const suiteLines = (suites) =>
  suites.map((suite) => {
    const archive = suite.endsWith("-security") ? "debian-security" : "debian";
    return `deb ${SIGNED} http://deb.debian.org/${archive} ${suite} main`;
  });

/**
 * Source of a Debian kernel, as far as the BPF selftests need it.
 * @param {string} series such as "6.1"
 * @param {readonly string[]} suites that carry it
 */
export function kernelSource(series, suites) {
  return once(`linux-${series}`, (directory) => {
    const work = join(directory, "apt");
    const env = privateApt(work, suiteLines(suites));
    run("apt-get", ["-qq", "download", `linux-source-${series}`], { env, cwd: work });
    const archive = readdirSync(work).find((name) => name.endsWith(".deb"));
    if (!archive) throw new SourceError(`linux-source-${series}: no package`);
    run("dpkg", ["-x", join(work, archive), work]);
    const wanted = ["tools/testing/selftests/bpf", "tools/lib/bpf", "tools/include", "include/uapi"];
    run("tar", [
      "-x",
      "--strip-components=1",
      "-f",
      join(work, `usr/src/linux-source-${series}.tar.xz`),
      "-C",
      directory,
      ...wanted.map((path) => `linux-source-${series}/${path}`),
    ]);
    rmSync(work, { recursive: true });
  });
}

/** Debian 12's newest clang, unpacked without being installed: its command. */
export function newClang() {
  const directory = once("clang-19", (made) => {
    const work = join(made, "apt");
    const env = privateApt(work, suiteLines(["bookworm", "bookworm-security"]));
    const packages = ["clang-19", "libclang-cpp19", "libllvm19", "libclang-common-19-dev"];
    run("apt-get", ["-qq", "download", ...packages], { env, cwd: work });
    for (const name of readdirSync(work).filter((file) => file.endsWith(".deb")))
      run("dpkg", ["-x", join(work, name), made]);
    rmSync(work, { recursive: true });
    const libraries = ["usr/lib/x86_64-linux-gnu", "usr/lib/llvm-19/lib"].map((path) => `$here/${path}`).join(":");
    const script = `#!/bin/sh\nhere=$(dirname "$0")\nLD_LIBRARY_PATH=${libraries} exec "$here/usr/lib/llvm-19/bin/clang" "$@"\n`;
    writeFileSync(join(made, "clang"), script, { mode: 0o755 });
  });
  return join(directory, "clang");
}

/** libbpf as its project has it now, headers and static library, or undefined when it cannot be had; `$SKEP_LIBBPF` names a repository. */
export function newLibbpf() {
  try {
    return once("libbpf", (directory) => {
      repository("SKEP_LIBBPF", "https://github.com/libbpf/libbpf", directory, ["src", "include"]);
      run("make", [
        "-s",
        "-C",
        join(directory, "src"),
        "BUILD_STATIC_ONLY=y",
        `OBJDIR=${directory}/build`,
        `DESTDIR=${directory}`,
        "PREFIX=/usr",
        "LIBDIR=/usr/lib",
        "install",
        "install_uapi_headers",
      ]);
      rmSync(join(directory, "build"), { recursive: true });
    });
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
    console.error(`libbpf of today is left out: ${error.message.split("\n")[0]}`);
    return undefined;
  }
}

/**
 * `vmlinux.h` of the running kernel, or of a file with BTF.
 * @param {string} name
 * @param {string} btf
 */
export function kernelHeader(name, btf) {
  return once(`vmlinux-${name}`, (directory) => {
    writeFileSync(join(directory, "vmlinux.h"), run("bpftool", ["btf", "dump", "file", btf, "format", "c"]));
  });
}
