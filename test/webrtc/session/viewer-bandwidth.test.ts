import { describe, expect, it } from 'vitest';
import { ByteBudget, REPAIR_RATE } from '../../../src/webrtc/session/byte-budget.ts';
import { ViewerBandwidth } from '../../../src/webrtc/session/viewer-bandwidth.ts';

const SECOND_US = 1_000_000;

/** `lostOf100` of a hundred packets in each second were lost. */
function judgeEachSecond(
  bandwidth: ViewerBandwidth,
  fromS: number,
  toS: number,
  { lostOf100 = 0, sentBps = 1_500_000 } = {},
): string[] {
  const actions: string[] = [];
  for (let second = fromS; second <= toS; second++) {
    bandwidth.receiverReport({ cumulativeLost: second * lostOf100, extendedHighestSequence: 70_000 + second * 100 });
    const verdict = bandwidth.judge(second * SECOND_US, sentBps);
    if (verdict.action !== 'none') actions.push(`${second}:${verdict.action}`);
  }
  return actions;
}

describe('the bandwidth of a viewer', () => {
  it('is nobody’s business while it suffices', () => {
    const bandwidth = new ViewerBandwidth();
    bandwidth.receiverEstimate(3_000_000);
    expect(judgeEachSecond(bandwidth, 0, 60, { lostOf100: 2 })).toEqual([]);
  });

  it('is told after three seconds of heavy loss, then the picture is dropped, then tried again', () => {
    const bandwidth = new ViewerBandwidth();
    const actions = judgeEachSecond(bandwidth, 0, 21, { lostOf100: 30 });
    expect(actions).toEqual(['4:tell', '9:dropVideo', '19:resumeVideo']);
  });

  it('is judged by the loss of a second, not by that of the few packets before a request for a lost one', () => {
    const bandwidth = new ViewerBandwidth();
    bandwidth.receiverEstimate(800_000);
    const actions: string[] = [];
    for (let n = 0; n < 3000; n++) {
      // Each report is of two packets, and the last before each look says that one of them was lost.
      bandwidth.receiverReport({ cumulativeLost: Math.floor((n + 1) / 50), extendedHighestSequence: 2 * n });
      if (n % 50 === 49) actions.push(bandwidth.judge(((n + 1) / 50) * SECOND_US, 1_500_000).action);
    }
    expect(actions.filter((action) => action !== 'none' && action !== 'tell')).toEqual([]);
  });

  it('is not judged anew by a viewer that says nothing, and not by its number of packets when that begins again', () => {
    const bandwidth = new ViewerBandwidth();
    bandwidth.receiverReport({ cumulativeLost: 0, extendedHighestSequence: 1000 });
    bandwidth.judge(0, 1_500_000);
    bandwidth.receiverReport({ cumulativeLost: 60, extendedHighestSequence: 1100 });
    const actions = Array.from(
      { length: 5 },
      (_, second) => bandwidth.judge((1 + second) * SECOND_US, 1_500_000).action,
    );
    expect(actions).toEqual(['none', 'none', 'none', 'tell', 'none']);
    bandwidth.receiverReport({ cumulativeLost: 0, extendedHighestSequence: 3 });
    expect(judgeEachSecond(bandwidth, 6, 40)).toEqual([]);
  });

  it('names what is available and keeps the picture when only the estimate is low', () => {
    const bandwidth = new ViewerBandwidth();
    bandwidth.receiverEstimate(800_000);
    expect(judgeEachSecond(bandwidth, 0, 2)).toEqual([]);
    expect(bandwidth.judge(3 * SECOND_US, 1_500_000)).toEqual({ action: 'tell', availableBps: 800_000 });
    expect(judgeEachSecond(bandwidth, 4, 12)).toEqual([]);
    expect(judgeEachSecond(bandwidth, 13, 13)).toEqual(['13:tell']);
  });

  it('bounds what a viewer may have repeated', () => {
    const budget = new ByteBudget(REPAIR_RATE);
    let repeated = 0;
    for (let i = 0; i < 1000; i++) if (budget.spend(1200, i * 1000)) repeated++;
    expect(repeated).toBeGreaterThan(500);
    expect(repeated).toBeLessThan(650);
  });
});
