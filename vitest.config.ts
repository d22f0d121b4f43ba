import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/engines.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Most of them wait most of the time.
    maxWorkers: 3,
    // Processes, brokers and databases share two cores with all the others: what is wrong fails twice. The fault suite has no retry.
    retry: 1,
    reporters: ['default'],
  },
})
