import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExitClass, TransponderState } from '../../src/domain/transponder.ts';
import { transponderFixture, type TransponderFixture } from './transponder-fixture.ts';

const RUNS = 1000;
const MAX_STEPS = 12;
const EXIT_CLASSES = ['dest_refused', 'dest_reset', 'dest_busy', 'dest_rejected', 'killed', 'crash', 'replan'] as const;

type Step =
  | { readonly type: 'sourceUp' | 'sourceDown' | 'active' | 'stalled' | 'overfull' }
  | { readonly type: 'ended'; readonly exitClass: ExitClass }
  | { readonly type: 'advance'; readonly byMs: number };

interface Life {
  readonly restartPolicy: 'wcs' | 'persistent';
  readonly waitForStream: boolean;
  readonly sourceIsUp: boolean;
  /** Else a child ends only when a step says so, or at the end. */
  readonly diesWhenAsked: boolean;
  readonly before: readonly Step[];
  readonly after: readonly Step[];
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Step>({ type: 'active' }) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 12_000 }).map<Step>((byMs) => ({ type: 'advance', byMs })) },
  fc.constantFrom<Step>({ type: 'sourceUp' }, { type: 'sourceDown' }, { type: 'stalled' }, { type: 'overfull' }),
  fc.constantFrom(...EXIT_CLASSES).map<Step>((exitClass) => ({ type: 'ended', exitClass })),
);
const life: fc.Arbitrary<Life> = fc.record({
  restartPolicy: fc.constantFrom('wcs', 'persistent'),
  waitForStream: fc.boolean(),
  sourceIsUp: fc.boolean(),
  diesWhenAsked: fc.boolean(),
  before: fc.array(step, { maxLength: MAX_STEPS }),
  after: fc.array(step, { maxLength: MAX_STEPS }),
});

let f: TransponderFixture;
beforeAll(() => {
  f = transponderFixture({ config: { restore: true } });
});
afterAll(() => f.close());

let lives = 0;

/** Lets what has been resolved be heard. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('terminate, at whatever moment of a start it comes,', () => {
  it(`ends the push for good and leaves nothing behind (${RUNS} random lives)`, { timeout: 120_000 }, async () => {
    const statesMet = new Set<TransponderState>();
    await fc.assert(
      fc.asyncProperty(life, async (given) => {
        const met = await live(given);
        if (met) statesMet.add(met);
      }),
      { numRuns: RUNS },
    );
    expect(f.service.totals.invariantViolations).toBe(0);
    expect([...statesMet].toSorted()).toEqual([
      'ACTIVE',
      'BACKOFF',
      'DEGRADED',
      'STARTING',
      'STOPPING',
      'WAITING_SOURCE',
    ]);
  });
});

/** Returns the state that terminate met, or undefined where the push was over by then. */
async function live({ restartPolicy, waitForStream, sourceIsUp, diesWhenAsked, before, after }: Life) {
  const streamName = `cam${lives++}`;
  const request = { streamName, rtmpUrl: 'rtmp://dest.example/live', restartPolicy };
  const timers = f.clock.pendingTimers;
  f.runs.diesWhenAsked = diesWhenAsked;
  if (sourceIsUp || !waitForStream) f.service.sourceUp(streamName);
  const { mediaSessionId: id } = await f.service.startup({ ...request, waitForStream }, 'rest');
  const alive = () => f.runs.started.filter(({ options, isGone }) => options.id === id && !isGone);
  const take = (next: Step): void => {
    takeStep(next, streamName, alive()[0]);
    expect(alive().length).toBeLessThanOrEqual(1);
  };

  for (const next of before) take(next);
  await settled();
  const state = f.service.status(id)?.state;
  const startsBefore = f.runs.started.length;
  let answer: unknown;
  const terminated = f.service.terminate(id).then(
    () => (answer = 'terminated'),
    (error: { code: string }) => (answer = error.code),
  );
  for (const next of after) take(next);
  for (const run of alive()) run.end('killed');
  await settled();
  await settled();

  expect(answer).toBe(state === undefined ? 'TRANSPONDER_NOT_FOUND' : 'terminated');
  await terminated;
  f.clock.advance(60_000);
  f.service.sourceUp(streamName);
  f.clock.advance(60_000);
  expect(f.runs.started.length).toBe(startsBefore);
  expect(alive()).toEqual([]);
  expect(f.clock.pendingTimers).toBe(timers);
  const row = f.store.transponders.get(id)!;
  expect(state === undefined ? ['TERMINATED', 'FAILED'] : ['TERMINATED']).toContain(row.state);
  expect(f.store.runs.ofTransponder(id).every(({ endedAtMs }) => endedAtMs !== null)).toBe(true);

  // Its place is free again.
  f.runs.diesWhenAsked = true;
  const { mediaSessionId: next } = await f.service.startup(request, 'rest');
  await f.service.terminate(next);
  f.service.sourceDown(streamName);
  return state;
}

function takeStep(next: Step, streamName: string, run: (typeof f.runs.started)[number] | undefined): void {
  switch (next.type) {
    case 'sourceUp':
      return f.service.sourceUp(streamName);
    case 'sourceDown':
      return f.service.sourceDown(streamName);
    case 'advance':
      return f.clock.advance(next.byMs);
    case 'active':
      return run?.becomeActive();
    case 'stalled':
      return run?.options.onEvent({ type: 'stalled' });
    case 'overfull':
      for (let report = 0; report <= 20; report++) {
        run?.options.onEvent({ type: 'progress', bytesOut: 1, backlogBytes: 600_000 });
        f.clock.advance(500);
      }
      return undefined;
    case 'ended':
      return run?.end(next.exitClass);
  }
}
