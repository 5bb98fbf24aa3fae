import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/domain/clock.ts';
import { silentLogger } from '../../src/domain/logger.ts';
import { runningChildren, startChild } from '../../src/supervisor/child-process.ts';
import { readChildrenUsage } from '../../src/supervisor/children-usage.ts';

const BURN_300_MS =
  'const end = process.cpuUsage().user + 3e5; while (process.cpuUsage().user < end); console.log(1); setInterval(() => {}, 1e6)';

describe('the usage of children', () => {
  it('counts CPU time and memory while they run, and their CPU time for ever', async () => {
    const before = await readChildrenUsage(runningChildren());
    const child = startChild({
      program: process.execPath,
      args: ['-e', BURN_300_MS],
      name: 'burner',
      nonce: 'test',
      outputFds: [1],
      logger: silentLogger,
      clock: systemClock,
    });
    onTestFinished(() => void child.kill());
    await once(child.outputs.get(1)!, 'data');
    expect(runningChildren().get(child.pid!)).toBe('burner');
    const during = await readChildrenUsage(runningChildren());
    expect(during.cpuSeconds - before.cpuSeconds).toBeGreaterThanOrEqual(0.3);
    expect(during.byKind.get('burner')?.processes).toBe(1);
    expect(during.byKind.get('burner')!.residentBytes).toBeGreaterThan(10 << 20);

    await child.kill();
    const after = await readChildrenUsage(runningChildren());
    expect(runningChildren().has(child.pid!)).toBe(false);
    expect(after.byKind.has('burner')).toBe(false);
    expect(after.cpuSeconds).toBeGreaterThanOrEqual(during.cpuSeconds);
  });

  it('leaves out a process that is gone', async () => {
    const { byKind } = await readChildrenUsage(new Map([[2 ** 22 + 1, 'ghost']]));
    expect([...byKind]).toEqual([]);
  });
});
