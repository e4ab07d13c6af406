// Skep's side of `npm run bench -- load`: one object, in a fresh process. Prints how long each part took, as load.c does.
// node ours.mjs DIST [OBJECT]; without an object nothing is done, which is what bare Node and the imports cost.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [dist, path] = process.argv.slice(2);

/** Time inside BPF_PROG_LOAD, taken where the system call is made: koffi's `syscall` is wrapped before Skep declares it. */
let verifierMs = 0;
let kernelMs = 0;
const BPF = process.arch === "arm64" ? 280 : 321;
const require = createRequire(pathToFileURL(`${dist}/index.js`));
const koffi = require(`@koromix/koffi-${process.platform}-${process.arch}`);
const load = koffi.load;
koffi.load = (library) => {
  const opened = load(library);
  const func = opened.func.bind(opened);
  return {
    func(name, ...types) {
      const native = func(name, ...types);
      if (name !== "syscall") return native;
      const timed = (...args) => {
        if (args[0] !== BPF) return native(...args);
        const begun = performance.now();
        const result = native(...args);
        const took = performance.now() - begun;
        if (args[1] === 5) verifierMs += took;
        kernelMs += took;
        return result;
      };
      timed.async = native.async;
      return timed;
    },
  };
};

const startedRss = process.memoryUsage.rss();
const importing = performance.now();
const { readObject } = await import(pathToFileURL(`${dist}/entry/object.js`).href);
const { openLinuxKernel } = await import(pathToFileURL(`${dist}/entry/kernel.js`).href);
const begun = performance.now();
const marks = { importMs: begun - importing };
if (path !== undefined) {
  const kernel = openLinuxKernel();
  const native = performance.now();
  const cpu = process.cpuUsage();
  const object = readObject(readFileSync(path), { name: path });
  const opened = performance.now();
  const loaded = kernel.load(object);
  const ended = performance.now();
  const userMs = process.cpuUsage(cpu).user / 1000;
  Object.assign(marks, {
    nativeMs: native - begun,
    openMs: opened - native,
    loadMs: ended - opened,
    ownMs: ended - native - verifierMs,
    verifierMs,
    userMs,
    otherCallsMs: kernelMs - verifierMs,
  });
  loaded.close();
}
const rssMib = process.resourceUsage().maxRSS / 1024;
console.log(JSON.stringify({ ...marks, rssMib, startedMib: startedRss / 2 ** 20 }));
