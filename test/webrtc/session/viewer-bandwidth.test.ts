import { describe, expect, it } from 'vitest';
import { ByteBudget, REPAIR_RATE } from '../../../src/webrtc/session/byte-budget.ts';
import { ViewerBandwidth } from '../../../src/webrtc/session/viewer-bandwidth.ts';

const SECOND_US = 1_000_000;

function judgeEachSecond(bandwidth: ViewerBandwidth, fromS: number, toS: number, sentBps = 1_500_000): string[] {
  const actions: string[] = [];
  for (let second = fromS; second <= toS; second++) {
    const verdict = bandwidth.judge(second * SECOND_US, sentBps);
    if (verdict.action !== 'none') actions.push(`${second}:${verdict.action}`);
  }
  return actions;
}

describe('the bandwidth of a viewer', () => {
  it('is nobody’s business while it suffices', () => {
    const bandwidth = new ViewerBandwidth();
    bandwidth.receiverReport(5);
    bandwidth.receiverEstimate(3_000_000);
    expect(judgeEachSecond(bandwidth, 0, 60)).toEqual([]);
  });

  it('is told after three seconds of heavy loss, then the picture is dropped, then tried again', () => {
    const bandwidth = new ViewerBandwidth();
    bandwidth.receiverReport(80);
    expect(judgeEachSecond(bandwidth, 0, 20)).toEqual(['3:tell', '8:dropVideo', '18:resumeVideo']);
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
