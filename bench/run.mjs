// npm run bench -- NAME [OPTIONS]: measures Skep beside its peer, in turn, and prints both sides and the ratio.
import { readdirSync } from "node:fs";

const here = new URL(".", import.meta.url);
const names = readdirSync(here)
  .filter((f) => f.endsWith(".bench.mjs"))
  .map((f) => f.slice(0, -".bench.mjs".length));
const [name, ...args] = process.argv.slice(2);
if (!name || !names.includes(name)) {
  console.error(`usage: npm run bench -- NAME [OPTIONS]\nNAME is one of: ${names.join(", ")}`);
  process.exit(2);
}
const { run } = await import(new URL(`${name}.bench.mjs`, here).href);
await run(args);
