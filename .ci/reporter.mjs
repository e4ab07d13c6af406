// A reporter for vitest: writes every test with its state and, when skipped, its reason, to the file that SKEP_TEST_REPORT names.
import { writeFileSync } from "node:fs";
import { relative } from "node:path";

/** Reasons stand in the name of the test or of a group around it (test/support/needs.ts), or come from `ctx.skip(reason)`. */
const reasonInName = /\[skipped: ([^]*?)\](?= > |$)/;

export default class CiReporter {
  /**
   * @param {readonly import("vitest/node").TestModule[]} modules
   * @param {readonly unknown[]} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    const tests = [];
    for (const module of modules) {
      const file = relative(process.cwd(), module.moduleId);
      let count = 0;
      for (const test of module.children.allTests()) {
        count++;
        const result = test.result();
        const reason = "note" in result && result.note ? result.note : reasonInName.exec(test.fullName)?.[1];
        tests.push({ file, name: test.fullName, state: result.state, reason });
      }
      // A file that cannot be loaded, or whose hooks fail, fails without a failed test.
      const errors =
        module.errors().length +
        [...module.children.allSuites()].reduce((sum, suite) => sum + suite.errors().length, 0);
      if (errors > 0) tests.push({ file, name: `${errors} error(s) outside of tests`, state: "failed" });
      else if (count === 0) tests.push({ file, name: "no test", state: "failed" });
    }
    const path = process.env["SKEP_TEST_REPORT"];
    if (path) writeFileSync(path, JSON.stringify({ tests, unhandledErrors: unhandledErrors.length }));
  }
}
