/** What the benches of the C compiler need of Skep: compiling a source of libbpf-tools, loading an object, attaching all of it. */
import { LinuxKernel, type LinuxObject } from "../../src/kernel/linux/index.ts";
import { readObject } from "../../src/object/index.ts";
import { attachProgram } from "../../src/runtime/index.ts";

export { compileJob, instructionsOf } from "../../test/conformance/c-compile.ts";

/** A loaded object whose programs are attached. */
export interface Attached {
  /** Nanoseconds and runs of all its programs so far. */
  times(): { readonly ns: number; readonly runs: number };
  close(): void;
}

/** Loads an ELF object and attaches everything that its sections place. Throws when it does not load. */
export function attachObject(bytes: Uint8Array, name: string): Attached {
  const kernel = new LinuxKernel();
  const spec = readObject(bytes, { name });
  // Their programs of user space give some maps their size.
  const maps = spec.maps.map((map) => (map.maxEntries === 0 && map.type !== 4 ? { ...map, maxEntries: 1024 } : map));
  const loaded: LinuxObject = kernel.load({ ...spec, maps });
  const links: { close(): void }[] = [];
  try {
    for (const { name: program } of spec.programs) links.push(attachProgram(kernel, loaded, program));
  } catch (error) {
    for (const link of links) link.close();
    loaded.close();
    throw error;
  }
  return {
    times: () => {
      let [ns, runs] = [0, 0];
      for (const { name: program } of spec.programs) {
        const info = loaded.program(program).info();
        ns += info.runTimeNs;
        runs += info.runCount;
      }
      return { ns, runs };
    },
    close: () => {
      for (const link of links) link.close();
      loaded.close();
    },
  };
}

/** The kernel's statistics, for as long as the result is open. */
export function statistics(): { close(): void } {
  return new LinuxKernel().enableStats();
}
