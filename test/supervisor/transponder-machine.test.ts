import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ExitClass, TRANSPONDER_STATES } from '../../src/domain/transponder.ts';
import {
  brokenInvariant,
  hasRun,
  isFinal,
  newTransponder,
  transition,
} from '../../src/supervisor/transponder-machine.ts';
import type { Transponder, TransponderEffect, TransponderEvent } from '../../src/supervisor/transponder-machine.ts';
import { PERSISTENT, RETRY_OF_EXIT_CLASS, triesSpentBy } from '../../src/supervisor/transponder-policy.ts';
import type { RestartPolicy } from '../../src/supervisor/transponder-policy.ts';

const off: RestartPolicy = { kind: 'wcs', attempts: 0, intervalMs: 5000 };
const wcs: RestartPolicy = { kind: 'wcs', attempts: 3, intervalMs: 5000 };
const persistent: RestartPolicy = PERSISTENT;
const exitClasses = Object.keys(RETRY_OF_EXIT_CLASS) as ExitClass[];

const ended = (exitClass: ExitClass): TransponderEvent => ({ type: 'runEnded', end: { exitClass, detail: '' } });

function transponder(change: Partial<Transponder>): Transponder {
  return { ...newTransponder({ policy: off, outlivesSource: false, sourceWaitMs: 9000 }), sourceIsUp: true, ...change };
}

/** `STATE(reason) effect effect` of one step. */
function step(current: Transponder, event: TransponderEvent, nowMs = 0, random = 0.5): string {
  const { next, effects } = transition(current, event, { nowMs, random });
  const reason = next.reason === undefined ? '' : `(${next.reason})`;
  return [`${next.state}${reason}`, ...effects.map(written)].join(' ');
}

function written(effect: TransponderEffect): string {
  if (effect.type === 'armRetry' || effect.type === 'armSourceWait') return `${effect.type}:${effect.delayMs}`;
  return effect.type === 'stopRun' ? `stopRun:${effect.reason}` : effect.type;
}

describe('the table', () => {
  const stopping = { state: 'STOPPING' as const };
  const rows: [string, Partial<Transponder>, TransponderEvent, string][] = [
    ['starts with its source', { sourceIsUp: false }, { type: 'sourceUp' }, 'STARTING startRun'],
    [
      'waits for a source that is not there',
      {},
      { type: 'sourceDown' },
      'WAITING_SOURCE armSourceWait:9000 waitForSource',
    ],
    ['starts when the source comes', { state: 'WAITING_SOURCE' }, { type: 'sourceUp' }, 'STARTING disarm startRun'],
    [
      'starts when the source comes that it waits for without end',
      { state: 'WAITING_SOURCE', outlivesSource: true },
      { type: 'sourceUp' },
      'STARTING startRun',
    ],
    [
      'ends when the source was waited for in vain',
      { state: 'WAITING_SOURCE' },
      { type: 'sourceWaitOver' },
      'TERMINATED(source_gone) finish',
    ],
    ['ignores the end of a wait that is over', { state: 'ACTIVE' }, { type: 'sourceWaitOver' }, 'ACTIVE'],
    [
      'is restarted while it has a run',
      { state: 'DEGRADED' },
      { type: 'restartRequested' },
      'STOPPING(restart_requested) stopRun:restart_requested',
    ],
    [
      'starts anew, at once and whatever the policy, after a restart was asked for',
      { ...stopping, reason: 'restart_requested' },
      ended('asked_stop'),
      'STARTING startRun',
    ],
    ['is restarted while it backs off', { state: 'BACKOFF' }, { type: 'restartRequested' }, 'STARTING disarm startRun'],
    [
      'backs off when it was found broken',
      { state: 'ACTIVE' },
      { type: 'invariantBroken', sourceIsUp: true },
      'BACKOFF(invariant_broken) armRetry:1000',
    ],
    [
      'is over when it was found broken and is to stop',
      { state: 'STOPPING', desired: 'stop' },
      { type: 'invariantBroken', sourceIsUp: true },
      'TERMINATED(asked_stop) finish',
    ],
    [
      'is over when it was found broken while it ended with its source, though that is back',
      { ...stopping, reason: 'source_gone', outlivesSource: false },
      { type: 'invariantBroken', sourceIsUp: true },
      'TERMINATED(source_gone) finish',
    ],
    ['becomes active', { state: 'STARTING' }, { type: 'active' }, 'ACTIVE'],
    ['is not made active while it stops', { ...stopping, reason: 'stalled' }, { type: 'active' }, 'STOPPING(stalled)'],
    ['degrades', { state: 'ACTIVE' }, { type: 'degraded', reason: 'backlog' }, 'DEGRADED(backlog)'],
    [
      'degrades with its source',
      { state: 'ACTIVE' },
      { type: 'degraded', reason: 'source_frozen' },
      'DEGRADED(source_frozen)',
    ],
    [
      'does not degrade before it was active',
      { state: 'STARTING' },
      { type: 'degraded', reason: 'backlog' },
      'STARTING',
    ],
    ['recovers', { state: 'DEGRADED' }, { type: 'recovered' }, 'ACTIVE'],
    ['stops a stalled run', { state: 'ACTIVE' }, { type: 'progressStalled' }, 'STOPPING(stalled) stopRun:stalled'],
    ['ends a stalled run by policy', { ...stopping, reason: 'stalled' }, ended('asked_stop'), 'FAILED(stalled) finish'],
    [
      'stops a run whose source goes',
      { state: 'STARTING' },
      { type: 'sourceDown' },
      'STOPPING(source_gone) stopRun:source_gone',
    ],
    ['ends with its stream', { ...stopping, reason: 'source_gone' }, ended('killed'), 'TERMINATED(source_gone) finish'],
    [
      'ends with its stream even if that is back',
      { ...stopping, reason: 'source_gone', sourceIsUp: true },
      ended('killed'),
      'TERMINATED(source_gone) finish',
    ],
    [
      'ends with its stream even if that goes only while a stalled run is stopped, and is back',
      { ...stopping, reason: 'stalled', sourceIsUp: true },
      { type: 'sourceDown' },
      'STOPPING(source_gone)',
    ],
    [
      'keeps to the reason of its stop where it outlives its stream',
      { ...stopping, reason: 'stalled', outlivesSource: true },
      { type: 'sourceDown' },
      'STOPPING(stalled)',
    ],
    [
      'keeps to being stopped on request when its stream goes too',
      { ...stopping, reason: 'asked_stop', desired: 'stop' },
      { type: 'sourceDown' },
      'STOPPING(asked_stop)',
    ],
    [
      'outlives its stream where asked to',
      { ...stopping, reason: 'source_gone', outlivesSource: true, sourceIsUp: false },
      ended('asked_stop'),
      'WAITING_SOURCE(source_gone) waitForSource',
    ],
    [
      'starts anew, after a pause, with a stream that came back while it stopped',
      { ...stopping, reason: 'source_gone', outlivesSource: true },
      ended('asked_stop'),
      'BACKOFF(source_gone) armRetry:1000',
    ],
    [
      'ends with a source that the run saw go',
      { state: 'ACTIVE' },
      ended('source_gone'),
      'TERMINATED(source_gone) finish',
    ],
    [
      'lets the end of the stream win over a failure',
      { state: 'ACTIVE', policy: wcs, sourceIsUp: false },
      ended('dest_reset'),
      'TERMINATED(source_gone) finish',
    ],
    ['stops when asked', { state: 'ACTIVE' }, { type: 'stopRequested' }, 'STOPPING(asked_stop) stopRun:asked_stop'],
    ['keeps the first reason', { ...stopping, reason: 'stalled' }, { type: 'stopRequested' }, 'STOPPING(stalled)'],
    ['is over when stopped', { ...stopping, desired: 'stop' }, ended('crash'), 'TERMINATED(asked_stop) finish'],
    ['stops waiting', { state: 'WAITING_SOURCE' }, { type: 'stopRequested' }, 'TERMINATED(asked_stop) disarm finish'],
    ['stops backing off', { state: 'BACKOFF' }, { type: 'stopRequested' }, 'TERMINATED(asked_stop) disarm finish'],
    ['tries again when due', { state: 'BACKOFF' }, { type: 'retryDue' }, 'STARTING startRun'],
    ['tries again when told', { state: 'BACKOFF' }, { type: 'resumeRequested' }, 'STARTING disarm startRun'],
    ['ignores a timer that came too late', { state: 'ACTIVE' }, { type: 'retryDue' }, 'ACTIVE'],
    [
      'ends while backing off when the stream ends',
      { state: 'BACKOFF' },
      { type: 'sourceDown' },
      'TERMINATED(source_gone) disarm finish',
    ],
    [
      'waits while backing off when the stream ends',
      { state: 'BACKOFF', outlivesSource: true },
      { type: 'sourceDown' },
      'WAITING_SOURCE(source_gone) disarm waitForSource',
    ],
    ['starts again at once to follow the tracks', { state: 'ACTIVE' }, ended('replan'), 'STARTING startRun'],
    [
      'is restored waiting for as long as it may',
      {},
      { type: 'restored', as: 'waiting' },
      'WAITING_SOURCE armSourceWait:9000 waitForSource',
    ],
    [
      'is restored waiting without end where it outlives its source',
      { outlivesSource: true },
      { type: 'restored', as: 'waiting' },
      'WAITING_SOURCE waitForSource',
    ],
    [
      'is not restored where its source cannot return',
      {},
      { type: 'restored', as: 'over' },
      'TERMINATED(source_gone) finish',
    ],
    ['is restored suspended', {}, { type: 'restored', as: 'suspended' }, 'SUSPENDED(restore_window)'],
    ['is given up after a restart', {}, { type: 'restored', as: 'failed' }, 'FAILED(server_restart) finish'],
    [
      'ends after a restart if it was stopping',
      { desired: 'stop' },
      { type: 'restored', as: 'waiting' },
      'TERMINATED(asked_stop) finish',
    ],
    ['is resumed', { state: 'SUSPENDED' }, { type: 'resumeRequested' }, 'STARTING startRun'],
    [
      'is resumed without its source',
      { state: 'SUSPENDED', sourceIsUp: false },
      { type: 'resumeRequested' },
      'WAITING_SOURCE armSourceWait:9000 waitForSource',
    ],
  ];
  it.each(rows)('%s', (_, change, event, expected) => {
    expect(step(transponder(change), event)).toBe(expected);
  });

  it('never leaves a final state', () => {
    const events: TransponderEvent[] = [
      { type: 'sourceUp' },
      { type: 'sourceDown' },
      { type: 'active' },
      { type: 'retryDue' },
      { type: 'stopRequested' },
      { type: 'resumeRequested' },
      { type: 'restored', as: 'waiting' },
      ended('crash'),
    ];
    for (const state of TRANSPONDER_STATES.filter(isFinal)) {
      for (const event of events) {
        const before = transponder({ state });
        expect(transition(before, event, { nowMs: 0, random: 0 })).toEqual({ next: before, effects: [] });
      }
    }
  });

  it('does nothing on news of a run that is not there', () => {
    for (const state of TRANSPONDER_STATES.filter((name) => !hasRun(name))) {
      const before = transponder({ state });
      for (const event of [ended('crash'), { type: 'active' }, { type: 'progressStalled' }] as TransponderEvent[]) {
        expect(transition(before, event, { nowMs: 0, random: 0 }).next).toBe(before);
      }
    }
  });
});

describe('policy wcs', () => {
  it.each(exitClasses.filter((name) => RETRY_OF_EXIT_CLASS[name] === 'retryable'))('off: %s fails at once', (name) => {
    expect(step(transponder({ state: 'ACTIVE', policy: off }), ended(name))).toBe(`FAILED(${name}) finish`);
  });

  const usual = exitClasses.filter((name) => RETRY_OF_EXIT_CLASS[name] === 'retryable' && triesSpentBy(name) === 1);
  it.each(usual)('on: %s is tried exactly three times, each after exactly the interval', (name) => {
    let current = transponder({ state: 'STARTING', policy: wcs, wasAccepted: true });
    for (let attempt = 1; attempt <= 3; attempt++) {
      expect(step(current, ended(name))).toBe(`BACKOFF(${name}) armRetry:5000`);
      current = transition(current, ended(name), { nowMs: 0, random: 0 }).next;
      expect(current.attempt).toBe(attempt);
      current = transition(current, { type: 'retryDue' }, { nowMs: 0, random: 0 }).next;
    }
    expect(step(current, ended(name))).toBe(`FAILED(attempts_exhausted: ${name}) finish`);
  });
});

describe('a run that ended over a limit', () => {
  it.each<ExitClass>(['limit_cpu', 'limit_memory'])('takes two tries off the budget: %s', (name) => {
    let current = transponder({ state: 'ACTIVE', policy: wcs });
    const tried: number[] = [];
    while (current.state !== 'FAILED') {
      current = transition(current, ended(name), { nowMs: 0, random: 0 }).next;
      tried.push(current.attempt);
      current = transition(current, { type: 'retryDue' }, { nowMs: 0, random: 0 }).next;
    }
    expect(tried).toEqual([2, 4, 4]);
    expect(current.reason).toBe(`attempts_exhausted: ${name}`);
  });
});

describe('both policies', () => {
  const permanent = exitClasses.filter((name) => RETRY_OF_EXIT_CLASS[name] === 'permanent');
  it.each(permanent.flatMap((name) => [wcs, persistent].map((policy) => [policy.kind, name, policy] as const)))(
    '%s does not try again after %s',
    (_, name, policy) => {
      expect(step(transponder({ state: 'ACTIVE', policy }), ended(name))).toBe(`FAILED(${name}) finish`);
    },
  );

  const verdicts = exitClasses.filter((name) => RETRY_OF_EXIT_CLASS[name] === 'verdict');
  it.each(verdicts.flatMap((name) => [off, wcs, persistent].map((policy) => [policy.kind, name, policy] as const)))(
    '%s takes %s for a refusal where the push was never accepted',
    (_, name, policy) => {
      expect(step(transponder({ state: 'STARTING', policy }), ended(name))).toBe(`FAILED(${name}) finish`);
    },
  );

  it('fill the budget only after 30 s of ACTIVE', () => {
    for (const [activeMs, attempt] of [
      [29_999, 3],
      [30_000, 1],
    ] as const) {
      const current = transponder({ state: 'ACTIVE', policy: persistent, attempt: 2, activeSinceMs: 1000 });
      const { next } = transition(current, ended('dest_reset'), { nowMs: 1000 + activeMs, random: 0.5 });
      expect(next.attempt).toBe(attempt);
    }
  });

  it('count a long ACTIVE that ended in DEGRADED, and not DEGRADED itself', () => {
    const context = { nowMs: 40_000, random: 0.5 };
    const active = transponder({ state: 'ACTIVE', policy: persistent, attempt: 2, activeSinceMs: 0 });
    expect(transition(active, { type: 'degraded', reason: 'backlog' }, context).next.attempt).toBe(0);
    const young = transponder({ state: 'ACTIVE', policy: persistent, attempt: 2, activeSinceMs: 39_000 });
    const degraded = transition(young, { type: 'degraded', reason: 'backlog' }, context).next;
    expect(transition(degraded, ended('dest_reset'), { nowMs: 90_000, random: 0.5 }).next.attempt).toBe(3);
  });

  it('hold the sixth start in 30 s back, whatever the reason of the starts', () => {
    let current = transponder({ state: 'NEW', policy: wcs, sourceIsUp: false });
    current = transition(current, { type: 'sourceUp' }, { nowMs: 0, random: 0 }).next;
    for (let n = 1; n < 5; n++) current = transition(current, ended('replan'), { nowMs: n, random: 0 }).next;
    expect(current.state).toBe('STARTING');
    expect(step(current, ended('replan'), 10)).toBe('BACKOFF(replan) armRetry:29990');
  });

  it('hold back a start for a source that flaps', () => {
    const waiting = transponder({ state: 'WAITING_SOURCE', sourceIsUp: false, startsMs: [0, 1, 2, 3, 4] });
    expect(step(waiting, { type: 'sourceUp' }, 10_000)).toBe('BACKOFF(intensity_guard) disarm armRetry:20000');
    expect(step(waiting, { type: 'sourceUp' }, 30_000)).toBe('STARTING disarm startRun');
  });
});

describe('policy persistent', () => {
  it.each<ExitClass>(['dest_closed', 'dest_rejected', 'dest_auth', 'tls_error'])(
    'takes %s for trouble that passes where the push had been accepted, however often it is said, and waits 5 s at least',
    (name) => {
      let current = transponder({ state: 'ACTIVE', policy: persistent, wasAccepted: true });
      for (let n = 0; n < 20; n++) {
        const { next, effects } = transition(current, ended(name), { nowMs: n * 60_000, random: 0 });
        expect([next.state, effects]).toEqual(['BACKOFF', [{ type: 'armRetry', delayMs: 5000 }]]);
        current = transition(next, { type: 'retryDue' }, { nowMs: n * 60_000 + 5000, random: 0 }).next;
      }
    },
  );

  it.each([
    [0, 1000],
    [1, 2000],
    [2, 4000],
    [4, 16_000],
    [5, 30_000],
    [900, 30_000],
  ])('after %i tries waits a random part of %i ms', (attempt, capMs) => {
    const quickTries = 12;
    const current = transponder({
      state: 'ACTIVE',
      policy: persistent,
      attempt: attempt + quickTries,
      quickTries,
      outageSinceMs: 0,
    });
    expect(step(current, ended('dest_refused'), 10_000, 0.5)).toBe(`BACKOFF(dest_refused) armRetry:${capMs / 2}`);
    expect(step(current, ended('dest_refused'), 10_000, 0)).toBe('STARTING startRun');
  });

  it.each(['dest_refused', 'dest_reset', 'crash', 'spawn_error', 'dest_auth'] as const)(
    'tries again within 250 ms at first: %s',
    (name) => {
      const current = transponder({ state: 'ACTIVE', policy: persistent });
      expect(step(current, ended(name), 0, 0.999_999)).toBe(`BACKOFF(${name}) armRetry:250`);
      expect(step(current, ended(name), 0, 0)).toBe('STARTING startRun');
    },
  );

  it('tries again at once after a stall', () => {
    const stopping = transponder({ state: 'STOPPING', reason: 'stalled', policy: persistent });
    expect(step(stopping, ended('asked_stop'), 0, 0.9)).toBe('STARTING startRun');
  });

  it('asks a destination that is away for less than 10 s again within a second of its return, half of the time', () => {
    const random = mulberry32(7);
    const waitsMs: number[] = [];
    for (let n = 0; n < 2000; n++) {
      const returnsMs = 200 + random() * 9800;
      let current = transponder({ state: 'ACTIVE', policy: persistent, startsMs: [-1, -1, -1, -1, -1] });
      let nowMs = 0;
      while (nowMs < returnsMs) {
        const { next, effects } = transition(current, ended('dest_refused'), { nowMs, random: random() });
        nowMs += effects.find((effect) => effect.type === 'armRetry')?.delayMs ?? 0;
        current = transition(next, { type: 'retryDue' }, { nowMs, random: 0 }).next;
      }
      waitsMs.push(nowMs - returnsMs);
    }
    waitsMs.sort((a, b) => a - b);
    expect(waitsMs[1000]).toBeLessThan(500);
    expect(waitsMs.at(-1)).toBeLessThan(1200);
  });

  it('backs off from a destination that takes every connection and drops it after three seconds', () => {
    let current = transponder({ state: 'STARTING', policy: persistent });
    let nowMs = 0;
    const startsMs: number[] = [];
    while (nowMs < 600_000) {
      startsMs.push(nowMs);
      current = transition(current, { type: 'active' }, { nowMs, random: 0 }).next;
      nowMs += 3000;
      const { next, effects } = transition(current, ended('dest_reset'), { nowMs, random: 0.5 });
      nowMs += effects.find((effect) => effect.type === 'armRetry')?.delayMs ?? 0;
      current = transition(next, { type: 'retryDue' }, { nowMs, random: 0 }).next;
    }
    expect(startsMs.filter((atMs) => atMs < 30_000).length).toBeLessThanOrEqual(8);
    expect(startsMs.at(-1)! - startsMs.at(-2)!).toBe(18_000);
  });

  it('gives up after three crashes in ten minutes, not after three in eleven', () => {
    const crash = (crashesMs: number[]) =>
      step(transponder({ state: 'ACTIVE', policy: persistent, crashesMs }), ended('crash'), 600_000, 0);
    expect(crash([1, 300_000])).toBe('FAILED(repeated: crash) finish');
    expect(crash([0, 300_000])).toBe('STARTING startRun');
  });

  it('keeps to the figures of its row', () => {
    const policy: RestartPolicy = { kind: 'persistent', baseMs: 100, capMs: 300, stableAfterMs: 5000 };
    const later = transponder({ state: 'ACTIVE', policy, attempt: 9, outageSinceMs: -10_000 });
    expect(step(later, ended('dest_refused'), 0, 0.999_999)).toBe('BACKOFF(dest_refused) armRetry:300');
    const stable = transponder({ state: 'ACTIVE', policy, attempt: 9, activeSinceMs: 0 });
    expect(transition(stable, ended('dest_reset'), { nowMs: 5000, random: 0.5 }).next.attempt).toBe(1);
    expect(transition(stable, ended('dest_reset'), { nowMs: 4999, random: 0.5 }).next.attempt).toBe(10);
  });

  it('leaves a busy destination at least 5 s to lose the old session', () => {
    expect(step(transponder({ state: 'ACTIVE', policy: persistent }), ended('dest_busy'), 0, 0)).toBe(
      'BACKOFF(dest_busy) armRetry:5000',
    );
  });

  it('leaves one that accepted it before and now closes without a word the same time, and goes on after that', () => {
    let current = transponder({ state: 'STARTING', policy: persistent });
    current = transition(current, { type: 'publishing' }, { nowMs: 0, random: 0 }).next;
    for (let n = 0; n < 10; n++) {
      const { next, effects } = transition(current, ended('dest_closed'), { nowMs: n * 60_000, random: 0 });
      expect([next.state, effects.map(written)[0]]).toEqual(['BACKOFF', 'armRetry:5000']);
      current = transition(next, { type: 'retryDue' }, { nowMs: n * 60_000 + 5000, random: 0 }).next;
    }
  });

  it('gives up after two refused keys in a row, not after two with something between', () => {
    const context = { nowMs: 0, random: 0 };
    const first = transition(transponder({ state: 'ACTIVE', policy: persistent }), ended('dest_auth'), context).next;
    expect(step(first, ended('dest_auth'))).toBe('FAILED(dest_auth) finish');
    const between = transition(first, ended('dest_reset'), context).next;
    const again = transition(between, { type: 'retryDue' }, context).next;
    expect(transition(again, ended('dest_auth'), context).next.state).toBe('STARTING');
  });

  it('lets no window of 30 s see more than five starts once an outage is not young any more, even without jitter', () => {
    const busy = transponder({ policy: persistent, sourceIsUp: false, outageSinceMs: -10_000 });
    let current = transition(busy, { type: 'sourceUp' }, ctx(0)).next;
    const startsMs = [0];
    let nowMs = 0;
    for (let n = 0; n < 40; n++) {
      const { next, effects } = transition(current, ended('dest_refused'), ctx(nowMs));
      const armed = effects.find((effect) => effect.type === 'armRetry');
      nowMs += armed?.delayMs ?? 0;
      current = armed ? transition(next, { type: 'retryDue' }, ctx(nowMs)).next : next;
      startsMs.push(nowMs);
    }
    expect(current.state).toBe('STARTING');
    const distancesMs = startsMs.slice(5).map((atMs, n) => atMs - startsMs[n]!);
    expect(Math.min(...distancesMs)).toBeGreaterThanOrEqual(30_000);
  });
});

/** Deterministic numbers in [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function ctx(nowMs: number) {
  return { nowMs, random: 0 };
}

describe('any life', () => {
  const event: fc.Arbitrary<TransponderEvent> = fc.oneof(
    fc.constantFrom<TransponderEvent>(
      { type: 'sourceUp' },
      { type: 'sourceDown' },
      { type: 'publishing' },
      { type: 'active' },
      { type: 'progressStalled' },
      { type: 'degraded', reason: 'backlog' },
      { type: 'recovered' },
      { type: 'retryDue' },
      { type: 'stopRequested' },
      { type: 'resumeRequested' },
      { type: 'restartRequested' },
      { type: 'sourceWaitOver' },
    ),
    fc.constantFrom(...exitClasses).map(ended),
  );
  const first: fc.Arbitrary<TransponderEvent> = fc.constantFrom<TransponderEvent>(
    { type: 'sourceUp' },
    { type: 'sourceDown' },
    { type: 'restored', as: 'waiting' },
    { type: 'restored', as: 'suspended' },
    { type: 'restored', as: 'failed' },
    { type: 'restored', as: 'over' },
    { type: 'resumeRequested' },
  );
  const life = fc.record({
    policy: fc.constantFrom(off, wcs, persistent),
    outlivesSource: fc.boolean(),
    first,
    events: fc.array(fc.tuple(event, fc.nat(40_000), fc.double({ min: 0, max: 0.999, noNaN: true })), {
      maxLength: 80,
    }),
  });

  function must(isTrue: boolean, sentence: string): void {
    if (!isTrue) throw new Error(sentence);
  }

  /** Owns what the effects say, as an actor does; fails where an actor would. */
  class Owner {
    current: Transponder;
    nowMs = 0;
    run = false;
    timer = false;
    due: 'retryDue' | 'sourceWaitOver' | undefined;
    finished = 0;
    constructor(policy: RestartPolicy, outlivesSource: boolean) {
      this.current = newTransponder({ policy, outlivesSource, sourceWaitMs: 9000 });
    }
    take(taken: TransponderEvent, random: number) {
      if (taken.type === 'runEnded') {
        if (!this.run) return;
        this.run = false;
      }
      if (taken.type === 'retryDue' || taken.type === 'sourceWaitOver') {
        if (taken.type !== this.due) return;
        if (!this.timer) return;
        this.timer = false;
      }
      const before = this.current;
      const { next, effects } = transition(before, taken, { nowMs: this.nowMs, random });
      must(!isFinal(before.state) || next === before, 'left a final state');
      for (const effect of effects) this.#carryOut(effect);
      this.current = next;
      const broken = brokenInvariant(next, this);
      must(broken === undefined, `${broken}`);
      must(this.finished === (isFinal(next.state) ? 1 : 0), 'finish is said once, at the end');
    }
    #carryOut(effect: TransponderEffect) {
      if (effect.type === 'startRun') {
        must(!this.run, 'two runs');
        this.run = true;
      }
      must(effect.type !== 'stopRun' || this.run, 'stopped no run');
      if (effect.type === 'armRetry' || effect.type === 'armSourceWait') {
        must(!this.timer, 'two timers');
        this.timer = true;
        this.due = effect.type === 'armRetry' ? 'retryDue' : 'sourceWaitOver';
      }
      if (effect.type === 'disarm') this.timer = false;
      if (effect.type === 'finish') this.finished++;
    }
  }

  it('never has two runs or two timers, never forgets itself, and when stopped always ends TERMINATED', () => {
    fc.assert(
      fc.property(life, ({ policy, outlivesSource, first: begin, events }) => {
        const owner = new Owner(policy, outlivesSource);
        owner.take(begin, 0);
        for (const [taken, laterMs, random] of events) {
          owner.nowMs += laterMs;
          owner.take(taken, random);
        }
        const wasFailed = owner.current.state === 'FAILED';
        owner.take({ type: 'stopRequested' }, 0);
        owner.take(ended('killed'), 0);
        expect(owner.current.state).toBe(wasFailed ? 'FAILED' : 'TERMINATED');
        expect([owner.run, owner.timer]).toEqual([false, false]);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('brokenInvariant', () => {
  it.each([
    [{ state: 'ACTIVE' }, { run: false, timer: false }],
    [
      { state: 'WAITING_SOURCE', sourceIsUp: false },
      { run: true, timer: false },
    ],
    [{ state: 'BACKOFF' }, { run: false, timer: false }],
    [{ state: 'ACTIVE' }, { run: true, timer: true }],
    [{ state: 'NEW' }, { run: false, timer: false }],
    [{ state: 'WAITING_SOURCE' }, { run: false, timer: false }],
    [
      { state: 'SUSPENDED', desired: 'stop' },
      { run: false, timer: false },
    ],
  ] as [Partial<Transponder>, { run: boolean; timer: boolean }][])(
    'sees what is wrong with %o owning %o',
    (change, owns) => {
      expect(brokenInvariant(transponder(change), owns)).toBeTypeOf('string');
    },
  );
});
