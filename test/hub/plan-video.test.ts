import { describe, expect, it } from 'vitest';
import { planVideo, type VideoWish } from '../../src/hub/plan-video.ts';

const COPY = 'copy';

describe('planVideo', () => {
  it.each<[string, Partial<VideoWish>, object | typeof COPY]>([
    ['nothing is asked for', {}, COPY],
    ['everything is 0', { width: 0, height: 0, fps: 0, keyFrameInterval: 0 }, COPY],
    ['width alone is asked for', { width: 1280 }, COPY],
    ['width alone is asked for and the ratio is free', { width: 1280, preserveAspectRatio: false }, COPY],
    ['height is asked for', { height: 720 }, { heightPx: 720 }],
    ['both are asked for but the ratio is preserved', { width: 1000, height: 720 }, { heightPx: 720 }],
    [
      'both are asked for and the ratio is free',
      { width: 1000, height: 720, preserveAspectRatio: false },
      { heightPx: 720, widthPx: 1000 },
    ],
    ['fps is asked for', { fps: 25 }, { fps: 25 }],
    ['keyFrameInterval is asked for', { keyFrameInterval: 60 }, { keyFrameIntervalFrames: 60 }],
    ['width and fps are asked for', { width: 640, fps: 25, preserveAspectRatio: false }, { fps: 25 }],
    ['the source is VP8', { sourceCodec: 'vp8' }, {}],
  ])('decides when %s', (_, wish, expected) => {
    const plan = planVideo({ preserveAspectRatio: true, sourceCodec: 'h264', ...wish });
    expect(plan).toEqual(expected === COPY ? { mode: 'copy' } : { mode: 'transcode', need: expected });
  });
});
