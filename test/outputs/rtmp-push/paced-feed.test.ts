import { PassThrough } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import type { MediaUnit } from '../../../src/domain/media.ts';
import type { OutBufferSettings } from '../../../src/outputs/rtmp-push/out-buffer.ts';
import { PacedFeed } from '../../../src/outputs/rtmp-push/paced-feed.ts';
import { USUAL_BOUNDS } from '../../../src/outputs/rtmp-push/push-bounds.ts';
import { audioUnit, keyUnit, videoUnit } from '../../hub/units.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const VIDEO = { codec: 'h264', width: 640, height: 360 } as const;
const AUDIO = { codec: 'aac', sampleRateHz: 48_000, channels: 2 } as const;
const OUT_BUFFER = { initialSizeMs: 1000, startSizeMs: 500, pollingTimeMs: 50, maxBufferings: -1 };
const FRAME_MS = 40;

function newFeed({ hasVideo = true, outBuffer }: { hasVideo?: boolean; outBuffer?: OutBufferSettings } = {}) {
  const clock = new ManualClock();
  const onRoom = vi.fn<() => void>();
  const feed = new PacedFeed({
    pipe: new PassThrough({ highWaterMark: 1 << 20 }).resume(),
    tracks: { video: hasVideo ? VIDEO : undefined, audio: AUDIO },
    swap: undefined,
    bounds: USUAL_BOUNDS,
    outBuffer,
    clock,
    onRoom,
  });
  return { feed, clock, onRoom };
}

/** Gives live media from `fromMs` on until the feed takes no more; returns the time of the last. */
function giveUntilHeld(feed: PacedFeed, clock: ManualClock, unitAt: (ms: number) => MediaUnit, fromMs = 0): number {
  for (let ms = fromMs; ms < fromMs + 60_000; ms += FRAME_MS) {
    if (!feed.push(unitAt(ms))) return ms;
    clock.advance(FRAME_MS);
  }
  return Infinity;
}

const TEN_SECOND_GROUPS = (ms: number): MediaUnit => (ms % 10_000 === 0 ? keyUnit(ms) : videoUnit(ms));
const SOUND = (ms: number): MediaUnit => audioUnit(ms, 3, 'aac');

describe('the feed of a push', () => {
  it.each([
    ['pictures in groups of 10 s', { hasVideo: true }, TEN_SECOND_GROUPS],
    ['sound alone', { hasVideo: false }, SOUND],
  ])('holds its source 2 s ahead of what the destination has taken, and goes on from there: %s', (_, given, unitAt) => {
    const { feed, clock, onRoom } = newFeed(given);
    feed.allowUntil(USUAL_BOUNDS.maxAheadMs);
    const heldMs = giveUntilHeld(feed, clock, unitAt);
    expect(heldMs).toBe(USUAL_BOUNDS.maxAheadMs + FRAME_MS);
    feed.allowUntil(heldMs - FRAME_MS);
    expect(onRoom).not.toHaveBeenCalled();
    feed.allowUntil(heldMs + 1000);
    expect(onRoom).toHaveBeenCalledOnce();
    expect(giveUntilHeld(feed, clock, unitAt, heldMs + FRAME_MS)).toBe(heldMs + 1000 + FRAME_MS);
  });

  it('never holds its source while nothing is seen to wait', () => {
    const { feed, clock } = newFeed();
    feed.allowUntil(Infinity);
    expect(giveUntilHeld(feed, clock, TEN_SECOND_GROUPS)).toBe(Infinity);
  });

  it('holds its source with an outgoing buffer too, which then holds what it had gathered and no more', () => {
    const { feed, clock, onRoom } = newFeed({ outBuffer: OUT_BUFFER });
    feed.allowUntil(USUAL_BOUNDS.maxAheadMs);
    const heldMs = giveUntilHeld(feed, clock, TEN_SECOND_GROUPS);
    expect(heldMs).toBeGreaterThan(USUAL_BOUNDS.maxAheadMs);
    expect(heldMs).toBeLessThanOrEqual(
      USUAL_BOUNDS.maxAheadMs + OUT_BUFFER.initialSizeMs + 2 * OUT_BUFFER.pollingTimeMs,
    );
    clock.advance(10_000);
    expect(feed.buffer!.bufferedMs).toBeLessThanOrEqual(OUT_BUFFER.initialSizeMs);
    expect(onRoom).not.toHaveBeenCalled();
    feed.allowUntil(Infinity);
    expect(onRoom).toHaveBeenCalledOnce();
    expect(feed.push(TEN_SECOND_GROUPS(heldMs + FRAME_MS))).toBe(true);
    feed.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
