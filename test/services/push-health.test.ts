import { describe, expect, it } from 'vitest';
import { PushHealth, type PushCondition } from '../../src/services/push-health.ts';

const KIB = 1024;
const SECOND_US = 1_000_000;

/** A push that is looked at twice a second. */
function watched() {
  const health = new PushHealth();
  let second = 0;
  return {
    until(endSecond: number, condition: PushCondition) {
      const changes: (string | undefined)[] = [];
      for (; second < endSecond; second += 0.5) changes.push(health.observe(condition, second * SECOND_US)?.type);
      return changes.filter((change) => change !== undefined);
    },
    pause: (seconds: number) => void (second += seconds),
  };
}

describe('the health of a push', () => {
  it('suffers when too much has waited for ten seconds, and recovers at half of that', () => {
    const { until } = watched();
    const waiting = { backlogBytes: 600 * KIB };
    expect(until(10, waiting)).toEqual([]);
    expect(until(10.5, { backlogBytes: 0 })).toEqual([]);
    expect(until(20.5, waiting)).toEqual([]);
    expect(until(30, waiting)).toEqual(['degraded']);
    expect(until(31, { backlogBytes: 257 * KIB })).toEqual([]);
    expect(until(32, { backlogBytes: 256 * KIB })).toEqual(['recovered']);
  });

  it('suffers as soon as pictures are given up for a slow destination, until ten seconds without', () => {
    const { until } = watched();
    const lost = (video: number, backlogBytes = 0) => ({ backlogBytes, droppedUnits: { video, audio: 0 } });
    // While it connected.
    expect(until(5, lost(40))).toEqual([]);
    expect(until(5.5, lost(70))).toEqual(['degraded']);
    expect(until(15, lost(71))).toEqual([]);
    expect(until(15.5, lost(72))).toEqual([]);
    expect(until(25, lost(72))).toEqual([]);
    expect(until(26, lost(72, 300 * KIB))).toEqual([]);
    expect(until(27, lost(72))).toEqual(['recovered']);
  });

  it('does not suffer from a pause of the server', () => {
    const { until, pause } = watched();
    expect(until(5, { backlogBytes: 600 * KIB })).toEqual([]);
    pause(60);
    expect(until(67, { backlogBytes: 600 * KIB })).toEqual([]);
    expect(until(75, { backlogBytes: 600 * KIB })).toEqual(['degraded']);
  });

  it('does not suffer from what a fast stream has on its way', () => {
    const health = new PushHealth();
    for (let second = 0; second < 60; second++) {
      const condition = { backlogBytes: 2000 * KIB, bitrateBps: 20_000_000 };
      expect(health.observe(condition, second * SECOND_US)).toBeUndefined();
    }
  });

  it('suffers with a frozen source, and recovers only when nothing waits either', () => {
    const health = new PushHealth();
    const frozen = { backlogBytes: 0, isSourceFrozen: true };
    expect(health.observe(frozen, 0)).toMatchObject({ type: 'degraded', reason: 'source_frozen' });
    expect(health.observe(frozen, SECOND_US)).toBeUndefined();
    expect(health.observe({ backlogBytes: 600 * KIB }, 2 * SECOND_US)).toBeUndefined();
    expect(health.observe({ backlogBytes: 0 }, 3 * SECOND_US)).toEqual({ type: 'recovered' });
  });
});
