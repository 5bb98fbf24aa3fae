import { describe, expect, it } from 'vitest';
import { FlowWatch } from '../../../src/outputs/rtmp-push/flow-watch.ts';

const waiting = (bytesAccepted: number, waitingBytes = 100_000) => ({
  bytesAccepted,
  waitingBytes,
  isSourceIdle: false,
});

describe('the flow of a push', () => {
  it('lapses when less than 4 KiB moved within the stall timeout and returns with the next bytes', () => {
    const flow = new FlowWatch(8000, 0);
    expect(flow.isFlowing(waiting(100_000), 1_000_000)).toBe(true);
    expect(flow.isFlowing(waiting(101_000), 8_900_000)).toBe(true);
    expect(flow.isFlowing(waiting(102_000), 9_000_000)).toBe(false);
    expect(flow.isFlowing(waiting(110_000), 9_100_000)).toBe(true);
  });

  it('goes on with a few bytes when they are all that had been given, however much more is on its way', () => {
    const flow = new FlowWatch(8000, 0);
    for (let second = 1; second < 60; second++) {
      const bytesAccepted = 100 * second;
      expect(flow.isFlowing(waiting(bytesAccepted, 100), second * 1_000_000)).toBe(true);
    }
    expect(flow.isFlowing(waiting(5950, 1000), 67_000_000)).toBe(false);
  });

  it('is not kept up by a few bytes beside media that are not taken', () => {
    const flow = new FlowWatch(8000, 0);
    expect(flow.isFlowing(waiting(100_000, 0), 1_000_000)).toBe(true);
    const few = (second: number) => waiting(100_000 + 50 * second, 20_000 * second);
    for (let second = 1; second <= 8; second++) {
      expect(flow.isFlowing(few(second), (second + 1) * 1_000_000)).toBe(true);
    }
    for (let second = 9; second < 60; second++) {
      expect(flow.isFlowing(few(second), (second + 1) * 1_000_000)).toBe(false);
    }
  });

  it('does not wait for what has been given up', () => {
    const flow = new FlowWatch(8000, 0);
    expect(flow.isFlowing(waiting(100_000, 3000), 1_000_000)).toBe(true);
    expect(flow.isFlowing(waiting(100_100, 200), 8_000_000)).toBe(true);
    expect(flow.isFlowing(waiting(100_300, 200), 8_900_000)).toBe(true);
    expect(flow.isFlowing(waiting(100_500, 200), 16_800_000)).toBe(true);
  });

  it('goes on with a few bytes when they are all there is', () => {
    const flow = new FlowWatch(8000, 0);
    for (let second = 1; second < 60; second++) {
      const all = { bytesAccepted: second, waitingBytes: 0, isSourceIdle: false };
      expect(flow.isFlowing(all, second * 1_000_000)).toBe(true);
    }
  });

  it('does not blame the destination for a source that gives nothing, unless something waits', () => {
    const idle = { bytesAccepted: 5000, waitingBytes: 0, isSourceIdle: true };
    const flow = new FlowWatch(8000, 0);
    expect(flow.isFlowing(idle, 60_000_000)).toBe(true);
    expect(flow.isFlowing({ ...idle, waitingBytes: 1 }, 67_900_000)).toBe(true);
    expect(flow.isFlowing({ ...idle, waitingBytes: 1 }, 68_000_000)).toBe(false);
  });

  it('lapses when the source gives and nothing arrives, wherever it is lost', () => {
    const flow = new FlowWatch(8000, 0);
    const lost = { bytesAccepted: 5000, waitingBytes: 0, isSourceIdle: false };
    expect(flow.isFlowing(lost, 1_000_000)).toBe(true);
    expect(flow.isFlowing(lost, 9_000_000)).toBe(false);
  });
});
