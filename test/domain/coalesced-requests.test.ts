import { describe, expect, it } from 'vitest';
import { CoalescedRequests } from '../../src/domain/coalesced-requests.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('coalesced keyframe requests', () => {
  it('go out at once and never twice within 500 ms, whatever the number of joins', () => {
    const clock = new ManualClock();
    const sentMs: number[] = [];
    const requests = new CoalescedRequests(clock, () => sentMs.push(clock.monotonicUs() / 1000));
    for (let join = 0; join < 200; join++) {
      requests.ask();
      clock.advance(10);
    }
    clock.advance(5000);
    expect(sentMs).toEqual([0, 500, 1000, 1500, 2000]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('are not repeated when the keyframe has come meanwhile', () => {
    const clock = new ManualClock();
    let sent = 0;
    const requests = new CoalescedRequests(clock, () => sent++);
    requests.ask();
    requests.ask();
    requests.satisfied();
    clock.advance(2000);
    expect(sent).toBe(1);
  });

  it('leave no timer behind when they are closed', () => {
    const clock = new ManualClock();
    let sent = 0;
    const requests = new CoalescedRequests(clock, () => sent++);
    requests.ask();
    requests.ask();
    expect(clock.pendingTimers).toBe(1);
    requests.close();
    expect(clock.pendingTimers).toBe(0);
    expect(sent).toBe(1);
  });
});
