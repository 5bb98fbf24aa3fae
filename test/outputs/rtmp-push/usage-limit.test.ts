import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { RunEnd } from '../../../src/domain/transponder.ts';
import { UsageLimit } from '../../../src/outputs/rtmp-push/usage-limit.ts';
import { readProcessUsage } from '../../../src/supervisor/process-usage.ts';

/** Looks every half second, as a run does; `usageAt` gives CPU time in total and memory. */
function observe(limit: UsageLimit, seconds: number, usageAt: (second: number) => { cpuMs: number; rssBytes: number }) {
  for (let second = 0; second <= seconds; second += 0.5) {
    const end = limit.observe({ maxRssBytes: 0, ...usageAt(second) }, second * 1_000_000);
    if (end) return { second, end };
  }
  return undefined;
}

describe('the limits of a push’s process', () => {
  it('end the run when it used more CPU than allowed for 10 s', () => {
    const limit = new UsageLimit({ cpuPercent: 50, memoryBytes: 0 });
    const found = observe(limit, 60, (second) => ({ cpuMs: second < 5 ? 0 : (second - 5) * 600, rssBytes: 1e9 }));
    expect(found?.second).toBe(15);
    expect(found?.end).toEqual<RunEnd>({
      exitClass: 'limit_cpu',
      detail: 'more than 50 % CPU for 10 s, now 60 %',
    });
  });

  it('end the run when it held more memory than allowed for 10 s', () => {
    const limit = new UsageLimit({ cpuPercent: 0, memoryBytes: 1000 });
    const found = observe(limit, 60, (second) => ({ cpuMs: second * 1000, rssBytes: second < 3 ? 1000 : 1001 }));
    expect(found).toMatchObject({ second: 13, end: { exitClass: 'limit_memory' } });
  });

  it('forgive peaks with a break between them, and what is not limited', () => {
    const busyBut = (second: number): number => Math.floor(second / 9) * 8500 + Math.min(second % 9, 8.5) * 1000;
    const limited = new UsageLimit({ cpuPercent: 90, memoryBytes: 1000 });
    expect(observe(limited, 120, (second) => ({ cpuMs: busyBut(second), rssBytes: second % 9 < 8 ? 1001 : 0 }))).toBe(
      undefined,
    );
    const free = new UsageLimit({ cpuPercent: 0, memoryBytes: 0 });
    expect(observe(free, 120, (second) => ({ cpuMs: second * 8000, rssBytes: 1e12 }))).toBe(undefined);
  });

  it('are held against what the kernel says of a real process', async () => {
    const child = spawn(process.execPath, ['-e', "console.log('here'); process.stdin.once('data', () => {})"]);
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const usage = readProcessUsage(child.pid!)!;
    expect(usage.rssBytes).toBeGreaterThan(0);
    expect(usage.maxRssBytes).toBeGreaterThanOrEqual(usage.rssBytes);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    expect(readProcessUsage(child.pid!)).toBeUndefined();
  });
});
