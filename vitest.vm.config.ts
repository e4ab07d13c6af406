import { defineConfig } from "vitest/config";

// Tests that boot virtual machines: `npm run test:vm`, kernels by SKEP_VM_KERNELS.
export default defineConfig({
  test: {
    include: ["test/**/*.vm.test.ts"],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 600_000,
  },
});
