import { describe, expect, it } from 'vitest';
import { SpawnQueue, type SpawnLimits, type StartPlace } from '../../src/supervisor/spawn-limits.ts';
import { ManualClock } from '../support/manual-clock.ts';

const LIMITS: SpawnLimits = { maxPerSecond: 10, maxStarting: 8, maxStartingPerHost: 4 };

function start(limits: Partial<SpawnLimits> = {}) {
  const clock = new ManualClock();
  const queue = new SpawnQueue(clock, { ...LIMITS, ...limits });
  const started: string[] = [];
  const enter = (name: string, host = name): StartPlace => queue.enter(host, () => void started.push(name));
  return { clock, queue, started, enter };
}

describe('the queue of starts', () => {
  it('lets so many start at once and the next when one has left, in their order', () => {
    const { started, enter } = start();
    const places = Array.from({ length: 10 }, (_, n) => enter(`s${n}`));
    expect(started).toHaveLength(8);
    places[3]!.leave();
    places[3]!.leave();
    expect(started.slice(8)).toEqual(['s8']);
    places[0]!.leave();
    expect(started.slice(8)).toEqual(['s8', 's9']);
  });

  it('lets four start at one host, and those for other hosts pass', () => {
    const { started, enter } = start();
    const places = Array.from({ length: 6 }, (_, n) => enter(`a${n}`, 'a'));
    enter('b', 'b');
    expect(started).toEqual(['a0', 'a1', 'a2', 'a3', 'b']);
    places[5]!.leave();
    places[1]!.leave();
    expect(started).toEqual(['a0', 'a1', 'a2', 'a3', 'b', 'a4']);
  });

  it('serves hosts in turn, so that fifty starts at one that is down keep nobody else waiting', () => {
    const { clock, started, enter } = start({ maxStartingPerHost: 100, maxStarting: 100 });
    for (let n = 0; n < 50; n++) enter(`down${n}`, 'down');
    expect(started).toHaveLength(10);
    clock.advance(500);
    for (const host of ['a', 'b']) for (const n of [0, 1]) enter(`${host}${n}`, host);
    clock.advance(500);
    expect(started.slice(10, 17)).toEqual(['down10', 'a0', 'b0', 'down11', 'a1', 'b1', 'down12']);
  });

  it('lets ten start in any second', () => {
    const { clock, started, enter } = start({ maxStarting: 100 });
    const times: number[] = [];
    for (let n = 0; n < 35; n++) enter(`s${n}`);
    for (let atMs = 0; atMs <= 4000; atMs += 10) {
      while (times.length < started.length) times.push(atMs);
      clock.advance(10);
    }
    expect(started).toEqual(Array.from({ length: 35 }, (_, n) => `s${n}`));
    for (const [n, atMs] of times.slice(10).entries()) expect(atMs - times[n]!).toBeGreaterThanOrEqual(1000);
    expect(times.at(-1)).toBeLessThanOrEqual(3010);
  });

  it('does not let starts that wait for a silent destination keep the others for long', () => {
    const { clock, started, enter } = start();
    for (let n = 0; n < 8; n++) enter(`silent${n}`);
    enter('last');
    clock.advance(2900);
    expect(started).not.toContain('last');
    clock.advance(200);
    expect(started).toContain('last');
  });

  it('starts what a start itself asks for, and leaves no timer behind', () => {
    const { clock, queue, started } = start({ maxPerSecond: 1 });
    const places: StartPlace[] = [];
    const enter = (name: string): void => {
      const next = { a: 'b', b: 'c' }[name];
      places.push(
        queue.enter(name, () => {
          started.push(name);
          if (next) enter(next);
        }),
      );
    };
    enter('a');
    expect(started).toEqual(['a']);
    clock.advance(2000);
    expect(started).toEqual(['a', 'b', 'c']);
    for (const place of places) place.leave();
    expect(clock.pendingTimers).toBe(0);
  });

  it('forgets who leaves before its turn', () => {
    const { clock, started, enter } = start({ maxStarting: 1 });
    const first = enter('first');
    enter('given up').leave();
    enter('second');
    first.leave();
    expect(started).toEqual(['first', 'second']);
    clock.advance(10_000);
    expect(clock.pendingTimers).toBe(0);
  });
});
