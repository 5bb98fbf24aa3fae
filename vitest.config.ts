import { defineConfig } from 'vitest/config';

/** Three projects: `unit` needs nothing but node, `integration` runs the real app on port 0, `e2e` needs Chromium, ffmpeg and nginx-rtmp. */
export default defineConfig({
  test: {
    // What comes at once on a quiet machine takes its time on a busy one; bounds that are claimed are asserted by the tests.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 15_000 } },
    // Vitest leaves one core to itself, of which it needs little.
    maxWorkers: '100%',
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/integration/**', 'test/e2e/**'] },
      },
      { extends: true, test: { name: 'integration', include: ['test/integration/**/*.test.ts'] } },
      {
        extends: true,
        test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 120_000, maxWorkers: 1 },
      },
    ],
  },
});
