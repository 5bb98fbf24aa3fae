import { afterEach, expect, it } from 'vitest';
import { StreamKeepAlive } from '../../src/services/stream-keep-alive.ts';
import { streamFixture, VIEWER } from './stream-fixture.ts';

let keepAlive: StreamKeepAlive | undefined;
afterEach(() => keepAlive?.close());

async function publishing(appKey: string) {
  const fixture = streamFixture();
  const client = await fixture.client('rtmp', { appKey });
  await fixture.rtmpStreams.publish(client.session, { mediaSessionId: 'P1', name: 'test' });
  keepAlive = new StreamKeepAlive({ ...fixture, intervalMs: 10_000, appKeys: ['defaultApp', 'other'] });
  const keepAlives = () => fixture.backend.told.filter(({ event }) => event === 'StreamKeepAliveEvent');
  return { ...fixture, client, keepAlives, live: () => fixture.publications[0]!.options.onLive({}) };
}

it('tells the backend of every publisher of the applications at every interval, from PUBLISHING to the end', async () => {
  const { clock, live, keepAlives, streams, client } = await publishing('other');
  clock.advance(10_000);
  expect(keepAlives()).toEqual([]);
  live();
  clock.advance(10_000);
  expect(keepAlives()).toMatchObject([{ body: { mediaSessionId: 'P1', name: 'test', status: 'PUBLISHING' } }]);
  await Promise.resolve();
  clock.advance(9_999);
  expect(keepAlives()).toHaveLength(1);
  clock.advance(1);
  expect(keepAlives()).toHaveLength(2);
  await streams.stop(client.session, 'P1', true);
  clock.advance(60_000);
  expect(keepAlives()).toHaveLength(2);
  keepAlive?.close();
  expect(clock.pendingTimers).toBe(0);
});

it('leaves other applications and players alone', async () => {
  const { clock, live, keepAlives, rtmpStreams, playbacks, client, streams } = await publishing('flashStreamingApp');
  live();
  await rtmpStreams.play(client.session, { mediaSessionId: 'V1', name: 'test', suppressSound: false }, VIEWER);
  playbacks[0]!.options.onStarted();
  expect(streams.find({ status: 'PLAYING' })).toHaveLength(1);
  clock.advance(60_000);
  expect(keepAlives()).toEqual([]);
});

it('ends a stream that the backend denies', async () => {
  const { clock, live, client, backend, publications } = await publishing('defaultApp');
  live();
  backend.verdict = (event) => (event === 'StreamKeepAliveEvent' ? 'denied' : 'ok');
  clock.advance(10_000);
  await expect.poll(() => client.statuses.at(-1)).toBe('P1 FAILED: Terminated by keep-alive');
  expect(publications[0]!.closed).toEqual(['Terminated by keep-alive']);
});

it('does not ask again while the backend thinks, and a late denial hits nobody', async () => {
  const { clock, live, client, keepAlives, backend, streams } = await publishing('defaultApp');
  live();
  const { promise, resolve } = Promise.withResolvers<'denied'>();
  backend.verdict = (event) => (event === 'StreamKeepAliveEvent' ? promise : 'ok');
  clock.advance(50_000);
  expect(keepAlives()).toHaveLength(1);
  await streams.stop(client.session, 'P1', true);
  resolve('denied');
  await promise;
  await Promise.resolve();
  expect(client.statuses).toEqual(['P1 PUBLISHING', 'P1 UNPUBLISHED: Stopped by publisher stop']);
});
