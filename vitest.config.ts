import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Those boot virtual machines: vitest.vm.config.ts.
    exclude: ["test/**/*.vm.test.ts"],
    // Tests that attach to the kernel count what the machine does; two files at once would disturb each other's figures.
    fileParallelism: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
