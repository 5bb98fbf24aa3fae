import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { transponderFixture, type TransponderFixture } from './transponder-fixture.ts';

const HOUR_MS = 3_600_000;
const INTERVAL_MS = 5000;
const request = { streamName: 'cam', rtmpUrl: 'rtmp://dest.example/live' };

let f: TransponderFixture;
beforeEach(() => {
  f = transponderFixture({ config: { restore: true, restoreIntervalMs: INTERVAL_MS } });
  f.service.sourceUp('cam');
});
afterEach(() => f.close());

describe.each([
  ['forward', HOUR_MS],
  ['back', -HOUR_MS],
])('a wall clock that is stepped an hour %s', (_, stepMs) => {
  it('leaves a push that runs alone', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    const run = f.runs.last;
    run.becomeActive();
    f.clock.stepWall(stepMs);
    for (let second = 1; second <= 60; second++) {
      run.options.onEvent({ type: 'progress', bytesOut: second * 100_000, backlogBytes: 0 });
      f.clock.advance(1000);
    }
    expect(f.service.status(id)).toMatchObject({ state: 'ACTIVE', restartsTotal: 0 });
    expect([run.stops, f.runs.started.length]).toEqual([0, 1]);
    expect(f.service.totals.invariantViolations).toBe(0);
  });

  it('neither brings a try forward nor puts it off', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    f.runs.last.end('dest_refused');
    f.clock.stepWall(stepMs);
    f.clock.advance(INTERVAL_MS - 1);
    expect(f.service.status(id)?.state).toBe('BACKOFF');
    f.clock.advance(1);
    expect(f.service.status(id)?.state).toBe('STARTING');
    expect(f.service.totals.invariantViolations).toBe(0);
  });

  it('neither fills nor empties the budget of tries', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    for (let attempt = 1; attempt <= 3; attempt++) {
      f.runs.last.becomeActive();
      f.clock.advance(1000);
      f.clock.stepWall(stepMs);
      f.runs.last.end('dest_reset');
      expect(f.store.transponders.get(id)).toMatchObject({ state: 'BACKOFF', attempt });
      f.clock.advance(INTERVAL_MS);
    }
    f.runs.last.end('dest_reset');
    expect(f.store.transponders.get(id)).toMatchObject({ state: 'FAILED', reason: 'attempts_exhausted: dest_reset' });
  });

  it('keeps the history of what has just ended', async () => {
    const { mediaSessionId: id } = await f.service.startup(request, 'rest');
    const over = f.service.terminate(id);
    f.clock.stepWall(stepMs);
    await over;
    f.clock.advance(2 * HOUR_MS);
    expect(f.store.transponders.get(id)).toMatchObject({ state: 'TERMINATED' });
    expect(f.store.events.ofTransponder(id, 10).length).toBeGreaterThan(1);
  });
});

it('a pause of the whole server, in which a try falls due, breaks no invariant', async () => {
  const { mediaSessionId: id } = await f.service.startup(request, 'rest');
  f.clock.advance(100);
  f.runs.last.end('dest_refused');
  // The look at all transponders is due before the try.
  f.clock.advance(INTERVAL_MS - 500);
  f.clock.freeze(4000);
  f.clock.advance(0);
  expect(f.service.status(id)?.state).toBe('STARTING');
  expect(f.service.totals.invariantViolations).toBe(0);
});
