import { Session } from "node:inspector";
import { expect, test } from "vitest";
import { ProgType, assemble, encode } from "../../../src/isa/index.ts";
import { loadObject } from "../../../src/kernel/linux/load.ts";
import { guardLeaks } from "../../leaks.ts";
import { describeWith } from "../../support/needs.ts";
import { object, program } from "./support.ts";

describeWith(["linux", "root", "bpf"], "signals", () => {
  guardLeaks();

  test("a program that is verified for long loads under a profiler", { timeout: 60_000 }, () => {
    const session = new Session();
    session.connect();
    session.post("Profiler.enable");
    session.post("Profiler.setSamplingInterval", { interval: 100 });
    session.post("Profiler.start");
    try {
      const text = "r0 = 0\nagain: r0 += 1\nr1 = r0\nr2 = r1\nif r0 < 20000 goto again\nexit";
      expect(encode(assemble(text)).length).toBe(48);
      const loaded = loadObject(object([program("long", text, { type: ProgType.SOCKET_FILTER })]));
      expect(loaded.program("long").info().verifiedInsns).not.toBe(1);
      loaded.close();
    } finally {
      session.post("Profiler.stop");
      session.disconnect();
    }
  });

  test("signals arrive afterwards", async () => {
    const { withoutSignals } = await import("../../../src/kernel/linux/signals.ts");
    let came = 0;
    const count = (): void => void came++;
    process.on("SIGUSR2", count);
    try {
      withoutSignals(() => process.kill(process.pid, "SIGUSR2"));
      for (let i = 0; i < 100 && came === 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
      expect(came).toBe(1);
    } finally {
      process.off("SIGUSR2", count);
    }
  });
});
