import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 20;

/** The first value of `look` that is not undefined; after `timeoutMs` an error that says what was waited for. */
export async function waitUntil<T>(
  look: () => T | undefined | Promise<T | undefined>,
  timeoutMs: number,
  whatFor: () => string,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadlineMs) throw new Error(`waited ${timeoutMs} ms in vain: ${whatFor()}`);
    await delay(POLL_MS);
  }
}
