import { describe, expect, it } from 'vitest';
import { PushHealth } from '../../src/services/push-health.ts';

const KIB = 1024;
const SECOND_US = 1_000_000;

describe('the health of a push', () => {
  it('suffers when too much has waited for ten seconds, and recovers at half of that', () => {
    const health = new PushHealth();
    const observe = (backlogBytes: number, second: number) =>
      health.observe({ backlogBytes }, second * SECOND_US)?.type;
    expect([observe(600 * KIB, 0), observe(600 * KIB, 9.9)]).toEqual([undefined, undefined]);
    expect(observe(0, 9.95)).toBeUndefined();
    expect([observe(600 * KIB, 10), observe(600 * KIB, 20), observe(600 * KIB, 21)]).toEqual([
      undefined,
      'degraded',
      undefined,
    ]);
    expect([observe(257 * KIB, 22), observe(256 * KIB, 23), observe(0, 24)]).toEqual([
      undefined,
      'recovered',
      undefined,
    ]);
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
