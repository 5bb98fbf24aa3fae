import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Measurement } from '../children/measured-app.ts';

export interface MeasuredApp {
  readonly wsUrl: string;
  readonly restUrl: string;
  measure(): Promise<Measurement>;
  /** What is held beyond `before`, `[]` when nothing is. Sockets and children are given a few seconds to go. */
  leftoversSince(before: Measurement): Promise<string[]>;
  /** Resolves when the process has ended by itself; rejects when it did not end well. */
  close(): Promise<void>;
}

const SETTLE_MS = 5000;

/** The real application in a process of its own, so that nothing of the test is counted with it. */
export async function startMeasuredApp(): Promise<MeasuredApp> {
  const child = fork(new URL('../children/measured-app.ts', import.meta.url), {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  const [urls] = (await once(child, 'message')) as [Pick<MeasuredApp, 'wsUrl' | 'restUrl'>];
  const measure = async (): Promise<Measurement> => {
    child.send('measure');
    const [measurement] = (await once(child, 'message')) as [Measurement];
    return measurement;
  };
  return {
    ...urls,
    measure,
    async leftoversSince(before) {
      const deadlineMs = Date.now() + SETTLE_MS;
      for (;;) {
        const excess = excessOf(before, await measure());
        if (excess.length === 0 || Date.now() > deadlineMs) return excess;
        await sleep(50);
      }
    },
    async close() {
      const exit = once(child, 'exit') as Promise<[number | null]>;
      child.disconnect();
      const [exitCode] = await exit;
      if (exitCode !== 0) throw new Error(`the application ended with exit code ${exitCode}`);
    },
  };
}

function excessOf(before: Measurement, now: Measurement): string[] {
  return Object.entries(now.held)
    .filter(([kind, count]) => count > (before.held[kind] ?? 0))
    .map(([kind, count]) => `${kind}: ${before.held[kind] ?? 0} before, now ${count}`);
}
