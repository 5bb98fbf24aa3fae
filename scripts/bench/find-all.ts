/**
 * How long `/push/find_all` takes while the server holds a thousand pushes, and whether twenty viewers of a stream notice.
 *
 * The product, the load (publisher and viewers, this process) and the caller of REST are a process each. The stream plays twice:
 * once without any call, for comparison, and once while the list is asked for again and again.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import type { TimedPosts } from '../../test/children/timed-posts.ts';
import { startServerProcess } from '../../test/support/server-process.ts';
import { publishTestStream } from '../../test/support/signalled-client.ts';
import { waitUntil } from '../../test/support/wait-until.ts';
import { Audience } from './support/audience.ts';
import { startManyPushes } from './support/many-pushes.ts';
import { cpuUsedUs } from './support/process-usage.ts';
import { printTable } from './support/statistics.ts';

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000' },
    viewers: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '8' },
    /** Between two calls, in milliseconds. */
    pause: { type: 'string', default: '10' },
  },
});
const rows = Number(options.rows);
const viewers = Number(options.viewers);
const runMs = Number(options.seconds) * 1000;
const TIMED_POSTS = fileURLToPath(new URL('../../test/children/timed-posts.ts', import.meta.url));
/** What is still on its way when the publisher stops. */
const DRAIN_TIMEOUT_MS = 1000;
const AIM_P99_MS = 20;

// The machine that measures is busy with it.
const server = await startServerProcess({ settings: { ip: '127.0.0.1', admission_max_cpu_percent: '0' } });
const httpUrl = `http://127.0.0.1:${server.ports['http.port']}`;
const published = await publishTestStream(server, 'cam');
const audience = new Audience(published);

/** By how much the server's event loop was late since the last call, in milliseconds. */
async function loopDelayMs(): Promise<{ p99: number; max: number }> {
  const metrics = await (await fetch(`${httpUrl}/metrics`)).text();
  const quantile = (name: string): number => {
    const value = new RegExp(`^transponder_event_loop_delay_seconds\\{quantile="${name}"\\} (\\S+)$`, 'm').exec(
      metrics,
    );
    return Number(value?.[1]) * 1000;
  };
  return { p99: quantile('0.99'), max: quantile('1') };
}

async function play(meanwhile: () => Promise<TimedPosts | undefined>) {
  await loopDelayMs();
  audience.beginCounting();
  const cpuBeforeUs = await cpuUsedUs(server.pid);
  const startMs = performance.now();
  const [sent, posts] = await Promise.all([published.stream.run(runMs), meanwhile()]);
  const core = ((await cpuUsedUs(server.pid)) - cpuBeforeUs) / 1000 / (performance.now() - startMs);
  // What does not come is counted as lost below.
  await waitUntil(
    () => (audience.count.fewest >= sent ? true : undefined),
    DRAIN_TIMEOUT_MS,
    () => 'lost',
  ).catch(() => undefined);
  const { total, genuine } = audience.count;
  return { posts, core, loop: await loopDelayMs(), sent, lost: sent * viewers - total, genuine };
}

try {
  await startManyPushes(server.ports['http.port']!, rows);
  await audience.growTo(viewers);
  const quiet = await play(() => Promise.resolve(undefined));
  const asked = await play(async () => {
    const { stdout } = await execa(process.execPath, [
      TIMED_POSTS,
      `${httpUrl}/rest-api/push/find_all`,
      String(runMs),
      options.pause,
    ]);
    return JSON.parse(stdout) as TimedPosts;
  });
  const { latenciesMs, fewestElements } = asked.posts!;
  if (fewestElements !== rows) throw new Error(`a list had ${fewestElements} elements instead of ${rows}`);
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const at = (part: number): number => Number(sorted[Math.floor(part * (sorted.length - 1))]!.toFixed(1));
  const find = { calls: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
  console.log(
    `find_all of ${rows}: ${find.calls} calls, p50 ${find.p50Ms} ms, p99 ${find.p99Ms} ms (aim < ${AIM_P99_MS}), max ${find.maxMs} ms`,
  );
  printTable(
    [`${viewers} viewers`, 'packets', 'lost', 'core', 'loop late p99 ms', 'max'],
    Object.entries({ 'without calls': quiet, 'with calls': asked }).map(([name, { sent, lost, core, loop }]) => [
      name,
      String(sent * viewers),
      String(lost),
      `${(core * 100).toFixed(0)} %`,
      loop.p99.toFixed(1),
      loop.max.toFixed(1),
    ]),
  );
  const { posts: _, ...withCalls } = asked;
  const { posts: __, ...withoutCalls } = quiet;
  console.log(JSON.stringify({ bench: 'find-all', rows, viewers, ...find, withoutCalls, withCalls }));
} finally {
  audience.close();
  await published.close();
  await server[Symbol.asyncDispose]();
}
