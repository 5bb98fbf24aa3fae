import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameGrid } from '../../src/transcode/frame-grid.ts';
import { renditionCanvas } from '../../src/transcode/canvas.ts';
import { RestartBackoff } from '../../src/transcode/restart-backoff.ts';

describe('the grid of transcoded frames', () => {
  it('finds every sample in the frame that holds it, to the sample', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 40), fc.nat(2 ** 40), (baseUs, sinceUs) => {
        const grid = new FrameGrid(baseUs, 1024);
        const { index, offsetSamples } = grid.locate(baseUs + sinceUs);
        expect(offsetSamples).toBeGreaterThanOrEqual(0);
        expect(offsetSamples).toBeLessThan(1024);
        expect(Math.abs(grid.timeUs(index) + (offsetSamples * 1000) / 48 - (baseUs + sinceUs))).toBeLessThan(12);
        expect(grid.timeUs(index) + grid.durationUs(index)).toBe(grid.timeUs(index + 1));
      }),
    );
  });

  it('does not drift in a day', () => {
    expect(new FrameGrid(0, 1024).timeUs((86_400 * 48_000) / 1024)).toBe(86_400e6);
  });
});

describe('the canvas of a rendition', () => {
  const source = { widthPx: 1280, heightPx: 720 };

  it.each([
    [{}, source, 1280, 720],
    [{ heightPx: 360 }, source, 640, 360],
    [{ widthPx: 640 }, source, 640, 360],
    [{ widthPx: 500, heightPx: 500 }, source, 500, 500],
    [{ heightPx: 480 }, source, 854, 480],
    [{ heightPx: 480 }, { widthPx: 720, heightPx: 1280 }, 270, 480],
    [{}, { widthPx: 641, heightPx: 359 }, 642, 360],
    [{ heightPx: 100_000 }, source, 4096, 4096],
  ])('for %o of %o is %i x %i', (need, from, widthPx, heightPx) => {
    expect(renditionCanvas(need, from)).toEqual({ widthPx, heightPx });
  });
});

describe('the back-off of a transcoder', () => {
  it('starts again at once, then after 1, 2, 4 … at most 30 seconds, and gives up after ten', () => {
    const backoff = new RestartBackoff();
    let nowUs = 0;
    const waitsSeconds: number[] = [];
    while (!backoff.isExhausted) {
      backoff.started(nowUs);
      backoff.died(nowUs);
      const diedUs = nowUs;
      while (!backoff.mayStart(nowUs)) nowUs += 500_000;
      waitsSeconds.push((nowUs - diedUs) / 1e6);
    }
    expect(waitsSeconds).toEqual([0, 1, 2, 4, 8, 16, 30, 30, 30, 30]);
  });

  it('forgets after half a minute of life', () => {
    const backoff = new RestartBackoff();
    backoff.started(0);
    backoff.died(1_000_000);
    backoff.started(1_000_000);
    backoff.died(31_000_000);
    expect(backoff.mayStart(31_000_000)).toBe(true);
    backoff.started(31_000_000);
    backoff.died(32_000_000);
    expect(backoff.mayStart(32_500_000)).toBe(false);
  });
});
