import { readFileSync } from 'node:fs';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Logger } from '../../src/domain/logger.ts';
import { sweepOrphans } from '../../src/supervisor/orphan-sweep.ts';
import type { SuspectedOrphan } from '../../src/supervisor/orphan-sweep.ts';
import { processStartTicks } from '../../src/supervisor/process-start.ts';
import { readProcessUsage } from '../../src/supervisor/process-usage.ts';

const NONCE = '0123456789abcdef0123456789abcdef';

/** A child that its supervisor left behind: with the mark, but without `--pdeathsig`. */
function leftBehind() {
  return execa('sleep', ['60'], { reject: false, extendEnv: false, env: { TRANSPONDER_NONCE: NONCE } });
}

let orphan: ReturnType<typeof leftBehind>;
let suspect: SuspectedOrphan & { readonly pid: number };
const logged: string[] = [];
const logger: Logger = {
  debug: () => {},
  info: (fields, sentence) => logged.push(`${sentence} ${JSON.stringify(fields)}`),
  warn: (fields, sentence) => logged.push(`${sentence} ${JSON.stringify(fields)}`),
  error: () => {},
  child: () => logger,
};

beforeEach(async () => {
  logged.length = 0;
  orphan = leftBehind();
  const pid = orphan.pid!;
  suspect = { transponderId: 't1', bootId: 'boot', nonce: NONCE, pid, startTicks: processStartTicks(pid)! };
  // Its environment can be read a moment after it is there.
  const hasMark = () => readFileSync(`/proc/${pid}/environ`, 'latin1').includes(NONCE);
  await vi.waitUntil(hasMark, { timeout: 15_000, interval: 5 });
});
afterEach(async () => {
  orphan.kill('SIGKILL');
  await orphan;
});

describe('the sweep of orphans', () => {
  it('kills the process that was noted', async () => {
    expect(sweepOrphans([suspect], 'boot', logger)).toBe(1);
    expect((await orphan).signal).toBe('SIGKILL');
    expect(logged).toEqual([expect.stringMatching(/killed.*"transponderId":"t1"/)]);
  });

  it.each([
    ['of another boot', { bootId: 'another' }, 'another boot'],
    ['with another start time', { startTicks: 1 }, 'another process has its id'],
    ['with another mark', { nonce: NONCE.replace('0', '9') }, 'another process has its id'],
    ['with a mark that only begins like its own', { nonce: NONCE.slice(0, 8) }, 'another process has its id'],
    ['that was never noted', { pid: null }, 'no process was noted'],
    ['of the system', { pid: 1 }, 'another process has its id'],
  ])('leaves a process %s alone, and says so', (_, change, reason) => {
    expect(sweepOrphans([{ ...suspect, ...change }], 'boot', logger)).toBe(0);
    expect(readProcessUsage(suspect.pid)).toBeDefined();
    expect(logged).toEqual([expect.stringContaining(reason)]);
  });

  it('passes over one that is gone, in silence', async () => {
    orphan.kill('SIGKILL');
    await orphan;
    expect(sweepOrphans([suspect], 'boot', logger)).toBe(0);
    expect(logged).toEqual([]);
  });
});

describe('the usage of a process', () => {
  it('is its CPU time and the most memory it ever had', () => {
    const usage = readProcessUsage(process.pid)!;
    const { user, system } = process.cpuUsage();
    expect(Math.abs(usage.cpuMs - (user + system) / 1000)).toBeLessThan(500);
    expect(usage.maxRssBytes).toBeGreaterThanOrEqual(process.memoryUsage().rss * 0.9);
  });

  it('is unknown when the process is gone', async () => {
    orphan.kill('SIGKILL');
    await orphan;
    expect(readProcessUsage(suspect.pid)).toBeUndefined();
  });
});
