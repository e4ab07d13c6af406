// node test/conformance/c-build.mjs [--only CORPUS] [NAME...]: compiles the sources of the corpora with Skep's C compiler, into objects beside
// those that clang made (build.mjs). libbpf-tools twice: with the headers that come with Skep, and with the real vmlinux.h and libbpf's own.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { importSource } from "../support/bundle.mjs";
import { kernel } from "../vm/kernel.mjs";
import { corpora } from "./corpora.mjs";
import { cacheDirectory } from "./sources.mjs";

const RUNNING = "/sys/kernel/btf/vmlinux";

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", multiple: true },
    full: { type: "boolean", default: false },
    again: { type: "boolean", default: false },
  },
});

/**
 * Corpora that Skep compiles. `real`: with every directory that clang got, instead of the headers that come with Skep.
 * @type {Readonly<Record<string, { of: keyof typeof corpora, real: boolean, btf: () => string }>>}
 */
const targets = {
  "fixtures-c": { of: "fixtures", real: false, btf: () => RUNNING },
  "libbpf-tools-c": { of: "libbpf-tools", real: false, btf: () => RUNNING },
  "libbpf-tools-c-vmlinux": { of: "libbpf-tools", real: true, btf: () => RUNNING },
  "selftests-c": { of: "selftests", real: false, btf: () => kernel("6.1").vmlinux },
};

/** @param {readonly string[]} flags @param {string} prefix */
const withPrefix = (flags, prefix) =>
  flags.filter((flag) => flag.startsWith(prefix)).map((flag) => flag.slice(prefix.length));

/** @param {import("./corpora.mjs").Job} job @param {typeof targets[string]} target @param {number} variant */
function jobOf(job, { real, btf }, variant) {
  const flags = job.variants[variant] ?? [];
  const after = (/** @type {string} */ name) => flags.flatMap((flag, i) => (flag === name ? [flags[i + 1] ?? ""] : []));
  const directories = withPrefix(flags, "-I");
  // Headers of the tests themselves are theirs to bring; those of libbpf and of the kernel come with Skep.
  const own = directories.filter((path) => path === dirname(dirname(job.source)));
  return {
    source: job.source,
    directories: real ? directories : own,
    systemDirectories: real ? after("-idirafter") : [],
    defines: withPrefix(flags, "-D"),
    include: real ? after("-include") : [],
    ...(real ? {} : { btf: btf() }),
    version: /** @type {const} */ ([6, 1]),
  };
}

const { compileJob } = await importSource(new URL("c-compile.ts", import.meta.url));
for (const [name, target] of Object.entries(targets)) {
  if (options.only && !options.only.includes(name)) continue;
  const directory = join(cacheDirectory(), "objects", name);
  if (options.again) rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const theirs = join(cacheDirectory(), "objects", target.of);
  const jobs = (corpora[target.of]?.(theirs) ?? []).filter(
    ({ source }) => names.length === 0 || names.some((wanted) => basename(source).startsWith(wanted)),
  );
  /** @type {Record<string, { clang: boolean, ok: boolean, why: string, ms: number, instructions: number, programs: Record<string, number> }>} */
  const results = {};
  let both = 0;
  for (const job of jobs) {
    const object = join(directory, basename(job.object));
    rmSync(object, { force: true });
    let result = compileJob(jobOf(job, target, 0));
    for (let variant = 1; target.real && !result.ok && variant < job.variants.length; variant++)
      result = compileJob(jobOf(job, target, variant));
    const clang = existsSync(job.object);
    if (result.ok) writeFileSync(object, result.object);
    if (result.ok && clang) both++;
    results[basename(job.source)] = {
      clang,
      ok: result.ok,
      why: result.ok ? "" : `${result.crashed ? "crash: " : ""}${result.why}`,
      ms: Math.round(result.milliseconds),
      instructions: result.ok ? result.instructions : 0,
      programs: result.ok ? result.programs : {},
    };
    if (!result.ok)
      console.log(
        `${basename(job.source)}${clang ? "" : " (nor clang)"}: ${options.full ? result.full : results[basename(job.source)]?.why}`,
      );
  }
  const record = join(cacheDirectory(), `${name}.json`);
  const before = names.length > 0 && existsSync(record) ? JSON.parse(readFileSync(record, "utf8")) : {};
  writeFileSync(record, `${JSON.stringify({ ...before, ...results }, null, 1)}\n`);
  const all = Object.values(results);
  const taken = all.filter((one) => one.clang).length;
  console.log(
    `${name}: ${all.filter((one) => one.ok).length} of ${all.length} sources; of the ${taken} that clang compiles ${both}; ${(all.reduce((sum, one) => sum + one.ms, 0) / all.length).toFixed(0)} ms each`,
  );
}
