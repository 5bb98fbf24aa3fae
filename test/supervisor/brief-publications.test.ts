import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ExitClass } from '../../src/domain/transponder.ts';
import { newTransponder, transition } from '../../src/supervisor/transponder-machine.ts';
import type { Transponder, TransponderEffect, TransponderEvent } from '../../src/supervisor/transponder-machine.ts';
import { PERSISTENT, guardDelayMs } from '../../src/supervisor/transponder-policy.ts';

const WINDOW_MS = 300_000;
const MAX_PUBLICATIONS = 8;
const WATCHED_MS = 4 * WINDOW_MS;
/** From a start to the destination's yes. */
const START_MS = 100;

/** A push to a destination that accepts every run; each one ends after a while of its own. Steps through hours in no time. */
class PushSimulation {
  nowMs = 0;
  readonly publicationsMs: number[] = [];
  #push: Transponder = newTransponder({ policy: PERSISTENT, outlivesSource: true, sourceWaitMs: 0 });
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
    this.#take({ type: 'sourceUp' });
  }

  /** One run, from its start to the start of the next one. */
  publish(lifetimeMs: number, exitClass: ExitClass): void {
    this.nowMs += START_MS;
    this.#take({ type: 'publishing' });
    this.publicationsMs.push(this.nowMs);
    this.#take({ type: 'active' });
    this.#endAfter(lifetimeMs, exitClass);
  }

  /** How long the push waits after a run that was refused. */
  refuse(): number {
    return this.#endAfter(START_MS, 'dest_refused');
  }

  #endAfter(lifetimeMs: number, exitClass: ExitClass): number {
    this.nowMs += lifetimeMs;
    const retry = this.#take({ type: 'runEnded', end: { exitClass, detail: '' } }).find(
      (effect) => effect.type === 'armRetry',
    );
    if (!retry) return 0;
    this.nowMs += retry.delayMs;
    this.#take({ type: 'retryDue' });
    return retry.delayMs;
  }

  #take(event: TransponderEvent): readonly TransponderEffect[] {
    const { next, effects } = transition(this.#push, event, { nowMs: this.nowMs, random: this.#random() });
    this.#push = next;
    return effects;
  }
}

function mostInWindow(timesMs: readonly number[]): number {
  return Math.max(
    ...timesMs.map((fromMs) => timesMs.filter((atMs) => atMs >= fromMs && atMs < fromMs + WINDOW_MS).length),
  );
}

describe('a destination that accepts and then drops', () => {
  it('sees at most eight publications in any five minutes, whatever chance says and however soon it drops', () => {
    const chance = fc.double({ min: 0, max: 0.999, noNaN: true });
    const lifetimesMs = fc.oneof(fc.constant(3000), fc.integer({ min: 0, max: 20_000 }));
    const classes = fc.constantFrom<ExitClass>('dest_reset', 'stalled', 'killed', 'start_timeout');
    const run = (random: number, lifetimeMs: number, exitClass: ExitClass): void => {
      const push = new PushSimulation(() => random);
      while (push.nowMs < WATCHED_MS) push.publish(lifetimeMs, exitClass);
      expect(push.publicationsMs.length).toBeGreaterThan(MAX_PUBLICATIONS);
      expect(mostInWindow(push.publicationsMs)).toBeLessThanOrEqual(MAX_PUBLICATIONS);
    };
    fc.assert(fc.property(chance, lifetimesMs, classes, run), { numRuns: 1000 });
  });

  it('is published again at once the first time, and again after it has been stable for 30 s', () => {
    const push = new PushSimulation(() => 0.999);
    push.publish(3000, 'dest_reset');
    push.publish(3000, 'dest_reset');
    push.publish(30_000, 'dest_reset');
    push.publish(3000, 'dest_reset');
    const [first, second, third, fourth] = push.publicationsMs as [number, number, number, number];
    expect(second - first - 3000 - START_MS).toBeLessThanOrEqual(250);
    expect(third - second - 3000 - START_MS).toBe(4000);
    expect(fourth - third - 30_000 - START_MS).toBeLessThanOrEqual(250);
  });

  it('that then refuses is asked again as quickly as any other', () => {
    const push = new PushSimulation(() => 0.5);
    push.publish(100, 'dest_reset');
    push.publish(100, 'dest_reset');
    expect(push.refuse()).toBeLessThanOrEqual(1200);
  });
});

it('the intensity guard asks for whole milliseconds, as the store keeps them', () => {
  expect(guardDelayMs([0.25, 1, 2, 3, 4], 1000.75)).toBe(29_000);
});
