import { setTimeout as delay } from 'node:timers/promises';

/**
 * `timed-posts.ts URL DURATION_MS PAUSE_MS`: posts `{}` to URL again and again for that time and writes, as JSON, how long each
 * answer took in milliseconds, and how many elements the shortest list had. A process of its own, so that no other work of a
 * test is measured with it.
 */
export interface TimedPosts {
  readonly latenciesMs: readonly number[];
  readonly fewestElements: number;
}

const [url = '', durationMs, pauseMs] = process.argv.slice(2);
const WARM_UP_CALLS = 20;

async function post(): Promise<{ readonly tookMs: number; readonly elements: number }> {
  const startMs = performance.now();
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
  const text = await response.text();
  const tookMs = performance.now() - startMs;
  return { tookMs, elements: (JSON.parse(text) as unknown[]).length };
}

for (let call = 0; call < WARM_UP_CALLS; call++) await post();
const endMs = performance.now() + Number(durationMs);
const latenciesMs: number[] = [];
let fewestElements = Number.POSITIVE_INFINITY;
while (performance.now() < endMs) {
  const { tookMs, elements } = await post();
  latenciesMs.push(tookMs);
  fewestElements = Math.min(fewestElements, elements);
  await delay(Number(pauseMs));
}
process.stdout.write(JSON.stringify({ latenciesMs, fewestElements } satisfies TimedPosts));
