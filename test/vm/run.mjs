// node test/vm/run.mjs --kernel 6.1 -- COMMAND ARG...
import { parseArgs } from "node:util";
import { runVm } from "./boot.mjs";
import { VmError, kernel, kernelSuites } from "./kernel.mjs";

const usage = `usage: node test/vm/run.mjs [OPTION...] -- COMMAND ARG...

Boots a Debian kernel in an emulated machine that sees this machine's files (its writes are lost with it), runs COMMAND in the same
directory, and ends as COMMAND ended: 124 when the time is up, 125 when the VM failed.

  -k, --kernel SERIES    ${Object.keys(kernelSuites).join(", ")} (default 6.1)
  -t, --timeout SECONDS  of the whole VM (default 120)
  -m, --memory MIB       (default 1024)
  -c, --cpus N           (default 2)
  -M, --module NAME      load a kernel module first; may be repeated
  -a, --append TEXT      more kernel parameters
  -v, --verbose          say how long it took
      --fetch            only download and unpack the kernel
`;

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kernel: { type: "string", short: "k", default: "6.1" },
      timeout: { type: "string", short: "t", default: "120" },
      memory: { type: "string", short: "m", default: "1024" },
      cpus: { type: "string", short: "c", default: "2" },
      module: { type: "string", short: "M", multiple: true, default: [] },
      append: { type: "string", short: "a", default: "" },
      verbose: { type: "boolean", short: "v", default: false },
      fetch: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (values.fetch) {
    process.stdout.write(`${kernel(values.kernel).directory}\n`);
    return 0;
  }
  const [timeout, memoryMib, cpus] = [values.timeout, values.memory, values.cpus].map(Number);
  if (positionals.length === 0 || !timeout || !memoryMib || !cpus) {
    process.stderr.write(usage);
    return 125;
  }
  const { status, bootMs, totalMs } = await runVm({
    series: values.kernel,
    command: positionals,
    timeoutMs: timeout * 1000,
    memoryMib,
    cpus,
    modules: values.module,
    append: values.append,
    onStdout: (chunk) => process.stdout.write(chunk),
    onStderr: (chunk) => process.stderr.write(chunk),
  });
  if (values.verbose)
    process.stderr.write(
      `test VM: ready after ${(bootMs / 1000).toFixed(1)} s, gone after ${(totalMs / 1000).toFixed(1)} s\n`,
    );
  return status;
}

for (const [signal, status] of /** @type {const} */ ([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
])) {
  process.on(signal, () => process.exit(status));
}
try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof VmError) && !(error instanceof TypeError && "code" in error)) throw error;
  process.stderr.write(`test VM: ${error.message}\n`);
  process.exitCode = 125;
}
