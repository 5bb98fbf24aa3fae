import { describe, expect, it } from 'vitest';
import { RateLimit } from '../../src/domain/rate-limit.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('RateLimit', () => {
  it('allows the burst, then the rate, and never more than the burst after a pause', () => {
    const clock = new ManualClock();
    const limit = new RateLimit(clock, { perSecond: 10, burst: 3 });
    const taken = () => Array.from({ length: 5 }, () => limit.take()).filter(Boolean).length;
    expect(taken()).toBe(3);
    clock.advance(100);
    expect(taken()).toBe(1);
    clock.advance(60_000);
    expect(taken()).toBe(3);
  });
});
