/**
 * Runs a C file of the examples: compiles it for this kernel, attaches its programs by their sections, says where, and prints what they
 * print until it is killed.
 */
import { readFileSync } from "node:fs";
import { compileC } from "../../src/lang/c/index.ts";
import { kernelTarget } from "../../src/compiler/index.ts";
import { openLinuxKernel } from "../../src/kernel/index.ts";
import { kernelBtf, machine } from "../../src/kernel/linux/index.ts";
import { Collection, PrintkReader } from "../../src/runtime/index.ts";

const [path = ""] = process.argv.slice(2);
const [major, minor] = machine.kernelVersion;
const { object } = compileC(
  { name: path, text: readFileSync(path, "utf8") },
  { kernelTypes: kernelBtf(), sameKernel: true, target: kernelTarget([major, minor]) },
);
const kernel = openLinuxKernel();
const printed = new PrintkReader(kernel);
printed.onReadable(() => printed.drain(({ text }) => console.log(text)));
const collection = await new Collection(object, { kernel }).load();
for (const attached of await collection.attach()) {
  const places = "links" in attached ? attached.links.map(({ spec }) => JSON.stringify(spec)) : [];
  console.error(`Attached ${places.join(" ")}`);
}
